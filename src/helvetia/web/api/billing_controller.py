"""Billing: the subscription, this period's usage and its cost, invoices, and what a client must know of payments."""

from collections.abc import Awaitable, Callable
from typing import Any

from fastapi import APIRouter
from fastapi.responses import RedirectResponse, Response

from helvetia.billing.payments.invoice_facts_service import InvoiceFactsService
from helvetia.billing.payments.service import PaymentService
from helvetia.billing.service import BillingService
from helvetia.catalogue.prices import CURRENCY
from helvetia.costs.estimate.service import EstimateService
from helvetia.costs.service import CostService
from helvetia.kernel.clock import Clock
from helvetia.subscriptions.service import SubscriptionService
from helvetia.web.api.payment_controller import CreditNoteId, Cursor, InvoiceId, Limit
from helvetia.web.api.schemas.billing import (
    ConfigAnswer,
    SubscriptionAnswer,
    UsageAnswer,
    to_wire_subscription,
    to_wire_usage,
)
from helvetia.web.api.schemas.estimate import EstimateAnswer, to_wire_estimate
from helvetia.web.api.schemas.invoices import (
    InvoiceDetailAnswer,
    InvoiceListAnswer,
    to_wire_invoice_detail,
    to_wire_invoices,
)
from helvetia.web.config import WebConfig
from helvetia.web.middleware.authenticate import BillingReader


class BillingController:
    """Reads our own ledger only (but for the PDF): it answers while Stripe does not."""

    def __init__(
        self,
        config: WebConfig,
        clock: Clock,
        subscriptions: SubscriptionService,
        costs: CostService,
        billing: BillingService,
        payments: PaymentService,
        estimates: EstimateService,
        facts: InvoiceFactsService,
    ) -> None:
        self._config = config
        self._clock = clock
        self._subscriptions = subscriptions
        self._costs = costs
        self._billing = billing
        self._payments = payments
        self._estimates = estimates
        self._facts = facts

    def add_to(self, router: APIRouter) -> None:
        def add(path: str, endpoint: Callable[..., Awaitable[object]], **described: Any) -> None:
            router.add_api_route(f"/api/v1/billing/{path}", endpoint, methods=["GET"], tags=["billing"], **described)

        add("subscription", self.get_subscription)
        add("usage", self.get_usage)
        add("estimate", self.get_estimate)
        add("invoices", self.list_invoices)
        add("invoices/{invoice_id}", self.get_invoice)
        add("invoices/{invoice_id}/pdf", self.get_pdf, status_code=303, response_class=RedirectResponse)
        add(
            "invoices/{invoice_id}/credit-notes/{note_id}/pdf",
            self.get_note_pdf,
            status_code=303,
            response_class=RedirectResponse,
        )
        add("config", self.get_config)

    async def get_subscription(self, caller: BillingReader) -> SubscriptionAnswer:
        """Plan, status, period and limits of the selected account."""
        record = await self._subscriptions.get_subscription(caller.account_id)
        pending = await self._billing.pending_change(caller.account_id)
        return to_wire_subscription(record, pending, self._clock.now())

    async def get_usage(self, caller: BillingReader) -> UsageAnswer:
        """What was used in the current period, what it costs, and the limits."""
        return to_wire_usage(await self._costs.current_usage(caller.account_id))

    async def get_estimate(self, caller: BillingReader) -> EstimateAnswer:
        """The next invoice as things stand: next fee, this period's usage, discounts, taxes, balance."""
        return to_wire_estimate(await self._estimates.estimate(caller.account_id))

    async def list_invoices(self, caller: BillingReader, cursor: Cursor = None, limit: Limit = 20) -> InvoiceListAnswer:
        """Invoices, newest first."""
        page = await self._billing.get_invoices(caller.account_id, limit=limit, cursor=cursor)
        ids = [invoice.stripe_invoice_id for invoice in page.invoices]
        return to_wire_invoices(page, await self._facts.given_back(caller.account_id, ids))

    async def get_invoice(self, caller: BillingReader, invoice_id: InvoiceId) -> InvoiceDetailAnswer:
        """One invoice with its lines, those of usage beside our own count, and its credit notes."""
        account_id = caller.account_id
        invoice, lines = await self._billing.get_invoice(account_id, invoice_id)
        is_final = invoice.finalized_at is not None
        check = await self._costs.check_invoice(account_id, lines, is_final=is_final)
        notes = await self._facts.credit_notes(account_id, invoice_id)
        back = (await self._facts.given_back(account_id, [invoice_id])).get(invoice_id)
        return to_wire_invoice_detail(invoice, lines, check, notes, back)

    async def get_pdf(self, caller: BillingReader, invoice_id: InvoiceId) -> Response:
        """Leads (303) to the invoice's PDF at Stripe by a fresh link; the one thing here that asks Stripe."""
        return RedirectResponse(await self._payments.pdf_address(caller.account_id, invoice_id), 303)

    async def get_note_pdf(self, caller: BillingReader, invoice_id: InvoiceId, note_id: CreditNoteId) -> Response:
        """Leads (303) to a credit note's PDF at Stripe by a fresh link."""
        return RedirectResponse(await self._payments.credit_note_address(caller.account_id, invoice_id, note_id), 303)

    async def get_config(self, _caller: BillingReader) -> ConfigAnswer:
        """Publishable key and currency."""
        return ConfigAnswer(
            publishable_key=self._config.stripe_publishable_key,
            currency=CURRENCY,
            is_sandbox=self._config.is_sandbox,
        )

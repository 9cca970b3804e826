"""Invoices: the list with its filters and its file, one invoice, its PDF, and the history of payments."""

from collections.abc import AsyncIterator
from typing import Annotated

from fastapi import APIRouter, Query, Request
from fastapi.responses import RedirectResponse, Response, StreamingResponse

from helvetia.accounts.model import AccountKind, Permission
from helvetia.billing.model import PAGE_SIZE_MAX, InvoiceFilter
from helvetia.billing.payments.invoice_facts_service import InvoiceFactsService
from helvetia.billing.payments.service import PaymentService
from helvetia.billing.service import BillingService
from helvetia.costs.estimate.service import EstimateService
from helvetia.costs.export import csv_lines
from helvetia.costs.service import CostService
from helvetia.kernel.identity import AccountId
from helvetia.web.api.payment_controller import CreditNoteId, InvoiceId
from helvetia.web.dashboard.blocks import read_block
from helvetia.web.dashboard.frame import PageName
from helvetia.web.dashboard.invoices.detail_view import InvoiceFacts, to_detail_view
from helvetia.web.dashboard.invoices.list_view import (
    COLUMNS,
    NOTHING,
    ListFacts,
    to_file_row,
    to_list_view,
    to_payment_view,
)
from helvetia.web.dashboard.invoices.next_view import NEXT_PATH, to_next_view
from helvetia.web.dashboard.invoices.query import InvoiceQuery, to_query
from helvetia.web.dashboard.pages import Pages
from helvetia.web.middleware.authenticate import BillingReader, Caller

_PATH = "/billing/invoices"
_SHOWN = 25
_FILE_PAGES_MAX = 100
_PAYMENTS_LATE_S = 300
_SEE_OTHER = 303

Text = Annotated[str, Query(max_length=300)]


class InvoicePageController:
    """Invoices are our own copies, so the pages stand while Stripe is away; only the PDF is Stripe's."""

    def __init__(
        self,
        pages: Pages,
        billing: BillingService,
        payments: PaymentService,
        facts: InvoiceFactsService,
        costs: CostService,
        estimates: EstimateService,
    ) -> None:
        self._pages = pages
        self._billing = billing
        self._payments = payments
        self._facts = facts
        self._costs = costs
        self._estimates = estimates

    def add_to(self, router: APIRouter) -> None:
        def add(path: str, endpoint: object) -> None:
            router.add_api_route(path, endpoint, methods=["GET"], include_in_schema=False)  # type: ignore[arg-type]

        add(_PATH, self.show_list)
        add(f"{_PATH}/export", self.export)
        add(NEXT_PATH, self.show_next)
        add(f"{_PATH}/{{invoice_id}}", self.show_invoice)
        add(f"{_PATH}/{{invoice_id}}/pdf", self.get_pdf)
        add(f"{_PATH}/{{invoice_id}}/credit-notes/{{note_id}}/pdf", self.get_note_pdf)
        add("/billing/payments", self.show_payments)

    async def show_list(
        self, request: Request, caller: BillingReader, year: Text = "", status: Text = "", cursor: Text = ""
    ) -> Response:
        """Newest first, by year and status."""
        query, account_id = _query(caller, year, status), caller.account_id
        found = await self._billing.get_invoices(account_id, limit=_SHOWN, cursor=cursor or None, wanted=query.wanted)
        owed = await self._billing.get_invoices(account_id, limit=PAGE_SIZE_MAX, wanted=InvoiceFilter(status="open"))
        facts = ListFacts(
            page=found,
            owed=[invoice for invoice in owed.invoices if invoice.amount_remaining_minor > 0],
            years=await self._facts.years(account_id),
            estimate=await read_block("next invoice", self._estimates.estimate(account_id)),
            back=await self._facts.given_back(account_id, [one.stripe_invoice_id for one in found.invoices]),
        )
        view = to_list_view(
            facts,
            query,
            may_pay=caller.allows(Permission.MOVE_MONEY),
            is_later_page=bool(cursor),
            voice=self._pages.voice(request),
        )
        return await self._pages.render(request, caller, "invoices/list.html", view, page=PageName.INVOICES)

    async def export(self, caller: BillingReader, year: Text = "", status: Text = "") -> Response:
        """The list as CSV, all of it."""
        wanted = _query(caller, year, status).wanted
        headers = {
            "Content-Disposition": f'attachment; filename="invoices{f"-{wanted.year}" if wanted.year else ""}.csv"'
        }
        return StreamingResponse(
            self._file(caller.account_id, wanted), media_type="text/csv; charset=utf-8", headers=headers
        )

    async def _file(self, account_id: AccountId, wanted: InvoiceFilter) -> AsyncIterator[str]:
        yield csv_lines([COLUMNS])
        cursor: str | None = None
        for _ in range(_FILE_PAGES_MAX):
            page = await self._billing.get_invoices(account_id, limit=PAGE_SIZE_MAX, cursor=cursor, wanted=wanted)
            back = await self._facts.given_back(account_id, [one.stripe_invoice_id for one in page.invoices])
            yield csv_lines([to_file_row(one, back.get(one.stripe_invoice_id, NOTHING)) for one in page.invoices])
            cursor = page.next_cursor
            if cursor is None:
                return

    async def show_next(self, request: Request, caller: BillingReader) -> Response:
        """The next invoice as things stand, beside what Stripe has of it."""
        estimate = await self._estimates.estimate(caller.account_id)
        view = to_next_view(estimate, _query(caller), self._pages.voice(request))
        return await self._pages.render(request, caller, "invoices/next.html", view, page=PageName.INVOICES)

    async def show_invoice(self, request: Request, caller: BillingReader, invoice_id: InvoiceId) -> Response:
        """One invoice; another account's is as missing."""
        account_id = caller.account_id
        invoice, lines = await self._billing.get_invoice(account_id, invoice_id)
        payments = await read_block("attempts", self._payments.list_payments(account_id, limit=PAGE_SIZE_MAX))
        is_final = invoice.finalized_at is not None
        facts = InvoiceFacts(
            invoice=invoice,
            lines=lines,
            notes=await self._facts.credit_notes(account_id, invoice.stripe_invoice_id),
            check=await self._costs.check_invoice(account_id, lines, is_final=is_final),
            payments=None if payments is None else payments.entries,
            metrics=self._facts.metrics_by_price(),
            query=_query(caller),
            may_pay=caller.allows(Permission.MOVE_MONEY),
            voice=self._pages.voice(request),
        )
        return await self._pages.render(
            request, caller, "invoices/invoice.html", to_detail_view(facts), page=PageName.INVOICES
        )

    async def get_pdf(self, caller: BillingReader, invoice_id: InvoiceId) -> Response:
        """Leads to the PDF at Stripe by a fresh link."""
        return RedirectResponse(await self._payments.pdf_address(caller.account_id, invoice_id), _SEE_OTHER)

    async def get_note_pdf(self, caller: BillingReader, invoice_id: InvoiceId, note_id: CreditNoteId) -> Response:
        """Leads to a credit note's PDF at Stripe by a fresh link."""
        address = await self._payments.credit_note_address(caller.account_id, invoice_id, note_id)
        return RedirectResponse(address, _SEE_OTHER)

    async def show_payments(self, request: Request, caller: BillingReader, cursor: Text = "") -> Response:
        """What was paid, declined and given back."""
        reading = self._payments.list_payments(caller.account_id, limit=_SHOWN, cursor=cursor or None)
        found = await read_block("payments", reading)
        view = to_payment_view(found, _query(caller), _PAYMENTS_LATE_S, self._pages.voice(request))
        return await self._pages.render(request, caller, "invoices/payments.html", view, page=PageName.INVOICES)


def _query(caller: Caller, year: str = "", status: str = "") -> InvoiceQuery:
    is_organization = caller.account.kind is AccountKind.ORGANIZATION
    return to_query(year, status, str(caller.account_id) if is_organization else None)

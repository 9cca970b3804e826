"""Payments: what was paid and how, with what it can be paid, and paying an open invoice."""

from typing import Annotated

from fastapi import APIRouter, Path, Query

from helvetia.billing.payments.service import PaymentService
from helvetia.billing.service import BillingService
from helvetia.web.api.schemas.payments import (
    PaidInvoiceAnswer,
    PaymentListAnswer,
    PaymentMethodListAnswer,
    to_wire_methods,
    to_wire_paid,
    to_wire_payments,
)
from helvetia.web.api.schemas.settlement import (
    OpenInvoicesAnswer,
    PaidInvoicesAnswer,
    PayOpenRequest,
    to_agreement,
    to_wire_open,
    to_wire_paid_invoices,
)
from helvetia.web.middleware.authenticate import BillingReader, MoneyMover

Cursor = Annotated[str | None, Query(max_length=300, description="`nextCursor` of the page before.")]
Limit = Annotated[int, Query(ge=1, le=100)]
InvoiceId = Annotated[str, Path(pattern="^[A-Za-z0-9_]{1,100}$", description="The invoice's id.")]

CreditNoteId = Annotated[str, Path(pattern="^[A-Za-z0-9_]{1,100}$", description="The credit note's id.")]


class PaymentController:
    """Payments of the selected account."""

    def __init__(self, payments: PaymentService, billing: BillingService) -> None:
        self._payments = payments
        self._billing = billing

    def add_to(self, router: APIRouter) -> None:
        add = router.add_api_route
        add("/api/v1/billing/payments", self.list_payments, methods=["GET"], tags=["billing"])
        add("/api/v1/billing/payment-methods", self.list_methods, methods=["GET"], tags=["billing"])
        add("/api/v1/billing/open-invoices", self.show_open, methods=["GET"], tags=["billing"])
        add("/api/v1/billing/open-invoices/pay", self.pay_open, methods=["POST"], tags=["billing"])
        add("/api/v1/billing/invoices/{invoice_id}/pay", self.pay_invoice, methods=["POST"], tags=["billing"])

    async def list_payments(self, caller: BillingReader, cursor: Cursor = None, limit: Limit = 20) -> PaymentListAnswer:
        """Attempts, payments and refunds, newest first, with the reason in plain words where one failed."""
        return to_wire_payments(await self._payments.list_payments(caller.account_id, limit=limit, cursor=cursor))

    async def list_methods(self, caller: BillingReader) -> PaymentMethodListAnswer:
        """Cards and other methods, the default first. They are changed in the portal."""
        return to_wire_methods(await self._payments.list_methods(caller.account_id))

    async def pay_invoice(self, caller: MoneyMover, invoice_id: InvoiceId) -> PaidInvoiceAnswer:
        """Charge an open invoice now; one that is paid already is answered alike, and charged no second time."""
        actor = caller.actor
        return to_wire_paid(await self._payments.pay_invoice(caller.account_id, invoice_id, actor=actor))

    async def show_open(self, caller: BillingReader) -> OpenInvoicesAnswer:
        """What paying everything that is open would charge now, in which order, and what would be voided."""
        offer = await self._billing.payment_offer(caller.account_id)
        return to_wire_open(await self._payments.open_invoices(caller.account_id), offer)

    async def pay_open(self, caller: MoneyMover, agreed: PayOpenRequest) -> PaidInvoicesAnswer:
        """Pay everything that is open, oldest first: only the invoices named here, and no more than the amount.

        When more is open by now: 409, and nothing is charged. A decline (402) tells what was paid before it.
        """
        actor = caller.actor
        paid = await self._payments.pay_open_invoices(caller.account_id, to_agreement(agreed), actor=actor)
        return to_wire_paid_invoices(paid)

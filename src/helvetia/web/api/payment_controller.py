"""Payments: what was paid and how, with what it can be paid, and paying an open invoice."""

from typing import Annotated

from fastapi import APIRouter, Path

from helvetia.billing.payments.service import PaymentService
from helvetia.web.api.schemas.payments import (
    PaidInvoiceAnswer,
    PaymentListAnswer,
    PaymentMethodListAnswer,
    to_wire_methods,
    to_wire_paid,
    to_wire_payments,
)
from helvetia.web.middleware.authenticate import BillingReader, MoneyMover

InvoiceId = Annotated[str, Path(pattern="^[A-Za-z0-9_]{1,100}$", description="The invoice's id.")]


class PaymentController:
    """Payments of the selected account."""

    def __init__(self, payments: PaymentService) -> None:
        self._payments = payments

    def add_to(self, router: APIRouter) -> None:
        add = router.add_api_route
        add("/api/v1/billing/payments", self.list_payments, methods=["GET"], tags=["billing"])
        add("/api/v1/billing/payment-methods", self.list_methods, methods=["GET"], tags=["billing"])
        add("/api/v1/billing/invoices/{invoice_id}/pay", self.pay_invoice, methods=["POST"], tags=["billing"])

    async def list_payments(self, caller: BillingReader) -> PaymentListAnswer:
        """Attempts, payments and refunds, newest first, with the reason in plain words where one failed."""
        return to_wire_payments(await self._payments.list_payments(caller.account_id))

    async def list_methods(self, caller: BillingReader) -> PaymentMethodListAnswer:
        """Cards and other methods, the default first. They are changed in the portal."""
        return to_wire_methods(await self._payments.list_methods(caller.account_id))

    async def pay_invoice(self, caller: MoneyMover, invoice_id: InvoiceId) -> PaidInvoiceAnswer:
        """Charge an open invoice now; one that is paid already is answered alike, and charged no second time."""
        actor = f"user:{caller.user.account_id}"
        return to_wire_paid(await self._payments.pay_invoice(caller.account_id, invoice_id, actor=actor))

"""The use cases of payments: what was paid and how, with what it can be paid, and paying an open invoice."""

from datetime import timedelta

from helvetia.billing.credit_notes.pdf_address import credit_note_address
from helvetia.billing.model import PAGE_SIZE_MAX, BillingConfig, PageCursor
from helvetia.billing.parts import BillingParts
from helvetia.billing.payments.model import Methods, Payments
from helvetia.billing.payments.pay_invoice import pay_invoice, pdf_address
from helvetia.billing.payments.read_payments import known_methods, known_payments, read_methods, read_payments
from helvetia.billing.settlement.model import Agreement, OpenInvoices, PaidInvoices
from helvetia.billing.settlement.pay_open_invoices import pay_open_invoices, show_open_invoices
from helvetia.database.job_queue import JobQueue
from helvetia.database.pool import Database
from helvetia.kernel.clock import Clock
from helvetia.kernel.identity import AccountId
from helvetia.stripe_gateway.actions import StripeActions
from helvetia.stripe_gateway.model import Invoice
from helvetia.stripe_gateway.price_book_holder import PriceBookHolder
from helvetia.stripe_gateway.time_limit import within
from helvetia.subscriptions.service import SubscriptionService


class PaymentService:
    """Payments of an account."""

    def __init__(
        self,
        database: Database,
        clock: Clock,
        gateway: StripeActions,
        prices: PriceBookHolder,
        subscriptions: SubscriptionService,
        queue: JobQueue,
        config: BillingConfig,
    ) -> None:
        self._parts = BillingParts(
            database=database,
            clock=clock,
            gateway=gateway,
            prices=prices,
            subscriptions=subscriptions,
            queue=queue,
            config=config,
        )

    async def list_payments(self, account_id: AccountId, *, limit: int = 20, cursor: str | None = None) -> Payments:
        """Attempts, payments and refunds, newest first; our copy with its age while Stripe is away.

        Raises:
            InvalidCursor
        """
        after = None if cursor is None else PageCursor.from_wire(cursor)
        return await read_payments(self._parts, account_id, after=after, limit=max(1, min(limit, PAGE_SIZE_MAX)))

    async def list_methods(self, account_id: AccountId) -> Methods:
        """Cards and other methods, the default first; our copy with its age while Stripe is away."""
        return await read_methods(self._parts, account_id)

    async def known_payments(self, account_id: AccountId) -> Payments | None:
        """Our copy of all payments, without asking Stripe; None where it was never read."""
        return await known_payments(self._parts, account_id)

    async def recent_methods(self, account_id: AccountId, max_age: timedelta, wait_s: float) -> Methods:
        """Our copy, if Stripe was read no longer ago than this; else as `list_methods`, but waiting no longer."""
        known = await known_methods(self._parts, account_id)
        if known is not None and known.as_of is not None and self._parts.clock.now() - known.as_of <= max_age:
            return known
        with within(wait_s):
            return await read_methods(self._parts, account_id)

    async def pay_invoice(self, account_id: AccountId, invoice_id: str, *, actor: str) -> Invoice:
        """Charge an open invoice now.

        Raises:
            InvoiceNotFound, InvoiceNotPayable, CardDeclined, ConfirmationNeeded, PaymentInDoubt, NothingCharged
        """
        return await pay_invoice(self._parts, account_id, invoice_id, actor=actor)

    async def open_invoices(self, account_id: AccountId) -> OpenInvoices:
        """What paying everything would charge now. Raises NothingCharged."""
        return await show_open_invoices(self._parts, account_id)

    async def pay_open_invoices(self, account_id: AccountId, agreed: Agreement, *, actor: str) -> PaidInvoices:
        """Pay every open invoice, oldest first, and never more than was agreed to.

        Raises:
            OpenInvoicesChanged, CardDeclined, ConfirmationNeeded, PaymentInDoubt, NothingCharged, CheckoutBusy
        """
        return await pay_open_invoices(self._parts, account_id, agreed, actor=actor)

    async def credit_note_address(self, account_id: AccountId, invoice_id: str, note_id: str) -> str:
        """A fresh link to the PDF of an invoice's credit note.

        Raises:
            InvoiceNotFound, InvoiceNotFinal, UntrustedAddress, NothingCharged
        """
        return await credit_note_address(self._parts, account_id, invoice_id, note_id)

    async def pdf_address(self, account_id: AccountId, invoice_id: str) -> str:
        """A fresh link to an invoice's PDF.

        Raises:
            InvoiceNotFound, InvoiceNotFinal, UntrustedAddress, NothingCharged
        """
        return await pdf_address(self._parts, account_id, invoice_id)

"""The arrow open invoice → paid, by hand: charged once, whatever is repeated, because Stripe pays an invoice once.

The invoice has to be one of the account's own; what came of it is read back into the subscription and our copies.
"""

import structlog

from helvetia.audit import record
from helvetia.billing.errors import ConfirmationNeeded, InvoiceNotFinal, InvoiceNotFound, InvoiceNotPayable
from helvetia.billing.mirror_invoices import mirror_invoices
from helvetia.billing.model import checked_address
from helvetia.billing.parts import BillingParts, charging, nothing_charged, one_at_a_time
from helvetia.billing.payments.model import in_plain_words
from helvetia.kernel.errors import HelvetiaError, Unavailable
from helvetia.kernel.identity import AccountId
from helvetia.stripe_gateway.errors import CardDeclined, StripeObjectMissing, StripeRefused
from helvetia.stripe_gateway.model import Invoice
from helvetia.stripe_gateway.time_limit import within
from helvetia.subscriptions import store as subscriptions

_log = structlog.get_logger()
_NEEDS_ACTION = "requires_action"


async def pay_invoice(parts: BillingParts, account_id: AccountId, invoice_id: str, *, actor: str) -> Invoice:
    """The invoice as it is afterwards; one that is paid already is simply returned.

    Raises:
        InvoiceNotFound, InvoiceNotPayable, CardDeclined, ConfirmationNeeded, PaymentInDoubt, NothingCharged
    """
    async with one_at_a_time(parts, account_id):
        with nothing_charged():
            invoice = await own_invoice(parts, account_id, invoice_id)
        if invoice.status == "paid":
            return invoice
        if invoice.status != "open":
            raise InvoiceNotPayable(invoice_status=invoice.status)
        try:
            with charging():
                paid = await charge_invoice(parts, invoice_id)
        except CardDeclined as error:
            await audit_payment(parts, account_id, invoice, actor, "billing.payment_failed")
            raise await explain_decline(parts, invoice, error) from error
        await audit_payment(parts, account_id, paid, actor, "billing.invoice_paid")
        await read_back(parts, account_id)
        return paid


async def charge_invoice(parts: BillingParts, invoice_id: str) -> Invoice:
    """Pay it; that somebody else was faster is a success."""
    try:
        return await parts.gateway.pay_invoice(invoice_id)
    except StripeRefused as error:
        found = await parts.gateway.retrieve_invoice(invoice_id)
        if found.status == "paid":
            return found
        raise InvoiceNotPayable(invoice_status=found.status) from error


async def explain_decline(parts: BillingParts, invoice: Invoice, error: CardDeclined) -> HelvetiaError:
    """Whether the bank only wants a confirmation; else why it declined, in plain words."""
    code = error.figures.get("declineCode")
    with nothing_charged():
        fresh = await parts.gateway.retrieve_invoice(invoice.invoice_id)
        for payment_intent_id in fresh.payment_intent_ids:
            intent = await parts.gateway.retrieve_payment_intent(payment_intent_id)
            if intent.status == _NEEDS_ACTION:
                return ConfirmationNeeded(confirm_url=checked_address(fresh.hosted_url, parts.config), charged="no")
    reason = in_plain_words(str(code)) if code is not None else None
    return CardDeclined(reason, decline_code=code, charged="no")


async def own_invoice(parts: BillingParts, account_id: AccountId, invoice_id: str) -> Invoice:
    """The invoice as Stripe has it now, if it is this account's; another's is as missing.

    Raises:
        InvoiceNotFound
    """
    async with parts.database.transaction() as tx:
        customer_id = (await subscriptions.find(tx, account_id)).stripe_customer_id
    if customer_id is None:
        raise InvoiceNotFound
    try:
        invoice = await parts.gateway.retrieve_invoice(invoice_id)
    except StripeObjectMissing as error:
        raise InvoiceNotFound from error
    if invoice.customer_id != customer_id:
        raise InvoiceNotFound
    return invoice


async def pdf_address(parts: BillingParts, account_id: AccountId, invoice_id: str) -> str:
    """A fresh link to the PDF: links run out, so none is kept.

    Raises:
        InvoiceNotFound, InvoiceNotFinal, UntrustedAddress, NothingCharged
    """
    with nothing_charged(), within():
        invoice = await own_invoice(parts, account_id, invoice_id)
    if invoice.pdf_url is None:
        raise InvoiceNotFinal
    return checked_address(invoice.pdf_url, parts.config)


async def read_back(parts: BillingParts, account_id: AccountId) -> None:
    """The payment stands whether or not this succeeds: the poll reads it again."""
    try:
        await parts.subscriptions.sync_subscription(account_id)
        await mirror_invoices(parts.database, parts.clock, parts.gateway, account_id)
    except Unavailable as error:
        _log.warning("billing.read_back_failed", account_id=str(account_id), code=error.code)


async def audit_payment(parts: BillingParts, account_id: AccountId, invoice: Invoice, actor: str, action: str) -> None:
    detail = {"invoice": invoice.invoice_id, "amount_minor": invoice.amount_due_minor, "status": invoice.status}
    async with parts.database.transaction() as tx:
        await record(tx, account_id=account_id, actor=actor, action=action, detail=detail, at=parts.clock.now())

"""The arrow open invoices → paid: one after the other, oldest first, the subscription's latest last.

Read afresh under the account's turn, by the code that showed the sum: never more is charged than was agreed to. What
is voided is written down before the first of it is touched, so that a crash in the middle never turns it into a debt.
A repetition goes on where the last attempt stopped: a paid invoice is not open any more. A decline ends the attempt,
and says what was paid before it.
"""

from collections.abc import Sequence

from helvetia.audit import record
from helvetia.billing.errors import OpenInvoicesChanged
from helvetia.billing.parts import BillingParts, charging, nothing_charged, one_at_a_time
from helvetia.billing.payments.pay_invoice import audit_payment, charge_invoice, explain_decline, read_back
from helvetia.billing.settlement import store
from helvetia.billing.settlement.model import Agreement, OpenInvoices, PaidInvoices, find_open
from helvetia.catalogue.prices import CURRENCY
from helvetia.kernel.errors import HelvetiaError
from helvetia.kernel.identity import AccountId
from helvetia.kernel.money import Money
from helvetia.stripe_gateway.errors import CardDeclined, StripeObjectMissing, StripeRefused
from helvetia.stripe_gateway.model import Invoice
from helvetia.stripe_gateway.time_limit import within
from helvetia.subscriptions import store as subscriptions

_NOTHING = OpenInvoices(invoices=(), dropped=(), currency=CURRENCY)


async def show_open_invoices(parts: BillingParts, account_id: AccountId) -> OpenInvoices:
    """What paying everything would charge now, and what it would void. Raises NothingCharged."""
    with nothing_charged(), within():
        return await _read(parts, account_id)


async def _read(parts: BillingParts, account_id: AccountId) -> OpenInvoices:
    async with parts.database.transaction() as tx:
        known = await subscriptions.find(tx, account_id)
        given_up = await store.given_up(tx, account_id)
    if known.stripe_customer_id is None or known.stripe_subscription_id is None:
        return _NOTHING
    try:
        live = await parts.gateway.retrieve_subscription(known.stripe_subscription_id)
        listed = await parts.gateway.list_invoices(
            customer_id=known.stripe_customer_id, subscription_id=known.stripe_subscription_id
        )
    except StripeObjectMissing:
        return _NOTHING
    return find_open(live, listed, given_up=given_up, policy=parts.config.unpaid_drafts)


async def pay_open_invoices(
    parts: BillingParts, account_id: AccountId, agreed: Agreement, *, actor: str
) -> PaidInvoices:
    """Pay them all; nothing open any more is a success that paid nothing.

    Raises:
        OpenInvoicesChanged, CardDeclined, ConfirmationNeeded, PaymentInDoubt, NothingCharged, CheckoutBusy
    """
    async with one_at_a_time(parts, account_id):
        with nothing_charged():
            found = await _read(parts, account_id)
        if not agreed.covers(found):
            raise _changed(found)
        with nothing_charged():
            await _void(parts, account_id, found.dropped, actor)
        paid = await _pay_each(parts, account_id, found, actor)
        if paid or found.dropped:
            await read_back(parts, account_id)
    return PaidInvoices(invoices=tuple(paid), currency=found.currency)


async def _pay_each(parts: BillingParts, account_id: AccountId, found: OpenInvoices, actor: str) -> list[Invoice]:
    paid: list[Invoice] = []
    for invoice in found.invoices:
        try:
            with charging():
                done = await charge_invoice(parts, invoice.invoice_id)
        except CardDeclined as error:
            await audit_payment(parts, account_id, invoice, actor, "billing.payment_failed")
            explained = await explain_decline(parts, invoice, error)
            await read_back(parts, account_id)
            raise _partly(explained, found, paid, invoice) from error
        paid.append(done)
        await audit_payment(parts, account_id, done, actor, "billing.invoice_paid")
    return paid


def _partly(error: HelvetiaError, found: OpenInvoices, paid: list[Invoice], failed: Invoice) -> HelvetiaError:
    """The same refusal, with what was paid before it."""
    before = PaidInvoices(invoices=paid, currency=found.currency)
    error.figures = {
        **error.figures,
        "charged": "partly" if before.amount_minor else "no",
        "paid_invoices": [invoice.invoice_id for invoice in paid],
        "amount_paid": Money(amount_minor=before.amount_minor, currency=found.currency).to_decimal(),
        "failed_invoice": failed.invoice_id,
        "currency": found.currency,
    }
    return error


def _changed(found: OpenInvoices) -> OpenInvoicesChanged:
    amount = Money(amount_minor=found.amount_minor, currency=found.currency).to_decimal()
    invoices = [invoice.invoice_id for invoice in found.invoices]
    return OpenInvoicesChanged(amount_due=amount, currency=found.currency, invoices=invoices, charged="no")


async def _void(parts: BillingParts, account_id: AccountId, dropped: Sequence[Invoice], actor: str) -> None:
    if not dropped:
        return
    ids = [invoice.invoice_id for invoice in dropped]
    async with parts.database.transaction() as tx:
        await store.give_up(tx, account_id, ids, decided_by=actor, at=parts.clock.now())
    for invoice_id in ids:
        status = await _void_one(parts, invoice_id)
        at = parts.clock.now()
        async with parts.database.transaction() as tx:
            await store.mark_done(tx, account_id, invoice_id, at)
            detail = {"invoice": invoice_id, "status": status}
            await record(tx, account_id=account_id, actor=actor, action="billing.invoice_voided", detail=detail, at=at)


async def _void_one(parts: BillingParts, invoice_id: str) -> str:
    """Its status afterwards. Only an open one can be voided; a draft that a balance covers is paid by finalizing."""
    invoice = await parts.gateway.retrieve_invoice(invoice_id)
    if invoice.status == "draft":
        try:
            await parts.gateway.finalize_invoice(invoice_id)
        except StripeRefused:
            invoice = await parts.gateway.retrieve_invoice(invoice_id)
            if invoice.status == "draft":
                raise
        invoice = await parts.gateway.retrieve_invoice(invoice_id)
    if invoice.status == "open":
        await parts.gateway.void_invoice(invoice_id)
        return "void"
    return invoice.status

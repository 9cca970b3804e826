"""The arrow credit note → its PDF at Stripe: a fresh link, for links run out and none is kept."""

from helvetia.billing.errors import InvoiceNotFinal, InvoiceNotFound
from helvetia.billing.model import checked_address
from helvetia.billing.parts import BillingParts, nothing_charged
from helvetia.kernel.identity import AccountId
from helvetia.stripe_gateway.errors import StripeObjectMissing
from helvetia.stripe_gateway.time_limit import within
from helvetia.subscriptions import store as subscriptions


async def credit_note_address(parts: BillingParts, account_id: AccountId, invoice_id: str, note_id: str) -> str:
    """Another account's note, or another invoice's, is as missing.

    Raises:
        InvoiceNotFound, InvoiceNotFinal, UntrustedAddress, NothingCharged
    """
    async with parts.database.transaction() as tx:
        customer_id = (await subscriptions.find(tx, account_id)).stripe_customer_id
    if customer_id is None:
        raise InvoiceNotFound
    with nothing_charged(), within():
        try:
            note = await parts.gateway.retrieve_credit_note(note_id)
        except StripeObjectMissing as error:
            raise InvoiceNotFound from error
    if (note.customer_id, note.invoice_id) != (customer_id, invoice_id):
        raise InvoiceNotFound
    if note.pdf_url is None:
        raise InvoiceNotFinal
    return checked_address(note.pdf_url, parts.config)

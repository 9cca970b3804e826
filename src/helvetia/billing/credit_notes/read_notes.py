"""The arrow Stripe → credit notes: read whenever an invoice says that something was credited, or we hold any.

An invoice tells the sums of its notes, so no event is needed, and a customer without any costs no call. A note that was
withdrawn leaves no sum; it is read again because we hold it.
"""

from collections.abc import Sequence

from helvetia.billing.credit_notes.store import has_credit_notes
from helvetia.database.pool import Database
from helvetia.kernel.identity import AccountId
from helvetia.stripe_gateway.actions import StripeActions
from helvetia.stripe_gateway.credit_notes import CreditNote
from helvetia.stripe_gateway.model import Invoice


async def read_notes(
    database: Database, gateway: StripeActions, account_id: AccountId, customer_id: str, listed: Sequence[Invoice]
) -> Sequence[CreditNote]:
    """The customer's notes, given the invoices as just listed. Raises as the gateway does."""
    if not any(invoice.credited_before_minor or invoice.credited_after_minor for invoice in listed):
        async with database.transaction() as tx:
            if not await has_credit_notes(tx, account_id):
                return ()
    return await gateway.list_credit_notes(customer_id)

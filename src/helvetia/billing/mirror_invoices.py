"""The arrow Stripe → invoices: copy a customer's invoices with their lines, and credit notes, into our tables.

The read is numbered before it begins, so a stale copy never overwrites a newer one. Bounded by what the gateway lists.
A draft that Stripe no longer lists was deleted there, and is deleted here. Of those with more lines than a list shows,
the newest LONG_INVOICES_MAX are read by themselves; older ones keep the copy they have.
"""

from collections.abc import Sequence

from helvetia.billing import store, store_drafts
from helvetia.billing.credit_notes.read_notes import read_notes
from helvetia.billing.credit_notes.store import save_credit_note
from helvetia.database.pool import Database
from helvetia.kernel.clock import Clock
from helvetia.kernel.identity import AccountId
from helvetia.stripe_gateway.actions import StripeActions
from helvetia.stripe_gateway.model import Invoice
from helvetia.subscriptions import store as subscriptions

LONG_INVOICES_MAX = 20


async def mirror_invoices(database: Database, clock: Clock, gateway: StripeActions, account_id: AccountId) -> int:
    """Mirror the account's invoices; says how many were new or had changed. Raises as the gateway does."""
    began_at = clock.now()
    async with database.transaction() as tx:
        await store.mark_mirrored(tx, account_id, began_at)
        fetch_seq = await subscriptions.next_fetch_seq(tx)
        record = await subscriptions.find(tx, account_id)
    if record.stripe_customer_id is None:
        return 0
    listed = await gateway.list_invoices(customer_id=record.stripe_customer_id)
    found = await _with_all_lines(gateway, listed)
    notes = await read_notes(database, gateway, account_id, record.stripe_customer_id, listed)
    async with database.transaction() as tx:
        saved = [await store.save_invoice(tx, account_id, invoice, fetch_seq=fetch_seq) for invoice in found]
        if await store.is_newest_read(tx, account_id, fetch_seq):
            saved += [await save_credit_note(tx, account_id, note, fetch_seq=fetch_seq) for note in notes]
        gone_count = await store_drafts.forget_drafts(tx, account_id, still_listed=listed, fetch_seq=fetch_seq)
        await store.mark_complete(tx, account_id, began_at)
    return sum(saved) + gone_count


async def _with_all_lines(gateway: StripeActions, found: Sequence[Invoice]) -> list[Invoice]:
    whole: list[Invoice] = []
    long_count = 0
    for invoice in found:
        if not invoice.has_more_lines:
            whole.append(invoice)
        elif long_count < LONG_INVOICES_MAX:
            long_count += 1
            whole.append(await gateway.retrieve_invoice(invoice.invoice_id))
    return whole

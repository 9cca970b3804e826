"""SQL of drafts that Stripe has deleted: only a draft can be, and it leaves nothing behind."""

from collections.abc import Sequence

from helvetia.database.pool import Transaction
from helvetia.kernel.identity import AccountId
from helvetia.stripe_gateway.model import Invoice


async def forget_drafts(
    tx: Transaction, account_id: AccountId, *, still_listed: Sequence[Invoice], fetch_seq: int
) -> int:
    """Delete our drafts that this read did not list, of the time that it reached back to; says how many."""
    oldest_at = min((invoice.issued_at for invoice in still_listed), default=None)
    cursor = await tx.execute(
        "DELETE FROM invoices WHERE account_id = %s AND status = 'draft' AND fetch_seq < %s"
        " AND NOT stripe_invoice_id = ANY(%s) AND (%s::timestamptz IS NULL OR issued_at >= %s)",
        (account_id, fetch_seq, [invoice.invoice_id for invoice in still_listed], oldest_at, oldest_at),
    )
    return cursor.rowcount

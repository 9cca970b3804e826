"""The arrow open → closed: pieces that are over, settled and (where Stripe bills) past every unknown boundary.

Promises: a closed row never changes again; closing twice closes nothing more. Each function is one transaction's work
under the account's row lock and fails as a whole.
"""

from datetime import datetime, timedelta

from helvetia.database.pool import Transaction
from helvetia.kernel.identity import AccountId
from helvetia.metering import store, store_pieces
from helvetia.metering.model import MeteringConfig


async def close_account(tx: Transaction, account_id: AccountId, *, now: datetime, config: MeteringConfig) -> int:
    """Close what is due; returns how many rows. An account that waits for Stripe and knows nothing closes nothing."""
    await store.lock_account(tx, account_id)
    account = await store.metering_account(tx, account_id)
    if account.waits_for_stripe and account.known_until is None:
        return 0
    return await store_pieces.close_rows(
        tx,
        account_id,
        settled=settled_at(now, config),
        known_until=account.known_until if account.waits_for_stripe else None,
        now=now,
    )


def settled_at(now: datetime, config: MeteringConfig) -> datetime:
    """Pieces that ended at or before this instant have had their time to settle."""
    return now - timedelta(microseconds=config.settle_ns // 1_000)

"""All SQL of the copy of Stripe's part of the next invoice: one row per account, numbered reads only."""

from collections.abc import Sequence
from datetime import datetime

from psycopg.types.json import Jsonb
from pydantic import TypeAdapter

from helvetia.costs.estimate.model import EstimateDifference, KnownFacts
from helvetia.database.pool import Transaction
from helvetia.kernel.identity import AccountId
from helvetia.stripe_gateway.upcoming import UpcomingFacts

_FACTS = TypeAdapter(UpcomingFacts)
# A read follows each sync of the subscription: an event or the poll made it, and either may have brought news.
_DUE = """
    SELECT s.account_id FROM subscriptions s JOIN accounts a USING (account_id)
    LEFT JOIN upcoming_facts f USING (account_id)
    WHERE s.stripe_subscription_id IS NOT NULL AND s.status <> 'CANCELED' AND a.deleted_at IS NULL
        AND f.followed_sync_at IS DISTINCT FROM s.synced_at
    ORDER BY f.attempted_at NULLS FIRST, s.account_id LIMIT %s
"""
_SAVE = """
    UPDATE upcoming_facts SET facts = %s, fetch_seq = %s, read_at = %s, followed_sync_at = %s
    WHERE account_id = %s AND fetch_seq < %s
"""


async def accounts_to_read(tx: Transaction, limit: int) -> list[AccountId]:
    """Subscribers of whom a sync has happened since they were read, who waited longest first."""
    cursor = await tx.execute(_DUE, (limit,))
    return [AccountId(row[0]) for row in await cursor.fetchall()]


async def mark_attempt(tx: Transaction, account_id: AccountId, at: datetime) -> None:
    """Whether the read succeeds or not, the others come first next time."""
    await tx.execute(
        "INSERT INTO upcoming_facts (account_id, attempted_at) VALUES (%s, %s)"
        " ON CONFLICT (account_id) DO UPDATE SET attempted_at = excluded.attempted_at",
        (account_id, at),
    )


async def save_facts(
    tx: Transaction,
    account_id: AccountId,
    facts: UpcomingFacts,
    *,
    fetch_seq: int,
    read_at: datetime,
    followed_sync_at: datetime | None,
) -> bool:
    """Store a read, unless a newer one was stored before; says whether it was stored. Wants `mark_attempt` before."""
    kept = Jsonb(_FACTS.dump_python(facts, mode="json"))
    cursor = await tx.execute(_SAVE, (kept, fetch_seq, read_at, followed_sync_at, account_id, fetch_seq))
    return cursor.rowcount == 1


async def find_facts(tx: Transaction, account_id: AccountId) -> KnownFacts | None:
    cursor = await tx.execute(
        "SELECT facts, read_at, checked_at, differences FROM upcoming_facts"
        " WHERE account_id = %s AND facts IS NOT NULL",
        (account_id,),
    )
    row = await cursor.fetchone()
    if row is None:
        return None
    facts, read_at, checked_at, differences = row
    return KnownFacts(
        facts=_FACTS.validate_python(facts),
        read_at=read_at,
        checked_at=checked_at,
        differences=tuple(EstimateDifference(**one) for one in differences),
    )


async def save_check(
    tx: Transaction, account_id: AccountId, differences: Sequence[EstimateDifference], at: datetime
) -> None:
    await tx.execute(
        "UPDATE upcoming_facts SET checked_at = %s, differences = %s WHERE account_id = %s",
        (at, Jsonb([dict(one.to_row()) for one in differences]), account_id),
    )


async def count_different(tx: Transaction) -> int:
    """How many accounts' last check found a difference."""
    row = await (await tx.execute("SELECT count(*) FROM upcoming_facts WHERE differences <> '[]'")).fetchone()
    return 0 if row is None else int(row[0])

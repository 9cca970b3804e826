"""All SQL of the walk over Stripe's list, and of which accounts were compared when."""

from datetime import datetime

from psycopg.rows import class_row

from helvetia.database.pool import Transaction
from helvetia.kernel.identity import AccountId
from helvetia.webhooks.model import Walk

_COLUMNS = (
    *("complete_from_at", "complete_until_at", "newest_event_at", "running_since_at", "running_since_wall_at"),
    *("running_floor_at", "running_newest_at", "running_after_event"),
)


async def lock_walk(tx: Transaction) -> Walk:
    """The one row, locked until the transaction ends."""
    async with tx.cursor(row_factory=class_row(Walk)) as cursor:
        await cursor.execute(f"SELECT {', '.join(_COLUMNS)} FROM stripe_event_walk FOR UPDATE")
        found = await cursor.fetchone()
    return found or Walk(**dict.fromkeys(_COLUMNS))


async def save_walk(tx: Transaction, walk: Walk) -> None:
    assignments = ", ".join(f"{name} = %({name})s" for name in _COLUMNS)
    await tx.execute(f"UPDATE stripe_event_walk SET {assignments}", {name: getattr(walk, name) for name in _COLUMNS})


async def accounts_to_compare(tx: Transaction, *, before: datetime | None, limit: int) -> tuple[AccountId, ...]:
    """Accounts with a customer that were not compared since then (None: all), the longest ago first."""
    cursor = await tx.execute(
        "SELECT s.account_id FROM subscriptions s JOIN accounts a USING (account_id)"
        " WHERE s.stripe_customer_id IS NOT NULL AND a.deleted_at IS NULL"
        " AND (%(before)s::timestamptz IS NULL OR s.compared_at IS NULL OR s.compared_at < %(before)s)"
        " ORDER BY s.compared_at NULLS FIRST, s.account_id LIMIT %(limit)s",
        {"before": before, "limit": limit},
    )
    return tuple(AccountId(row[0]) for row in await cursor.fetchall())


async def mark_compared(tx: Transaction, account_id: AccountId, wall: datetime) -> None:
    await tx.execute("UPDATE subscriptions SET compared_at = %s WHERE account_id = %s", (wall, account_id))

"""All SQL of stored events; how far the walk has come stands in store_walk."""

from collections.abc import Iterable, Sequence
from datetime import datetime, timedelta

from psycopg.rows import class_row

from helvetia.database.pool import Transaction
from helvetia.kernel.identity import AccountId
from helvetia.stripe_gateway.events import StripeEvent
from helvetia.webhooks.model import WaitingEvent

_INSERT = """
    INSERT INTO stripe_events (event_id, event_type, customer_id, object_id, api_version, created_at, received_at,
        source, body, due_at, handled_at, outcome)
    VALUES (%s, %s, %s, %s, %s, %s, %s, %s, %s, %s, %s, %s) ON CONFLICT DO NOTHING
"""
_CLAIM_DUE = """
    WITH due AS (
        SELECT customer_id FROM stripe_events WHERE handled_at IS NULL AND parked_at IS NULL AND due_at <= %(wall)s
        GROUP BY customer_id ORDER BY min(due_at) LIMIT %(limit)s
    )
    UPDATE stripe_events e SET attempt_count = e.attempt_count + 1,
        due_at = %(wall)s + least(%(longest)s, %(first)s * power(2, least(e.attempt_count, 20)))
    FROM due WHERE e.customer_id = due.customer_id
        AND e.handled_at IS NULL AND e.parked_at IS NULL AND e.due_at <= %(wall)s
    RETURNING e.customer_id
"""
_UNPARK = """
    UPDATE stripe_events e SET parked_at = NULL, due_at = %s, attempt_count = 0 FROM subscriptions s
    WHERE e.parked_at IS NOT NULL AND e.handled_at IS NULL AND s.stripe_customer_id = e.customer_id
"""
_WAITING = """
    SELECT event_id, event_type, customer_id, object_id, created_at FROM stripe_events
    WHERE customer_id = %s AND handled_at IS NULL AND parked_at IS NULL ORDER BY received_at, event_id LIMIT %s
"""
_CAUGHT_UP = """
    SELECT s.account_id FROM subscriptions s WHERE s.stripe_customer_id IS NOT NULL AND s.synced_at IS NOT NULL
        AND NOT EXISTS (
            SELECT FROM stripe_events e WHERE e.customer_id = s.stripe_customer_id AND e.handled_at IS NULL
        )
    ORDER BY s.account_id
"""
_COUNTS = """
    SELECT count(*) FILTER (WHERE parked_at IS NULL), count(*) FILTER (WHERE parked_at IS NOT NULL),
        min(received_at) FILTER (WHERE parked_at IS NULL)
    FROM stripe_events WHERE handled_at IS NULL
"""
FIRST_RETRY = timedelta(seconds=5)
LONGEST_RETRY = timedelta(minutes=10)


async def insert_event(
    tx: Transaction, event: StripeEvent, *, source: str, wall: datetime, ignored_because: str | None
) -> bool:
    """Keep the event under its id; False when it is there already. An ignored one is handled as it comes in."""
    return (await tx.execute(_INSERT, _row(event, source, wall, ignored_because))).rowcount == 1


async def insert_events(
    tx: Transaction, events: Iterable[tuple[StripeEvent, str | None]], *, source: str, wall: datetime
) -> int:
    """Keep all of these, each with why it is ignored, if it is, without waiting for each; says how many were new."""
    async with tx.cursor() as cursor:
        await cursor.executemany(_INSERT, [_row(event, source, wall, because) for event, because in events])
        return cursor.rowcount


def _row(event: StripeEvent, source: str, wall: datetime, ignored_because: str | None) -> tuple[object, ...]:
    handled_at = None if ignored_because is None else wall
    outcome = None if ignored_because is None else f"ignored: {ignored_because}"
    return (
        *(event.event_id, event.event_type, event.customer_id, event.object_id, event.api_version),
        *(event.created_at, wall, source, event.body, wall, handled_at, outcome),
    )


async def unpark_known(tx: Transaction, wall: datetime) -> int:
    """Events of customers that an account has by now are due again."""
    return (await tx.execute(_UNPARK, (wall,))).rowcount


async def claim_due(tx: Transaction, wall: datetime, limit: int) -> tuple[str, ...]:
    """Customers with due events, each once. Until they are handled they come due again, later each time."""
    values = {"wall": wall, "limit": limit, "first": FIRST_RETRY, "longest": LONGEST_RETRY}
    cursor = await tx.execute(_CLAIM_DUE, values)
    return tuple(dict.fromkeys(row[0] for row in await cursor.fetchall()))


async def waiting_of(tx: Transaction, customer_id: str, limit: int) -> tuple[WaitingEvent, ...]:
    async with tx.cursor(row_factory=class_row(WaitingEvent)) as cursor:
        await cursor.execute(_WAITING, (customer_id, limit))
        return tuple(await cursor.fetchall())


async def park(tx: Transaction, customer_id: str, wall: datetime) -> int:
    """No account has this customer: its events wait until one does."""
    cursor = await tx.execute(
        "UPDATE stripe_events SET parked_at = %s WHERE customer_id = %s AND handled_at IS NULL AND parked_at IS NULL",
        (wall, customer_id),
    )
    return cursor.rowcount


async def mark_handled(tx: Transaction, event_ids: Sequence[str], *, outcome: str, wall: datetime) -> tuple[str, ...]:
    """Stamp these events; only who stamps an event first gets its id back, so what hangs on it happens once."""
    cursor = await tx.execute(
        "UPDATE stripe_events SET handled_at = %s, outcome = %s"
        " WHERE event_id = ANY(%s) AND handled_at IS NULL RETURNING event_id",
        (wall, outcome, list(event_ids)),
    )
    return tuple(row[0] for row in await cursor.fetchall())


async def caught_up_accounts(tx: Transaction) -> tuple[AccountId, ...]:
    """Accounts with a customer of whom no event waits."""
    cursor = await tx.execute(_CAUGHT_UP)
    return tuple(AccountId(row[0]) for row in await cursor.fetchall())


async def waiting_counts(tx: Transaction) -> tuple[int, int, datetime | None]:
    """Events that wait, events that are parked, and since when the oldest one waits."""
    row = await (await tx.execute(_COUNTS)).fetchone()
    return (0, 0, None) if row is None else (row[0], row[1], row[2])


async def parked_customers(tx: Transaction, limit: int) -> tuple[tuple[str, int, datetime], ...]:
    """Customers that no account has: how many events they have, and since when."""
    cursor = await tx.execute(
        "SELECT customer_id, count(*), min(received_at) FROM stripe_events"
        " WHERE handled_at IS NULL AND parked_at IS NOT NULL GROUP BY customer_id ORDER BY 3, 1 LIMIT %s",
        (limit,),
    )
    return tuple((row[0], row[1], row[2]) for row in await cursor.fetchall())


async def delete_old(tx: Transaction, before: datetime, limit: int) -> int:
    """Forget handled events that Stripe itself no longer lists."""
    cursor = await tx.execute(
        "DELETE FROM stripe_events WHERE event_id IN ("
        "SELECT event_id FROM stripe_events WHERE received_at < %s AND handled_at IS NOT NULL LIMIT %s)",
        (before, limit),
    )
    return cursor.rowcount

"""What must always hold of stored events: SQL that returns nothing, or the rows that break it."""

from collections.abc import Mapping, Sequence
from typing import Any

from psycopg.rows import dict_row

from helvetia.database.pool import Transaction

BROKEN_SHOWN_MAX = 20

INVARIANTS: Mapping[str, str] = {
    "a parked event was never handled": """
        SELECT event_id FROM stripe_events WHERE parked_at IS NOT NULL AND handled_at IS NOT NULL
    """,
    "what is noted of an event is noted once": """
        SELECT detail ->> 'eventId' AS event_id, count(*) FROM audit_entries WHERE actor = 'stripe'
        GROUP BY detail ->> 'eventId' HAVING count(*) > 1
    """,
    "the list of events is complete up to a time after the time it is complete from": """
        SELECT complete_from_at, complete_until_at FROM stripe_event_walk WHERE complete_from_at >= complete_until_at
    """,
}


async def broken_invariants(tx: Transaction) -> dict[str, Sequence[Mapping[str, Any]]]:
    """The rules that do not hold, each with the first rows that break it."""
    broken: dict[str, Sequence[Mapping[str, Any]]] = {}
    async with tx.cursor(row_factory=dict_row) as cursor:
        for rule, statement in INVARIANTS.items():
            await cursor.execute(f"SELECT * FROM ({statement}) AS broken LIMIT {BROKEN_SHOWN_MAX}")
            rows = await cursor.fetchall()
            if rows:
                broken[rule] = rows
    return broken

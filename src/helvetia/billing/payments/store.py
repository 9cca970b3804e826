"""All SQL of what was last read of an account's payments."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from psycopg.rows import class_row
from psycopg.types.json import Jsonb

from helvetia.database.pool import Transaction
from helvetia.kernel.identity import AccountId

_SAVE = """
    INSERT INTO stripe_readings AS r (account_id, kind, read_at, fetch_seq, body) VALUES (%s, %s, %s, %s, %s)
    ON CONFLICT (account_id, kind) DO UPDATE SET
        read_at = excluded.read_at, fetch_seq = excluded.fetch_seq, body = excluded.body
    WHERE r.fetch_seq < excluded.fetch_seq
"""


@dataclass(frozen=True, slots=True, kw_only=True)
class StoredReading:
    read_at: datetime
    body: Sequence[dict[str, Any]]


async def save_reading(
    tx: Transaction, account_id: AccountId, kind: str, body: Sequence[dict[str, Any]], *, fetch_seq: int, at: datetime
) -> None:
    """A stale read never overwrites a newer one."""
    await tx.execute(_SAVE, (account_id, kind, at, fetch_seq, Jsonb(list(body))))


async def find_reading(tx: Transaction, account_id: AccountId, kind: str) -> StoredReading | None:
    async with tx.cursor(row_factory=class_row(StoredReading)) as cursor:
        await cursor.execute(
            "SELECT read_at, body FROM stripe_readings WHERE account_id = %s AND kind = %s", (account_id, kind)
        )
        return await cursor.fetchone()

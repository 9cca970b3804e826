"""All SQL of the audit record: rows are added and read, never changed."""

from collections.abc import Mapping, Sequence
from datetime import datetime
from uuid import UUID, uuid5

from psycopg.rows import class_row
from psycopg.types.json import Jsonb

from helvetia.audit.model import AuditEntry
from helvetia.database.pool import Transaction
from helvetia.kernel.identity import AccountId, new_id

_INSERT = """
    INSERT INTO audit_entries (account_id, audit_id, recorded_at, actor, action, reason, detail)
    VALUES (%s, %s, %s, %s, %s, %s, %s)
"""
_INSERT_ONCE = _INSERT + " ON CONFLICT (audit_id) DO NOTHING"
_OF_KEYS = UUID("5a2f4f0e-6f0e-5b7c-9a57-1d2f3c8e4b60")


async def record(
    tx: Transaction,
    *,
    account_id: AccountId | None,
    actor: str,
    action: str,
    reason: str | None = None,
    detail: Mapping[str, object] | None = None,
    at: datetime,
) -> UUID:
    """Write one entry in the caller's transaction, so that a decision and its record stand or fall together.

    `actor` is `user:<id>`, `operator:<name>` or the name of a part; `detail` holds figures, never secrets.
    """
    audit_id = new_id()
    await tx.execute(_INSERT, (account_id, audit_id, at, actor, action, reason, Jsonb(dict(detail or {}))))
    return audit_id


async def newest(tx: Transaction, account_id: AccountId, actions: Sequence[str], *, limit: int) -> Sequence[AuditEntry]:
    """An account's entries of these actions, newest first."""
    async with tx.cursor(row_factory=class_row(AuditEntry)) as cursor:
        await cursor.execute(
            "SELECT audit_id, recorded_at, actor, action, reason, detail FROM audit_entries"
            " WHERE account_id = %s AND action = ANY(%s) ORDER BY recorded_at DESC, audit_id DESC LIMIT %s",
            (account_id, list(actions), limit),
        )
        return await cursor.fetchall()


async def record_once(
    tx: Transaction,
    *,
    key: str,
    account_id: AccountId,
    actor: str,
    action: str,
    reason: str,
    detail: Mapping[str, object],
    at: datetime,
) -> None:
    """One statement that writes the entry unless one of the same account, action and key is there already."""
    audit_id = uuid5(_OF_KEYS, f"{account_id} {action} {key}")
    await tx.execute(_INSERT_ONCE, (account_id, audit_id, at, actor, action, reason, Jsonb(dict(detail))))

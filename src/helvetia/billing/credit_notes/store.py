"""All SQL of mirrored credit notes."""

from collections.abc import Sequence
from typing import Any

from psycopg.rows import dict_row

from helvetia.billing.credit_notes.model import CreditNoteRecord, CreditNoteStatus
from helvetia.database.pool import Transaction
from helvetia.kernel.identity import AccountId
from helvetia.stripe_gateway.credit_notes import CreditNote

_COLUMNS = (
    *("account_id", "stripe_credit_note_id", "stripe_invoice_id", "number", "status", "currency", "total_minor"),
    *("before_payment_minor", "after_payment_minor", "refunded_minor", "outside_minor", "reason", "memo"),
    *("issued_at", "voided_at"),
)
_ROW = ", ".join(_COLUMNS)
_CHANGING = _COLUMNS[2:]
_SAVE = f"""
    INSERT INTO credit_notes ({_ROW}, fetch_seq)
    VALUES ({", ".join(f"%({name})s" for name in _COLUMNS)}, %(fetch_seq)s)
    ON CONFLICT (account_id, stripe_credit_note_id) DO UPDATE SET
        {", ".join(f"{name} = excluded.{name}" for name in _CHANGING)}, fetch_seq = excluded.fetch_seq
    WHERE credit_notes.fetch_seq < excluded.fetch_seq
        AND ({", ".join(f"credit_notes.{name}" for name in _CHANGING)})
            IS DISTINCT FROM ({", ".join(f"excluded.{name}" for name in _CHANGING)})
"""


def to_record(account_id: AccountId, note: CreditNote) -> CreditNoteRecord:
    return CreditNoteRecord(
        account_id=account_id,
        stripe_credit_note_id=note.credit_note_id,
        stripe_invoice_id=note.invoice_id,
        number=note.number,
        status=CreditNoteStatus(note.status),
        currency=note.currency,
        total_minor=note.total_minor,
        before_payment_minor=note.before_payment_minor,
        after_payment_minor=note.after_payment_minor,
        refunded_minor=note.refunded_minor,
        outside_minor=note.outside_minor,
        reason=note.reason,
        memo=note.memo,
        issued_at=note.issued_at,
        voided_at=note.voided_at,
    )


def _from_row(row: dict[str, Any]) -> CreditNoteRecord:
    row["status"] = CreditNoteStatus(row["status"])
    return CreditNoteRecord(**row)


async def save_credit_note(tx: Transaction, account_id: AccountId, note: CreditNote, *, fetch_seq: int) -> bool:
    """Store a note, unless a newer read was stored before or nothing changed; says whether."""
    record = to_record(account_id, note)
    values = {name: getattr(record, name) for name in _COLUMNS} | {"fetch_seq": fetch_seq}
    return (await tx.execute(_SAVE, values)).rowcount == 1


async def has_credit_notes(tx: Transaction, account_id: AccountId) -> bool:
    """Whether we hold any: then they are read again, for they may be void by now."""
    cursor = await tx.execute("SELECT EXISTS (SELECT FROM credit_notes WHERE account_id = %s)", (account_id,))
    row = await cursor.fetchone()
    return bool(row and row[0])


async def credit_notes(
    tx: Transaction, account_id: AccountId, stripe_invoice_ids: Sequence[str]
) -> Sequence[CreditNoteRecord]:
    """The notes of these invoices, oldest first."""
    async with tx.cursor(row_factory=dict_row) as cursor:
        await cursor.execute(
            f"SELECT {_ROW} FROM credit_notes WHERE account_id = %s AND stripe_invoice_id = ANY(%s)"
            " ORDER BY issued_at, stripe_credit_note_id",
            (account_id, list(stripe_invoice_ids)),
        )
        return [_from_row(row) for row in await cursor.fetchall()]

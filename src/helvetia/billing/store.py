"""All SQL of mirrored invoices."""

from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Any

from psycopg.rows import class_row

from helvetia.billing.errors import InvoiceNotFound
from helvetia.billing.model import InvoiceFilter, InvoiceLineRecord, InvoiceRecord, PageCursor
from helvetia.database.pool import Transaction
from helvetia.kernel.identity import AccountId
from helvetia.stripe_gateway.model import Invoice, InvoiceLine

_COLUMNS = (
    *("account_id", "stripe_invoice_id", "stripe_subscription_id", "number", "status", "billing_reason", "currency"),
    *("subtotal_minor", "total_minor", "amount_due_minor", "amount_paid_minor", "amount_remaining_minor"),
    *("credited_before_minor", "credited_after_minor"),
    *("attempt_count", "next_payment_attempt_at", "period_start", "period_end", "issued_at", "finalized_at", "paid_at"),
)
_ROW = ", ".join(_COLUMNS)
_CHANGING = _COLUMNS[2:]
_SAVE = f"""
    INSERT INTO invoices ({_ROW}, fetch_seq)
    VALUES ({", ".join(f"%({name})s" for name in _COLUMNS)}, %(fetch_seq)s)
    ON CONFLICT (account_id, stripe_invoice_id) DO UPDATE SET
        {", ".join(f"{name} = excluded.{name}" for name in _CHANGING)}, fetch_seq = excluded.fetch_seq
    WHERE invoices.fetch_seq < excluded.fetch_seq AND (
        invoices.status IN ('draft', 'open')
        OR ({", ".join(f"invoices.{name}" for name in _CHANGING)})
            IS DISTINCT FROM ({", ".join(f"excluded.{name}" for name in _CHANGING)}))
"""
_LINE_COLUMNS = (
    *("line_number", "stripe_line_id", "stripe_price_id", "description", "quantity", "unit_price_minor"),
    *("amount_minor", "is_proration", "period_start", "period_end"),
)
_LINE_ROW = ", ".join(_LINE_COLUMNS)
_TO_MIRROR = """
    SELECT s.account_id FROM subscriptions s JOIN accounts a USING (account_id)
    WHERE s.stripe_customer_id IS NOT NULL AND a.deleted_at IS NULL
    ORDER BY s.invoices_mirrored_at NULLS FIRST, s.account_id LIMIT %s
"""


async def save_invoice(tx: Transaction, account_id: AccountId, invoice: Invoice, *, fetch_seq: int) -> bool:
    """Store an invoice and its lines, unless a newer read was stored before or nothing changed; says whether."""
    cursor = await tx.execute(_SAVE, _to_values(account_id, invoice) | {"fetch_seq": fetch_seq})
    if cursor.rowcount == 0:
        return False
    await tx.execute(
        "DELETE FROM invoice_lines WHERE account_id = %s AND stripe_invoice_id = %s", (account_id, invoice.invoice_id)
    )
    for number, line in enumerate(invoice.lines, start=1):
        await _insert_line(tx, account_id, invoice.invoice_id, number, line)
    return True


async def _insert_line(tx: Transaction, account_id: AccountId, invoice_id: str, number: int, line: InvoiceLine) -> None:
    await tx.execute(
        f"INSERT INTO invoice_lines (account_id, stripe_invoice_id, {_LINE_ROW})"
        " VALUES (%s, %s, %s, %s, %s, %s, %s, %s, %s, %s, %s, %s)",
        (
            *(account_id, invoice_id, number, line.line_id, line.price_id, line.description),
            *(line.quantity, line.unit_price_minor, line.amount_minor, line.is_proration),
            *(line.starts_at, line.ends_at),
        ),
    )


def _to_values(account_id: AccountId, invoice: Invoice) -> dict[str, Any]:
    return {
        "account_id": account_id,
        "stripe_invoice_id": invoice.invoice_id,
        "stripe_subscription_id": invoice.subscription_id,
        "number": invoice.number,
        "status": invoice.status,
        "billing_reason": invoice.billing_reason,
        "currency": invoice.currency,
        "subtotal_minor": invoice.subtotal_minor,
        "total_minor": invoice.total_minor,
        "amount_due_minor": invoice.amount_due_minor,
        "amount_paid_minor": invoice.amount_paid_minor,
        "amount_remaining_minor": invoice.amount_remaining_minor,
        "credited_before_minor": invoice.credited_before_minor,
        "credited_after_minor": invoice.credited_after_minor,
        "attempt_count": invoice.attempt_count,
        "next_payment_attempt_at": invoice.next_payment_attempt_at,
        "period_start": invoice.starts_at,
        "period_end": invoice.ends_at,
        "issued_at": invoice.issued_at,
        "finalized_at": invoice.finalized_at,
        "paid_at": invoice.paid_at,
    }


async def invoices(
    tx: Transaction, account_id: AccountId, wanted: InvoiceFilter, *, after: PageCursor | None, limit: int
) -> tuple[InvoiceRecord, ...]:
    """Those wanted, newest first, from after the cursor on."""
    where, values = "", list[object]([account_id])
    if wanted.year is not None:
        where += " AND issued_at >= %s AND issued_at < %s"
        values += [datetime(wanted.year, 1, 1, tzinfo=UTC), datetime(wanted.year + 1, 1, 1, tzinfo=UTC)]
    if wanted.status is not None:
        where += " AND status = %s"
        values.append(wanted.status)
    if after is not None:
        where += " AND (issued_at, stripe_invoice_id) < (%s, %s)"
        values += [after.happened_at, after.thing_id]
    async with tx.cursor(row_factory=class_row(InvoiceRecord)) as cursor:
        await cursor.execute(
            f"SELECT {_ROW} FROM invoices WHERE account_id = %s{where}"
            " ORDER BY issued_at DESC, stripe_invoice_id DESC LIMIT %s",
            (*values, limit),
        )
        return tuple(await cursor.fetchall())


async def invoice_years(tx: Transaction, account_id: AccountId) -> tuple[int, ...]:
    """The years (UTC) that invoices were issued in, newest first."""
    cursor = await tx.execute(
        "SELECT DISTINCT extract(year FROM issued_at AT TIME ZONE 'UTC')::int AS year FROM invoices"
        " WHERE account_id = %s ORDER BY year DESC",
        (account_id,),
    )
    return tuple(row[0] for row in await cursor.fetchall())


async def find_invoice(tx: Transaction, account_id: AccountId, stripe_invoice_id: str) -> InvoiceRecord:
    """Raises InvoiceNotFound."""
    async with tx.cursor(row_factory=class_row(InvoiceRecord)) as cursor:
        await cursor.execute(
            f"SELECT {_ROW} FROM invoices WHERE account_id = %s AND stripe_invoice_id = %s",
            (account_id, stripe_invoice_id),
        )
        found = await cursor.fetchone()
    if found is None:
        raise InvoiceNotFound
    return found


async def invoice_lines(tx: Transaction, account_id: AccountId, stripe_invoice_id: str) -> Sequence[InvoiceLineRecord]:
    async with tx.cursor(row_factory=class_row(InvoiceLineRecord)) as cursor:
        await cursor.execute(
            f"SELECT {_LINE_ROW} FROM invoice_lines WHERE account_id = %s AND stripe_invoice_id = %s"
            " ORDER BY line_number",
            (account_id, stripe_invoice_id),
        )
        return await cursor.fetchall()


async def finalized_at_of_period(
    tx: Transaction, account_id: AccountId, stripe_subscription_id: str, period_end: datetime
) -> datetime | None:
    """When the invoice that bills the usage of the period ending then became final; None while it is not, or unseen."""
    cursor = await tx.execute(
        "SELECT min(finalized_at) FROM invoices WHERE account_id = %s AND stripe_subscription_id = %s"
        " AND period_end = %s AND billing_reason IN ('subscription_cycle', 'subscription_update')",
        (account_id, stripe_subscription_id, period_end),
    )
    row = await cursor.fetchone()
    return None if row is None else row[0]


async def has_paid(tx: Transaction, account_id: AccountId) -> bool:
    """Whether anything was ever paid on an invoice of the account."""
    cursor = await tx.execute(
        "SELECT EXISTS (SELECT FROM invoices WHERE account_id = %s AND amount_paid_minor > 0)", (account_id,)
    )
    row = await cursor.fetchone()
    return bool(row and row[0])


async def accounts_to_mirror(tx: Transaction, limit: int) -> tuple[AccountId, ...]:
    """Accounts with a customer, the one mirrored longest ago first."""
    cursor = await tx.execute(_TO_MIRROR, (limit,))
    return tuple(AccountId(row[0]) for row in await cursor.fetchall())


async def mark_mirrored(tx: Transaction, account_id: AccountId, at: datetime) -> None:
    """Whether mirroring succeeds or not, the others come first next time."""
    await tx.execute("UPDATE subscriptions SET invoices_mirrored_at = %s WHERE account_id = %s", (at, account_id))


async def mark_complete(tx: Transaction, account_id: AccountId, began_at: datetime) -> None:
    """Every invoice that existed when this read began is mirrored."""
    await tx.execute(
        "UPDATE subscriptions SET invoices_complete_at = greatest(invoices_complete_at, %s) WHERE account_id = %s",
        (began_at, account_id),
    )


async def is_newest_read(tx: Transaction, account_id: AccountId, fetch_seq: int) -> bool:
    """Whether no newer read of the account's invoices was stored yet; from now on this one was."""
    cursor = await tx.execute(
        "UPDATE subscriptions SET invoices_fetch_seq = %s WHERE account_id = %s AND invoices_fetch_seq < %s",
        (fetch_seq, account_id, fetch_seq),
    )
    return cursor.rowcount == 1


async def invoices_complete_at(tx: Transaction, account_id: AccountId) -> datetime | None:
    """When the last complete read of the account's invoices began; None before the first, and for no customer."""
    cursor = await tx.execute("SELECT invoices_complete_at FROM subscriptions WHERE account_id = %s", (account_id,))
    row = await cursor.fetchone()
    return None if row is None else row[0]

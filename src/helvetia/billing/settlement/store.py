"""All SQL of invoices given up and of offers to pay."""

from collections.abc import Iterable
from datetime import datetime

from psycopg.rows import class_row

from helvetia.billing.settlement.model import PaymentOffer
from helvetia.database.pool import Transaction
from helvetia.kernel.identity import AccountId


async def give_up(
    tx: Transaction, account_id: AccountId, invoice_ids: Iterable[str], *, decided_by: str, at: datetime
) -> None:
    """Before the first of them is touched: from now on none of them is ever asked for."""
    for invoice_id in invoice_ids:
        await tx.execute(
            "INSERT INTO invoice_voids (account_id, stripe_invoice_id, decided_by, decided_at) VALUES (%s, %s, %s, %s)"
            " ON CONFLICT DO NOTHING",
            (account_id, invoice_id, decided_by, at),
        )


async def given_up(tx: Transaction, account_id: AccountId) -> frozenset[str]:
    cursor = await tx.execute(
        "SELECT stripe_invoice_id FROM invoice_voids WHERE account_id = %s AND done_at IS NULL", (account_id,)
    )
    return frozenset(row[0] for row in await cursor.fetchall())


async def mark_done(tx: Transaction, account_id: AccountId, invoice_id: str, at: datetime) -> None:
    await tx.execute(
        "UPDATE invoice_voids SET done_at = %s WHERE account_id = %s AND stripe_invoice_id = %s",
        (at, account_id, invoice_id),
    )


async def oldest_open_at(tx: Transaction, account_id: AccountId) -> datetime | None:
    """When the oldest invoice that is open in our copy was issued."""
    cursor = await tx.execute(
        "SELECT min(issued_at) FROM invoices WHERE account_id = %s AND status = 'open' AND amount_remaining_minor > 0",
        (account_id,),
    )
    row = await cursor.fetchone()
    return None if row is None else row[0]


async def save_offer(tx: Transaction, account_id: AccountId, payment_method_id: str, at: datetime) -> None:
    """The same card again keeps its instant."""
    await tx.execute(
        "INSERT INTO payment_offers AS o (account_id, payment_method_id, offered_at) VALUES (%s, %s, %s)"
        " ON CONFLICT (account_id) DO UPDATE SET"
        " payment_method_id = excluded.payment_method_id, offered_at = excluded.offered_at"
        " WHERE o.payment_method_id <> excluded.payment_method_id",
        (account_id, payment_method_id, at),
    )


async def drop_offer(tx: Transaction, account_id: AccountId) -> None:
    await tx.execute("DELETE FROM payment_offers WHERE account_id = %s", (account_id,))


async def find_offer(tx: Transaction, account_id: AccountId) -> PaymentOffer | None:
    async with tx.cursor(row_factory=class_row(PaymentOffer)) as cursor:
        await cursor.execute(
            "SELECT payment_method_id, offered_at FROM payment_offers WHERE account_id = %s", (account_id,)
        )
        return await cursor.fetchone()

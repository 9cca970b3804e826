"""All SQL of plan changes and cancellations.

A scheduled change to FREE is the record of that choice: enforcement reads it when the subscription has ended.
"""

from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any
from uuid import UUID

from psycopg.rows import class_row, dict_row

from helvetia.billing.plan_change.model import ChangeState, Direction, PlanChangeRecord
from helvetia.database.pool import Transaction
from helvetia.kernel.identity import AccountId

_COLUMNS = (
    *("account_id", "change_id", "state", "direction", "plan", "from_plan", "stripe_subscription_id", "item_id"),
    *("from_price_id", "price_id", "prorated_at", "effective_at", "period_start", "period_end", "total_minor"),
    *("amount_due_minor", "currency", "stripe_invoice_id", "created_at", "confirmed_at", "settled_at"),
)
_ROW = ", ".join(_COLUMNS)
_INSERT = f"INSERT INTO plan_changes ({_ROW}) VALUES ({', '.join(f'%({name})s' for name in _COLUMNS)})"
_FORGET = """
    DELETE FROM plan_changes WHERE state = 'previewed' AND created_at < %s AND account_id = %s
"""
PREVIEWS_KEPT_FOR = timedelta(days=2)


@dataclass(frozen=True, slots=True, kw_only=True)
class Cancellation:
    """An end that was asked for now: usage is billed up to `through_at`, then the subscription is deleted.

    `alarmed_at`: when the operator was told that something keeps it; `forced_at`: since when it ends in spite of that.
    """

    account_id: AccountId
    stripe_subscription_id: str
    requested_by: str
    requested_at: datetime
    through_at: datetime | None
    attempt_count: int
    last_error: str | None
    finished_at: datetime | None
    alarmed_at: datetime | None = None
    forced_at: datetime | None = None
    forced_by: str | None = None


_CANCELLATION = (
    "account_id, stripe_subscription_id, requested_by, requested_at, through_at, attempt_count, last_error,"
    " finished_at, alarmed_at, forced_at, forced_by"
)


def _to_record(row: dict[str, Any]) -> PlanChangeRecord:
    row["state"], row["direction"] = ChangeState(row["state"]), Direction(row["direction"])
    return PlanChangeRecord(**row)


async def _one(tx: Transaction, where: str, values: tuple[object, ...]) -> PlanChangeRecord | None:
    async with tx.cursor(row_factory=dict_row) as cursor:
        await cursor.execute(f"SELECT {_ROW} FROM plan_changes WHERE {where}", values)
        row = await cursor.fetchone()
    return None if row is None else _to_record(row)


async def insert_change(tx: Transaction, change: PlanChangeRecord) -> None:
    """Keep a preview; older ones of the account that nobody confirmed are forgotten."""
    await tx.execute(_FORGET, (change.created_at - PREVIEWS_KEPT_FOR, change.account_id))
    await tx.execute(_INSERT, {name: getattr(change, name) for name in _COLUMNS})


async def find_change(tx: Transaction, account_id: AccountId, change_id: UUID) -> PlanChangeRecord | None:
    return await _one(tx, "account_id = %s AND change_id = %s", (account_id, change_id))


async def newest_confirmed(tx: Transaction, account_id: AccountId) -> PlanChangeRecord | None:
    """The change that was confirmed last, whatever became of it."""
    return await _one(
        tx,
        "account_id = %s AND confirmed_at IS NOT NULL ORDER BY confirmed_at DESC, change_id DESC LIMIT 1",
        (account_id,),
    )


async def scheduled_at(tx: Transaction, account_id: AccountId, effective_at: datetime) -> PlanChangeRecord | None:
    """The change that is scheduled to take hold at this instant, the latest choice."""
    where = "account_id = %s AND state = 'scheduled' AND effective_at = %s ORDER BY settled_at DESC, change_id LIMIT 1"
    return await _one(tx, where, (account_id, effective_at))


async def mark_applying(tx: Transaction, change: PlanChangeRecord, wall: datetime) -> None:
    """Before the first byte leaves. `confirmed_at` is real time: Stripe's keys live in it."""
    await tx.execute(
        "UPDATE plan_changes SET state = 'applying', confirmed_at = coalesce(confirmed_at, %s)"
        " WHERE account_id = %s AND change_id = %s AND state IN ('previewed', 'applying')",
        (wall, change.account_id, change.change_id),
    )


async def settle_change(
    tx: Transaction, change: PlanChangeRecord, state: ChangeState, *, invoice_id: str | None, at: datetime
) -> None:
    await tx.execute(
        "UPDATE plan_changes SET state = %s, stripe_invoice_id = coalesce(%s, stripe_invoice_id), settled_at = %s"
        " WHERE account_id = %s AND change_id = %s",
        (state.value, invoice_id, at, change.account_id, change.change_id),
    )


async def undo_scheduled(tx: Transaction, account_id: AccountId, at: datetime) -> None:
    """What was scheduled and has not come about will not."""
    await tx.execute(
        "UPDATE plan_changes SET state = 'undone', settled_at = %s"
        " WHERE account_id = %s AND state = 'scheduled' AND effective_at > %s",
        (at, account_id, at),
    )


async def insert_cancellation(
    tx: Transaction, account_id: AccountId, stripe_subscription_id: str, *, requested_by: str, at: datetime
) -> None:
    """Asking twice is one cancellation."""
    await tx.execute(
        "INSERT INTO cancellations (account_id, stripe_subscription_id, requested_by, requested_at)"
        " VALUES (%s, %s, %s, %s) ON CONFLICT DO NOTHING",
        (account_id, stripe_subscription_id, requested_by, at),
    )


async def open_cancellation(tx: Transaction, account_id: AccountId) -> Cancellation | None:
    async with tx.cursor(row_factory=class_row(Cancellation)) as cursor:
        await cursor.execute(
            f"SELECT {_CANCELLATION} FROM cancellations WHERE account_id = %s AND finished_at IS NULL", (account_id,)
        )
        return await cursor.fetchone()


async def accounts_to_cancel(tx: Transaction, limit: int) -> list[AccountId]:
    """Accounts whose end was asked for and is not done, the one asked for first coming first."""
    cursor = await tx.execute(
        "SELECT account_id FROM cancellations WHERE finished_at IS NULL ORDER BY attempt_count, requested_at LIMIT %s",
        (limit,),
    )
    return [AccountId(row[0]) for row in await cursor.fetchall()]


async def note_attempt(tx: Transaction, cancellation: Cancellation, error: str | None) -> None:
    await tx.execute(
        "UPDATE cancellations SET attempt_count = attempt_count + 1, last_error = %s"
        " WHERE account_id = %s AND stripe_subscription_id = %s",
        (error, cancellation.account_id, cancellation.stripe_subscription_id),
    )


async def set_through(tx: Transaction, cancellation: Cancellation, through_at: datetime | None) -> None:
    """Everything before this instant is billed; nothing runs after it."""
    await tx.execute(
        "UPDATE cancellations SET through_at = %s WHERE account_id = %s AND stripe_subscription_id = %s",
        (through_at, cancellation.account_id, cancellation.stripe_subscription_id),
    )


async def finish_cancellation(tx: Transaction, cancellation: Cancellation, at: datetime) -> None:
    await tx.execute(
        "UPDATE cancellations SET finished_at = %s, last_error = NULL"
        " WHERE account_id = %s AND stripe_subscription_id = %s",
        (at, cancellation.account_id, cancellation.stripe_subscription_id),
    )


async def note_alarm(tx: Transaction, cancellation: Cancellation, at: datetime) -> bool:
    """The operator is told that it waits for too long; says whether that is new."""
    cursor = await tx.execute(
        "UPDATE cancellations SET alarmed_at = %s"
        " WHERE account_id = %s AND stripe_subscription_id = %s AND alarmed_at IS NULL",
        (at, cancellation.account_id, cancellation.stripe_subscription_id),
    )
    return cursor.rowcount == 1


async def force(tx: Transaction, cancellation: Cancellation, *, by: str, at: datetime) -> None:
    """From now on it ends whatever keeps it."""
    await tx.execute(
        "UPDATE cancellations SET forced_at = coalesce(forced_at, %s), forced_by = coalesce(forced_by, %s)"
        " WHERE account_id = %s AND stripe_subscription_id = %s",
        (at, by, cancellation.account_id, cancellation.stripe_subscription_id),
    )


async def stuck_cancellations(tx: Transaction, limit: int) -> list[Cancellation]:
    """Ends that something keeps for longer than is right, the oldest first."""
    async with tx.cursor(row_factory=class_row(Cancellation)) as cursor:
        await cursor.execute(
            f"SELECT {_CANCELLATION} FROM cancellations WHERE finished_at IS NULL AND alarmed_at IS NOT NULL"
            " ORDER BY requested_at LIMIT %s",
            (limit,),
        )
        return await cursor.fetchall()

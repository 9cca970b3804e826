"""SQL of tasks: what is billed, how a period stands, and what the operator decided."""

from collections.abc import Sequence
from datetime import datetime, timedelta
from decimal import Decimal
from typing import Any
from uuid import UUID

from psycopg.rows import dict_row

from helvetia.database.pool import Transaction
from helvetia.kernel.identity import AccountId
from helvetia.kernel.period import Period
from helvetia.kernel.quantity import UsageMetric
from helvetia.meter_reports.settlement.model import Billed, EndFacts, TaskCause, TaskState, UsageTask
from helvetia.subscriptions.model import BillingPeriod

_COLUMNS = (
    *("account_id", "task_id", "cause", "metric", "starts_at", "ends_at", "stripe_subscription_id"),
    *("stripe_customer_id", "quantity", "unit_price_minor", "amount_minor", "currency", "detail", "state"),
    *("opened_at", "decided_by", "decided_at", "reason", "key_at", "stripe_invoice_item_id", "last_error"),
)
_ROW = ", ".join(_COLUMNS)
_INSERT = f"INSERT INTO usage_tasks ({_ROW}) VALUES ({', '.join(f'%({name})s' for name in _COLUMNS)})"
_OF_PERIOD = "i.account_id = %(account_id)s AND i.stripe_subscription_id = %(subscription_id)s"
_BILLED = f"""
    SELECT l.stripe_price_id, coalesce(sum(l.quantity), 0), coalesce(sum(l.amount_minor), 0)
    FROM invoices i JOIN invoice_lines l USING (account_id, stripe_invoice_id)
    WHERE {_OF_PERIOD} AND i.finalized_at IS NOT NULL AND l.stripe_price_id = ANY(%(price_ids)s)
        AND l.period_start >= %(starts_at)s AND l.period_start < %(ends_at)s
    GROUP BY l.stripe_price_id
"""
_FACTS = f"""
    SELECT
        (SELECT min(i.finalized_at) FROM invoices i WHERE {_OF_PERIOD} AND i.period_end = %(ends_at)s
            AND i.billing_reason IN ('subscription_cycle', 'subscription_update')) AS final_at,
        EXISTS (SELECT FROM invoices i WHERE {_OF_PERIOD} AND i.status = 'draft' AND i.period_end >= %(ends_at)s)
            AS has_draft,
        EXISTS (SELECT FROM invoices i JOIN invoice_lines l USING (account_id, stripe_invoice_id)
            WHERE {_OF_PERIOD} AND NOT l.is_proration AND l.stripe_price_id <> ALL(%(known_ids)s)
            AND l.period_start = %(starts_at)s AND l.period_end <= %(ends_at)s) AS is_unclear,
        (SELECT CASE WHEN s.stripe_subscription_id IS DISTINCT FROM %(subscription_id)s THEN %(ends_at)s::timestamptz
            WHEN s.status = 'CANCELED' THEN s.ended_at END
            FROM subscriptions s WHERE s.account_id = %(account_id)s) AS ended_at,
        (SELECT s.invoices_complete_at FROM subscriptions s WHERE s.account_id = %(account_id)s) AS complete_at
"""
# From an end that nobody planned with us until the hold, the next plan, or the choice of FREE, whichever comes first.
_ENDS = """
    INSERT INTO subscription_ends (account_id, stripe_subscription_id, ended_at)
    SELECT s.account_id, s.stripe_subscription_id, s.ended_at FROM subscriptions s
    WHERE s.account_id = %(account_id)s AND s.status = 'CANCELED' AND s.ended_at IS NOT NULL
        AND s.stripe_subscription_id IS NOT NULL
        AND NOT EXISTS (SELECT FROM cancellations c WHERE c.account_id = s.account_id
            AND c.stripe_subscription_id = s.stripe_subscription_id)
        AND NOT EXISTS (SELECT FROM metering_cuts c WHERE c.account_id = s.account_id AND c.cut_at = s.ended_at
            AND c.reason = 'subscription is to end')
    ON CONFLICT DO NOTHING
"""
_THROUGH = """
    UPDATE subscription_ends e SET through_at = found.through_at
    FROM (SELECT o.account_id, o.stripe_subscription_id, least(
            (SELECT min(h.placed_at) FROM service_holds h
                WHERE h.account_id = o.account_id AND h.placed_at >= o.ended_at AND h.cause = 'payment'),
            (SELECT min(p.starts_at) FROM billing_periods p
                WHERE p.account_id = o.account_id AND p.starts_at >= o.ended_at),
            (SELECT greatest(f.free_chosen_at, o.ended_at) FROM enforcement_accounts f
                WHERE f.account_id = o.account_id),
            (SELECT %(now)s::timestamptz WHERE o.ended_at <= %(latest)s)) AS through_at
        FROM subscription_ends o WHERE o.account_id = %(account_id)s AND o.through_at IS NULL) AS found
    WHERE e.account_id = found.account_id AND e.stripe_subscription_id = found.stripe_subscription_id
        AND found.through_at IS NOT NULL
    RETURNING e.through_at
"""
_DECIDED = """
    SELECT metric, sum(quantity), sum(amount_minor) FROM usage_tasks
    WHERE account_id = %s AND starts_at = %s AND state IN ('billing', 'billed', 'waived') GROUP BY metric
"""
_TO_SETTLE = """
    SELECT s.account_id FROM subscriptions s JOIN accounts a USING (account_id)
    WHERE s.stripe_customer_id IS NOT NULL AND (%s::uuid IS NULL OR s.account_id > %s)
    ORDER BY s.account_id LIMIT %s
"""


def _to_task(row: dict[str, Any]) -> UsageTask:
    row["cause"], row["state"] = TaskCause(row["cause"]), TaskState(row["state"])
    return UsageTask(**row)


async def _tasks(tx: Transaction, statement: str, values: Sequence[object]) -> list[UsageTask]:
    async with tx.cursor(row_factory=dict_row) as cursor:
        await cursor.execute(statement, values)
        return [_to_task(row) for row in await cursor.fetchall()]


def _values(billed: BillingPeriod, **more: object) -> dict[str, object]:
    return {
        "account_id": billed.account_id,
        "subscription_id": billed.stripe_subscription_id,
        "starts_at": billed.period.starts_at,
        "ends_at": billed.period.ends_at,
        **more,
    }


async def billed_of_period(
    tx: Transaction, billed: BillingPeriod, price_ids: dict[str, UsageMetric]
) -> dict[UsageMetric, Billed]:
    """What final invoices (paid, open, given up or voided) bill of each metric in the period."""
    cursor = await tx.execute(_BILLED, _values(billed, price_ids=list(price_ids)))
    return {
        price_ids[price_id]: Billed(quantity=quantity, amount_minor=int(amount))
        for price_id, quantity, amount in await cursor.fetchall()
    }


async def end_facts(tx: Transaction, billed: BillingPeriod, known_ids: Sequence[str]) -> EndFacts:
    async with tx.cursor(row_factory=dict_row) as cursor:
        await cursor.execute(_FACTS, _values(billed, known_ids=list(known_ids)))
        row = await cursor.fetchone()
    return EndFacts(period=billed.period, **(row or {}))


async def note_end(tx: Transaction, account_id: AccountId, *, now: datetime, held_within: timedelta) -> datetime | None:
    """Remember an end nobody planned with us, and until when usage ran after it once that is known.

    Returns that instant the first time that it is known, so that usage is cut there.
    """
    await tx.execute(_ENDS, {"account_id": account_id})
    cursor = await tx.execute(_THROUGH, {"account_id": account_id, "now": now, "latest": now - held_within})
    row = await cursor.fetchone()
    return None if row is None else row[0]


async def known_ends(tx: Transaction, account_id: AccountId) -> list[tuple[str, Period]]:
    """Subscriptions that ended without us, each with the range from its end until nothing ran unpaid any more."""
    cursor = await tx.execute(
        "SELECT stripe_subscription_id, ended_at, through_at FROM subscription_ends"
        " WHERE account_id = %s AND through_at > ended_at ORDER BY ended_at",
        (account_id,),
    )
    return [(row[0], Period(starts_at=row[1], ends_at=row[2])) for row in await cursor.fetchall()]


async def decided(tx: Transaction, account_id: AccountId, starts_at: datetime) -> dict[UsageMetric, Billed]:
    """What earlier decisions cover of the range."""
    cursor = await tx.execute(_DECIDED, (account_id, starts_at))
    return {
        metric: Billed(quantity=Decimal(quantity), amount_minor=int(amount))
        for metric, quantity, amount in await cursor.fetchall()
    }


async def decided_quantities(
    tx: Transaction, account_id: AccountId, starts_at: datetime, states: Sequence[TaskState]
) -> dict[UsageMetric, Decimal]:
    """Per metric, what decisions of these states say of the range that begins then."""
    cursor = await tx.execute(
        "SELECT metric, sum(quantity) FROM usage_tasks WHERE account_id = %s AND starts_at = %s AND state = ANY(%s)"
        " GROUP BY metric",
        (account_id, starts_at, list(states)),
    )
    return dict(await cursor.fetchall())


async def open_tasks_of(tx: Transaction, account_id: AccountId, starts_at: datetime) -> dict[UsageMetric, UsageTask]:
    found = await _tasks(
        tx,
        f"SELECT {_ROW} FROM usage_tasks WHERE account_id = %s AND starts_at = %s AND state = 'open'",
        (account_id, starts_at),
    )
    return {task.metric: task for task in found}


async def count_open(tx: Transaction) -> int:
    """How many tasks wait for the operator, of all accounts."""
    row = await (await tx.execute("SELECT count(*) FROM usage_tasks WHERE state = 'open'")).fetchone()
    return 0 if row is None else int(row[0])


async def insert_task(tx: Transaction, task: UsageTask) -> None:
    await tx.execute(_INSERT, {name: getattr(task, name) for name in _COLUMNS})


async def correct_task(tx: Transaction, task: UsageTask) -> None:
    """More became known before anybody decided: the figures, the range and the cause follow."""
    await tx.execute(
        "UPDATE usage_tasks SET cause = %s, ends_at = %s, quantity = %s, unit_price_minor = %s, amount_minor = %s,"
        " detail = %s, state = %s WHERE account_id = %s AND task_id = %s AND state = 'open'",
        (
            *(task.cause, task.ends_at, task.quantity, task.unit_price_minor, task.amount_minor, task.detail),
            *(task.state, task.account_id, task.task_id),
        ),
    )


async def lock_task(tx: Transaction, task_id: UUID) -> UsageTask | None:
    found = await _tasks(tx, f"SELECT {_ROW} FROM usage_tasks WHERE task_id = %s FOR UPDATE", (task_id,))
    return next(iter(found), None)


async def decide(
    tx: Transaction, task: UsageTask, state: TaskState, *, by: str, reason: str, at: datetime, wall: datetime
) -> None:
    """`key_at` is when the idempotency key was first used, in real time."""
    await tx.execute(
        "UPDATE usage_tasks SET state = %s, decided_by = %s, decided_at = %s, reason = %s, key_at = %s"
        " WHERE account_id = %s AND task_id = %s",
        (state, by, at, reason, wall, task.account_id, task.task_id),
    )


async def finish_billing(tx: Transaction, task: UsageTask, item_id: str) -> None:
    await tx.execute(
        "UPDATE usage_tasks SET state = 'billed', stripe_invoice_item_id = %s, last_error = NULL"
        " WHERE account_id = %s AND task_id = %s AND state = 'billing'",
        (item_id, task.account_id, task.task_id),
    )


async def reopen(tx: Transaction, task: UsageTask, error: str) -> None:
    """Stripe refused the item: it is the operator's again."""
    await tx.execute(
        "UPDATE usage_tasks SET state = 'open', decided_by = NULL, decided_at = NULL, reason = NULL, key_at = NULL,"
        " last_error = %s WHERE account_id = %s AND task_id = %s AND state = 'billing'",
        (error, task.account_id, task.task_id),
    )


async def tasks_in(tx: Transaction, states: Sequence[TaskState], limit: int) -> list[UsageTask]:
    """Oldest first."""
    return await _tasks(
        tx,
        f"SELECT {_ROW} FROM usage_tasks WHERE state = ANY(%s) ORDER BY opened_at, task_id LIMIT %s",
        (list(states), limit),
    )


async def accounts_with_customer(tx: Transaction, *, after: AccountId | None, limit: int) -> list[AccountId]:
    """Every account that is or was Stripe's, deleted ones included, in the order of their ids."""
    cursor = await tx.execute(_TO_SETTLE, (after, after, limit))
    return [AccountId(row[0]) for row in await cursor.fetchall()]

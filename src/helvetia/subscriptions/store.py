"""All SQL of subscriptions, billing periods and the numbering of reads."""

from collections.abc import Iterable
from datetime import datetime
from typing import Any

from psycopg.rows import dict_row

from helvetia.accounts.model import Account, AccountKind
from helvetia.catalogue.plans import SubscriptionPlan
from helvetia.database.pool import Transaction
from helvetia.kernel.identity import AccountId, new_id
from helvetia.kernel.period import Period, calendar_month
from helvetia.kernel.status import SubscriptionStatus
from helvetia.subscriptions.errors import SubscriptionNotFound
from helvetia.subscriptions.model import BillingPeriod, SubscriptionRecord, SubscriptionState

_ROW = """
    id, account_id, user_id, organization_id, stripe_customer_id, stripe_subscription_id, stripe_status, plan, status,
    current_period_start, current_period_end, started_at, cancel_at, ended_at, fee_minor, currency, fetch_seq,
    synced_at, plan_problem, created_at, updated_at
"""
_SAVE = """
    UPDATE subscriptions SET
        stripe_subscription_id = %(stripe_subscription_id)s, stripe_status = %(stripe_status)s, plan = %(plan)s,
        status = %(status)s, current_period_start = %(period_start)s, current_period_end = %(period_end)s,
        started_at = %(started_at)s, cancel_at = %(cancel_at)s, ended_at = %(ended_at)s, fee_minor = %(fee_minor)s,
        currency = %(currency)s, plan_problem = %(plan_problem)s, fetch_seq = %(fetch_seq)s, synced_at = %(at)s,
        updated_at = %(at)s
    WHERE account_id = %(account_id)s AND fetch_seq < %(fetch_seq)s
"""
_UPSERT_PERIOD = """
    INSERT INTO billing_periods
        (account_id, starts_at, ends_at, stripe_subscription_id, stripe_customer_id, plan, recorded_at)
    VALUES (%s, %s, %s, %s, %s, %s, %s)
    ON CONFLICT (account_id, starts_at) DO UPDATE SET
        ends_at = excluded.ends_at, stripe_subscription_id = excluded.stripe_subscription_id,
        stripe_customer_id = excluded.stripe_customer_id, plan = excluded.plan
    WHERE (billing_periods.ends_at, billing_periods.stripe_subscription_id, billing_periods.plan)
        IS DISTINCT FROM (excluded.ends_at, excluded.stripe_subscription_id, excluded.plan)
"""
_TO_SYNC = """
    SELECT s.account_id FROM subscriptions s JOIN accounts a USING (account_id)
    WHERE s.stripe_customer_id IS NOT NULL AND a.deleted_at IS NULL
    ORDER BY s.sync_attempted_at NULLS FIRST, s.account_id LIMIT %s
"""
_TO_ROLL = """
    SELECT account_id FROM subscriptions WHERE stripe_customer_id IS NULL AND current_period_end <= %s
    ORDER BY current_period_end, account_id LIMIT %s FOR UPDATE SKIP LOCKED
"""


def _to_record(row: dict[str, Any]) -> SubscriptionRecord:
    start, end = row.pop("current_period_start"), row.pop("current_period_end")
    return SubscriptionRecord(period=Period(starts_at=start, ends_at=end), **row)


async def insert_free(tx: Transaction, account: Account, now: datetime) -> None:
    """The row that every account has from its first moment: FREE, ACTIVE, the calendar month, nothing at Stripe."""
    month = calendar_month(now)
    is_user = account.kind is AccountKind.USER
    await tx.execute(
        "INSERT INTO subscriptions (id, account_id, user_id, organization_id, plan, status, current_period_start,"
        " current_period_end, started_at, created_at, updated_at) VALUES (%s, %s, %s, %s, %s, %s, %s, %s, %s, %s, %s)",
        (
            new_id(),
            account.account_id,
            account.account_id if is_user else None,
            None if is_user else account.account_id,
            SubscriptionPlan.FREE,
            SubscriptionStatus.ACTIVE,
            month.starts_at,
            month.ends_at,
            *(now, now, now),
        ),
    )


async def find(tx: Transaction, account_id: AccountId) -> SubscriptionRecord:
    """Raises SubscriptionNotFound."""
    async with tx.cursor(row_factory=dict_row) as cursor:
        await cursor.execute(f"SELECT {_ROW} FROM subscriptions WHERE account_id = %s", (account_id,))
        row = await cursor.fetchone()
    if row is None:
        raise SubscriptionNotFound
    return _to_record(row)


async def find_account_of_customer(tx: Transaction, stripe_customer_id: str) -> AccountId | None:
    cursor = await tx.execute(
        "SELECT account_id FROM subscriptions WHERE stripe_customer_id = %s"
        " UNION ALL SELECT account_id FROM former_customers WHERE stripe_customer_id = %s LIMIT 1",
        (stripe_customer_id, stripe_customer_id),
    )
    row = await cursor.fetchone()
    return None if row is None else AccountId(row[0])


async def next_fetch_seq(tx: Transaction) -> int:
    """The number of a read, to be taken before it begins."""
    row = await (await tx.execute("SELECT nextval('stripe_fetch_seq')")).fetchone()
    return 0 if row is None else int(row[0])


async def mark_sync_attempt(tx: Transaction, account_id: AccountId, at: datetime) -> None:
    """Whether the sync succeeds or not, the others come first next time."""
    await tx.execute("UPDATE subscriptions SET sync_attempted_at = %s WHERE account_id = %s", (at, account_id))


async def save_state(
    tx: Transaction, account_id: AccountId, state: SubscriptionState, *, fetch_seq: int, at: datetime
) -> bool:
    """Store what a read meant, unless a newer read was stored before; says whether it was stored."""
    cursor = await tx.execute(
        _SAVE,
        {
            "account_id": account_id,
            "stripe_subscription_id": state.stripe_subscription_id,
            "stripe_status": state.stripe_status,
            "plan": state.plan,
            "status": state.status,
            "period_start": state.period.starts_at,
            "period_end": state.period.ends_at,
            "started_at": state.started_at,
            "cancel_at": state.cancel_at,
            "ended_at": state.ended_at,
            "fee_minor": state.fee_minor,
            "currency": state.currency,
            "plan_problem": state.plan_problem,
            "fetch_seq": fetch_seq,
            "at": at,
        },
    )
    return cursor.rowcount == 1


async def save_status(
    tx: Transaction,
    account_id: AccountId,
    *,
    stripe_status: str,
    status: SubscriptionStatus,
    fetch_seq: int,
    at: datetime,
) -> bool:
    cursor = await tx.execute(
        "UPDATE subscriptions SET stripe_status = %s, status = %s, fetch_seq = %s, updated_at = %s"
        " WHERE account_id = %s AND fetch_seq < %s",
        (stripe_status, status, fetch_seq, at, account_id, fetch_seq),
    )
    return cursor.rowcount == 1


async def save_customer(tx: Transaction, account_id: AccountId, stripe_customer_id: str, at: datetime) -> None:
    """Raises nothing when it is there already; only a deleted customer is ever replaced."""
    await tx.execute(
        "UPDATE subscriptions SET stripe_customer_id = %s, updated_at = %s"
        " WHERE account_id = %s AND stripe_customer_id IS NULL",
        (stripe_customer_id, at, account_id),
    )


async def replace_customer(tx: Transaction, account_id: AccountId, former: str, new: str, at: datetime) -> bool:
    """Only of the customer that is known to be deleted; says whether it was still the account's."""
    cursor = await tx.execute(
        "UPDATE subscriptions SET stripe_customer_id = %s, updated_at = %s"
        " WHERE account_id = %s AND stripe_customer_id = %s",
        (new, at, account_id, former),
    )
    if cursor.rowcount:
        await tx.execute(
            "INSERT INTO former_customers (stripe_customer_id, account_id, replaced_at) VALUES (%s, %s, %s)"
            " ON CONFLICT DO NOTHING",
            (former, account_id, at),
        )
    return cursor.rowcount == 1


async def billing_periods(tx: Transaction, account_id: AccountId) -> tuple[BillingPeriod, ...]:
    """Every period that Stripe bills or billed, oldest first."""
    cursor = await tx.execute(
        "SELECT starts_at, ends_at, stripe_subscription_id, stripe_customer_id, plan FROM billing_periods"
        " WHERE account_id = %s ORDER BY starts_at",
        (account_id,),
    )
    return tuple(
        BillingPeriod(
            account_id=account_id,
            period=Period(starts_at=row[0], ends_at=row[1]),
            stripe_subscription_id=row[2],
            stripe_customer_id=row[3],
            plan=row[4],
        )
        for row in await cursor.fetchall()
    )


async def save_periods(tx: Transaction, periods: Iterable[BillingPeriod], recorded_at: datetime) -> None:
    for known in periods:
        await tx.execute(
            _UPSERT_PERIOD,
            (
                known.account_id,
                known.period.starts_at,
                known.period.ends_at,
                known.stripe_subscription_id,
                known.stripe_customer_id,
                known.plan,
                recorded_at,
            ),
        )


async def delete_periods_from(
    tx: Transaction, account_id: AccountId, stripe_subscription_id: str, ended_at: datetime
) -> None:
    """What was expected of an ended subscription beyond its end will not be."""
    await tx.execute(
        "DELETE FROM billing_periods WHERE account_id = %s AND stripe_subscription_id = %s AND starts_at >= %s",
        (account_id, stripe_subscription_id, ended_at),
    )


async def accounts_to_sync(tx: Transaction, limit: int) -> tuple[AccountId, ...]:
    """Accounts with a customer, the one whose sync was tried longest ago first."""
    cursor = await tx.execute(_TO_SYNC, (limit,))
    return tuple(AccountId(row[0]) for row in await cursor.fetchall())


async def roll_months(tx: Transaction, now: datetime, limit: int) -> int:
    """Bring accounts without a customer into the month of `now`; says how many."""
    month = calendar_month(now)
    cursor = await tx.execute(_TO_ROLL, (now, limit))
    due = [row[0] for row in await cursor.fetchall()]
    await tx.execute(
        "UPDATE subscriptions SET current_period_start = %s, current_period_end = %s, updated_at = %s"
        " WHERE account_id = ANY(%s)",
        (month.starts_at, month.ends_at, now, due),
    )
    return len(due)

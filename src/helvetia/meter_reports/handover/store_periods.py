"""SQL of what was done with each billing period: when Stripe's summary was asked, and whether it is handed over."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from psycopg.rows import class_row

from helvetia.database.pool import Transaction
from helvetia.kernel.identity import AccountId

_MARK = """
    INSERT INTO report_periods (account_id, period_start, {column}) VALUES (%(account_id)s, %(period_start)s, %(at)s)
    ON CONFLICT (account_id, period_start) DO UPDATE SET {column} = excluded.{column}
"""
_TO_CLOSE = """
    SELECT p.account_id, p.starts_at, p.ends_at, p.ends_at AS through_at FROM billing_periods p
    JOIN accounts a ON a.account_id = p.account_id AND a.deleted_at IS NULL
    LEFT JOIN report_periods r ON r.account_id = p.account_id AND r.period_start = p.starts_at
    WHERE p.ends_at <= %(now)s AND p.ends_at > %(oldest)s
        AND (r.closed_at IS NULL OR r.closed_at < p.ends_at)
    ORDER BY coalesce(r.attempt_count, 0), p.ends_at, p.account_id LIMIT %(limit)s
"""
_TO_REPORT_AHEAD = """
    SELECT p.account_id, p.starts_at, p.ends_at, %(now)s::timestamptz AS through_at FROM billing_periods p
    JOIN subscriptions s ON s.account_id = p.account_id AND s.stripe_subscription_id = p.stripe_subscription_id
    LEFT JOIN report_periods r ON r.account_id = p.account_id AND r.period_start = p.starts_at
    WHERE s.cancel_at <= p.ends_at AND s.cancel_at > %(now)s AND s.cancel_at <= %(until)s
        AND p.starts_at <= %(now)s AND (r.ahead_at IS NULL OR r.ahead_at < s.cancel_at - %(ahead)s)
    ORDER BY p.ends_at, p.account_id LIMIT %(limit)s
"""
_TO_CONFIRM = """
    SELECT m.account_id, m.billing_period_start FROM meter_reports m
    LEFT JOIN report_periods r ON r.account_id = m.account_id AND r.period_start = m.billing_period_start
    WHERE m.state IN ('sent', 'unknown')
    GROUP BY m.account_id, m.billing_period_start, r.asked_at
    HAVING coalesce(r.asked_at, min(m.last_sent_at)) <= %(daily)s
        OR (bool_or(m.state = 'unknown') AND coalesce(r.asked_at, min(m.last_sent_at)) <= %(soon)s)
    ORDER BY coalesce(r.asked_at, min(m.last_sent_at)), m.account_id LIMIT %(limit)s
"""


@dataclass(frozen=True, slots=True, kw_only=True)
class PeriodToHandOver:
    """A billing period, and the instant up to which its usage is to be at Stripe."""

    account_id: AccountId
    starts_at: datetime
    ends_at: datetime
    through_at: datetime


async def periods_to_close(
    tx: Transaction, *, now: datetime, oldest: datetime, limit: int
) -> Sequence[PeriodToHandOver]:
    """Periods that are over and not confirmed as handed over, the least tried first."""
    async with tx.cursor(row_factory=class_row(PeriodToHandOver)) as cursor:
        await cursor.execute(_TO_CLOSE, {"now": now, "oldest": oldest, "limit": limit})
        return await cursor.fetchall()


async def periods_to_report_ahead(
    tx: Transaction, *, now: datetime, ahead: timedelta, limit: int
) -> Sequence[PeriodToHandOver]:
    """Periods whose subscription is to end within `ahead`, not reported ahead yet."""
    async with tx.cursor(row_factory=class_row(PeriodToHandOver)) as cursor:
        await cursor.execute(_TO_REPORT_AHEAD, {"now": now, "until": now + ahead, "ahead": ahead, "limit": limit})
        return await cursor.fetchall()


async def periods_to_confirm(
    tx: Transaction, *, daily: datetime, soon: datetime, limit: int
) -> list[tuple[AccountId, datetime]]:
    """Periods whose summary was last asked for before `daily` (before `soon` where a row is unknown), in real time."""
    cursor = await tx.execute(_TO_CONFIRM, {"daily": daily, "soon": soon, "limit": limit})
    return [(AccountId(row[0]), row[1]) for row in await cursor.fetchall()]


async def mark_asked(tx: Transaction, account_id: AccountId, period_start: datetime, wall: datetime) -> None:
    """Whether Stripe answers or not, the others come first next time."""
    await tx.execute(
        _MARK.format(column="asked_at"), {"account_id": account_id, "period_start": period_start, "at": wall}
    )


async def mark_ahead(tx: Transaction, account_id: AccountId, period_start: datetime, at: datetime) -> None:
    await tx.execute(
        _MARK.format(column="ahead_at"), {"account_id": account_id, "period_start": period_start, "at": at}
    )


async def mark_closed(tx: Transaction, account_id: AccountId, period_start: datetime, at: datetime) -> None:
    """Everything used in the period is at Stripe, and Stripe has counted it."""
    await tx.execute(
        _MARK.format(column="closed_at"), {"account_id": account_id, "period_start": period_start, "at": at}
    )


async def note_attempt(tx: Transaction, account_id: AccountId, period_start: datetime, error: str) -> None:
    await tx.execute(
        "INSERT INTO report_periods (account_id, period_start, attempt_count, last_error) VALUES (%s, %s, 1, %s)"
        " ON CONFLICT (account_id, period_start) DO UPDATE SET"
        " attempt_count = report_periods.attempt_count + 1, last_error = excluded.last_error",
        (account_id, period_start, error),
    )

"""All SQL of redirections, and of reports that are at another customer than the one of their period."""

from collections.abc import Sequence
from datetime import datetime
from decimal import Decimal
from typing import Any

from psycopg.rows import dict_row

from helvetia.database.pool import Transaction
from helvetia.kernel.period import Period
from helvetia.kernel.quantity import UsageMetric
from helvetia.meter_reports import store as reports
from helvetia.meter_reports.model import MeterReport, ReportState
from helvetia.meter_reports.redirection.model import Redirection, RedirectionState
from helvetia.subscriptions.model import BillingPeriod
from helvetia.subscriptions.store import find_account_of_customer

_COLUMNS = (
    *("account_id", "redirection_id", "identifier", "metric", "value", "wrong_customer_id", "right_customer_id"),
    *("state", "requested_by", "reason", "requested_at", "key_at", "settled_at", "last_error"),
)
_ROW = ", ".join(_COLUMNS)
_INSERT = f"INSERT INTO report_redirections ({_ROW}) VALUES ({', '.join(f'%({name})s' for name in _COLUMNS)})"
_OF = "account_id = %s AND redirection_id = %s AND state = 'open'"
# Without its period (cut anew since), the account's own customers, the former ones too, are right.
_RIGHT_CUSTOMER = """
    SELECT coalesce(
        (SELECT p.stripe_customer_id FROM billing_periods p
            WHERE p.account_id = %(account_id)s AND p.starts_at = %(starts_at)s),
        (SELECT f.stripe_customer_id FROM former_customers f
            WHERE f.account_id = %(account_id)s AND f.stripe_customer_id = %(customer_id)s),
        (SELECT s.stripe_customer_id FROM subscriptions s WHERE s.account_id = %(account_id)s))
"""

_MISDIRECTED = """
    SELECT identifier FROM meter_reports
    WHERE account_id = %s AND metric = %s AND billing_period_start = %s AND stripe_customer_id <> %s
        AND state IN ('sent', 'confirmed', 'unknown')
    ORDER BY created_at LIMIT 200
"""
_ARRIVED = frozenset({ReportState.SENT, ReportState.CONFIRMED, ReportState.UNKNOWN})


async def _redirections(tx: Transaction, statement: str, values: Sequence[object]) -> list[Redirection]:
    async with tx.cursor(row_factory=dict_row) as cursor:
        await cursor.execute(statement, values)
        return [Redirection(**{**row, "state": RedirectionState(row["state"])}) for row in await cursor.fetchall()]


async def right_customer(tx: Transaction, report: MeterReport) -> str | None:
    """Whose usage the report tells: the customer that Stripe bills the period of."""
    values: dict[str, Any] = {
        "account_id": report.account_id,
        "starts_at": report.billing_period_start,
        "customer_id": report.stripe_customer_id,
    }
    row = await (await tx.execute(_RIGHT_CUSTOMER, values)).fetchone()
    return None if row is None else row[0]


async def insert(tx: Transaction, one: Redirection) -> None:
    await tx.execute(_INSERT, {name: getattr(one, name) for name in _COLUMNS})


async def standing(tx: Transaction, identifier: str) -> Redirection | None:
    """The one of this report that is open or done."""
    found = await _redirections(
        tx, f"SELECT {_ROW} FROM report_redirections WHERE identifier = %s AND state <> 'refused'", (identifier,)
    )
    return next(iter(found), None)


async def open_redirections(tx: Transaction, limit: int) -> list[Redirection]:
    """Those without an answer, oldest first."""
    return await _redirections(
        tx, f"SELECT {_ROW} FROM report_redirections WHERE state = 'open' ORDER BY requested_at LIMIT %s", (limit,)
    )


async def settle(
    tx: Transaction, one: Redirection, state: RedirectionState, *, wall: datetime, error: str | None = None
) -> bool:
    """Says whether it was still open."""
    cursor = await tx.execute(
        f"UPDATE report_redirections SET state = %s, settled_at = %s, last_error = %s WHERE {_OF}",
        (state, wall, error, one.account_id, one.redirection_id),
    )
    return cursor.rowcount == 1


async def note_error(tx: Transaction, one: Redirection, error: str) -> None:
    await tx.execute(
        f"UPDATE report_redirections SET last_error = %s WHERE {_OF}", (error, one.account_id, one.redirection_id)
    )


async def misdirected(tx: Transaction, billed: BillingPeriod, metric: UsageMetric) -> list[MeterReport]:
    """Reports of the period that are at another customer, or may be."""
    cursor = await tx.execute(
        _MISDIRECTED, (billed.account_id, metric, billed.period.starts_at, billed.stripe_customer_id)
    )
    named = [row[0] for row in await cursor.fetchall()]
    return await reports.lock_identified(tx, named) if named else []


async def others_at(tx: Transaction, one: Redirection, metric: UsageMetric, hour: Period) -> Decimal:
    """What else we reported to that customer in the hour, of whichever account."""
    owner = await find_account_of_customer(tx, one.wrong_customer_id)
    account_ids = {one.account_id} if owner is None else {one.account_id, owner}
    found: list[MeterReport] = []
    for account_id in sorted(account_ids):
        found += await reports.reports_of_range(tx, account_id, one.wrong_customer_id, metric, hour)
    return sum((row.value for row in found if row.state in _ARRIVED and row.identifier != one.identifier), Decimal(0))

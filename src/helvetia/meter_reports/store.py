"""All SQL of the outbox."""

from collections.abc import Sequence
from datetime import datetime, timedelta
from decimal import Decimal
from typing import Any

from psycopg.rows import dict_row

from helvetia.database.pool import Transaction
from helvetia.kernel.identity import AccountId
from helvetia.kernel.period import Period
from helvetia.kernel.quantity import UsageMetric
from helvetia.meter_reports.model import MeterReport, ReportedSoFar, ReportState

_COLUMNS = (
    *("account_id", "metric", "piece_start", "revision", "billing_period_start", "billing_period_end"),
    *("stripe_customer_id", "event_name", "identifier", "value", "state", "attempt_count", "created_at"),
    *("first_sent_at", "last_sent_at", "settled_at", "last_error"),
)
_ROW = ", ".join(_COLUMNS)
_INSERT = f"INSERT INTO meter_reports ({_ROW}) VALUES ({', '.join(f'%({name})s' for name in _COLUMNS)})"
_KEY = "account_id = %s AND metric = %s AND piece_start = %s AND revision = %s"
_CLAIM = f"""
    UPDATE meter_reports SET attempt_count = attempt_count + 1, last_sent_at = %(wall)s,
        first_sent_at = coalesce(first_sent_at, %(wall)s)
    WHERE identifier = ANY(%(identifiers)s) AND state = 'due'
    RETURNING {_ROW}
"""
_DUE = f"""
    SELECT {_ROW} FROM meter_reports r
    WHERE state = 'due' AND (%(account_id)s::uuid IS NULL OR account_id = %(account_id)s)
        AND NOT EXISTS (SELECT FROM meter_reports o WHERE o.account_id = r.account_id AND o.metric = r.metric
            AND o.state = 'due' AND o.last_sent_at > %(before)s)
    ORDER BY created_at, account_id, metric, piece_start, revision LIMIT %(limit)s FOR UPDATE OF r SKIP LOCKED
"""
# One sender chooses at a time, so that no two send to the same customer and meter.
_CHOOSE = "SELECT pg_advisory_xact_lock(hashtext('meter_reports.choose'))"
_SO_FAR = """
    SELECT metric, coalesce(sum(value) FILTER (WHERE state <> 'rejected'), 0),
        count(*) FILTER (WHERE state = 'rejected'), max(settled_at) FILTER (WHERE state = 'rejected')
    FROM meter_reports WHERE account_id = %s AND billing_period_start = %s GROUP BY metric
"""
_LATEST_PIECES = """
    SELECT metric, max(period_start) FROM usage_records
    WHERE account_id = %s AND period_start >= %s AND period_start < %s AND closed_at IS NOT NULL GROUP BY metric
"""


def _to_report(row: dict[str, Any]) -> MeterReport:
    row["state"] = ReportState(row["state"])
    return MeterReport(**row)


async def _reports(tx: Transaction, statement: str, values: Any) -> list[MeterReport]:
    async with tx.cursor(row_factory=dict_row) as cursor:
        await cursor.execute(statement, values)
        return [_to_report(row) for row in await cursor.fetchall()]


async def latest_closed_pieces(tx: Transaction, account_id: AccountId, period: Period) -> dict[UsageMetric, datetime]:
    """The start of the latest closed piece of each metric in the period."""
    cursor = await tx.execute(_LATEST_PIECES, (account_id, period.starts_at, period.ends_at))
    return dict(await cursor.fetchall())


async def reported_so_far(
    tx: Transaction, account_id: AccountId, period_start: datetime
) -> dict[UsageMetric, ReportedSoFar]:
    """Per metric: the values of every row of the period but the rejected ones, added up."""
    cursor = await tx.execute(_SO_FAR, (account_id, period_start))
    return {
        metric: ReportedSoFar(value=value, rejected_count=rejected_count, last_rejected_at=last_rejected_at)
        for metric, value, rejected_count, last_rejected_at in await cursor.fetchall()
    }


async def next_revision(tx: Transaction, account_id: AccountId, metric: UsageMetric, piece_start: datetime) -> int:
    cursor = await tx.execute(
        "SELECT coalesce(max(revision) + 1, 0) FROM meter_reports"
        " WHERE account_id = %s AND metric = %s AND piece_start = %s",
        (account_id, metric, piece_start),
    )
    row = await cursor.fetchone()
    return 0 if row is None else int(row[0])


async def insert_report(tx: Transaction, report: MeterReport) -> None:
    await tx.execute(_INSERT, {name: getattr(report, name) for name in _COLUMNS})


async def lock_due(
    tx: Transaction, *, wall: datetime, sending_lasts: timedelta, limit: int, account_id: AccountId | None
) -> list[MeterReport]:
    """Rows whose turn it is, oldest first; none of a customer and meter that somebody may be sending to right now."""
    await tx.execute(_CHOOSE)
    return await _reports(tx, _DUE, {"before": wall - sending_lasts, "account_id": account_id, "limit": limit})


async def mark_sending(tx: Transaction, reports: Sequence[MeterReport], wall: datetime) -> list[MeterReport]:
    """Before the first byte leaves: the attempt is on record, whatever happens next."""
    if not reports:
        return []
    return await _reports(tx, _CLAIM, {"wall": wall, "identifiers": [report.identifier for report in reports]})


async def settle(
    tx: Transaction, report: MeterReport, state: ReportState, *, wall: datetime, error: str | None = None
) -> None:
    """Move a row to the state that its attempt or its summary came to; a row that was settled meanwhile stays."""
    await tx.execute(
        f"UPDATE meter_reports SET state = %s, settled_at = %s, last_error = %s WHERE {_KEY} AND state = %s",
        (state, wall, error, report.account_id, report.metric, report.piece_start, report.revision, report.state),
    )


async def lock_identified(tx: Transaction, identifiers: Sequence[str]) -> list[MeterReport]:
    """The rows of these identifiers, locked in one order."""
    return await _reports(
        tx,
        f"SELECT {_ROW} FROM meter_reports WHERE identifier = ANY(%s) ORDER BY identifier FOR UPDATE",
        (list(identifiers),),
    )


async def note_error(tx: Transaction, report: MeterReport, error: str) -> None:
    """The attempt had no answer: it stays due, and is repeated with the same identifier."""
    await tx.execute(
        f"UPDATE meter_reports SET last_error = %s WHERE {_KEY} AND state = 'due'",
        (error, report.account_id, report.metric, report.piece_start, report.revision),
    )


async def free_claim(tx: Transaction, reports: Sequence[MeterReport]) -> None:
    """These were not sent after all: whoever comes next may take them at once."""
    await tx.execute(
        "UPDATE meter_reports SET last_sent_at = NULL, attempt_count = attempt_count - 1,"
        " first_sent_at = CASE WHEN attempt_count = 1 THEN NULL ELSE first_sent_at END"
        " WHERE identifier = ANY(%s) AND state = 'due'",
        ([report.identifier for report in reports],),
    )


async def suspect_sent(
    tx: Transaction, event_name: str, *, sent_from: datetime, sent_until: datetime, reason: str, wall: datetime
) -> int:
    """What was sent then and is not confirmed is unknown from now on; says how many rows."""
    cursor = await tx.execute(
        "UPDATE meter_reports SET state = 'unknown', settled_at = %s, last_error = %s"
        " WHERE event_name = %s AND state = 'sent' AND last_sent_at BETWEEN %s AND %s",
        (wall, reason, event_name, sent_from, sent_until),
    )
    return cursor.rowcount


async def note_uncounted(tx: Transaction, report: MeterReport, error: str) -> bool:
    """A sent row that no summary confirms; says whether that is new."""
    cursor = await tx.execute(
        f"UPDATE meter_reports SET last_error = %s WHERE {_KEY} AND state = 'sent' AND last_error IS NULL",
        (error, report.account_id, report.metric, report.piece_start, report.revision),
    )
    return cursor.rowcount == 1


async def reports_of_range(
    tx: Transaction, account_id: AccountId, customer_id: str, metric: UsageMetric, events: Period
) -> list[MeterReport]:
    """Every row whose event lies in the range, whatever period it is billed in."""
    return await _reports(
        tx,
        f"SELECT {_ROW} FROM meter_reports WHERE account_id = %s AND stripe_customer_id = %s AND metric = %s"
        " AND greatest(date_trunc('second', piece_start), billing_period_start) >= %s"
        " AND greatest(date_trunc('second', piece_start), billing_period_start) < %s"
        " ORDER BY created_at, piece_start, revision",
        (account_id, customer_id, metric, events.starts_at, events.ends_at),
    )


async def oldest_due_at(tx: Transaction) -> datetime | None:
    """When the report was queued that waits longest for Stripe to take it."""
    cursor = await tx.execute("SELECT min(created_at) FROM meter_reports WHERE state = 'due'")
    row = await cursor.fetchone()
    return None if row is None else row[0]


async def count_open(tx: Transaction, account_id: AccountId, period_start: datetime) -> dict[ReportState, int]:
    """Rows of a billing period that are not at Stripe for sure."""
    cursor = await tx.execute(
        "SELECT state, count(*) FROM meter_reports WHERE account_id = %s AND billing_period_start = %s"
        " AND state IN ('due', 'unknown') GROUP BY state",
        (account_id, period_start),
    )
    return {ReportState(state): count for state, count in await cursor.fetchall()}


async def value_at_stripe(tx: Transaction, account_id: AccountId, period_start: datetime) -> dict[UsageMetric, Decimal]:
    """Per metric, what Stripe has taken of the period: sent and confirmed rows."""
    cursor = await tx.execute(
        "SELECT metric, sum(value) FROM meter_reports WHERE account_id = %s AND billing_period_start = %s"
        " AND state IN ('sent', 'confirmed') GROUP BY metric",
        (account_id, period_start),
    )
    return dict(await cursor.fetchall())


async def refused_values(
    tx: Transaction, account_id: AccountId, period_start: datetime
) -> dict[UsageMetric, frozenset[Decimal]]:
    """Per metric, the values of the period's reports that Stripe refused."""
    cursor = await tx.execute(
        "SELECT metric, array_agg(value) FROM meter_reports WHERE account_id = %s AND billing_period_start = %s"
        " AND state = 'rejected' GROUP BY metric",
        (account_id, period_start),
    )
    return {metric: frozenset(values) for metric, values in await cursor.fetchall()}


async def accounts_to_queue(
    tx: Transaction, *, ended_after: datetime, after: AccountId | None, limit: int
) -> list[AccountId]:
    """Accounts with a billing period that can still be reported on, in the order of their ids."""
    cursor = await tx.execute(
        "SELECT DISTINCT account_id FROM billing_periods WHERE ends_at > %s AND (%s::uuid IS NULL OR account_id > %s)"
        " ORDER BY account_id LIMIT %s",
        (ended_after, after, after, limit),
    )
    return [AccountId(row[0]) for row in await cursor.fetchall()]

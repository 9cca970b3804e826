"""All SQL of usage over time: cells by hour, day or month, and the pieces and readings behind a figure.

Whole UTC days come from the roll-up, what is left of a range from the records: the same sums, in integers. Months of
another zone are made alike; its days of records alone, by the start of each piece.
"""

from collections.abc import Iterator, Mapping, Sequence
from datetime import UTC, date, datetime, time, timedelta
from typing import Any
from uuid import UUID
from zoneinfo import ZoneInfo

from psycopg.rows import class_row, dict_row

from helvetia.database.pool import Transaction
from helvetia.kernel.clock import to_ns
from helvetia.kernel.identity import AccountId, ServiceId
from helvetia.kernel.period import Period
from helvetia.kernel.quantity import UsageMetric
from helvetia.metering.history.local_days import first_instant, next_month
from helvetia.metering.history.model import (
    UTC_ZONE,
    Grain,
    PieceReading,
    ServiceRun,
    UsageBlock,
    UsageFilter,
    UsagePiece,
)
from helvetia.metering.model import RECORD_PREFIX
from helvetia.metering.store_usage import whole_days

_WANTED = """account_id = %(account_id)s AND metric = ANY(%(metrics)s::usage_metric[])
    AND (%(service_id)s::uuid IS NULL OR service_id = %(service_id)s)"""

_BY_DAYS = """
SELECT date_trunc(%(grain)s, day::timestamp)::date AS bucket, {service} AS service_id, metric,
    sum(quantity) AS quantity
FROM (
    SELECT day, service_id, metric, quantity FROM usage_days
    WHERE {wanted} AND day >= %(first_day)s AND day < %(last_day)s
    UNION ALL
    SELECT (period_start AT TIME ZONE 'UTC')::date, service_id, metric, quantity FROM usage_records
    WHERE {wanted} AND period_start >= %(starts_at)s AND period_start < %(head_until)s
    UNION ALL
    SELECT (period_start AT TIME ZONE 'UTC')::date, service_id, metric, quantity FROM usage_records
    WHERE {wanted} AND period_start >= %(tail_from)s AND period_start < %(ends_at)s
) AS part
GROUP BY 1, 2, 3 ORDER BY 1, 3, 2 LIMIT %(limit)s
"""

# Months of another zone: of whole UTC days too, but of those in which a month begins.
_BY_MONTHS_OF_ZONE = """
SELECT date_trunc('month', at AT TIME ZONE %(zone)s)::date AS bucket, {service} AS service_id, metric,
    sum(quantity) AS quantity
FROM (
    SELECT day::timestamp AT TIME ZONE 'UTC' AS at, service_id, metric, quantity FROM usage_days
    WHERE {wanted} AND day >= %(first_day)s AND day < %(last_day)s AND day <> ALL(%(cut_days)s::date[])
    UNION ALL
    SELECT period_start, service_id, metric, quantity
    FROM unnest(%(from)s::timestamptz[], %(until)s::timestamptz[]) AS part (starts_at, ends_at) JOIN usage_records
        ON period_start >= part.starts_at AND period_start < part.ends_at
    WHERE {wanted}
) AS part
GROUP BY 1, 2, 3 ORDER BY 1, 3, 2 LIMIT %(limit)s
"""

_BY_RECORDS = """
SELECT {bucket} AS bucket, {service} AS service_id, metric, sum(quantity) AS quantity
FROM usage_records
WHERE {wanted} AND period_start >= %(starts_at)s AND period_start < %(ends_at)s
GROUP BY 1, 2, 3 ORDER BY 1, 3, 2 LIMIT %(limit)s
"""

# Days of each service: a row of the roll-up is a cell already, and no part of a day is in two parts of the range.
_DAYS_OF_SERVICES = """
SELECT day AS bucket, service_id, metric, quantity FROM (
    SELECT day, service_id, metric, quantity FROM usage_days
    WHERE {wanted} AND day >= %(first_day)s AND day < %(last_day)s
    UNION ALL
    SELECT (period_start AT TIME ZONE 'UTC')::date, service_id, metric, sum(quantity) FROM usage_records
    WHERE {wanted} AND period_start >= %(starts_at)s AND period_start < %(head_until)s GROUP BY 1, 2, 3
    UNION ALL
    SELECT (period_start AT TIME ZONE 'UTC')::date, service_id, metric, sum(quantity) FROM usage_records
    WHERE {wanted} AND period_start >= %(tail_from)s AND period_start < %(ends_at)s GROUP BY 1, 2, 3
) AS part LIMIT %(limit)s
"""

# A row a bucket and metric: tens of thousands of cells come as two texts for each, not as four objects for each cell.
_BLOCKS = """
SELECT bucket, metric, string_agg(service_id::text, ',' ORDER BY service_id),
    string_agg(quantity::text, ',' ORDER BY service_id)
FROM ({cells}) AS cell GROUP BY bucket, metric ORDER BY bucket, metric
"""
# Days and months by their local date, which an instant tells without doubt, also where midnight comes twice or never.
_HOUR = "date_trunc('hour', period_start, 'UTC')"
_LOCAL_DATE = "date_trunc(%(grain)s, period_start AT TIME ZONE %(zone)s)::date"

_PIECES = """
SELECT u.id, u.service_id, u.metric, u.incarnation, u.revision, u.quantity, u.period_start,
    u.period_end, u.closed_at, u.reading_count, u.first_reading_ns, u.last_reading_ns, u.bound, u.reason, u.actor,
    coalesce(r.container_id, s.holder) AS container_id, coalesce(r.node, s.node) AS node,
    coalesce(r.started_ns, s.first_ns) AS lived_from_ns, coalesce(r.finished_ns, s.gone_ns) AS lived_until_ns
FROM usage_records u
LEFT JOIN container_runs r ON r.account_id = u.account_id AND r.service_id = u.service_id
    AND r.incarnation = u.incarnation
LEFT JOIN storage_holders s ON s.account_id = u.account_id AND s.service_id = u.service_id
    AND s.holder = u.incarnation
"""

_PIECES_PAGE = f"""
{_PIECES}
WHERE u.account_id = %(account_id)s AND u.metric = %(metric)s
    AND u.period_start >= %(starts_at)s AND u.period_start < %(ends_at)s
    AND (%(service_id)s::uuid IS NULL OR u.service_id = %(service_id)s)
    AND (%(after_start)s::timestamptz IS NULL OR (u.period_start, u.id) > (%(after_start)s, %(after_id)s))
ORDER BY u.period_start, u.id LIMIT %(limit)s
"""

_RUNS = """
SELECT incarnation, container_id, node, started_ns, finished_ns, seen_ns, restart_count, exit_code, oom_killed, vanished
FROM container_runs
WHERE account_id = %(account_id)s AND service_id = %(service_id)s
    AND started_ns < %(ends_ns)s AND coalesce(finished_ns, seen_ns) >= %(starts_ns)s
ORDER BY started_ns DESC, incarnation LIMIT %(limit)s
"""

# Changes whenever a reading was taken in: how far everything was looked at, and what the last days hold.
_MARK = """
SELECT least((SELECT min(seen_ns) FROM container_runs WHERE account_id = %(account_id)s AND closed_at IS NULL),
             (SELECT min(seen_ns) FROM storage_holders WHERE account_id = %(account_id)s AND closed_at IS NULL)),
    (SELECT sum(quantity) FROM usage_days WHERE account_id = %(account_id)s AND day >= %(since)s)
"""

_RUN_READINGS = """
SELECT sampled_ns, memory_bytes, transmitted_bytes, external_bytes, NULL::bigint AS size_bytes
FROM container_readings
WHERE account_id = %(account_id)s AND service_id = %(service_id)s AND incarnation = %(incarnation)s
    AND sampled_ns BETWEEN %(first)s AND %(last)s
ORDER BY sampled_ns LIMIT %(limit)s
"""

_HOLDER_READINGS = """
SELECT sampled_ns, NULL::bigint AS memory_bytes, NULL::bigint AS transmitted_bytes, NULL::bigint AS external_bytes,
    size_bytes
FROM storage_readings
WHERE account_id = %(account_id)s AND service_id = %(service_id)s AND holder = %(incarnation)s
    AND sampled_ns BETWEEN %(first)s AND %(last)s
ORDER BY sampled_ns LIMIT %(limit)s
"""


async def usage_blocks(
    tx: Transaction, account_id: AccountId, wanted: UsageFilter, *, cells_max: int | None
) -> Sequence[UsageBlock]:
    """What holds anything, by time and metric; at most `cells_max` quantities in all (None: all of the range)."""
    service = "service_id" if wanted.by_service else "NULL::uuid"
    values = {
        "account_id": account_id,
        "metrics": [metric.value for metric in wanted.metrics],
        "service_id": wanted.service_id,
        "grain": wanted.grain.value,
        "zone": wanted.zone.key,
        "limit": cells_max,
        "starts_at": wanted.period.starts_at,
        "ends_at": wanted.period.ends_at,
        **whole_days(wanted.period),
        **_cuts(wanted),
    }
    cells = _cells_of(wanted)
    bucket = _HOUR if wanted.grain is Grain.HOUR else _LOCAL_DATE
    statement = _BLOCKS.format(cells=cells.format(wanted=_WANTED, service=service, bucket=bucket))
    ids: dict[str, ServiceId] = {}
    return [_to_block(row, ids, wanted.zone) for row in await (await tx.execute(statement, values)).fetchall()]


def _cells_of(wanted: UsageFilter) -> str:
    if wanted.grain is Grain.HOUR:
        return _BY_RECORDS
    if wanted.zone.key == UTC_ZONE.key:
        return _DAYS_OF_SERVICES if wanted.grain is Grain.DAY and wanted.by_service else _BY_DAYS
    return _BY_MONTHS_OF_ZONE if wanted.grain is Grain.MONTH else _BY_RECORDS


def _cuts(wanted: UsageFilter) -> Mapping[str, object]:
    """The UTC days in which months of the zone begin, and every part of the range that days do not make."""
    whole = whole_days(wanted.period)
    first, last = whole["first_day"], whole["last_day"]
    days = sorted({start.astimezone(UTC).date() for start in _months_of_zone(wanted)})
    midnights = [datetime.combine(day, time(), UTC) for day in days if first <= day < last]
    return {
        "cut_days": days,
        "from": [wanted.period.starts_at, *midnights, whole["tail_from"]],
        "until": [whole["head_until"], *(one + timedelta(days=1) for one in midnights), wanted.period.ends_at],
    }


def _months_of_zone(wanted: UsageFilter) -> Iterator[datetime]:
    """The first instants of the zone's months that lie in the range or just before it."""
    month = wanted.period.starts_at.astimezone(wanted.zone).date().replace(day=1)
    while (starts_at := first_instant(month, wanted.zone)) < wanted.period.ends_at:
        yield starts_at
        month = next_month(month)


def _to_block(
    row: tuple[datetime | date, UsageMetric, str | None, str], ids: dict[str, ServiceId], zone: ZoneInfo
) -> UsageBlock:
    """`ids`: those that were met before."""
    bucket, metric, services, quantities = row
    starts_at = bucket if isinstance(bucket, datetime) else first_instant(bucket, zone)
    texts = () if services is None else services.split(",")
    for text in texts:
        if text not in ids:
            ids[text] = ServiceId(UUID(text))
    return UsageBlock(
        starts_at=starts_at,
        metric=metric,
        service_ids=tuple(ids[text] for text in texts) or (None,),
        quantities=tuple(map(int, quantities.split(","))),
    )


async def usage_mark(tx: Transaction, account_id: AccountId, since: date) -> str:
    """A word that changes whenever the account's usage does; of what is older than `since` only by what lives."""
    cursor = await tx.execute(_MARK, {"account_id": account_id, "since": since})
    seen_ns, quantity = await cursor.fetchone() or (None, None)
    return f"{seen_ns or 0}-{quantity or 0}"


async def pieces(
    tx: Transaction,
    account_id: AccountId,
    metric: UsageMetric,
    period: Period,
    *,
    service_id: ServiceId | None,
    after: tuple[datetime, UUID] | None,
    limit: int,
) -> Sequence[UsagePiece]:
    """The rows of the ledger that a figure is the sum of, in order, from after the last one seen."""
    after_start, after_id = after or (None, None)
    values = {
        "account_id": account_id,
        "metric": metric,
        "starts_at": period.starts_at,
        "ends_at": period.ends_at,
        "service_id": service_id,
        "after_start": after_start,
        "after_id": after_id,
        "limit": limit,
    }
    async with tx.cursor(row_factory=dict_row) as cursor:
        await cursor.execute(_PIECES_PAGE, values)
        return [_to_piece(row) for row in await cursor.fetchall()]


async def find_piece(tx: Transaction, account_id: AccountId, record_id: UUID) -> UsagePiece | None:
    """One row of the account's ledger."""
    async with tx.cursor(row_factory=dict_row) as cursor:
        await cursor.execute(f"{_PIECES} WHERE u.account_id = %s AND u.id = %s", (account_id, record_id))
        row = await cursor.fetchone()
        return None if row is None else _to_piece(row)


async def readings_of(
    tx: Transaction, account_id: AccountId, piece: UsagePiece, *, limit: int
) -> Sequence[PieceReading]:
    """The readings of a piece from its first to its last; none where they have been dropped, or there were none."""
    if piece.first_reading_ns is None or piece.incarnation.startswith(RECORD_PREFIX):
        return []
    statement = _HOLDER_READINGS if piece.metric is UsageMetric.STORAGE_GB else _RUN_READINGS
    values = {
        "account_id": account_id,
        "service_id": piece.service_id,
        "incarnation": piece.incarnation,
        "first": piece.first_reading_ns,
        "last": piece.last_reading_ns,
        "limit": limit,
    }
    async with tx.cursor(row_factory=class_row(PieceReading)) as cursor:
        await cursor.execute(statement, values)
        return await cursor.fetchall()


async def runs(
    tx: Transaction, account_id: AccountId, service_id: ServiceId, period: Period, *, limit: int
) -> Sequence[ServiceRun]:
    """The starts of a service that lived in the period, newest first."""
    values = {
        "account_id": account_id,
        "service_id": service_id,
        "starts_ns": to_ns(period.starts_at),
        "ends_ns": to_ns(period.ends_at),
        "limit": limit,
    }
    async with tx.cursor(row_factory=class_row(ServiceRun)) as cursor:
        await cursor.execute(_RUNS, values)
        return await cursor.fetchall()


def _to_piece(row: Mapping[str, Any]) -> UsagePiece:
    return UsagePiece(**{**row, "quantity": int(row["quantity"])})

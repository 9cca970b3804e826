"""All SQL of totals and external records: what other packages and pages read of the ledger."""

from collections.abc import Mapping, Sequence
from datetime import UTC, date, datetime, time, timedelta
from typing import Any, TypedDict

from psycopg.rows import dict_row

from helvetia.database.pool import Transaction
from helvetia.kernel.clock import from_ns, to_ns
from helvetia.kernel.identity import AccountId, ServiceId
from helvetia.kernel.period import Period
from helvetia.kernel.period_cover import Part, cover_period
from helvetia.kernel.quantity import UsageMetric
from helvetia.metering.model import FindingCause, LateHost, RolledUsage, UsageGap, UsageRecord, UsageTotals

GAPS_SHOWN_MAX = 50
HOSTS_SHOWN_MAX = 20

_RECORD = """id, account_id, service_id, metric, incarnation, revision, quantity, "timestamp", period_start, period_end,
closed_at, reading_count, first_reading_ns, last_reading_ns, bound, reason, actor"""

# Months and days from the roll-ups, the rest from the records, added or taken away: the same sum, in integers.
_PART = """
    SELECT metric, sum(quantity) * %({name}_sign)s AS quantity FROM {table}
    WHERE account_id = %(account_id)s AND {column} >= %({name}_from)s AND {column} < %({name}_until)s
      AND (%(service_id)s::uuid IS NULL OR service_id = %(service_id)s)
    GROUP BY metric"""
_PARTS = {"months": 1, "days": 2, "rest": 2}
_KEPT_BY = {
    "months": ("usage_months", "month"),
    "days": ("usage_days", "day"),
    "rest": ("usage_records", "period_start"),
}
_ALL = "\n    UNION ALL".join(
    _PART.format(name=f"{unit}_{number}", table=_KEPT_BY[unit][0], column=_KEPT_BY[unit][1])
    for unit, count in _PARTS.items()
    for number in range(count)
)
_TOTALS = f"SELECT metric, sum(quantity) FROM ({_ALL}) AS part GROUP BY metric"
# Of pieces that still grow there are a few; what is closed is all the rest.
_CLOSED = f"""
SELECT metric, sum(quantity) FROM ({_ALL}
    UNION ALL
    SELECT metric, -sum(quantity) FROM usage_records
    WHERE account_id = %(account_id)s AND closed_at IS NULL
      AND period_start >= %(starts_at)s AND period_start < %(ends_at)s
    GROUP BY metric
) AS part GROUP BY metric
"""

# The bytes sent in [starts_at, ends_at), each part an expression of SQL: whole UTC days from the roll-up, the rest from
# the records, as above; for statements that ask for more besides.
BANDWIDTH_USED = """
SELECT coalesce(sum(part.quantity), 0)
FROM (SELECT date_trunc('day', {starts_at} + interval '1 day' - interval '1 microsecond', 'UTC') AS first_at,
             date_trunc('day', {ends_at}, 'UTC') AS last_at) AS whole
CROSS JOIN LATERAL (
    SELECT quantity FROM usage_days
    WHERE account_id = {account_id} AND metric = 'BANDWIDTH_GB'
      AND day >= (whole.first_at AT TIME ZONE 'UTC')::date AND day < (whole.last_at AT TIME ZONE 'UTC')::date
    UNION ALL
    SELECT quantity FROM usage_records
    WHERE account_id = {account_id} AND metric = 'BANDWIDTH_GB'
      AND period_start >= {starts_at} AND period_start < least(whole.first_at, {ends_at})
    UNION ALL
    SELECT quantity FROM usage_records
    WHERE account_id = {account_id} AND metric = 'BANDWIDTH_GB'
      AND period_start >= greatest(whole.last_at, least(whole.first_at, {ends_at})) AND period_start < {ends_at}
) AS part
"""

_ROLLED = """
SELECT {unit}, service_id, metric, quantity FROM usage_{unit}s
WHERE account_id = %(account_id)s AND {unit} >= %(first)s AND {unit} < %(last)s
  AND (%(services)s::uuid[] IS NULL OR service_id = ANY(%(services)s))
ORDER BY {unit}, service_id, metric
"""

# Open rows of the period, and lives that may still get one there.
_OPEN = """
SELECT (SELECT count(*) FROM usage_records WHERE account_id = %(account_id)s AND closed_at IS NULL
          AND (%(service_id)s::uuid IS NULL OR service_id = %(service_id)s)
          AND period_start >= %(starts_at)s AND period_start < %(ends_at)s)
     + (SELECT count(*) FROM container_runs WHERE account_id = %(account_id)s AND closed_at IS NULL
          AND (%(service_id)s::uuid IS NULL OR service_id = %(service_id)s)
          AND started_ns < %(ends_ns)s AND coalesce(final_until_ns, 0) < %(ends_ns)s)
     + (SELECT count(*) FROM storage_holders WHERE account_id = %(account_id)s AND closed_at IS NULL
          AND (%(service_id)s::uuid IS NULL OR service_id = %(service_id)s)
          AND first_ns < %(ends_ns)s AND coalesce(final_until_ns, 0) < %(ends_ns)s)
"""

_AS_OF = """
SELECT least((SELECT min(seen_ns) FROM container_runs WHERE account_id = %(account_id)s AND closed_at IS NULL
                AND finished_ns IS NULL AND (%(service_id)s::uuid IS NULL OR service_id = %(service_id)s)),
             (SELECT min(seen_ns) FROM storage_holders WHERE account_id = %(account_id)s AND closed_at IS NULL
                AND gone_ns IS NULL AND (%(service_id)s::uuid IS NULL OR service_id = %(service_id)s)))
"""

_STATE = f"SELECT ({_AS_OF}), ({_OPEN})"

# Of each host what was seen last, not first: a host that tells of anything is not late.
_LATE_HOSTS = """
SELECT array_agg(DISTINCT coalesce(s.name, service_id::text)), max(seen_ns) FROM (
    SELECT node, seen_ns, service_id FROM container_runs
    WHERE account_id = %(account_id)s AND closed_at IS NULL AND finished_ns IS NULL
    UNION ALL SELECT node, seen_ns, service_id FROM storage_holders
    WHERE account_id = %(account_id)s AND closed_at IS NULL AND gone_ns IS NULL
) AS life LEFT JOIN (SELECT service_id, name FROM services WHERE account_id = %(account_id)s) AS s USING (service_id)
WHERE %(service_id)s::uuid IS NULL OR service_id = %(service_id)s
GROUP BY node HAVING max(seen_ns) < %(seen_before_ns)s ORDER BY 2, node LIMIT %(limit)s
"""

_GAPS = """
SELECT service_id, cause, starts_ns, ends_ns, detail FROM metering_findings
WHERE account_id = %(account_id)s AND kind = 'gap' AND starts_ns < %(ends_ns)s AND ends_ns > %(starts_ns)s
  AND (%(service_id)s::uuid IS NULL OR service_id = %(service_id)s)
ORDER BY starts_ns DESC LIMIT %(limit)s
"""


def _values(account_id: AccountId, period: Period, service_id: ServiceId | None = None) -> dict[str, object]:
    return {
        "account_id": account_id,
        "service_id": service_id,
        "starts_at": period.starts_at,
        "ends_at": period.ends_at,
        "starts_ns": to_ns(period.starts_at),
        "ends_ns": to_ns(period.ends_at),
        "limit": GAPS_SHOWN_MAX,
        **_cover(period),
    }


class WholeDays(TypedDict):
    """The whole UTC days of a period, [first_day, last_day), and where what is left before and after them ends."""

    first_day: date
    last_day: date
    head_until: datetime
    tail_from: datetime


def whole_days(period: Period) -> WholeDays:
    """The whole UTC days of a period, and what is left of it before and after them."""
    starts_at, ends_at = period.starts_at.astimezone(UTC), period.ends_at.astimezone(UTC)
    first = datetime.combine(starts_at, time(), UTC)
    first += timedelta(days=first < starts_at)
    last = max(first, datetime.combine(ends_at, time(), UTC))
    head_until = min(first, ends_at)
    return {
        "first_day": first.date(),
        "last_day": last.date(),
        "head_until": head_until,
        "tail_from": max(head_until, last),
    }


def _cover(period: Period) -> dict[str, object]:
    """The parts of a period that totals are summed of, by name; where there are fewer, empty ones."""
    cover, values = cover_period(period.starts_at, period.ends_at), dict[str, object]()
    nothing = Part(starts_at=period.starts_at, ends_at=period.starts_at)
    for unit, parts in (("months", cover.months), ("days", cover.days), ("rest", cover.rest)):
        for number, part in enumerate([*parts, *[nothing] * (_PARTS[unit] - len(parts))]):
            edges = (part.starts_at, part.ends_at)
            first, last = edges if unit == "rest" else (edge.astimezone(UTC).date() for edge in edges)
            name = f"{unit}_{number}"
            values |= {f"{name}_from": first, f"{name}_until": last, f"{name}_sign": part.sign}
    return values


async def closed_totals(tx: Transaction, account_id: AccountId, period: Period) -> dict[UsageMetric, int]:
    """Base units of the closed pieces that start in the period; a metric without any is 0."""
    cursor = await tx.execute(_CLOSED, _values(account_id, period))
    found = {metric: int(quantity) for metric, quantity in await cursor.fetchall()}
    return {metric: found.get(metric, 0) for metric in UsageMetric}


async def open_piece_count(tx: Transaction, account_id: AccountId, period: Period) -> int:
    """Pieces of the period that are not closed, and lives that are not counted for good until its end.

    0 means that only a fact learnt late can change the period's closed totals.
    """
    cursor = await tx.execute(_OPEN, _values(account_id, period))
    row = await cursor.fetchone()
    return int(row[0]) if row else 0


async def totals(
    tx: Transaction, account_id: AccountId, period: Period, service_id: ServiceId | None = None
) -> UsageTotals:
    """What an account (or one of its services) used: pieces that start in the period, open and closed.

    Pieces are cut at the account's boundaries, so each belongs to one period and none is counted twice or lost.
    """
    values = _values(account_id, period, service_id)
    rows = await (await tx.execute(_TOTALS, values)).fetchall()
    as_of_ns, open_count = await (await tx.execute(_STATE, values)).fetchone() or (None, None)
    gaps = [_to_gap(*row) for row in await (await tx.execute(_GAPS, values)).fetchall()]
    found = {metric: int(quantity) for metric, quantity in rows}
    return UsageTotals(
        quantities={metric: found.get(metric, 0) for metric in UsageMetric},
        as_of=None if as_of_ns is None else from_ns(as_of_ns),
        is_complete=not gaps,
        is_closed=open_count == 0,
        gaps=gaps,
    )


async def late_hosts(
    tx: Transaction, account_id: AccountId, seen_before: datetime, service_id: ServiceId | None = None
) -> Sequence[LateHost]:
    """Hosts of the account (or of one of its services) that told nothing since, the longest silent first."""
    values = {
        "account_id": account_id,
        "service_id": service_id,
        "seen_before_ns": to_ns(seen_before),
        "limit": HOSTS_SHOWN_MAX,
    }
    rows = await (await tx.execute(_LATE_HOSTS, values)).fetchall()
    return [LateHost(service_names=names, seen_at=from_ns(seen_ns)) for names, seen_ns in rows]


async def usage_by_day(
    tx: Transaction, account_id: AccountId, first: date, last: date, services: Sequence[ServiceId] | None = None
) -> Sequence[RolledUsage]:
    """Usage of each service (of these, or of all) in each UTC day of [first, last) that has any, in order."""
    return await _rolled(tx, "day", (account_id, first, last, services))


async def usage_by_month(
    tx: Transaction, account_id: AccountId, first: date, last: date, services: Sequence[ServiceId] | None = None
) -> Sequence[RolledUsage]:
    """The same for each UTC month whose first day lies in [first, last)."""
    return await _rolled(tx, "month", (account_id, first, last, services))


async def _rolled(
    tx: Transaction, unit: str, key: tuple[AccountId, date, date, Sequence[ServiceId] | None]
) -> list[RolledUsage]:
    values = dict(zip(("account_id", "first", "last", "services"), key, strict=True))
    rows = await (await tx.execute(_ROLLED.format(unit=unit), values)).fetchall()
    return [
        RolledUsage(starts_on=starts_on, service_id=ServiceId(of_service), metric=metric, quantity=int(quantity))
        for starts_on, of_service, metric, quantity in rows
    ]


def _to_gap(service_id: ServiceId, cause: str, starts_ns: int, ends_ns: int, detail: str) -> UsageGap:
    return UsageGap(
        service_id=service_id,
        cause=FindingCause(cause),
        starts_at=from_ns(starts_ns),
        ends_at=from_ns(ends_ns),
        detail=detail,
    )


async def owns_service(tx: Transaction, account_id: AccountId, service_id: ServiceId) -> bool:
    """Whether the service is or was this account's; a deleted one keeps its usage."""
    cursor = await tx.execute(
        "SELECT FROM services WHERE account_id = %s AND service_id = %s", (account_id, service_id)
    )
    return await cursor.fetchone() is not None


async def has_cut_inside(tx: Transaction, account_id: AccountId, period: Period) -> bool:
    """Whether a boundary of the account lies strictly inside the period."""
    cursor = await tx.execute(
        "SELECT FROM metering_cuts WHERE account_id = %s AND cut_at > %s AND cut_at < %s LIMIT 1",
        (account_id, period.starts_at, period.ends_at),
    )
    return await cursor.fetchone() is not None


async def find_record(tx: Transaction, account_id: AccountId, incarnation: str) -> UsageRecord | None:
    """The external record of an idempotency key."""
    async with tx.cursor(row_factory=dict_row) as cursor:
        await cursor.execute(
            f"""SELECT {_RECORD} FROM usage_record_keys k
                JOIN usage_records u USING (account_id, incarnation, period_start, id)
                WHERE k.account_id = %s AND k.incarnation = %s""",
            (account_id, incarnation),
        )
        row = await cursor.fetchone()
    return None if row is None else _from_row(row)


async def insert_record(tx: Transaction, record: UsageRecord) -> None:
    names = [name.strip().strip('"') for name in _RECORD.split(",")]
    marks = ", ".join(["%s"] * len(names))
    await tx.execute(
        f"INSERT INTO usage_records ({_RECORD}) VALUES ({marks})", [getattr(record, name) for name in names]
    )


async def records_of_service(
    tx: Transaction, account_id: AccountId, service_id: ServiceId, period: Period, *, limit: int
) -> Sequence[UsageRecord]:
    """The ledger's rows of a service that start in the period, newest first."""
    async with tx.cursor(row_factory=dict_row) as cursor:
        await cursor.execute(
            f"""SELECT {_RECORD} FROM usage_records
                WHERE account_id = %s AND service_id = %s AND period_start >= %s AND period_start < %s
                ORDER BY period_start DESC, incarnation, metric, revision DESC LIMIT %s""",
            (account_id, service_id, period.starts_at, period.ends_at, limit),
        )
        return [_from_row(row) for row in await cursor.fetchall()]


def _from_row(row: Mapping[str, Any]) -> UsageRecord:
    return UsageRecord(**{**row, "quantity": int(row["quantity"])})

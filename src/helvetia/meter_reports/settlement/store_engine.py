"""SQL of the first hop: what the engine and the counters say, beside what the ledger holds; and of comparisons kept.

Compute is compared exactly (the engine's own start and finish against the pieces of each hour), and so are bytes (the
highest counter seen of a run that is over). Memory is only bounded: never above the run's peak times its length.
Storage is not compared: its readings are few, and how a volume grew between two of them nobody else knows.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from psycopg.types.json import Jsonb

from helvetia.database.pool import Transaction
from helvetia.kernel.clock import to_ns
from helvetia.kernel.identity import AccountId
from helvetia.kernel.period import Period
from helvetia.kernel.quantity import NS_PER_HOUR, UsageMetric

# Time that the engine says containers ran, hour by hour, against the pieces of those hours; whole closed hours only.
_HOURS = """
    WITH hours AS (
        SELECT h AS starts_ns FROM generate_series(%(from_ns)s::bigint, %(until_ns)s::bigint - 1, %(hour)s) AS h
    ), ran AS (
        SELECT h.starts_ns, sum(least(coalesce(r.finished_ns, r.seen_ns), h.starts_ns + %(hour)s)
            - greatest(r.started_ns, h.starts_ns)) AS quantity
        FROM hours h JOIN container_runs r ON r.account_id = %(account_id)s AND r.started_ns < h.starts_ns + %(hour)s
            AND coalesce(r.finished_ns, r.seen_ns) > h.starts_ns
        GROUP BY h.starts_ns
    ), counted AS (
        SELECT floor(extract(epoch FROM u.period_start) / 3600)::bigint * %(hour)s AS starts_ns,
            sum(u.quantity) AS quantity, bool_or(u.closed_at IS NULL) AS is_open
        FROM usage_records u
        WHERE u.account_id = %(account_id)s AND u.metric = 'COMPUTE_HOURS'
            AND NOT starts_with(u.incarnation, 'record:')
            AND u.period_start >= %(starts_at)s AND u.period_start < %(ends_at)s
        GROUP BY 1
    )
    SELECT starts_ns, coalesce(ran.quantity, 0), coalesce(counted.quantity, 0)
    FROM ran FULL JOIN counted USING (starts_ns)
    WHERE coalesce(ran.quantity, 0) <> coalesce(counted.quantity, 0) AND NOT coalesce(counted.is_open, false)
    ORDER BY starts_ns LIMIT %(limit)s
"""
# Bytes of runs that are over and closed: the highest counter seen against the pieces; and memory never above its peak.
_RUNS = """
    WITH runs AS (
        SELECT service_id, incarnation, started_ns, finished_ns, coalesce(counts_external, false) AS is_external
        FROM container_runs
        WHERE account_id = %(account_id)s AND closed_at IS NOT NULL AND finished_ns >= %(from_ns)s
            AND finished_ns < %(until_ns)s
    ), read AS (
        SELECT r.service_id, r.incarnation, max(CASE WHEN n.is_external THEN r.external_bytes
            ELSE r.transmitted_bytes END) AS sent, max(r.memory_bytes) AS memory
        FROM runs n JOIN container_readings r ON r.account_id = %(account_id)s
            AND r.service_id = n.service_id AND r.incarnation = n.incarnation
        GROUP BY r.service_id, r.incarnation
    ), counted AS (
        SELECT u.service_id, u.incarnation, sum(u.quantity) FILTER (WHERE u.metric = 'BANDWIDTH_GB') AS sent,
            sum(u.quantity) FILTER (WHERE u.metric = 'MEMORY_GB_HOURS') AS memory
        FROM runs n JOIN usage_records u ON u.account_id = %(account_id)s
            AND u.service_id = n.service_id AND u.incarnation = n.incarnation
        GROUP BY u.service_id, u.incarnation
    )
    SELECT 'BANDWIDTH_GB'::usage_metric, n.started_ns, n.finished_ns, coalesce(r.sent, 0), coalesce(c.sent, 0)
    FROM runs n LEFT JOIN read r USING (service_id, incarnation) LEFT JOIN counted c USING (service_id, incarnation)
    WHERE coalesce(r.sent, 0) <> coalesce(c.sent, 0)
    UNION ALL
    SELECT 'MEMORY_GB_HOURS'::usage_metric, n.started_ns, n.finished_ns,
        coalesce(r.memory, 0)::numeric * (n.finished_ns - n.started_ns), coalesce(c.memory, 0)
    FROM runs n LEFT JOIN read r USING (service_id, incarnation) LEFT JOIN counted c USING (service_id, incarnation)
    WHERE coalesce(c.memory, 0) > coalesce(r.memory, 0)::numeric * (n.finished_ns - n.started_ns)
    LIMIT %(limit)s
"""
_TO_COMPARE = """
    SELECT s.account_id FROM subscriptions s LEFT JOIN usage_comparisons c USING (account_id)
    WHERE s.stripe_customer_id IS NOT NULL AND (c.compared_at IS NULL OR c.compared_at <= %s)
    ORDER BY c.compared_at NULLS FIRST, s.account_id LIMIT %s
"""
DIFFERENCES_MAX = 200


@dataclass(frozen=True, slots=True, kw_only=True)
class EngineDifference:
    """A range in which the engine (or its counters) and the ledger disagree; base units."""

    metric: UsageMetric
    starts_ns: int
    ends_ns: int
    engine: int
    ledger: int


async def engine_differences(tx: Transaction, account_id: AccountId, range_: Period) -> list[EngineDifference]:
    """Of whole hours in the range, and of runs that ended in it."""
    values = {
        "account_id": account_id,
        "starts_at": range_.starts_at,
        "ends_at": range_.ends_at,
        "from_ns": to_ns(range_.starts_at),
        "until_ns": to_ns(range_.ends_at),
        "hour": NS_PER_HOUR,
        "limit": DIFFERENCES_MAX,
    }
    hours = await (await tx.execute(_HOURS, values)).fetchall()
    runs = await (await tx.execute(_RUNS, values)).fetchall()
    found = [
        EngineDifference(
            metric=UsageMetric.COMPUTE_HOURS,
            starts_ns=starts_ns,
            ends_ns=starts_ns + NS_PER_HOUR,
            engine=int(engine),
            ledger=int(ledger),
        )
        for starts_ns, engine, ledger in hours
    ]
    return found + [
        EngineDifference(metric=metric, starts_ns=starts_ns, ends_ns=ends_ns, engine=int(engine), ledger=int(ledger))
        for metric, starts_ns, ends_ns, engine, ledger in runs
    ]


async def last_closed_at(tx: Transaction, account_id: AccountId, period: Period) -> datetime | None:
    cursor = await tx.execute(
        "SELECT max(closed_at) FROM usage_records WHERE account_id = %s AND period_start >= %s AND period_start < %s",
        (account_id, period.starts_at, period.ends_at),
    )
    row = await cursor.fetchone()
    return None if row is None else row[0]


async def accounts_to_compare(tx: Transaction, *, before: datetime, limit: int) -> list[AccountId]:
    """Accounts of Stripe not compared since, the one compared longest ago first."""
    cursor = await tx.execute(_TO_COMPARE, (before, limit))
    return [AccountId(row[0]) for row in await cursor.fetchall()]


async def save_comparison(
    tx: Transaction, account_id: AccountId, wall: datetime, differences: Sequence[dict[str, Any]]
) -> None:
    """The last comparison of an account, in place of the one before."""
    await tx.execute(
        "INSERT INTO usage_comparisons (account_id, compared_at, differences) VALUES (%s, %s, %s)"
        " ON CONFLICT (account_id) DO UPDATE SET compared_at = excluded.compared_at,"
        " differences = excluded.differences",
        (account_id, wall, Jsonb(list(differences))),
    )


async def kept_differences(tx: Transaction, limit: int) -> tuple[datetime | None, list[dict[str, Any]]]:
    """When the account compared longest ago was, and what the last comparisons found."""
    cursor = await tx.execute("SELECT min(compared_at) FROM usage_comparisons")
    row = await cursor.fetchone()
    cursor = await tx.execute(
        "SELECT d FROM usage_comparisons c, jsonb_array_elements(c.differences) AS d"
        " ORDER BY c.account_id, d ->> 'startsAt' LIMIT %s",
        (limit,),
    )
    return (None if row is None else row[0]), [one for (one,) in await cursor.fetchall()]

"""SQL of the first hop: what the engine and the counters say, beside what the ledger holds; and of comparisons kept.

Compute is compared exactly (the engine's own start and finish against the pieces of each hour), and so are bytes (the
highest counter seen of a run that is over) and storage (each size that the engine told, held to the next one, against
the pieces of each hour). How a volume grew between two sizes the engine does not know either: the rule is compared, not
the truth in between. Memory is only bounded: never above the run's peak times its length. Time that a host's clock
jumped over counts nowhere, nor does what ran while its service was held for payment; what a service used at another
owner is that owner's.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal
from typing import Any

from psycopg.types.json import Jsonb

from helvetia.database.pool import Transaction
from helvetia.kernel.clock import from_ns, to_ns
from helvetia.kernel.identity import AccountId
from helvetia.kernel.period import HOUR, Period, floor_hour
from helvetia.kernel.quantity import NS_PER_HOUR, UsageMetric
from helvetia.metering.windows.store_steps import uncounted_ns

# The pieces of whole closed hours; `told` is what the engine says of the same hours.
_AGAINST_PIECES = """
    counted AS (
        SELECT floor(extract(epoch FROM u.period_start) / 3600)::bigint * %(hour)s AS starts_ns,
            sum(u.quantity) AS quantity, bool_or(u.closed_at IS NULL) AS is_open
        FROM usage_records u
        WHERE u.account_id = %(account_id)s AND u.metric = '{metric}' AND NOT starts_with(u.incarnation, 'record:')
            AND u.period_start >= %(starts_at)s AND u.period_start < %(ends_at)s
        GROUP BY 1
    )
    SELECT starts_ns, coalesce(told.quantity, 0), coalesce(counted.quantity, 0)
    FROM told FULL JOIN counted USING (starts_ns)
    WHERE coalesce(told.quantity, 0) <> coalesce(counted.quantity, 0) AND NOT coalesce(counted.is_open, false)
    ORDER BY starts_ns LIMIT %(limit)s
"""
_COMPUTE = f"""
    WITH ran AS (
        SELECT h AS hour_ns, r.account_id, r.service_id, r.node, greatest(r.started_ns, h) AS starts_ns,
            least(coalesce(r.finished_ns, r.seen_ns), h + %(hour)s) AS ends_ns,
            coalesce(r.finished_ns, r.seen_ns) AS life_end_ns
        FROM generate_series(%(from_ns)s::bigint, %(until_ns)s::bigint - 1, %(hour)s) AS h
        JOIN container_runs r ON r.account_id = %(account_id)s AND r.started_ns < h + %(hour)s
            AND coalesce(r.finished_ns, r.seen_ns) > h
    ), told AS (
        SELECT hour_ns AS starts_ns, sum(ends_ns - starts_ns
            - {uncounted_ns("ran", starts="ran.starts_ns", ends="ran.ends_ns", until="ran.life_end_ns")}) AS quantity
        FROM ran GROUP BY hour_ns
    ), {_AGAINST_PIECES.format(metric="COMPUTE_HOURS")}
"""
# Sizes of each layer and volume, the last one before the range too; of a part, the one that its former owner saw last.
_STORAGE = f"""
    WITH holders AS (
        SELECT account_id, service_id, holder, of_holder, node, first_ns,
            greatest(first_ns, coalesce(gone_ns, seen_ns)) AS until_ns
        FROM storage_holders WHERE account_id = %(account_id)s AND first_ns < %(until_ns)s
            AND coalesce(gone_ns, seen_ns) > %(from_ns)s
    ), sizes AS (
        SELECT h.service_id, h.holder, r.sampled_ns, r.size_bytes FROM holders h
        JOIN storage_readings r USING (account_id, service_id, holder)
        WHERE r.sampled_ns >= %(from_ns)s AND r.sampled_ns < %(until_ns)s
        UNION ALL
        SELECT h.service_id, h.holder, before.sampled_ns, before.size_bytes FROM holders h CROSS JOIN LATERAL (
            SELECT r.sampled_ns, r.size_bytes FROM storage_readings r
            WHERE r.account_id = h.account_id AND r.service_id = h.service_id AND r.holder = h.holder
                AND r.sampled_ns < %(from_ns)s ORDER BY r.sampled_ns DESC LIMIT 1) AS before
        UNION ALL
        SELECT h.service_id, h.holder, former.sampled_ns, former.size_bytes FROM holders h
        JOIN storage_holders o ON o.service_id = h.service_id AND coalesce(o.of_holder, o.holder) = h.of_holder
            AND o.owned_until_ns <= h.first_ns
        CROSS JOIN LATERAL (
            SELECT r.sampled_ns, r.size_bytes FROM storage_readings r
            WHERE r.account_id = o.account_id AND r.service_id = o.service_id AND r.holder = o.holder
                AND r.sampled_ns <= h.first_ns ORDER BY r.sampled_ns DESC LIMIT 1) AS former
    ), held AS (
        SELECT h.node, s.size_bytes, h.until_ns AS life_end_ns,
            greatest(s.sampled_ns, h.first_ns, %(from_ns)s) AS starts_ns,
            least(lead(s.sampled_ns) OVER (PARTITION BY h.service_id, h.holder ORDER BY s.sampled_ns), h.until_ns,
                %(until_ns)s) AS ends_ns
        FROM sizes s JOIN holders h USING (service_id, holder)
    ), by_hour AS (
        SELECT h AS hour_ns, node, size_bytes, life_end_ns, greatest(starts_ns, h) AS starts_ns,
            least(ends_ns, h + %(hour)s) AS ends_ns
        FROM held CROSS JOIN LATERAL
            generate_series(starts_ns - mod(starts_ns, %(hour)s::bigint), ends_ns - 1, %(hour)s) AS h
        WHERE starts_ns < ends_ns
    ), told AS (
        SELECT hour_ns AS starts_ns, sum(size_bytes::numeric * (ends_ns - starts_ns
            - {uncounted_ns("b", starts="b.starts_ns", ends="b.ends_ns", until="b.life_end_ns", is_run=False)}
            )) AS quantity
        FROM by_hour b GROUP BY hour_ns
    ), {_AGAINST_PIECES.format(metric="STORAGE_GB")}
"""
# Bytes of runs that are over and closed: the highest counter seen against the pieces; and memory never above its peak,
# but for parts of a run whose first level another owner saw, and for runs whose first readings are gone.
_RUNS = """
    WITH runs AS (
        SELECT service_id, incarnation, started_ns, finished_ns, base_bytes,
            coalesce(counts_external, false) AS is_external, run_started_ns IS NULL
                AND finished_ns IS DISTINCT FROM owned_until_ns
                AND started_ns >= (SELECT readings_from_ns FROM metering_horizon) AS is_whole
        FROM container_runs
        WHERE account_id = %(account_id)s AND closed_at IS NOT NULL AND finished_ns >= %(from_ns)s
            AND finished_ns < %(until_ns)s
    ), read AS (
        SELECT r.service_id, r.incarnation, max(CASE WHEN n.is_external THEN r.external_bytes
            ELSE r.transmitted_bytes END) AS sent, max(r.memory_bytes) AS memory
        FROM runs n JOIN container_readings r ON r.account_id = %(account_id)s
            AND r.service_id = n.service_id AND r.incarnation = n.incarnation
            AND r.sampled_ns BETWEEN n.started_ns AND n.finished_ns
        GROUP BY r.service_id, r.incarnation
    ), counted AS (
        SELECT u.service_id, u.incarnation, sum(u.quantity) FILTER (WHERE u.metric = 'BANDWIDTH_GB') AS sent,
            sum(u.quantity) FILTER (WHERE u.metric = 'MEMORY_GB_HOURS') AS memory
        FROM runs n JOIN usage_records u ON u.account_id = %(account_id)s
            AND u.service_id = n.service_id AND u.incarnation = n.incarnation
        GROUP BY u.service_id, u.incarnation
    ), known AS (
        SELECT n.*, greatest(coalesce(r.sent, 0) - n.base_bytes, 0) AS sent, coalesce(c.sent, 0) AS counted_sent,
            coalesce(r.memory, 0)::numeric * (n.finished_ns - n.started_ns) AS memory_max,
            coalesce(c.memory, 0) AS counted_memory
        FROM runs n LEFT JOIN read r USING (service_id, incarnation) LEFT JOIN counted c USING (service_id, incarnation)
    )
    SELECT 'BANDWIDTH_GB'::usage_metric, started_ns, finished_ns, sent, counted_sent FROM known
    WHERE sent <> counted_sent AND started_ns >= (SELECT readings_from_ns FROM metering_horizon)
    UNION ALL
    SELECT 'MEMORY_GB_HOURS'::usage_metric, started_ns, finished_ns, memory_max, counted_memory FROM known
    WHERE counted_memory > memory_max AND is_whole
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
    row = await (await tx.execute("SELECT readings_from_ns FROM metering_horizon")).fetchone()
    hours = {UsageMetric.COMPUTE_HOURS: (_COMPUTE, range_)}
    # Sizes before the horizon are gone; what was counted of them stands.
    sized_from = max(range_.starts_at, floor_hour(from_ns(row[0] if row else 0)) + HOUR)
    if sized_from < range_.ends_at:
        hours[UsageMetric.STORAGE_GB] = _STORAGE, Period(starts_at=sized_from, ends_at=range_.ends_at)
    found: list[EngineDifference] = []
    for metric, (statement, compared) in hours.items():
        cursor = await tx.execute(statement, _values(account_id, compared))
        found += [
            _difference(metric, starts_ns, starts_ns + NS_PER_HOUR, engine, ledger)
            for starts_ns, engine, ledger in await cursor.fetchall()
        ]
    cursor = await tx.execute(_RUNS, _values(account_id, range_))
    return found + [_difference(*row) for row in await cursor.fetchall()]


def _values(account_id: AccountId, range_: Period) -> dict[str, object]:
    return {
        "account_id": account_id,
        "starts_at": range_.starts_at,
        "ends_at": range_.ends_at,
        "from_ns": to_ns(range_.starts_at),
        "until_ns": to_ns(range_.ends_at),
        "hour": NS_PER_HOUR,
        "limit": DIFFERENCES_MAX,
    }


def _difference(
    metric: UsageMetric, starts_ns: int, ends_ns: int, engine: Decimal, ledger: Decimal
) -> EngineDifference:
    return EngineDifference(metric=metric, starts_ns=starts_ns, ends_ns=ends_ns, engine=int(engine), ledger=int(ledger))


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

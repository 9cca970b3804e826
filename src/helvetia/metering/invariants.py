"""What must always hold of runs, readings and the ledger: SQL that returns nothing, or the rows that break it.

Each rule is safe to run on a live system: what is still being counted is left out.
"""

from collections.abc import Mapping, Sequence
from typing import Any

from psycopg.rows import dict_row

from helvetia.database.pool import Transaction
from helvetia.metering.windows.store_steps import uncounted_ns

BROKEN_SHOWN_MAX = 20

_PIECES = """
SELECT account_id, service_id, incarnation, metric, period_start, sum(quantity) AS quantity,
    (array_agg(period_end ORDER BY revision DESC))[1] AS period_end
FROM usage_records WHERE NOT starts_with(incarnation, 'record:')
GROUP BY account_id, service_id, incarnation, metric, period_start
"""

# A piece that a late boundary emptied, before its life began or after it ended, has no neighbours to meet.
_LIVED_PIECES = f"""
SELECT p.* FROM ({_PIECES}) AS p JOIN (
    SELECT account_id, service_id, incarnation, started_ns AS starts_ns, coalesce(finished_ns, seen_ns) AS ends_ns
    FROM container_runs
    UNION ALL
    SELECT account_id, service_id, holder, first_ns, coalesce(gone_ns, seen_ns) FROM storage_holders
) AS life USING (account_id, service_id, incarnation)
WHERE extract(epoch FROM p.period_end) * 1000000000 > life.starts_ns
  AND extract(epoch FROM p.period_start) * 1000000000 < life.ends_ns
"""

_NEIGHBOURS = """
SELECT *, lead(period_start) OVER (PARTITION BY account_id, service_id, incarnation, metric ORDER BY period_start)
    AS next_start
FROM ({}) AS piece
"""

_ROLLED = """
SELECT account_id, service_id, metric, {unit}, u.quantity AS rolled_up, raw.quantity AS recorded FROM usage_{unit}s u
FULL JOIN (
    SELECT account_id, service_id, metric, sum(quantity) AS quantity,
        (date_trunc('{unit}', period_start, 'UTC') AT TIME ZONE 'UTC')::date AS {unit}
    FROM usage_records GROUP BY 1, 2, 3, 5
) AS raw USING (account_id, service_id, metric, {unit})
WHERE coalesce(u.quantity, 0) <> coalesce(raw.quantity, 0)
"""

INVARIANTS: Mapping[str, str] = {
    "pieces of a life do not overlap": f"""
        SELECT * FROM ({_NEIGHBOURS.format(_PIECES)}) AS n WHERE next_start < period_end
    """,
    "pieces of a life leave no gap": f"""
        SELECT * FROM ({_NEIGHBOURS.format(_LIVED_PIECES)}) AS n WHERE next_start > period_end
    """,
    "no piece is negative": f"SELECT * FROM ({_PIECES}) AS p WHERE quantity < 0",
    "a piece lies in one hour": f"""
        SELECT * FROM ({_PIECES}) AS p
        WHERE date_trunc('hour', period_end - interval '1 microsecond', 'UTC') > date_trunc('hour', period_start, 'UTC')
    """,
    "compute of a whole run is its finish minus its start, but for what its clock jumped over or payment held": f"""
        SELECT r.account_id, r.incarnation, r.lived_ns, coalesce(u.quantity, 0) AS counted
        FROM (
            SELECT account_id, service_id, incarnation, closed_at, finished_ns - started_ns
                - {uncounted_ns("run", starts="run.started_ns", ends="run.finished_ns", until="run.finished_ns")}
                AS lived_ns
            FROM container_runs run
        ) AS r LEFT JOIN (
            SELECT account_id, service_id, incarnation, sum(quantity) AS quantity FROM usage_records
            WHERE metric = 'COMPUTE_HOURS' GROUP BY account_id, service_id, incarnation
        ) AS u USING (account_id, service_id, incarnation)
        WHERE r.closed_at IS NOT NULL AND coalesce(u.quantity, 0) <> r.lived_ns
    """,
    "bandwidth of a whole run is its highest counter": """
        SELECT r.account_id, r.incarnation, c.counter, coalesce(u.quantity, 0) AS counted
        FROM container_runs r JOIN LATERAL (
            SELECT max(CASE WHEN r.counts_external THEN g.external_bytes ELSE g.transmitted_bytes END) AS counter
            FROM container_readings g
            WHERE g.account_id = r.account_id AND g.service_id = r.service_id AND g.incarnation = r.incarnation
              AND g.sampled_ns BETWEEN r.started_ns AND r.finished_ns
        ) AS c ON true LEFT JOIN (
            SELECT account_id, service_id, incarnation, sum(quantity) AS quantity FROM usage_records
            WHERE metric = 'BANDWIDTH_GB' GROUP BY account_id, service_id, incarnation
        ) AS u USING (account_id, service_id, incarnation)
        WHERE r.closed_at IS NOT NULL
          AND coalesce(u.quantity, 0) <> greatest(coalesce(c.counter, 0) - r.base_bytes, 0)
          AND r.started_ns >= (SELECT readings_from_ns FROM metering_horizon)
    """,
    "the bytes kept with a run are those of its pieces until then": """
        SELECT r.account_id, r.incarnation, r.counted_bytes, coalesce(sum(u.quantity), 0) AS counted
        FROM container_runs r LEFT JOIN usage_records u ON u.account_id = r.account_id AND u.service_id = r.service_id
            AND u.incarnation = r.incarnation AND u.metric = 'BANDWIDTH_GB' AND u.period_start < r.counted_until
        WHERE r.counted_until IS NOT NULL GROUP BY r.account_id, r.service_id, r.incarnation
        HAVING r.counted_bytes <> coalesce(sum(u.quantity), 0)
    """,
    "the last stretch held for payment is open as long as the hold is there": """
        SELECT h.account_id, h.service_id, h.placed_at, p.starts_ns FROM (
            SELECT * FROM service_holds WHERE cause = 'payment'
        ) AS h FULL JOIN (SELECT * FROM payment_hold_stretches WHERE ends_ns IS NULL) AS p
            USING (account_id, service_id)
        WHERE h.placed_at IS NULL OR p.starts_ns IS NULL
    """,
    "no piece of a whole run crosses a boundary": f"""
        SELECT p.*, c.cut_at FROM ({_PIECES}) AS p
        JOIN metering_cuts c ON c.account_id = p.account_id AND c.cut_at > p.period_start AND c.cut_at < p.period_end
        JOIN container_runs r ON r.account_id = p.account_id AND r.service_id = p.service_id
            AND r.incarnation = p.incarnation
        WHERE r.closed_at IS NOT NULL
          AND extract(epoch FROM p.period_start) * 1000000000 >= (SELECT readings_from_ns FROM metering_horizon)
    """,
    # A clock that was set back lives some time twice; what it says then is no measure.
    "no row is closed before it ends": """
        SELECT * FROM usage_records u WHERE closed_at < period_end AND NOT EXISTS (
            SELECT FROM metering_clock_steps s WHERE s.step_ns < 0
                AND extract(epoch FROM u.closed_at) * 1000000000
                    BETWEEN s.stepped_to_ns AND s.stepped_to_ns - s.step_ns)
    """,
    "usage belongs to a service of its account": """
        SELECT u.* FROM usage_records u LEFT JOIN services s USING (account_id, service_id)
        WHERE s.service_id IS NULL
    """,
    "a run is never seen after its finish or before its start": """
        SELECT * FROM container_runs WHERE seen_ns > finished_ns OR seen_ns < started_ns
    """,
    "one run has one owner": """
        SELECT incarnation, count(*) FROM container_runs GROUP BY incarnation HAVING count(*) > 1
    """,
    "the parts of a run with several owners do not overlap": """
        SELECT next.account_id, next.incarnation, p.account_id AS former_id FROM container_runs next
        JOIN container_runs p ON p.container_id = next.container_id AND p.started_ns < next.started_ns
            AND coalesce(p.run_started_ns, p.started_ns) = next.run_started_ns
        WHERE coalesce(p.finished_ns, p.seen_ns) > next.started_ns
    """,
    "usage by day is the sum of its records": _ROLLED.format(unit="day"),
    "usage by month is the sum of its records": _ROLLED.format(unit="month"),
    "what a holder holds is its latest reading": """
        SELECT h.account_id, h.holder, h.sized_ns, h.size_bytes, r.sampled_ns AS read_ns, r.size_bytes AS read_bytes
        FROM storage_holders h CROSS JOIN LATERAL (
            SELECT r.sampled_ns, r.size_bytes FROM storage_readings r
            WHERE r.account_id = h.account_id AND r.service_id = h.service_id AND r.holder = h.holder
            ORDER BY r.sampled_ns DESC LIMIT 1) AS r
        WHERE h.gone_ns IS NULL AND (h.sized_ns, h.size_bytes) IS DISTINCT FROM (r.sampled_ns, r.size_bytes)
    """,
    "only a life that has ended is whole": """
        SELECT account_id, incarnation FROM container_runs WHERE closed_at IS NOT NULL AND finished_ns IS NULL
        UNION ALL SELECT account_id, holder FROM storage_holders WHERE closed_at IS NOT NULL AND gone_ns IS NULL
    """,
}


async def broken_invariants(tx: Transaction) -> Mapping[str, Sequence[Mapping[str, Any]]]:
    """The rules that do not hold, each with the first rows that break it; empty when all is well."""
    broken: dict[str, Sequence[Mapping[str, Any]]] = {}
    for rule, sql in INVARIANTS.items():
        async with tx.cursor(row_factory=dict_row) as cursor:
            await cursor.execute(f"SELECT * FROM ({sql}) AS broken LIMIT {BROKEN_SHOWN_MAX}")
            rows = await cursor.fetchall()
        if rows:
            broken[rule] = rows
    return broken

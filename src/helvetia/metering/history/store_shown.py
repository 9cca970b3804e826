"""All SQL of figures that are shown and not billed: the counters of each run at the edges of a range.

A run costs three short looks into its readings, by their key, however many readings it has.
"""

from psycopg.rows import class_row

from helvetia.database.pool import Transaction
from helvetia.kernel.clock import to_ns
from helvetia.kernel.identity import AccountId, ServiceId
from helvetia.kernel.period import Period
from helvetia.metering.history.model import RunCounters, ShownFigures
from helvetia.metering.history.shown import RUNS_MAX, sum_runs
from helvetia.metering.store import readings_from_ns

_NEAR_EDGE = 20
"""Readings looked at on each side of an edge: one of them tells what the very last left out."""

_COUNTERS = ("cpu_ns", "received_bytes", "transmitted_bytes", "external_bytes")


def _at_edge(name: str, within: str, order: str, pick: str) -> str:
    picked = ", ".join(f"{pick}({one}) AS {one}" for one in (*_COUNTERS, "memory_peak_bytes"))
    return f"""LEFT JOIN LATERAL (
    SELECT {picked} FROM (
        SELECT * FROM container_readings c
        WHERE c.account_id = r.account_id AND c.service_id = r.service_id AND c.incarnation = r.incarnation AND {within}
        ORDER BY c.sampled_ns {order} LIMIT {_NEAR_EDGE}
    ) AS near
) AS {name} ON true"""


_RUN_COUNTERS = f"""
SELECT r.started_ns, r.run_started_ns, coalesce(r.finished_ns, r.seen_ns) AS lived_until_ns, last.memory_peak_bytes,
    last.cpu_ns, before.cpu_ns AS cpu_before_ns, first.cpu_ns AS cpu_first_ns,
    last.received_bytes, before.received_bytes AS received_before_bytes, first.received_bytes AS received_first_bytes,
    last.transmitted_bytes, before.transmitted_bytes AS transmitted_before_bytes,
    first.transmitted_bytes AS transmitted_first_bytes,
    last.external_bytes, before.external_bytes AS external_before_bytes, first.external_bytes AS external_first_bytes
FROM (
    SELECT * FROM container_runs
    WHERE account_id = %(account_id)s AND service_id = %(service_id)s
        AND started_ns < %(ends_ns)s AND coalesce(finished_ns, seen_ns) >= %(starts_ns)s
    ORDER BY coalesce(finished_ns, seen_ns) DESC, incarnation LIMIT %(limit)s
) AS r
{_at_edge("last", "c.sampled_ns >= %(starts_ns)s AND c.sampled_ns < %(ends_ns)s", "DESC", "max")}
{_at_edge("before", "c.sampled_ns >= r.started_ns AND c.sampled_ns < %(starts_ns)s", "DESC", "max")}
{_at_edge("first", "c.sampled_ns >= %(starts_ns)s AND c.sampled_ns < %(ends_ns)s", "ASC", "min")}
ORDER BY lived_until_ns DESC, r.incarnation
"""


async def shown_figures(tx: Transaction, account_id: AccountId, service_id: ServiceId, period: Period) -> ShownFigures:
    """What the readings that are still kept tell of a range."""
    kept_from_ns = await readings_from_ns(tx)
    values = {
        "account_id": account_id,
        "service_id": service_id,
        "starts_ns": max(to_ns(period.starts_at), kept_from_ns),
        "ends_ns": to_ns(period.ends_at),
        "limit": RUNS_MAX + 1,
    }
    async with tx.cursor(row_factory=class_row(RunCounters)) as cursor:
        await cursor.execute(_RUN_COUNTERS, values)
        return sum_runs(await cursor.fetchall(), period, kept_from_ns)

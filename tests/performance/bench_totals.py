"""How long the totals of an unaligned period take on a ledger with a year of hours, beside the plain sum of its rows.

One account has 10 services with hour pieces of four metrics over 365 days, thousands of gaps, and runs, most of them
over. Each read is `totals()` as pages and bills use it, in its own transaction, of a period that begins and ends
inside hours; the bare equivalent is one SELECT sum(quantity) over the same rows. Both must agree to the last unit.
`counted bytes` is what a pass of counting asks of the past of ten runs that are a year old: the first time it sums
their pieces, then it goes on from where the last pass was.
"""

import asyncio
import json
import os
from datetime import datetime, timedelta
from itertools import pairwise
from statistics import median, quantiles
from uuid import UUID

from loads import CLOCK

from helvetia.accounts.service import AccountService
from helvetia.database.enums import DATABASE_ENUMS
from helvetia.database.partitions import keep_partitions
from helvetia.database.pool import Database
from helvetia.kernel.clock import to_ns
from helvetia.kernel.identity import AccountId, ServiceId
from helvetia.kernel.period import Period, floor_hour
from helvetia.kernel.quantity import NS_PER_HOUR, UsageMetric
from helvetia.metering import store, store_pieces
from helvetia.metering.retention.store import LEDGER
from helvetia.subscriptions.service import SubscriptionHooks
from support.databases import cloned_database, running_server

SERVICES, DAYS = 10, 365
GAPS, RUNS = 20_000, 5_000
READS = 200

_PIECES = """
INSERT INTO usage_records (id, account_id, service_id, metric, incarnation, revision, quantity, "timestamp",
    period_start, period_end, closed_at, reading_count)
SELECT gen_random_uuid(), %(account_id)s, md5(%(account_id)s::text || service)::uuid, metric, 'c:1', 0,
    1000000007 + service, at, at, at + interval '1 hour', at + interval '1 hour', 60
FROM generate_series(%(from)s::timestamptz, %(to)s::timestamptz - interval '1 hour', interval '1 hour') AS at,
    generate_series(1, %(services)s) AS service, unnest(enum_range(NULL::usage_metric)) AS metric
"""

_FINDINGS = """
INSERT INTO metering_findings (account_id, service_id, incarnation, kind, cause, starts_ns, ends_ns, recorded_at)
SELECT %(account_id)s, %(service_id)s, 'c:' || n, 'gap', 'no_reading', %(from_ns)s + n * %(step_ns)s,
    %(from_ns)s + n * %(step_ns)s + 60000000000, %(now)s FROM generate_series(1, %(count)s) AS n
"""

_RUNS = """
INSERT INTO container_runs (account_id, service_id, incarnation, container_id, node, started_ns, finished_ns, seen_ns,
    restart_count, final_until_ns, closed_at)
SELECT %(account_id)s, %(service_id)s, 'r' || n, 'r' || n, 'n', %(from_ns)s, CASE WHEN n > 20 THEN %(now_ns)s END,
    %(now_ns)s, 0, %(now_ns)s, CASE WHEN n > 20 THEN %(now)s::timestamptz END FROM generate_series(1, %(count)s) AS n
"""


_OLD_RUNS = """
INSERT INTO container_runs (account_id, service_id, incarnation, container_id, node, started_ns, seen_ns, restart_count)
SELECT %(account_id)s, service_id, 'c:1', service_id, 'n', %(from_ns)s, %(from_ns)s, 0
FROM (SELECT DISTINCT service_id FROM usage_days WHERE account_id = %(account_id)s) AS s RETURNING service_id
"""


async def run() -> dict[str, object]:
    """The figures."""
    with running_server(is_durable=True) as server_url, cloned_database(server_url) as database_url:
        database = Database(database_url, enums=DATABASE_ENUMS)
        await database.open()
        try:
            until = floor_hour(CLOCK.now())
            account_id = await _fill(database, until)
            return {**await _read(database, account_id, until), "load_at_end": round(os.getloadavg()[0], 1)}
        finally:
            await database.close()


async def _fill(database: Database, until: datetime) -> AccountId:
    user = await AccountService(database, CLOCK, SubscriptionHooks(CLOCK)).create_user("year@example.com")
    for month in range(14):
        async with database.transaction() as tx:
            await keep_partitions(tx, LEDGER, until - timedelta(days=30 * month))
    await _fill_pieces(database, user.account_id, until)
    from_ns = to_ns(until - timedelta(days=DAYS))
    values = {
        "account_id": user.account_id,
        "service_id": UUID(int=1),
        "from_ns": from_ns,
        "now_ns": to_ns(until),
        "now": until,
    }
    async with database.transaction() as tx:
        await tx.execute(_FINDINGS, {**values, "count": GAPS, "step_ns": DAYS * 24 * NS_PER_HOUR // GAPS})
        await tx.execute(_RUNS, {**values, "count": RUNS})
        await tx.execute("ANALYZE")
    return user.account_id


async def _fill_pieces(database: Database, account_id: AccountId, until: datetime) -> None:
    """Ten days a statement: the roll-up triggers add up each statement's rows at once."""
    starts_at = until - timedelta(days=DAYS)
    while starts_at < until:
        ends_at = min(starts_at + timedelta(days=10), until)
        values = {"account_id": account_id, "services": SERVICES, "from": starts_at, "to": ends_at}
        async with database.transaction() as tx:
            await tx.execute("SET LOCAL statement_timeout = 0")
            await tx.execute(_PIECES, values)
        starts_at = ends_at


async def _read(database: Database, account_id: AccountId, until: datetime) -> dict[str, object]:
    odd = timedelta(hours=7, minutes=13, seconds=5)
    year = Period(starts_at=until - timedelta(days=DAYS) + odd, ends_at=until - odd / 2)
    month = Period(starts_at=until - timedelta(days=200) + odd, ends_at=until - timedelta(days=170) - odd)
    found: dict[str, object] = {"ledger_rows": SERVICES * DAYS * 24 * len(UsageMetric), "gaps": GAPS, "runs": RUNS}
    for name, period in (("year", year), ("month", month)):
        took_ms, bare_ms = [], []
        for _ in range(READS):
            began_s = CLOCK.monotonic()
            async with database.transaction() as tx:
                told = (await store.totals(tx, account_id, period)).quantities
            took_ms.append((CLOCK.monotonic() - began_s) * 1000)
        for _ in range(5):
            began_s = CLOCK.monotonic()
            assert await _plain_sum(database, account_id, period) == told
            bare_ms.append((CLOCK.monotonic() - began_s) * 1000)
        found |= {
            f"{name}_p50_ms": round(median(took_ms), 1),
            f"{name}_p99_ms": round(quantiles(took_ms, n=100)[98], 1),
        }
        found |= {f"{name}_p99_ms_bound": 20, f"{name}_plain_sum_ms": round(median(bare_ms))}
    return {**found, **await _counted_bytes(database, account_id, until)}


async def _plain_sum(database: Database, account_id: AccountId, period: Period) -> dict[UsageMetric, int]:
    async with database.transaction() as tx:
        cursor = await tx.execute(
            """SELECT metric, sum(quantity) FROM usage_records
               WHERE account_id = %s AND period_start >= %s AND period_start < %s GROUP BY metric""",
            (account_id, period.starts_at, period.ends_at),
        )
        return {metric: int(quantity) for metric, quantity in await cursor.fetchall()}


async def _counted_bytes(database: Database, account_id: AccountId, until: datetime) -> dict[str, object]:
    async with database.transaction() as tx:
        cursor = await tx.execute(_OLD_RUNS, {"account_id": account_id, "from_ns": to_ns(until - timedelta(days=DAYS))})
        services = [ServiceId(service_id) for (service_id,) in await cursor.fetchall()]
    took_ms, told = [], []
    for hour in range(20):
        ends_ns = to_ns(until) - (20 - hour) * NS_PER_HOUR
        windows = {(one, "c:1"): (to_ns(until - timedelta(days=DAYS)), ends_ns) for one in services}
        began_s = CLOCK.monotonic()
        async with database.transaction() as tx:
            told.append(sum((await store_pieces.counted_bytes(tx, account_id, windows)).values()))
        took_ms.append((CLOCK.monotonic() - began_s) * 1000)
    assert all(later > former for former, later in pairwise(told))
    first, *later = took_ms
    return {"counted_bytes_first_ms": round(first), "counted_bytes_next_ms": round(median(later), 1)}


if __name__ == "__main__":
    print(json.dumps(asyncio.run(run()), indent=2, default=str))

"""How fast the overview (50 services) and the usage explorer (100) show 90 days, and what 200 open pages cost.

Both are asked open-loop over the real API process and timed to their last byte, the explorer beside the bare statement
that its figures come from. Then 200 pages of one account listen while pieces are written every few seconds: how long
until the last page has them, and by how much the process grows. The load generator and the database share the cores.
"""

import asyncio
import gzip
import json
import os
import tempfile
from contextlib import AsyncExitStack
from datetime import datetime, timedelta
from pathlib import Path
from statistics import median, quantiles
from uuid import UUID, uuid4

import aiohttp
import psycopg
from bench_subscription_page import until_ready
from loads import CLOCK, open_loop

from helvetia.accounts.service import AccountService
from helvetia.database.enums import DATABASE_ENUMS
from helvetia.database.partitions import keep_partitions
from helvetia.database.pool import Database
from helvetia.kernel.identity import AccountId
from helvetia.kernel.period import floor_hour
from helvetia.metering.retention.store import LEDGER
from helvetia.subscriptions.service import SubscriptionHooks
from support.databases import cloned_database, running_server
from support.processes import running_command
from support.sandbox_process import free_port, running_sandbox
from support.whole_house import sandbox_variables

SERVICES, OVERVIEW_SERVICES, DAYS = 100, 50, 90
PAGES_PER_S, LASTS_S, ROUNDS = 2, 15.0, 5
LISTENERS, CHANGES, CHANGE_EVERY_S = 200, 6, 6.0
ANSWER_WITHIN_S = 120

_FILL = """
    INSERT INTO usage_records (id, account_id, service_id, metric, incarnation, revision, quantity, "timestamp",
        period_start, period_end, closed_at, reading_count)
    SELECT gen_random_uuid(), %(account_id)s, md5(%(account_id)s::text || service)::uuid, metric, %(incarnation)s, 0,
        1000000007 + service, at, at, at + interval '1 hour', at + interval '1 hour', 60
    FROM generate_series(%(from)s::timestamptz, %(to)s::timestamptz - interval '1 hour', %(step)s::interval) AS at,
        generate_series(1, %(services)s) AS service, unnest(enum_range(NULL::usage_metric)) AS metric
"""
_SERVE = """
    INSERT INTO services (account_id, service_id, name, image, memory_mb, cpu_cores, replicas, wish, status, status_at,
        created_at, updated_at)
    SELECT %(account_id)s, md5(%(account_id)s::text || service)::uuid, 'service-' || service, 'demo', 64, 0.1, 1,
        'running', 'running', %(from)s, %(from)s, %(from)s
    FROM generate_series(1, %(services)s) AS service
"""
_BARE = """
    SELECT day, service_id, metric, quantity FROM usage_days
    WHERE account_id = %(account_id)s AND day >= %(from)s::date AND day < %(to)s::date ORDER BY day, service_id, metric
"""


async def run() -> dict[str, object]:
    with (
        running_sandbox() as sandbox_url,
        running_server(is_durable=True) as server_url,
        cloned_database(server_url) as database_url,
    ):
        until, port = floor_hour(CLOCK.now()), free_port()
        overview_token = (await fill(database_url, until, OVERVIEW_SERVICES))[1]
        account_id, token = await fill(database_url, until, SERVICES)
        with tempfile.TemporaryDirectory() as directory:
            environment = {
                **await sandbox_variables(sandbox_url, f"sk_test_{uuid4().hex}"),
                "DATABASE_URL": database_url,
                "CONTAINER_HOST": "process",
                "PORT": str(port),
                "DATA_DIRECTORY": str(Path(directory) / "data"),
            }
            async with running_command("api", environment) as api:
                await until_ready(port)
                base, timeout = f"http://127.0.0.1:{port}", aiohttp.ClientTimeout(total=ANSWER_WITHIN_S)
                headers = {"Authorization": f"Bearer {token}"}
                connector = aiohttp.TCPConnector(limit=LISTENERS + 20)
                async with aiohttp.ClientSession(base, headers=headers, timeout=timeout, connector=connector) as client:
                    figures = await overview(client, overview_token)
                    figures |= await explorer(client, until)
                    bare_ms = bare(database_url, account_id, until)
                    figures |= {"bare_statement_ms": round(bare_ms, 1)}
                    figures |= await listeners(client, database_url, account_id, api.pid)
    return {**figures, "cores": os.cpu_count(), "load_at_end": round(os.getloadavg()[0], 1)}


async def fill(database_url: str, until: datetime, services: int) -> tuple[AccountId, str]:
    """An account whose services have a piece a day, which makes the same rows by day as hour pieces do."""
    database = Database(database_url, enums=DATABASE_ENUMS)
    await database.open()
    accounts = AccountService(database, CLOCK, SubscriptionHooks(CLOCK))
    user = await accounts.create_user(f"{services}@example.com")
    token = await accounts.create_token(user.account_id, "bench")
    for month in range(5):
        async with database.transaction() as tx:
            await keep_partitions(tx, LEDGER, until - timedelta(days=28 * month))
    async with database.transaction() as tx:
        await tx.execute("SET LOCAL statement_timeout = 0")
        values = _values(user.account_id, until - timedelta(days=DAYS), until, timedelta(days=1), services)
        await tx.execute(_SERVE, values)
        await tx.execute(_FILL, values)
    async with database.transaction() as tx:
        await tx.execute("ANALYZE")
    await database.close()
    return user.account_id, token


def _values(
    account_id: UUID, starts_at: datetime, ends_at: datetime, step: timedelta, services: int = SERVICES
) -> dict[str, object]:
    return {
        "account_id": account_id,
        "services": services,
        "from": starts_at,
        "to": ends_at,
        "step": step,
        "incarnation": f"c:{uuid4().hex}",
    }


async def overview(client: aiohttp.ClientSession, token: str) -> dict[str, object]:
    p50_ms, p95_ms, page = await shown(client, "/billing", token)
    return {
        "overview_services": OVERVIEW_SERVICES,
        "overview_days": DAYS,
        "overview_open_loop_per_s": PAGES_PER_S,
        "overview_p50_ms": p50_ms,
        "overview_p95_ms": p95_ms,
        "overview_p95_ms_bound": 150,
        **_size("overview", page),
    }


async def explorer(client: aiohttp.ClientSession, until: datetime) -> dict[str, object]:
    query = f"period=custom&from={until - timedelta(days=DAYS - 1):%Y-%m-%d}&to={until:%Y-%m-%d}"
    p50_ms, p95_ms, page = await shown(client, f"/billing/usage?{query}")
    return {
        "explorer_services": SERVICES,
        "explorer_days": DAYS,
        "explorer_open_loop_per_s": PAGES_PER_S,
        "explorer_p50_ms": p50_ms,
        "explorer_p95_ms": p95_ms,
        "explorer_p95_ms_bound": 300,
        **_size("explorer", page),
        "runs": ROUNDS,
    }


async def shown(client: aiohttp.ClientSession, path: str, token: str | None = None) -> tuple[int, int, bytes]:
    """The median and the 95th percentile in milliseconds, each the median of some rounds, and the page."""
    page, headers = b"", {"Authorization": f"Bearer {token}"} if token else {}

    async def send(_: int) -> None:
        nonlocal page
        async with client.get(path, headers=headers) as answer:
            page = await answer.read()
            assert answer.status == 200, page[:500]

    await open_loop(send, rate_per_s=PAGES_PER_S, lasts_s=2)
    cuts = [quantiles(await open_loop(send, rate_per_s=PAGES_PER_S, lasts_s=LASTS_S), n=20) for _ in range(ROUNDS)]
    return round(median(cut[9] for cut in cuts)), round(median(cut[18] for cut in cuts)), page


def _size(name: str, page: bytes) -> dict[str, object]:
    return {f"{name}_page_kb": len(page) // 1024, f"{name}_page_gzip_kb": len(gzip.compress(page)) // 1024}


def bare(database_url: str, account_id: AccountId, until: datetime) -> float:
    """Milliseconds of reading the same rows with the driver alone, the median of some."""
    took_ms = []
    with psycopg.connect(database_url) as connection:
        for _ in range(15):
            began_s = CLOCK.monotonic()
            values = {"account_id": account_id, "from": until - timedelta(days=DAYS), "to": until}
            assert len(connection.execute(_BARE, values).fetchall()) >= SERVICES * DAYS
            took_ms.append((CLOCK.monotonic() - began_s) * 1000)
    return median(took_ms)


async def listeners(
    client: aiohttp.ClientSession, database_url: str, account_id: AccountId, pid: int
) -> dict[str, object]:
    """Open pages, told of every change; the process is warm when its size is first taken."""
    heard: list[dict[str, float]] = [{} for _ in range(LISTENERS)]
    before_kb = _resident_kb(pid)
    async with AsyncExitStack() as stack:
        streams = [
            await stack.enter_async_context(
                client.get("/billing/usage/live", timeout=aiohttp.ClientTimeout(total=None))
            )
            for _ in range(LISTENERS)
        ]
        async with asyncio.TaskGroup() as group:
            tasks = [group.create_task(_hear(one, into)) for one, into in zip(streams, heard, strict=True)]
            await _until_all(heard, 1)
            took_s = [await _change(database_url, account_id, heard, number) for number in range(2, CHANGES + 2)]
            after_kb = _resident_kb(pid)
            for task in tasks:
                task.cancel()
    growth = (after_kb - before_kb) * 1000 // before_kb
    return {
        "listeners": LISTENERS,
        "last_page_hears_after_s_median": round(median(took_s), 1),
        "last_page_hears_after_s_worst": round(max(took_s), 1),
        "api_resident_mb_before": before_kb // 1024,
        "api_resident_mb_with_listeners": after_kb // 1024,
        "growth_percent": growth / 10,
        "growth_percent_bound": 20,
    }


async def _change(database_url: str, account_id: AccountId, heard: list[dict[str, float]], number: int) -> float:
    """Seconds from a written piece until every page was told."""
    await asyncio.sleep(CHANGE_EVERY_S)
    until = floor_hour(CLOCK.now())
    async with await psycopg.AsyncConnection.connect(database_url) as connection:
        await connection.execute(_FILL, _values(account_id, until - timedelta(hours=1), until, timedelta(hours=1)))
    began_s = CLOCK.monotonic()
    await _until_all(heard, number)
    return CLOCK.monotonic() - began_s


async def _until_all(heard: list[dict[str, float]], count: int) -> None:
    async with asyncio.timeout(ANSWER_WITHIN_S):
        while min(len(one) for one in heard) < count:
            await asyncio.sleep(0.05)


async def _hear(answer: aiohttp.ClientResponse, into: dict[str, float]) -> None:
    assert answer.status == 200
    async for line in answer.content:
        if line.startswith(b"id: "):
            into[line.decode()] = CLOCK.monotonic()


def _resident_kb(pid: int) -> int:
    for line in Path(f"/proc/{pid}/status").read_text().splitlines():
        if line.startswith("VmRSS:"):
            return int(line.split()[1])
    raise AssertionError("the process tells no size")


if __name__ == "__main__":
    print(json.dumps(asyncio.run(run()), indent=2))

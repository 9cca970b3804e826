"""How fast the costs of an account are read through the real API process, from a ledger with many rows of others.

One account has 50 services with 90 days of hour pieces (current period and estimate, open-loop 50/s); one has 100
services with 90 days of one piece a day, which make the same rows by day as hour pieces do (history, one after the
other); one has hour pieces of 31 days for an export; the rest is others'. HELVETIA_BENCH_ROWS: rows of the ledger.
The load generator shares the cores.
"""

import asyncio
import json
import os
import tempfile
from collections.abc import Awaitable, Callable
from datetime import datetime, timedelta
from pathlib import Path
from statistics import median, quantiles
from uuid import uuid4

import aiohttp
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
from support.processes import RunningCommand, running_command
from support.sandbox_process import free_port, running_sandbox
from support.whole_house import sandbox_variables

ROWS = int(os.environ.get("HELVETIA_BENCH_ROWS", "1500000"))
METRICS = 4
LIVE_SERVICES, HISTORY_SERVICES, DAYS = 50, 100, 90
EXPORT_DAYS = 31
EXPORTED_ROWS_MAX = 1_000_000
RATE_PER_S, LASTS_S, ROUNDS = 50, 4.0, 5
HISTORY_READS = 40
ANSWER_WITHIN_S = 600

Get = Callable[[str, str], Awaitable[bytes]]

# One statement a stretch of ten days: the roll-up triggers add up each statement's rows at once.
_FILL = """
    INSERT INTO usage_records (id, account_id, service_id, metric, incarnation, revision, quantity, "timestamp",
        period_start, period_end, closed_at, reading_count)
    SELECT gen_random_uuid(), %(account_id)s, md5(%(account_id)s::text || service)::uuid, metric, 'c:1', 0,
        1000000007 + service, at, at, at + interval '1 hour', at + interval '1 hour', 60
    FROM generate_series(%(from)s::timestamptz, %(to)s::timestamptz - interval '1 hour', %(step)s::interval) AS at,
        generate_series(1, %(services)s) AS service, unnest(enum_range(NULL::usage_metric)) AS metric
"""


async def run() -> dict[str, object]:
    with (
        running_sandbox() as sandbox_url,
        running_server(is_durable=True) as server_url,
        cloned_database(server_url) as database_url,
    ):
        began_s = CLOCK.monotonic()
        ledger = await fill(database_url)
        filled_s, port = CLOCK.monotonic() - began_s, free_port()
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
                figures = await measure(f"http://127.0.0.1:{port}/api/v1/billing", ledger, api)
    return {"ledger_rows": ledger["rows"], "filled_in_s": round(filled_s), **figures}


async def fill(database_url: str) -> dict[str, object]:
    """The ledger; the tokens of its three accounts, and how many rows there are."""
    database = Database(database_url, enums=DATABASE_ENUMS)
    await database.open()
    accounts, until = AccountService(database, CLOCK, SubscriptionHooks(CLOCK)), floor_hour(CLOCK.now())
    ids, tokens = {}, {}
    for name in ("live", "history", "export", "others"):
        user = await accounts.create_user(f"{name}@example.com")
        ids[name], tokens[name] = user.account_id, await accounts.create_token(user.account_id, "bench")
    for month in range(4):
        async with database.transaction() as tx:
            await keep_partitions(tx, LEDGER, until - timedelta(days=30 * month))
    rows = await fill_account(database, ids["live"], LIVE_SERVICES, until, days=DAYS)
    rows += await fill_account(database, ids["history"], HISTORY_SERVICES, until, days=DAYS, step_h=24)
    of_service = METRICS * 24 * EXPORT_DAYS
    exported = max(1, -(-min(EXPORTED_ROWS_MAX, ROWS - rows) // of_service))
    rows += await fill_account(database, ids["export"], exported, until, days=EXPORT_DAYS)
    while rows < ROWS:
        services = max(1, min(300, (ROWS - rows) // of_service))
        rows += await fill_account(database, await _other(accounts), services, until, days=EXPORT_DAYS)
    async with database.transaction() as tx:
        await tx.execute("ANALYZE")
    await database.close()
    return {**tokens, "rows": rows, "until": until}


async def _other(accounts: AccountService) -> AccountId:
    return (await accounts.create_user(f"{uuid4().hex}@example.com")).account_id


async def fill_account(
    database: Database, account_id: AccountId, services: int, until: datetime, *, days: int, step_h: int = 1
) -> int:
    starts_at, count = until - timedelta(days=days), 0
    while starts_at < until:
        ends_at = min(starts_at + timedelta(days=10), until)
        values = {"account_id": account_id, "services": services, "from": starts_at, "to": ends_at}
        async with database.transaction() as tx:
            await tx.execute("SET LOCAL statement_timeout = 0")
            count += (await tx.execute(_FILL, {**values, "step": timedelta(hours=step_h)})).rowcount
        starts_at = ends_at
    return count


async def measure(url: str, ledger: dict[str, object], api: RunningCommand) -> dict[str, object]:
    async with aiohttp.ClientSession(timeout=aiohttp.ClientTimeout(total=ANSWER_WITHIN_S)) as session:

        async def get(path: str, who: str) -> bytes:
            async with session.get(f"{url}/{path}", headers={"Authorization": f"Bearer {ledger[who]}"}) as answer:
                body = await answer.read()
                assert answer.status == 200, body[:500]
                return body

        figures = {**await _open(get, "usage"), **await _open(get, "estimate"), **await _history(get, ledger)}
        query = f"usage/export?grain=hour&format=csv&{_range(ledger, EXPORT_DAYS)}"
        began_s, lines = CLOCK.monotonic(), 0
        async with session.get(f"{url}/{query}", headers={"Authorization": f"Bearer {ledger['export']}"}) as answer:
            assert answer.status == 200, await answer.text()
            async for part in answer.content.iter_any():
                lines += part.count(b"\n")
        figures |= {"exported_rows": lines - 1, "exported_in_s": round(CLOCK.monotonic() - began_s, 1)}
    peak_mb = _peak_resident_mb(api.pid)
    return {**figures, "api_peak_resident_mb": peak_mb, "api_peak_resident_mb_bound": 256, **_machine()}


async def _open(get: Get, path: str) -> dict[str, object]:
    async def send(_: int) -> None:
        await get(path, "live")

    await open_loop(send, rate_per_s=RATE_PER_S, lasts_s=1)
    cuts = [quantiles(await open_loop(send, rate_per_s=RATE_PER_S, lasts_s=LASTS_S), n=100) for _ in range(ROUNDS)]
    found = {f"{path}_p50_ms": 49, f"{path}_p99_ms": 98}
    return {
        **{name: round(median(one[at] for one in cuts), 1) for name, at in found.items()},
        f"{path}_p99_ms_bound": 20,
    }


async def _history(get: Get, ledger: dict[str, object]) -> dict[str, object]:
    took_ms = []
    for _ in range(HISTORY_READS):
        began_s = CLOCK.monotonic()
        await get(f"usage/history?grain=day&{_range(ledger, DAYS)}", "history")
        took_ms.append((CLOCK.monotonic() - began_s) * 1000)
    cuts = quantiles(took_ms, n=20)
    return {"history_p50_ms": round(median(took_ms)), "history_p95_ms": round(cuts[18]), "history_p95_ms_bound": 300}


def _range(ledger: dict[str, object], days: int) -> str:
    until = ledger["until"]
    assert isinstance(until, datetime)
    return f"from={until - timedelta(days=days):%Y-%m-%dT%H:00:00Z}&to={until:%Y-%m-%dT%H:00:00Z}"


def _peak_resident_mb(pid: int) -> int:
    for line in Path(f"/proc/{pid}/status").read_text().splitlines():
        if line.startswith("VmHWM:"):
            return int(line.split()[1]) // 1024
    raise AssertionError("the process tells no peak")


def _machine() -> dict[str, object]:
    return {"runs": ROUNDS, "cores": os.cpu_count(), "load_at_end": round(os.getloadavg()[0], 1)}


if __name__ == "__main__":
    print(json.dumps(asyncio.run(run()), indent=2, default=str))

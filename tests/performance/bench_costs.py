"""How fast the costs of an account are read through the real API process, from a ledger with many rows of others.

One account has 50 running services with 90 days of hour pieces (current period and estimate, open-loop 50/s); one has
100 services with 90 days of one piece a day, which make the same rows by day as hour pieces do (history, one after the
other); one has hour pieces of 31 days for an export; the rest is others'. HELVETIA_BENCH_ROWS: rows of the ledger.
Rating is measured alone, without the database. The load generator shares the cores.
"""

import asyncio
import json
import os
import tempfile
from collections.abc import Awaitable, Callable
from datetime import timedelta
from decimal import Decimal
from pathlib import Path
from statistics import median, quantiles
from uuid import uuid4

import aiohttp
from bench_subscription_page import until_ready
from costs_ledger import DAYS, EXPORT_DAYS, PERIOD_BEGAN, Ledger, make_ledger
from loads import CLOCK, open_loop

from helvetia.catalogue.prices import METERED_PRICES
from helvetia.costs.history import RunningQuantities, price_blocks
from helvetia.database.enums import DATABASE_ENUMS
from helvetia.database.pool import Database
from helvetia.kernel.identity import new_service_id
from helvetia.kernel.money import EXACT
from helvetia.kernel.period import Period
from helvetia.kernel.quantity import UsageMetric
from helvetia.metering.history.model import Grain, UsageBlock, UsageFilter
from helvetia.metering.store_usage import totals
from support.databases import cloned_database, running_server
from support.processes import RunningCommand, running_command
from support.sandbox_process import free_port, running_sandbox
from support.whole_house import sandbox_variables

ROWS = int(os.environ.get("HELVETIA_BENCH_ROWS", "20000000"))
RATE_PER_S, LASTS_S, ROUNDS = 50, 4.0, 5
HISTORY_READS = 40
RATED_POINTS = 200_000
ANSWER_WITHIN_S = 600
CLIENT_IDLE_S = 2  # less than the server's: else a request may meet a connection that is just being closed

Get = Callable[[str, str], Awaitable[bytes]]


async def run() -> dict[str, object]:
    with (
        running_sandbox() as sandbox_url,
        running_server(is_durable=True) as server_url,
        cloned_database(server_url) as database_url,
    ):
        began_s = CLOCK.monotonic()
        ledger = await make_ledger(database_url, ROWS)
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
    return {"ledger_rows": ledger.rows, "filled_in_s": round(filled_s), **figures, **rating(), **_machine()}


async def measure(url: str, ledger: Ledger, api: RunningCommand) -> dict[str, object]:
    timeout, idle = aiohttp.ClientTimeout(total=ANSWER_WITHIN_S), aiohttp.TCPConnector(keepalive_timeout=CLIENT_IDLE_S)
    async with aiohttp.ClientSession(timeout=timeout, connector=idle) as session:

        async def get(path: str, who: str) -> bytes:
            async with session.get(
                f"{url}/{path}", headers={"Authorization": f"Bearer {ledger.tokens[who]}"}
            ) as answer:
                body = await answer.read()
                assert answer.status == 200, body[:500]
                return body

        figures = {**await _open(get, "usage"), **await _open(get, "estimate")}
        figures |= {**await _bare(ledger), **await _history(get, ledger)}
        query = f"usage/export?grain=hour&format=csv&{_range(ledger, EXPORT_DAYS)}"
        began_s, lines = CLOCK.monotonic(), 0
        async with session.get(
            f"{url}/{query}", headers={"Authorization": f"Bearer {ledger.tokens['export']}"}
        ) as answer:
            assert answer.status == 200, await answer.text()
            async for part in answer.content.iter_any():
                lines += part.count(b"\n")
        figures |= {"exported_rows": lines - 1, "exported_in_s": round(CLOCK.monotonic() - began_s, 1)}
    peak_mb = _peak_resident_mb(api.pid)
    return {**figures, "api_peak_resident_mb": peak_mb, "api_peak_resident_mb_bound": 256}


async def _open(get: Get, path: str) -> dict[str, object]:
    async def send(_: int) -> None:
        await get(path, "live")

    return {**await _cuts(send, path), f"{path}_p99_ms_bound": 20}


async def _bare(ledger: Ledger) -> dict[str, object]:
    """The one statement of the totals at the same rate, from here: what machine and database take by themselves."""
    database = Database(ledger.url, enums=DATABASE_ENUMS)
    await database.open()
    period = Period(starts_at=ledger.until - PERIOD_BEGAN, ends_at=ledger.until)

    async def send(_: int) -> None:
        async with database.transaction() as tx:
            await totals(tx, ledger.live_account_id, period)

    try:
        return await _cuts(send, "bare_totals")
    finally:
        await database.close()


async def _cuts(send: Callable[[int], Awaitable[None]], name: str) -> dict[str, object]:
    await open_loop(send, rate_per_s=RATE_PER_S, lasts_s=1)
    cuts = [quantiles(await open_loop(send, rate_per_s=RATE_PER_S, lasts_s=LASTS_S), n=100) for _ in range(ROUNDS)]
    found = {f"{name}_p50_ms": 49, f"{name}_p99_ms": 98}
    return {name: round(median(one[at] for one in cuts), 1) for name, at in found.items()}


async def _history(get: Get, ledger: Ledger) -> dict[str, object]:
    took_ms = []
    for _ in range(HISTORY_READS):
        began_s = CLOCK.monotonic()
        await get(f"usage/history?grain=day&{_range(ledger, DAYS)}", "history")
        took_ms.append((CLOCK.monotonic() - began_s) * 1000)
    cuts = quantiles(took_ms, n=20)
    return {"history_p50_ms": round(median(took_ms)), "history_p95_ms": round(cuts[18]), "history_p95_ms_bound": 300}


def rating() -> dict[str, object]:
    """Points of the ledger → exact quantity and cost, and the bare product of two decimals beside it."""
    per_block, price = 100, {metric: found.unit_price_minor for metric, found in METERED_PRICES.items()}
    until = CLOCK.now()
    wanted = UsageFilter(period=Period(starts_at=until - timedelta(days=DAYS), ends_at=until), grain=Grain.HOUR)
    services = [new_service_id() for _ in range(per_block)]
    blocks = [
        UsageBlock(
            starts_at=wanted.period.starts_at + timedelta(hours=number // len(UsageMetric)),
            metric=list(UsageMetric)[number % len(UsageMetric)],
            service_ids=services,
            quantities=[3_599_999_999_983 + number * per_block + place for place in range(per_block)],
        )
        for number in range(RATED_POINTS // per_block)
    ]
    rated_s, bare_s = [], []
    for _ in range(ROUNDS):
        began_s = CLOCK.monotonic()
        costs = [
            cost for block in price_blocks(blocks, wanted, price, RunningQuantities()) for cost in block.costs_minor
        ]
        rated_s.append(CLOCK.monotonic() - began_s)
        assert len(costs) == RATED_POINTS
        began_s = CLOCK.monotonic()
        for block in blocks:
            _ = [EXACT.multiply(Decimal(quantity), price[block.metric]) for quantity in block.quantities]
        bare_s.append(CLOCK.monotonic() - began_s)
    return {
        "rated_points_per_s": round(RATED_POINTS / median(rated_s)),
        "rated_points_per_s_least": 200_000,
        "rating_to_bare_product": round(median(rated_s) / median(bare_s), 1),
    }


def _range(ledger: Ledger, days: int) -> str:
    until = ledger.until
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

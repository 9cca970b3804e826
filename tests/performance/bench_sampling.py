"""How long one look at all containers takes: the kernel's files against the engine's stats API, on real containers.

`run()` starts its own containers and removes them again. The earlier way asked `stats?stream=false` of one container
after another; that is the bare equivalent. A look is the reading; a tick is the list of what runs, the reading and the
writing down. The slope over sizes is measured on a made-up tree of recorded files, which no size of machine bounds; the
share of a core is that of whole ticks over it, our process and the database's together. Commits are flushed to disk.
"""

import asyncio
import json
import os
import tempfile
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import asynccontextmanager
from dataclasses import replace
from decimal import Decimal
from pathlib import Path
from statistics import median

import psycopg

from helvetia.containers.model import ContainerRecord, ServiceDefinition
from helvetia.containers.store import insert_service
from helvetia.database.enums import DATABASE_ENUMS
from helvetia.database.pool import Database
from helvetia.kernel.clock import SystemClock
from helvetia.kernel.identity import AccountId, ServiceId
from helvetia.metering.readers.choose_reader import choose_reader
from helvetia.metering.readers.model import CounterReader
from helvetia.metering.service import MeteringConfig, MeteringService
from support.cgroup_machine import Machine
from support.databases import cloned_database, running_server
from support.docker_engine import Engine, demo_spec, own_installation, why_no_engine
from support.metered_engine import MeteredEngine
from support.metered_house import MeteredHouse
from support.tree_host import TreeHost

CONTAINERS = 60
SIZES = (125, 250, 500)
INTERVAL_MS = 10_000
ASKED_ONE_BY_ONE = 10
ROUNDS = 5
STARTED_AT_ONCE = 4


async def run() -> dict[str, object]:
    """The figures, in milliseconds; `skipped` with the reason where there is no engine."""
    reason = await why_no_engine()
    if reason is not None:
        return {"skipped": reason}
    async with own_installation(timeout_s=60.0) as engine:
        containers = await start_containers(engine, CONTAINERS)
        reader = await choose_reader(engine.host)
        files_ms = await time_reader(reader, containers)
        tick_ms = await time_tick(engine, containers)
        stats_ms = await time_stats_one_by_one(engine, containers[:ASKED_ONE_BY_ONE])
    per_container_ms = files_ms / len(containers)
    return {
        "reader": reader.name,
        "containers": len(containers),
        "reader_total_ms": round(files_ms, 2),
        "reader_per_container_ms": round(per_container_ms, 3),
        "stats_api_per_container_ms": round(stats_ms, 1),
        "ratio": round(stats_ms / per_container_ms),
        "tick_total_ms": round(tick_ms, 1),
        **await measure_slope(),
        **await measure_share(),
    }


@asynccontextmanager
async def flushed_database() -> AsyncIterator[tuple[Database, Path]]:
    """A database that flushes every commit, and the file with the id of its server's process."""
    with running_server(is_durable=True) as server_url, cloned_database(server_url) as url:
        with psycopg.connect(server_url) as connection:
            (folder,) = connection.execute("SHOW data_directory").fetchone() or ("",)
        database = Database(url, enums=DATABASE_ENUMS)
        await database.open()
        try:
            yield database, Path(folder) / "postmaster.pid"
        finally:
            await database.close()


async def time_tick(engine: Engine, started: Sequence[ContainerRecord]) -> float:
    """Milliseconds of one whole tick, after two that find everything."""
    async with flushed_database() as (database, _):
        metered = await MeteredEngine.open(engine, database)
        await own(database, metered.account_id, started[0].service_id)
        for _ in range(2):
            assert await metered.metering.sample() == len(started)
        return await median_ms(metered.metering.sample)


async def own(database: Database, account_id: AccountId, service_id: ServiceId) -> None:
    """The service that the containers wear belongs to the account, so that they are somebody's."""
    definition = ServiceDefinition(name="bench", image="demo", memory_mb=64, cpu_cores=Decimal("0.1"))
    async with database.transaction() as tx:
        await insert_service(tx, account_id, service_id, definition, SystemClock().now())


async def measure_share() -> dict[str, object]:
    """The share of one core that a tick over 500 takes at the interval: list, read, write down, and the database's."""
    async with flushed_database() as (database, server):
        house = MeteredHouse(database, SystemClock().now())
        await house.move_in()
        with tempfile.TemporaryDirectory(prefix="hvbench") as directory:
            machine, clock = Machine(Path(directory), 1), SystemClock()
            host = TreeHost(clock, machine, house.account_id, house.service_id)
            for number in range(SIZES[-1]):
                host.add(number)
            metering = MeteringService(database, clock, host, machine.reader(), MeteringConfig())
            for _ in range(2):
                assert await metering.sample() == SIZES[-1]
            ours_s, servers_s = time.process_time(), busy_s(server)
            tick_ms = await median_ms(metering.sample)
            ours_ms = (time.process_time() - ours_s) * 1_000 / ROUNDS
            servers_ms = (busy_s(server) - servers_s) * 1_000 / ROUNDS
    return {
        f"made_up_{SIZES[-1]}_tick_ms": round(tick_ms, 1),
        "tick_busy_ms_of_our_process": round(ours_ms, 1),
        "tick_busy_ms_of_the_database": round(servers_ms, 1),
        "core_percent_of_ticks_over_500_every_10_s": round(100 * (ours_ms + servers_ms) / INTERVAL_MS, 2),
    }


def busy_s(server: Path) -> float:
    """Processor seconds of a database server and of all its processes, those that ended included."""
    parent = server.read_text().split()[0]
    ticks = 0
    for stat in Path("/proc").glob("[0-9]*/stat"):
        try:
            fields = stat.read_bytes().rpartition(b")")[2].split()
        except OSError:
            continue  # it ended
        if parent.encode() == fields[1]:
            ticks += int(fields[11]) + int(fields[12])
        elif stat.parent.name == parent:
            ticks += sum(map(int, fields[11:15]))
    return ticks / os.sysconf("SC_CLK_TCK")


async def measure_slope() -> dict[str, object]:
    """Milliseconds of a look at more and more containers, of each further one, and the share of a core at 500."""
    looks_ms, busy_ms = [], 0.0
    for size in SIZES:
        with tempfile.TemporaryDirectory(prefix="hvbench") as directory:
            machine = Machine(Path(directory), 1)
            records, reader = [machine.add(number) for number in range(size)], machine.reader()
            await reader.read(records)
            began_s = time.process_time()
            looks_ms.append(await median_ms(lambda reader=reader, records=records: reader.read(records)))  # type: ignore[misc]
            busy_ms = (time.process_time() - began_s) * 1_000 / ROUNDS
    slope_ms = (looks_ms[-1] - looks_ms[0]) / (SIZES[-1] - SIZES[0])
    return {
        **{f"made_up_{size}_total_ms": round(one, 1) for size, one in zip(SIZES, looks_ms, strict=True)},
        "slope_per_container_ms": round(slope_ms, 3),
        "core_percent_of_reading_500_every_10_s": round(100 * busy_ms / INTERVAL_MS, 2),
    }


async def median_ms(work: Callable[[], Awaitable[object]]) -> float:
    durations_ms = []
    for _ in range(ROUNDS):
        started_s = SystemClock().monotonic()
        await work()
        durations_ms.append((SystemClock().monotonic() - started_s) * 1_000)
    return median(durations_ms)


async def start_containers(engine: Engine, count: int) -> list[ContainerRecord]:
    """So many idle containers of one service, a few started at once."""
    spec = demo_spec(command=("sleep", "3600"), memory_mb=16, cpu_cores="0.1")
    limit = asyncio.Semaphore(STARTED_AT_ONCE)

    async def start(replica: int) -> ContainerRecord:
        async with limit:
            return await engine.host.create_and_start(replace(spec, replica=replica))

    return await asyncio.gather(*(start(replica) for replica in range(count)))


async def time_reader(reader: CounterReader, containers: Sequence[ContainerRecord], rounds: int = ROUNDS) -> float:
    """Milliseconds of one look at all of them: the median of some rounds, after one that finds the files."""
    assert len(await reader.read(containers)) == len(containers)
    durations_ms = []
    for _ in range(rounds):
        started_s = SystemClock().monotonic()
        counters = await reader.read(containers)
        durations_ms.append((SystemClock().monotonic() - started_s) * 1_000)
        assert len(counters) == len(containers)
    return median(durations_ms)


async def time_stats_one_by_one(engine: Engine, containers: Sequence[ContainerRecord]) -> float:
    """Milliseconds per container of the stats API, one after another."""
    started_s = SystemClock().monotonic()
    for record in containers:
        await engine.host.engine.get(f"containers/{record.container_id}/stats", {"stream": "false"})
    return (SystemClock().monotonic() - started_s) * 1_000 / len(containers)


if __name__ == "__main__":
    print(json.dumps(asyncio.run(run()), indent=2))

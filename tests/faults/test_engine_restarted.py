"""The engine itself is restarted, killed or frozen while it is metered: no second lost or doubled, the gap recorded.

The engine is one of the test's own. The collector behaves as the worker does: a tick that fails is called again.
"""

import asyncio
import signal
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest

from conftest import missing
from helvetia.containers.errors import HostUnavailable
from helvetia.containers.model import ContainerRecord, ContainerState
from helvetia.database.pool import Database
from helvetia.kernel.quantity import NS_PER_S, UsageMetric
from helvetia.metering.model import MeteringConfig
from support import trials
from support.metered_engine import MeteredEngine, eventually
from support.private_engine import PrivateEngine, installation_on, private_engine, why_no_private_engine

pytestmark = [pytest.mark.docker, pytest.mark.slow]

COMPUTE = UsageMetric.COMPUTE_HOURS
ROUNDS = trials.choose(small=1, full=10)
FREEZE_S = trials.choose(small=4, full=60)
IDLE = "trap 'exit 0' TERM; while :; do sleep 0.1; done"
CONFIG = MeteringConfig(
    sample_interval_s=1, settle_s=0, keep_stopped_s=3600, host_timeout_s=3, reconnect_wait_max_s=1.0
)


@asynccontextmanager
async def metered_private_engine(
    database: Database, *, keeps_running: bool = False
) -> AsyncIterator[tuple[PrivateEngine, MeteredEngine]]:
    if (reason := why_no_private_engine()) is not None:
        missing("A Docker Engine of the test's own", reason)
    async with private_engine(keeps_running=keeps_running) as engine, installation_on(engine) as installation:
        metered = await MeteredEngine.open(installation, database)
        metered.metering = metered.with_config(CONFIG)
        yield engine, metered


@asynccontextmanager
async def collecting(metered: MeteredEngine) -> AsyncIterator[None]:
    """Ticks and events, through thick and thin."""
    stop = asyncio.Event()

    async def tick() -> None:
        while not stop.is_set():
            await try_to_tick(metered)
            await asyncio.sleep(0.3)

    tasks = asyncio.gather(tick(), metered.metering.watch_events(stop))
    try:
        yield
    finally:
        stop.set()
        await tasks


async def try_to_tick(metered: MeteredEngine) -> bool:
    try:
        await metered.tick()
    except HostUnavailable:
        return False
    return True


async def is_over(metered: MeteredEngine, *records: ContainerRecord) -> bool:
    found = [await metered.host.inspect(record.container_id) for record in records]
    return all(one is not None and one.state is ContainerState.EXITED for one in found)


async def end_all(metered: MeteredEngine) -> None:
    for record in await metered.host.list_containers():
        await metered.host.stop(record.container_id, grace_s=1)
    await eventually(lambda: try_to_tick(metered))


async def run_count(metered: MeteredEngine) -> int:
    async with metered.database.transaction() as tx:
        row = await (await tx.execute("SELECT count(*) FROM container_runs")).fetchone()
    assert row is not None
    return int(row[0])


async def test_engine_restarted_while_its_containers_go_on_loses_no_second(database: Database) -> None:
    async with metered_private_engine(database, keeps_running=True) as (engine, metered):
        long = await metered.run(IDLE)
        async with collecting(metered):
            for number in range(ROUNDS):
                short = await metered.run("sleep 1.5", replica=1 + number)  # ends while nobody is there to see it
                await engine.stop()
                await asyncio.sleep(2.5)
                await engine.start()
                await eventually(lambda short=short: is_over(metered, short))  # type: ignore[misc]
        now = await metered.host.inspect(long.container_id)
        assert now is not None
        assert now.incarnation == long.incarnation
        await end_all(metered)
        assert await run_count(metered) == 1 + ROUNDS
        assert (await metered.totals())[COMPUTE] == await metered.truth_ns()
        assert "engine_unreachable" in await metered.causes()
        await metered.check()
    trials.record("engine restarted, its containers going on: no second lost or doubled, gap recorded", count=ROUNDS)


@pytest.mark.parametrize("how", [signal.SIGTERM, signal.SIGKILL])
async def test_engine_that_takes_its_containers_along_loses_no_second_of_them(
    database: Database, how: signal.Signals
) -> None:
    async with metered_private_engine(database) as (engine, metered):
        async with collecting(metered):
            for _ in range(ROUNDS):
                record = await metered.run(IDLE)
                await asyncio.sleep(1)
                await engine.stop(how)
                await asyncio.sleep(1)
                await engine.start()
                await eventually(lambda record=record: is_over(metered, record))  # type: ignore[misc]
            again = await metered.run(IDLE)  # as the reconciler does with what is wished
        assert again.container_id != record.container_id
        await end_all(metered)
        assert await run_count(metered) == ROUNDS + 1
        assert (await metered.totals())[COMPUTE] == await metered.truth_ns()
        if how is signal.SIGKILL:  # one that ends in order tells of each finish first, and then nothing is missing
            assert "engine_unreachable" in await metered.causes()
        await metered.check()
    trials.record(f"engine ended by {how.name}, its containers with it: no second lost or doubled", count=ROUNDS)


async def test_frozen_engine_loses_no_second_and_memory_is_a_gap_not_a_guess(database: Database) -> None:
    async with metered_private_engine(database) as (engine, metered):
        await metered.run(IDLE)
        short = await metered.run("sleep 2", replica=1)
        async with collecting(metered):
            await asyncio.sleep(1)
            engine.freeze()
            await asyncio.sleep(FREEZE_S)
            engine.thaw()
            await eventually(lambda: is_over(metered, short))
        await end_all(metered)
        causes = await metered.causes()
        assert await run_count(metered) == 2
        assert (await metered.totals())[COMPUTE] == await metered.truth_ns()
        assert {"engine_unreachable", "no_reading"} <= set(causes)
        assert await unread_ns(metered) >= (FREEZE_S - 2 * CONFIG.sample_interval_s - 1) * NS_PER_S
        await metered.check()
    trials.record(f"engine frozen for {FREEZE_S} s: no second lost or doubled, gap recorded", count=1)


async def unread_ns(metered: MeteredEngine) -> int:
    """Nanoseconds for which no reading of memory stands."""
    async with metered.database.transaction() as tx:
        cursor = await tx.execute("SELECT sum(ends_ns - starts_ns) FROM metering_findings WHERE cause = 'no_reading'")
        row = await cursor.fetchone()
    return 0 if row is None or row[0] is None else int(row[0])

"""Runs that somebody else's hand makes on a real engine: restart policies, and containers that are made anew."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field

import pytest

from helvetia.containers.model import ContainerRecord, ContainerState
from helvetia.database.pool import Database
from helvetia.kernel.quantity import NS_PER_S, UsageMetric
from support.docker_engine import Engine
from support.metered_engine import MeteredEngine, eventually

COMPUTE = UsageMetric.COMPUTE_HOURS
RESTARTS = 3
SHORT = "sleep 0.7; exit 1"
TOLD_LATE_NS = NS_PER_S // 4
"""The engine tells of a start and of an end a moment after the instants that it keeps, more so on a busy machine."""

pytestmark = pytest.mark.docker


@pytest.fixture
async def metered(engine: Engine, database: Database) -> MeteredEngine:
    return await MeteredEngine.open(engine, database)


@dataclass
class Told:
    """What the engine's own events say of one container: a second witness."""

    starts_ns: list[int] = field(default_factory=list)
    ends_ns: list[int] = field(default_factory=list)

    @property
    def lived_ns(self) -> int:
        return sum(end - start for start, end in zip(self.starts_ns, self.ends_ns, strict=True))


@asynccontextmanager
async def listening(metered: MeteredEngine) -> AsyncIterator[Told]:
    told = Told()

    async def listen() -> None:
        async for event in metered.host.events():
            (told.starts_ns if event.action == "start" else told.ends_ns).append(event.occurred_ns)

    task = asyncio.create_task(listen())
    await asyncio.sleep(0.3)
    yield told
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)


async def restart_always(metered: MeteredEngine, container_id: str) -> None:
    policy = {"RestartPolicy": {"Name": "on-failure", "MaximumRetryCount": RESTARTS}}
    await metered.host.engine.post(f"containers/{container_id}/update", policy)


async def is_given_up(metered: MeteredEngine, container_id: str) -> bool:
    record = await metered.host.inspect(container_id)
    body = await metered.engine.inspect_raw(container_id)
    assert record is not None
    is_over = record.state is ContainerState.EXITED and not body["State"]["Restarting"]
    return is_over and record.restart_count == RESTARTS


async def has_ended(told: Told, count: int) -> bool:
    return len(told.ends_ns) >= count


async def test_restart_policy_from_outside_makes_runs_of_which_each_is_counted(metered: MeteredEngine) -> None:
    stop = asyncio.Event()
    watching = asyncio.create_task(metered.metering.watch_events(stop))
    async with listening(metered) as told:
        record = await metered.run(SHORT)
        await restart_always(metered, record.container_id)
        # An engine counts a restart just before it: only with the last end told is it over.
        await eventually(lambda: has_ended(told, RESTARTS + 1))
        await eventually(lambda: is_given_up(metered, record.container_id))
        await asyncio.sleep(0.3)
    stop.set()
    await watching
    await metered.tick()
    counted = (await metered.totals())[COMPUTE]
    assert len(told.starts_ns) == len(told.ends_ns) == RESTARTS + 1
    assert counted <= told.lived_ns + (RESTARTS + 1) * TOLD_LATE_NS
    if not await metered.causes():  # on a busy machine a look may come after the next start: then a gap says so
        assert counted >= told.lived_ns - (RESTARTS + 1) * TOLD_LATE_NS
        assert await run_count(metered) == RESTARTS + 1
    await metered.check()


async def test_restarts_that_nobody_watched_are_a_gap_and_not_a_guess(metered: MeteredEngine) -> None:
    record = await metered.run(SHORT)
    await restart_always(metered, record.container_id)
    await eventually(lambda: is_given_up(metered, record.container_id))
    await metered.tick()
    assert await run_count(metered) == 1
    assert (await metered.totals())[COMPUTE] == await metered.truth_ns()  # the engine keeps its last run only
    assert (await metered.causes())["runs_unseen"].startswith(f"{RESTARTS} runs")
    await metered.check()


async def test_container_made_anew_in_its_place_is_a_run_of_its_own(metered: MeteredEngine) -> None:
    first = await metered.run("sleep 600")
    await metered.tick()
    await metered.host.stop(first.container_id, grace_s=0)
    second = await metered.run("sleep 600")
    await metered.tick()
    await metered.host.stop(second.container_id, grace_s=0)
    await metered.tick()
    assert first.container_id != second.container_id
    assert await run_count(metered) == 2
    assert (await metered.totals())[COMPUTE] == await metered.truth_ns()
    assert await metered.causes() == {}


async def test_size_of_the_disk_may_be_asked_by_many_at_once(metered: MeteredEngine) -> None:
    record: ContainerRecord = await metered.run("dd if=/dev/zero of=/data/f bs=1048576 count=1 2>/dev/null; sleep 600")
    answers = await asyncio.gather(*(metered.host.read_storage() for _ in range(8)))
    assert all({one.holder for one in answer} == {record.container_id} for answer in answers)


async def run_count(metered: MeteredEngine) -> int:
    async with metered.database.transaction() as tx:
        row = await (await tx.execute("SELECT count(*) FROM container_runs")).fetchone()
    assert row is not None
    return int(row[0])

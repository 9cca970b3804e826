"""A tick asks the engine once for all, and by itself only of what changed; no counter goes to another run."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from helvetia.containers.errors import HostUnavailable
from helvetia.containers.model import ContainerRecord
from helvetia.database.pool import Database
from helvetia.metering.lifecycle import ask_little
from helvetia.metering.readers.cgroup_reader import CgroupReader
from helvetia.metering.service import MeteringService
from support.cgroup_machine import Machine
from support.metered_house import CONFIG, MeteredHouse
from support.tree_host import SteppedClock, TreeHost

STEP = timedelta(seconds=10)


class Tree:
    """A house whose containers are a made-up tree of files."""

    def __init__(self, house: MeteredHouse, root: Path) -> None:
        self.house = house
        self.clock = SteppedClock(datetime(2026, 3, 10, 10, tzinfo=UTC))
        machine = Machine(root, 1)
        self.host = TreeHost(self.clock, machine, house.account_id, house.service_id)
        reader = CgroupReader(machine.layout, self.clock, proc_root=machine.proc)
        self.metering = MeteringService(house.database, self.clock, self.host, reader, CONFIG)

    async def tick(self, look: Callable[[], Awaitable[int]] | None = None) -> int:
        self.clock.advance(STEP)
        self.host.inspected.clear()
        return await (look or self.metering.sample)()

    async def readings(self, record: ContainerRecord) -> list[tuple[object, ...]]:
        return await self.house.fetch(
            "SELECT sampled_ns, cpu_ns FROM container_readings WHERE incarnation = %s ORDER BY 1", record.incarnation
        )


@pytest.fixture
async def tree(database: Database, tmp_path: Path) -> AsyncIterator[Tree]:
    house = MeteredHouse(database, datetime(2026, 3, 10, 10, tzinfo=UTC))
    await house.move_in()
    yield Tree(house, tmp_path)
    await house.check()


async def test_m16_what_goes_on_is_read_without_a_question_of_its_own(tree: Tree) -> None:
    records = [tree.host.add(number) for number in range(3)]
    assert await tree.tick() == 3
    assert sorted(tree.host.inspected) == sorted(record.container_id for record in records)
    for _ in range(3):
        assert await tree.tick() == 3
        assert tree.host.inspected == []
    assert [len(await tree.readings(record)) for record in records] == [4, 4, 4]


async def test_what_the_sweep_saw_is_asked_of_once_more_and_then_never_again(tree: Tree) -> None:
    tree.host.add(1)
    await tree.tick(tree.metering.sweep)
    await tree.tick()
    await tree.tick(tree.metering.sweep)
    assert await tree.tick() == 1
    assert tree.host.inspected == []


async def test_a_restart_between_two_ticks_gives_no_counter_to_the_run_before(tree: Tree) -> None:
    before, other = tree.host.add(1), tree.host.add(2)
    await tree.tick()
    tree.clock.advance(timedelta(seconds=3))
    after = tree.host.restart(before, 9_000)
    assert await tree.tick() == 2
    assert tree.host.inspected == [before.container_id]
    assert [cpu_ns for _, cpu_ns in await tree.readings(before)] == [430_229_063]
    assert [cpu_ns for _, cpu_ns in await tree.readings(after)] == [7_000]
    assert len(await tree.readings(other)) == 2


async def test_a_restart_that_takes_the_same_process_id_is_a_run_of_its_own(tree: Tree) -> None:
    before = tree.host.add(1)
    await tree.tick()
    tree.clock.advance(timedelta(seconds=3))
    after = tree.host.restart(before, before.process_id or 0)
    tree.host.machine.end_process(after)
    tree.host.machine.start_process(after.container_id, after.process_id or 0, began=4_712)
    assert await tree.tick() == 1
    assert len(await tree.readings(before)) == 1
    assert [cpu_ns for _, cpu_ns in await tree.readings(after)] == [7_000]


async def test_an_end_that_no_event_told_is_written_down_at_the_next_tick(tree: Tree) -> None:
    record = tree.host.add(1)
    await tree.tick()
    tree.host.end(record)
    ended_ns = tree.host.records[record.container_id].finished_ns
    assert await tree.tick() == 0
    assert await tree.house.fetch("SELECT finished_ns FROM container_runs") == [(ended_ns,)]
    await tree.tick()
    assert tree.host.inspected == []


async def test_a_container_that_the_engine_is_slow_to_tell_of_delays_no_other(
    tree: Tree, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(ask_little, "INSPECT_TIMEOUT_S", 0.05)
    known = tree.host.add(1)
    await tree.tick()
    stuck, other = tree.host.add(2), tree.host.add(3)
    tree.host.hanging = {stuck.container_id}
    async with asyncio.timeout(10):
        assert await tree.tick() == 2
    assert [len(await tree.readings(one)) for one in (known, other, stuck)] == [2, 1, 0]
    tree.host.hanging = set()
    assert await tree.tick() == 3
    assert tree.host.inspected == [stuck.container_id]


async def test_an_engine_that_tells_of_none_is_an_outage_of_those_alone_that_it_did_not_tell_of(
    tree: Tree, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(ask_little, "INSPECT_TIMEOUT_S", 0.05)
    known, restarted = tree.host.add(1), tree.host.add(2)
    await tree.tick()
    tree.host.restart(restarted, 9_000)
    tree.host.hanging = {restarted.container_id}
    with pytest.raises(HostUnavailable):
        await tree.tick()
    assert len(await tree.readings(known)) == 2
    gaps = await tree.house.fetch("SELECT incarnation FROM metering_findings WHERE cause = 'engine_unreachable'")
    assert gaps == [(restarted.incarnation,)]

"""An engine so busy that a look at it takes long: what ended meanwhile is counted to its end, here and at a node."""

from collections.abc import Sequence
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

from helvetia.agent.fold_looks import fold_looks
from helvetia.agent.take_looks import Looker
from helvetia.containers.model import ContainerRecord, ContainerState
from helvetia.database.pool import Database
from helvetia.kernel.clock import to_ns
from helvetia.kernel.period import Period
from helvetia.kernel.quantity import NS_PER_S, UsageMetric
from helvetia.metering.nodes.model import NodeItem
from helvetia.metering.nodes.wire import to_wire_batch
from helvetia.metering.nodes.wire_posts import from_wire_post
from helvetia.metering.readers.cgroup_reader import CgroupReader
from helvetia.metering.service import MeteringService
from support.cgroup_machine import Machine
from support.metered_house import CONFIG, MeteredHouse, ns
from support.node_world import NodeWorld, S
from support.tree_host import SteppedClock, TreeHost

START = datetime(2026, 3, 10, 10, tzinfo=UTC)
EVER = Period(starts_at=START - timedelta(days=1), ends_at=START + timedelta(days=1))


class SlowHost(TreeHost):
    """Its one container ends while the engine is still telling."""

    async def list_containers(self) -> Sequence[ContainerRecord]:
        self.clock.advance(timedelta(seconds=19))  # type: ignore[attr-defined]
        for record in list(self.records.values()):
            if record.state is ContainerState.RUNNING:
                self.end(record)
        self.clock.advance(timedelta(seconds=1))  # type: ignore[attr-defined]
        return await super().list_containers()


async def test_what_ends_during_a_long_sweep_is_counted_to_its_end(database: Database, tmp_path: Path) -> None:
    house = MeteredHouse(database, START)
    await house.move_in()
    clock = SteppedClock(START)
    machine = Machine(tmp_path, 1)
    host = SlowHost(clock, machine, house.account_id, house.service_id)
    reader = CgroupReader(machine.layout, clock, proc_root=machine.proc)
    metering = MeteringService(database, clock, host, reader, CONFIG)
    host.add(1)
    clock.advance(timedelta(seconds=10))
    await metering.sweep()
    await metering.roll_up()
    assert (await house.totals(EVER)).quantities[UsageMetric.COMPUTE_HOURS] == ns(timedelta(seconds=29))
    await house.check()


async def test_an_agent_tells_until_when_its_look_took(tmp_path: Path, database: Database) -> None:
    world = NodeWorld(database)
    await world.move_in()
    clock = SteppedClock(START)
    machine = Machine(tmp_path, 1)
    host = SlowHost(clock, machine, world.account_id, world.service_id)
    reader = CgroupReader(machine.layout, clock, proc_root=machine.proc)
    host.add(1)
    (batch,) = await Looker(clock, host, reader, interval_s=10, host_timeout_s=5).sweep()
    assert (batch.looked_ns, batch.told_ns) == (to_ns(START), to_ns(START) + 20 * NS_PER_S)


async def test_a_nodes_look_that_took_long_and_comes_late_bills_to_the_end_and_no_further(database: Database) -> None:
    world = NodeWorld(database)
    await world.move_in()
    looked_ns, told_ns = world.now_ns - 50 * S, world.now_ns - 30 * S
    ended = {"state": ContainerState.EXITED, "process_id": None, "exit_code": 0}
    good = world.record("c1", finished_ns=world.now_ns - 31 * S, **ended)
    ahead = world.record("c2", finished_ns=world.now_ns, **ended)  # by a clock that was set right meanwhile
    batch = world.batch(NodeItem(record=good), NodeItem(record=ahead))
    await world.post(replace(batch, looked_ns=looked_ns, told_ns=told_ns))
    assert (await world.totals()).quantities[UsageMetric.COMPUTE_HOURS] == (29 + 35) * S


async def test_folded_looks_tell_until_when_they_took_too(database: Database) -> None:
    world = NodeWorld(database)
    await world.move_in()
    looked_ns, told_ns = world.now_ns - 50 * S, world.now_ns - 30 * S
    ended = {"state": ContainerState.EXITED, "process_id": None, "exit_code": 0}
    good = world.record("c1", finished_ns=world.now_ns - 31 * S, **ended)
    ahead = world.record("c2", finished_ns=world.now_ns, **ended)
    batch = world.batch(NodeItem(record=good), NodeItem(record=ahead))
    body = to_wire_batch(replace(batch, looked_ns=looked_ns, told_ns=told_ns))
    packed, count = fold_looks([body, body])
    assert count == 2
    await world.nodes.accept_post(world.node, from_wire_post(packed), sent_ns=world.now_ns)
    assert (await world.totals()).quantities[UsageMetric.COMPUTE_HOURS] == (29 + 35) * S

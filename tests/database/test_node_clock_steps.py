"""A remote node's clock is set: its agent tells both of its clocks, and nobody is billed more than was lived."""

from dataclasses import replace

import pytest

from helvetia.database.pool import Database
from helvetia.kernel.clock_steps import ClockReading
from helvetia.kernel.quantity import UsageMetric
from helvetia.metering.nodes.model import NodeBatch, NodeItem
from support.node_world import NodeWorld, S


@pytest.fixture
async def world(database: Database) -> NodeWorld:
    world = NodeWorld(database)
    await world.move_in()
    return world


def look(world: NodeWorld, *, wall_s: int, lived_s: int, boot: str = "b", started_s: int = -90) -> NodeBatch:
    """A look at a container; by the node's clock it began at `started_s`, and it is `wall_s` now."""
    at_ns = world.now_ns + wall_s * S
    began_ns = world.now_ns + started_s * S
    record = world.record(started_ns=began_ns, created_ns=began_ns)
    counters = world.counters(sampled_ns=at_ns)
    clocks = ClockReading(boot_id=boot, wall_ns=at_ns, monotonic_ns=lived_s * S)
    return replace(world.batch(NodeItem(record=record, counters=counters)), looked_ns=at_ns, clocks=clocks)


async def compute_s(world: NodeWorld) -> float:
    return (await world.totals()).quantities[UsageMetric.COMPUTE_HOURS] / S


async def test_a_run_is_counted_without_what_its_nodes_clock_jumped_over(world: NodeWorld) -> None:
    await world.post(look(world, wall_s=-80, lived_s=10))
    await world.post(look(world, wall_s=0, lived_s=60))  # 80 s later by the wall, 50 s later in truth
    assert await compute_s(world) == 60


async def test_batches_that_come_again_tell_of_one_step(world: NodeWorld) -> None:
    batches = [
        look(world, wall_s=-80, lived_s=10),
        look(world, wall_s=-40, lived_s=20),
        look(world, wall_s=0, lived_s=60),
    ]
    for batch in (*batches, *batches):
        await world.post(batch)
    assert await compute_s(world) == 60
    assert await steps(world) == [(30 * S,)]


async def test_a_node_that_booted_is_not_compared_with_before(world: NodeWorld) -> None:
    await world.post(look(world, wall_s=-80, lived_s=10))
    await world.post(look(world, wall_s=0, lived_s=1, boot="next"))
    assert await steps(world) == []


@pytest.mark.parametrize("changes", [{"monotonic_ns": -1}, {"wall_ns": 0}, {"wall_ns": 2**62}])
async def test_clocks_that_cannot_be_are_not_believed(world: NodeWorld, changes: dict[str, int]) -> None:
    await world.post(look(world, wall_s=-80, lived_s=10))
    batch = look(world, wall_s=0, lived_s=60)
    assert batch.clocks is not None
    await world.post(replace(batch, clocks=replace(batch.clocks, **changes)))
    assert await steps(world) == []


async def test_an_agent_that_tells_no_clocks_is_heard_as_before(world: NodeWorld) -> None:
    await world.post(replace(look(world, wall_s=-80, lived_s=10), clocks=None))
    await world.post(replace(look(world, wall_s=0, lived_s=60), clocks=None))
    assert await compute_s(world) == 90


async def steps(world: NodeWorld) -> list[tuple[object, ...]]:
    async with world.database.transaction() as tx:
        return await (await tx.execute("SELECT step_ns FROM metering_clock_steps")).fetchall()

"""CPU time, peak memory, received and internal bytes: told from the readings that are kept, never guessed or billed."""

from dataclasses import replace

import pytest

from helvetia.containers.model import ContainerState
from helvetia.database.pool import Database
from helvetia.kernel.clock import from_ns
from helvetia.kernel.identity import new_account_id
from helvetia.kernel.period import Period
from helvetia.kernel.quantity import NS_PER_S
from helvetia.metering.history import shown
from helvetia.metering.history.model import ShownFigures
from helvetia.metering.history.store_shown import shown_figures
from helvetia.metering.nodes.model import NodeItem
from support.node_world import NodeWorld, move_in

S = NS_PER_S


@pytest.fixture
async def world(database: Database) -> NodeWorld:
    return await move_in(database)


async def read(world: NodeWorld, container_id: str = "c1", *, at_s: int, **figures: int | None) -> None:
    """A reading `at_s` seconds before now."""
    counters = world.counters(container_id, sampled_ns=world.now_ns - at_s * S, **figures)
    record = world.record(container_id)
    answers = await world.post(
        replace(world.batch(NodeItem(record=record, counters=counters)), looked_ns=world.now_ns - at_s * S)
    )
    assert answers[0].accepted, answers


async def figures(world: NodeWorld, from_s: int = 1_000, until_s: int = 0) -> ShownFigures:
    """The range from so many seconds before now until so many before now."""
    period = Period(starts_at=from_ns(world.now_ns - from_s * S), ends_at=from_ns(world.now_ns - until_s * S))
    async with world.database.transaction() as tx:
        return await shown_figures(tx, world.account_id, world.service_id, period)


async def drop_readings(world: NodeWorld, before_s: int) -> None:
    before_ns = world.now_ns - before_s * S
    async with world.database.transaction() as tx:
        await tx.execute("DELETE FROM container_readings WHERE sampled_ns < %s", (before_ns,))
        await tx.execute("UPDATE metering_horizon SET readings_from_ns = %s", (before_ns,))


async def test_figures_are_the_differences_of_all_containers_and_the_highest_peak(world: NodeWorld) -> None:
    for number, name in enumerate(("c1", "c2"), start=1):
        for at_s in (40, 20):
            grown = (60 - at_s) * number
            await read(
                world,
                name,
                at_s=at_s,
                cpu_ns=grown * 1_000,
                received_bytes=grown * 3,
                transmitted_bytes=grown * 10,
                external_bytes=grown * 4,
                memory_peak_bytes=5_000 * number,
            )
    found = await figures(world)
    assert (found.cpu_ns, found.received_bytes, found.internal_bytes) == (120_000, 360, 720)
    assert found.memory_peak_bytes == 10_000
    assert found.known_from == from_ns(world.now_ns - 1_000 * S)


@pytest.mark.parametrize("edge_s", [59, 41, 40, 39, 21, 20, 19, 1])
async def test_figures_of_adjoining_ranges_add_up_to_those_of_the_whole(world: NodeWorld, edge_s: int) -> None:
    for at_s, bytes_so_far in ((50, 7), (40, 30), (30, 31), (20, 500)):
        await read(world, at_s=at_s, received_bytes=bytes_so_far, cpu_ns=bytes_so_far * 11)
    parts = [await figures(world, 1_000, edge_s), await figures(world, edge_s, 0)]
    assert sum(part.received_bytes or 0 for part in parts) == 500
    assert sum(part.cpu_ns or 0 for part in parts) == 5_500


async def test_what_no_reading_tells_is_null_and_not_zero(world: NodeWorld) -> None:
    nothing = await figures(world)
    assert (nothing.cpu_ns, nothing.memory_peak_bytes, nothing.received_bytes, nothing.internal_bytes) == (None,) * 4
    await read(world, at_s=20, cpu_ns=0, memory_peak_bytes=None, received_bytes=None, transmitted_bytes=None)
    found = await figures(world)
    assert (found.cpu_ns, found.memory_peak_bytes, found.received_bytes, found.internal_bytes) == (0, None, None, None)


async def test_internal_bytes_are_null_as_soon_as_one_container_cannot_tell(world: NodeWorld) -> None:
    await read(world, "c1", at_s=20, transmitted_bytes=100, external_bytes=40)
    assert (await figures(world)).internal_bytes == 60
    await read(world, "c2", at_s=20, transmitted_bytes=100, external_bytes=None)
    assert (await figures(world)).internal_bytes is None


async def test_counters_that_fall_or_are_left_out_once_never_make_a_negative_figure(world: NodeWorld) -> None:
    await read(world, at_s=40, received_bytes=500)
    await read(world, at_s=30, received_bytes=20)
    await read(world, at_s=20, received_bytes=None)
    assert (await figures(world)).received_bytes == 500
    assert (await figures(world, 35)).received_bytes == 0


async def test_after_readings_were_dropped_only_what_is_known_is_told_and_from_when(world: NodeWorld) -> None:
    for at_s, bytes_so_far in ((50, 100), (40, 150), (20, 170)):
        await read(world, at_s=at_s, received_bytes=bytes_so_far)
    await drop_readings(world, before_s=45)
    found = await figures(world)
    assert (found.received_bytes, found.known_from) == (20, from_ns(world.now_ns - 45 * S))
    gone = await figures(world, 1_000, 46)
    assert (gone.received_bytes, gone.cpu_ns, gone.known_from) == (None, None, found.known_from)


async def test_more_runs_than_are_counted_tell_from_when_they_are(
    world: NodeWorld, monkeypatch: pytest.MonkeyPatch
) -> None:
    for number in range(3):
        finished_ns = world.now_ns - (30 - number) * S
        record = world.record(f"c{number}", state=ContainerState.EXITED, finished_ns=finished_ns, process_id=None)
        counters = world.counters(f"c{number}", sampled_ns=finished_ns - S, received_bytes=10)
        await world.post(world.batch(NodeItem(record=record, counters=counters)))
    assert (await figures(world)).received_bytes == 30
    monkeypatch.setattr(shown, "RUNS_MAX", 2)
    found = await figures(world)
    assert (found.received_bytes, found.known_from) == (20, from_ns(world.now_ns - 30 * S))


async def test_another_account_is_told_nothing(world: NodeWorld) -> None:
    await read(world, at_s=20)
    period = Period(starts_at=from_ns(world.now_ns - 1_000 * S), ends_at=from_ns(world.now_ns))
    async with world.database.transaction() as tx:
        found = await shown_figures(tx, new_account_id(), world.service_id, period)
    assert (found.cpu_ns, found.received_bytes) == (None, None)

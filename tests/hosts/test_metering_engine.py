"""What a real engine does, and what the ledger says of it: both must be the same."""

import asyncio
import random
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import suppress
from typing import TypeVar
from uuid import uuid4

import pytest

from helvetia.containers.errors import HostUnavailable
from helvetia.containers.model import ContainerState
from helvetia.database.pool import Database
from helvetia.kernel.clock import SystemClock
from helvetia.kernel.quantity import NS_PER_S, UsageMetric
from helvetia.metering.readers.choose_reader import choose_reader
from helvetia.metering.readers.nft_egress import NftEgress
from support import trials
from support.byte_sink import byte_sink
from support.docker_engine import Engine
from support.metered_engine import MeteredEngine, eventually
from support.sandbox_process import free_port

COMPUTE, BANDWIDTH = UsageMetric.COMPUTE_HOURS, UsageMetric.BANDWIDTH_GB
MB = 2**20
IDLE = "trap 'exit 0' TERM; while :; do sleep 0.1; done"
SEED = 5_2026
PATIENCE_S = 300.0
_Result = TypeVar("_Result")

pytestmark = pytest.mark.docker


@pytest.fixture
async def metered(engine: Engine, database: Database) -> MeteredEngine:
    return await MeteredEngine.open(engine, database)


async def test_short_containers_are_all_found_and_their_time_is_the_engines_own(metered: MeteredEngine) -> None:
    count, at_once = trials.choose(small=40, full=1_000), 20
    dice = random.Random(SEED)
    stop, limit = asyncio.Event(), asyncio.Semaphore(at_once)

    async def live(replica: int, length_s: float) -> None:
        async with limit:
            record = await _persist(lambda: metered.run(f"sleep {length_s:.2f}", replica=replica))
            await eventually(lambda: _persist(lambda: _has_ended(metered, record.container_id)), within_s=PATIENCE_S)

    async def collect() -> None:
        while not stop.is_set():
            with suppress(HostUnavailable):  # as the worker does: the next tick does the same again
                await metered.tick()
            await asyncio.sleep(1)

    async with asyncio.TaskGroup() as group:
        watching = group.create_task(metered.metering.watch_events(stop))
        collecting = group.create_task(collect())
        async with asyncio.TaskGroup() as lives:
            for replica in range(count):
                lives.create_task(live(replica, dice.uniform(0.2, 5) if trials.IS_FULL else dice.uniform(0.2, 1.5)))
        stop.set()
        await asyncio.gather(watching, collecting)
    await _persist(metered.tick)
    lived = [one for one in await metered.host.list_containers() if one.started_ns is not None]
    async with metered.database.transaction() as tx:
        found = await (await tx.execute("SELECT count(*) FROM container_runs WHERE finished_ns IS NOT NULL")).fetchone()
    assert found == (len(lived),)
    assert len(lived) >= count  # one whose start the engine was slow to confirm was started again
    assert (await metered.totals())[COMPUTE] == await metered.truth_ns()
    await metered.check()
    trials.record("containers of 0.2 to 5 s, 20 at a time: found, time equal to the engine's", count=count, seed=SEED)


async def _persist(call: Callable[[], Awaitable[_Result]]) -> _Result:
    """The call's answer; an engine that is too busy to answer in time is asked again."""
    async with asyncio.timeout(PATIENCE_S):
        while True:
            try:
                return await call()
            except HostUnavailable:
                await asyncio.sleep(0.5)


async def _has_ended(metered: MeteredEngine, container_id: str) -> bool:
    record = await metered.host.inspect(container_id)
    return record is not None and record.state is ContainerState.EXITED


async def test_a_container_out_of_memory_is_counted_to_its_end_and_says_so(metered: MeteredEngine) -> None:
    record = await metered.run("head -c 60000000 /dev/zero | tail -c 60000000 >/dev/null", memory_mb=16)
    await eventually(lambda: _has_ended(metered, record.container_id))
    await metered.tick()
    assert (await metered.totals())[COMPUTE] == await metered.truth_ns()
    async with metered.database.transaction() as tx:
        row = await (await tx.execute("SELECT oom_killed, exit_code FROM container_runs")).fetchone()
    assert row is not None
    assert row[0] is True or row[1] == 137


async def test_a_restart_from_outside_is_two_runs_and_both_are_counted(metered: MeteredEngine) -> None:
    record = await metered.run(IDLE)
    stop = asyncio.Event()
    watching = asyncio.create_task(metered.metering.watch_events(stop))
    await asyncio.sleep(1)
    await metered.tick()
    await metered.host.engine.post(f"containers/{record.container_id}/restart", params={"t": "1"}, timeout_s=20)
    await asyncio.sleep(1)
    await metered.host.stop(record.container_id, grace_s=1)
    await metered.tick()
    stop.set()
    await watching
    last = await metered.host.inspect(record.container_id)
    assert last is not None
    assert last.started_ns is not None
    assert last.finished_ns is not None
    assert record.started_ns is not None
    counted = (await metered.totals())[COMPUTE]
    assert counted <= last.finished_ns - record.started_ns
    assert counted >= (last.finished_ns - last.started_ns) + NS_PER_S
    async with metered.database.transaction() as tx:
        assert await (await tx.execute("SELECT count(*) FROM container_runs")).fetchone() == (2,)
    await metered.check()


async def test_a_renamed_container_is_the_same_run(metered: MeteredEngine) -> None:
    record = await metered.run(IDLE)
    await metered.tick()
    await metered.host.engine.post(
        f"containers/{record.container_id}/rename", params={"name": f"x{record.container_id}"}
    )
    await metered.tick()
    await metered.host.stop(record.container_id, grace_s=1)
    await metered.tick()
    assert (await metered.totals())[COMPUTE] == await metered.truth_ns()
    assert await metered.causes() == {}


async def test_time_goes_on_while_paused_from_outside_and_the_record_says_so(metered: MeteredEngine) -> None:
    record = await metered.run(IDLE)
    await metered.host.engine.post(f"containers/{record.container_id}/pause")
    await metered.tick()
    await asyncio.sleep(1)
    await metered.host.engine.post(f"containers/{record.container_id}/unpause")
    await metered.host.stop(record.container_id, grace_s=1)
    await metered.tick()
    assert (await metered.totals())[COMPUTE] == await metered.truth_ns()
    assert "paused" in await metered.causes()


async def test_a_container_removed_behind_our_back_ends_when_it_was_last_seen(metered: MeteredEngine) -> None:
    record = await metered.run(IDLE)
    await asyncio.sleep(1)
    await metered.tick()
    await metered.engine.remove_foreign(record.container_id)
    gone_ns = _now_ns()
    await asyncio.sleep(0.2)
    await metered.tick()
    assert record.started_ns is not None
    assert NS_PER_S <= (await metered.totals())[COMPUTE] <= gone_ns - record.started_ns
    assert "finish_unseen" in await metered.causes()
    await metered.check()


def _now_ns() -> int:
    return int(SystemClock().wall().timestamp() * NS_PER_S)


async def _sent(wanted: int, received: Callable[[], int]) -> bool:
    return received() >= wanted


@pytest.fixture
async def own_table() -> AsyncIterator[NftEgress]:
    """Counters in a table of the test's own, which it may lose."""
    table = f"helvetia_test_{uuid4().hex[:12]}"
    egress = NftEgress(SystemClock(), table=table)
    if await egress.read() is None:
        pytest.skip("the host's firewall may not be used here: all bytes that a container sends are counted")
    yield egress
    await _lose(egress)


async def _lose(egress: NftEgress) -> None:
    process = await asyncio.create_subprocess_exec("nft", "delete", "table", "inet", egress.table)
    assert await process.wait() == 0


async def test_m14_counters_that_the_firewall_lost_go_on_and_only_the_moment_of_the_loss_is_a_gap(
    engine: Engine, database: Database, own_table: NftEgress
) -> None:
    metered = await MeteredEngine.open(engine, database, own_table)
    address, gate = await metered.bridge_address(), free_port()
    async with byte_sink(address) as sink:
        send = f"head -c {MB} /dev/zero | nc {address} {sink.port}"
        waits = f"until nc {address} {gate} </dev/null; do sleep 0.1; done"
        container = await metered.run(f"{send}; {waits}; {send}; {send}; sleep 600")
        await eventually(lambda: _sent(MB, lambda: sink.received_bytes))
        await metered.tick()
        before = (await metered.totals())[BANDWIDTH]
        await _lose(own_table)
        await metered.tick()
        after = await asyncio.start_server(lambda _, writer: writer.close(), address, gate)
        await eventually(lambda: _sent(3 * MB, lambda: sink.received_bytes))
        await metered.tick()
        after.close()
    # Another process finds what this one made again: the same table, the same beginning.
    another = await choose_reader(engine.host, egress=NftEgress(SystemClock(), table=own_table.table))
    (read,) = await another.read([container])
    assert before >= MB
    assert 3 * MB <= (await metered.totals())[BANDWIDTH] <= (read.external_bytes or 0) <= (read.transmitted_bytes or 0)
    async with metered.database.transaction() as tx:
        rows = await (await tx.execute("SELECT cause, ends_ns - starts_ns FROM metering_findings")).fetchall()
    assert [cause for cause, _ in rows] == ["egress_unknown"]
    await metered.check()


@pytest.fixture
async def counted(engine: Engine, database: Database) -> MeteredEngine:
    egress = NftEgress(SystemClock())
    if await egress.read() is None:
        pytest.skip("the host's firewall may not be used here: all bytes that a container sends are counted")
    return await MeteredEngine.open(engine, database, egress)


async def test_m14_bytes_between_containers_on_the_bridge_are_not_billed_those_to_outside_are(
    counted: MeteredEngine,
) -> None:
    sent = trials.choose(small=20, full=1_024) * MB
    out = 3 * MB
    quiet, loud = await counted.add_service("quiet"), await counted.add_service("loud")
    receiver = await counted.run("tail -f /dev/null | nc -l -p 7000 >/dev/null; sleep 600", service_id=quiet)
    peer = await counted.address_of(receiver.container_id)
    address = await counted.bridge_address()
    inside = await counted.run(
        f"sleep 0.5; head -c {sent} /dev/zero | nc {peer} 7000; sleep 600", replica=1, service_id=quiet
    )
    async with byte_sink(address) as sink:
        outside = await counted.run(f"head -c {out} /dev/zero | nc {address} {sink.port}; sleep 600", service_id=loud)
        await eventually(lambda: _sent(out, lambda: sink.received_bytes))
        await eventually(lambda: _transmitted(counted, inside.container_id, sent), within_s=120)
        await counted.tick()
        (read,) = await counted.reader.read([outside])
    assert (await counted.totals(quiet))[BANDWIDTH] == 0
    assert (await counted.totals(loud))[BANDWIDTH] == read.external_bytes
    assert read.external_bytes is not None
    assert read.transmitted_bytes is not None
    assert out <= read.external_bytes <= read.transmitted_bytes
    async with counted.database.transaction() as tx:
        bounds = await (
            await tx.execute("SELECT DISTINCT bound FROM usage_records WHERE metric = 'BANDWIDTH_GB'")
        ).fetchall()
        beside = await (
            await tx.execute("SELECT max(transmitted_bytes), max(received_bytes) FROM container_readings")
        ).fetchone()
    assert all("left the host's container networks" in bound for (bound,) in bounds)
    assert beside is not None
    assert min(beside) >= sent
    await counted.check()
    trials.record("MB between two containers on the bridge, none billed", count=sent // MB)


async def _transmitted(metered: MeteredEngine, container_id: str, wanted: int) -> bool:
    record = await metered.host.inspect(container_id)
    assert record is not None
    (counters,) = await metered.reader.read([record])
    return (counters.transmitted_bytes or 0) >= wanted


async def test_where_the_firewall_is_not_ours_all_bytes_count_and_the_piece_says_so(metered: MeteredEngine) -> None:
    await metered.run(f"ping -c 2 {await metered.bridge_address()}; sleep 600")
    await asyncio.sleep(1.2)
    await metered.tick()
    async with metered.database.transaction() as tx:
        bounds = await (await tx.execute("SELECT bound FROM usage_records WHERE metric = 'BANDWIDTH_GB'")).fetchall()
    assert all("cannot tell which stayed inside" in bound for (bound,) in bounds)

"""The simulation: figures are functions of the clock alone, and faults come when they are called."""

import asyncio
from dataclasses import replace
from datetime import timedelta

import pytest

from helvetia.containers.errors import ContainerRefused, HostUnavailable
from helvetia.containers.model import ContainerState
from helvetia.containers.simulated_host import SimulatedHost
from helvetia.kernel.clock import ManualClock, to_ns
from support.docker_engine import demo_spec

ENV = {
    "SIM_MEMORY_BYTES": "1000@0,5000@60,2000@120",
    "SIM_BYTES_PER_S": "333",
    "SIM_RECEIVED_BYTES_PER_S": "10",
    "SIM_LAYER_BYTES": "7@10",
    "SIM_CPU_PERCENT": "50",
}


@pytest.fixture
def host(clock: ManualClock) -> SimulatedHost:
    return SimulatedHost("sim", clock)


async def test_same_calls_at_the_same_instants_give_the_same_records(clock: ManualClock) -> None:
    spec = demo_spec()
    first, second = [await SimulatedHost("sim", clock).create_and_start(spec) for _ in range(2)]
    other = await SimulatedHost("other", clock).create_and_start(spec)
    assert first == second
    assert other.container_id != first.container_id


async def test_counters_follow_the_script_and_the_clock(host: SimulatedHost, clock: ManualClock) -> None:
    record = await host.create_and_start(demo_spec(env=ENV))
    seen = []
    for _ in range(4):
        (one,) = await host.read_counters([record])
        seen.append((one.memory_bytes, one.memory_peak_bytes, one.transmitted_bytes, one.received_bytes, one.cpu_ns))
        clock.advance(timedelta(seconds=60))
    assert seen == [
        (1000, 1000, 0, 0, 0),
        (5000, 5000, 19_980, 600, 30 * 10**9),
        (2000, 5000, 39_960, 1200, 60 * 10**9),
        (2000, 5000, 59_940, 1800, 90 * 10**9),
    ]


async def test_scripted_end_is_exact_however_late_one_looks(host: SimulatedHost, clock: ManualClock) -> None:
    record = await host.create_and_start(demo_spec(env=ENV | {"SIM_RUN_MS": "1500", "SIM_EXIT_CODE": "9"}))
    clock.advance(timedelta(hours=5))
    await host.stop(record.container_id)
    ended = await host.inspect(record.container_id)
    assert ended is not None
    assert record.started_ns is not None
    assert (ended.finished_ns, ended.exit_code) == (record.started_ns + 1_500_000_000, 9)
    assert list(await host.read_counters([record])) == []
    assert [one.size_bytes for one in await host.read_storage()] == [0]


async def test_killed_and_restarted_one_is_a_new_incarnation(host: SimulatedHost, clock: ManualClock) -> None:
    record = await host.create_and_start(demo_spec(env=ENV))
    clock.advance(timedelta(seconds=30))
    host.kill(record.container_id, is_out_of_memory=True)
    killed = await host.inspect(record.container_id)
    assert killed is not None
    assert (killed.exit_code, killed.oom_killed, killed.finished_ns) == (137, True, to_ns(clock.now()))
    clock.advance(timedelta(seconds=5))
    host.restart(record.container_id)
    again = await host.inspect(record.container_id)
    assert again is not None
    assert (again.state, again.restart_count, again.started_ns) == (ContainerState.RUNNING, 1, to_ns(clock.now()))
    assert again.incarnation != record.incarnation
    (counters,) = await host.read_counters([again])
    assert counters.transmitted_bytes == 0


async def test_host_that_is_away_answers_nothing(host: SimulatedHost) -> None:
    spec = demo_spec()
    record = await host.create_and_start(spec)
    host.is_available = False
    for call in (
        host.list_containers(),
        host.inspect(record.container_id),
        host.create_and_start(replace(spec, replica=1)),
        host.stop(record.container_id),
        host.remove(record.container_id),
        host.remove_volumes(spec.service_id),
        host.read_counters([record]),
        host.read_storage(),
        anext(aiter(host.events())),
    ):
        with pytest.raises(HostUnavailable):
            await call
    host.is_available = True
    assert list(await host.list_containers()) == [record]


async def test_lost_answer_leaves_one_container(host: SimulatedHost) -> None:
    spec = demo_spec()
    host.loses_next_answer = True
    with pytest.raises(HostUnavailable):
        await host.create_and_start(spec)
    record = await host.create_and_start(spec)
    assert list(await host.list_containers()) == [record]


async def test_cut_event_stream_ends(host: SimulatedHost) -> None:
    listener = asyncio.create_task(anext(aiter(host.events())))
    await asyncio.sleep(0)
    host.cut_events()
    with pytest.raises(StopAsyncIteration):
        await listener


async def test_host_that_cannot_tell_bytes_leaves_them_unmeasured(host: SimulatedHost) -> None:
    record = await host.create_and_start(demo_spec(env=ENV | {"SIM_UNMEASURED": "1"}))
    (counters,) = await host.read_counters([record])
    assert (counters.transmitted_bytes, counters.received_bytes) == (None, None)


@pytest.mark.parametrize("text", ["-1", "1.5", "x", "1@x", "٣"])
async def test_script_that_is_no_number_is_refused(host: SimulatedHost, text: str) -> None:
    with pytest.raises(ContainerRefused, match="not a whole number"):
        await host.create_and_start(demo_spec(env={"SIM_MEMORY_BYTES": text}))

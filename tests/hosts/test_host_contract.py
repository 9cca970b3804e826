"""What every ContainerHost promises; the same tests for the engine, the local processes and the simulation."""

import asyncio
from dataclasses import replace
from datetime import timedelta

import pytest

from helvetia.containers.errors import ContainerRefused, ImageNotFound
from helvetia.containers.model import ContainerHost, ContainerRecord, ContainerState, Volume
from helvetia.containers.simulated_host import SimulatedHost
from helvetia.kernel.clock import ManualClock
from helvetia.kernel.identity import new_service_id
from support.docker_engine import demo_spec


async def pass_time(host: ContainerHost, clock: ManualClock) -> None:
    if isinstance(host, SimulatedHost):
        clock.advance(timedelta(milliseconds=500))
    else:
        await asyncio.sleep(0.5)


async def until_held(host: ContainerHost, size_bytes: int) -> None:
    """Until what is held has this size; real workloads take a moment to write."""
    for _ in range(400):
        if sum(one.size_bytes for one in await host.read_storage()) == size_bytes:
            return
        await asyncio.sleep(0.05)
    pytest.fail(f"{size_bytes} bytes were never held")


async def until_resident(host: ContainerHost, record: ContainerRecord, memory_bytes: int) -> None:
    for _ in range(400):
        if all((one.memory_bytes or 0) >= memory_bytes for one in await host.read_counters([record])):
            return
        await asyncio.sleep(0.05)
    pytest.fail(f"{memory_bytes} bytes were never resident")


async def test_created_and_started_is_listed_with_its_owner(host: ContainerHost) -> None:
    spec = demo_spec(revision=3, replica=1)
    record = await host.create_and_start(spec)
    assert (record.account_id, record.service_id, record.revision, record.replica) == (
        spec.account_id,
        spec.service_id,
        3,
        1,
    )
    assert record.state is ContainerState.RUNNING
    assert record.started_ns is not None
    assert record.created_ns <= record.started_ns
    assert (record.finished_ns, record.exit_code, record.restart_count) == (None, None, 0)
    assert await host.inspect(record.container_id) == record
    assert list(await host.list_containers()) == [record]
    assert list(await host.list_running_ids()) == [record.container_id]


async def test_repeated_create_answers_the_one_that_runs(host: ContainerHost) -> None:
    spec = demo_spec()
    first = await host.create_and_start(spec)
    assert await host.create_and_start(spec) == first
    assert len(await host.list_containers()) == 1


async def test_creates_at_once_leave_one_replica(host: ContainerHost) -> None:
    spec = demo_spec()
    records = await asyncio.gather(*(host.create_and_start(spec) for _ in range(4)))
    assert len({record.container_id for record in records}) == 1
    assert len(await host.list_containers()) == 1


async def test_other_replica_and_other_generation_are_containers_of_their_own(host: ContainerHost) -> None:
    spec = demo_spec()
    for one in (spec, replace(spec, replica=1), replace(spec, revision=2)):
        await host.create_and_start(one)
    assert len(await host.list_containers()) == 3


async def test_stopped_keeps_its_record_until_removed(host: ContainerHost, clock: ManualClock) -> None:
    record = await host.create_and_start(demo_spec())
    await pass_time(host, clock)
    await host.stop(record.container_id, grace_s=2)
    assert list(await host.list_running_ids()) == []
    stopped = await host.inspect(record.container_id)
    assert stopped is not None
    assert stopped.state is ContainerState.EXITED
    assert stopped.started_ns == record.started_ns
    assert stopped.started_ns is not None
    assert stopped.finished_ns is not None
    assert stopped.finished_ns - stopped.started_ns >= 300_000_000
    assert stopped.process_id is None
    assert stopped.exit_code is not None
    await host.stop(record.container_id)
    await host.remove(record.container_id)
    assert await host.inspect(record.container_id) is None
    assert list(await host.list_containers()) == []


async def test_start_after_stop_is_a_new_incarnation_beside_the_old_record(host: ContainerHost) -> None:
    spec = demo_spec()
    first = await host.create_and_start(spec)
    await host.stop(first.container_id, grace_s=2)
    second = await host.create_and_start(spec)
    assert second.container_id != first.container_id
    assert {record.state for record in await host.list_containers()} == {ContainerState.RUNNING, ContainerState.EXITED}


async def test_running_container_is_not_removed(host: ContainerHost) -> None:
    record = await host.create_and_start(demo_spec())
    with pytest.raises(ContainerRefused):
        await host.remove(record.container_id)
    assert await host.inspect(record.container_id) == record


async def test_unknown_container_is_gone(host: ContainerHost) -> None:
    assert await host.inspect("0" * 64) is None
    assert await host.inspect("../../info") is None
    await host.stop("0" * 64)
    await host.remove("0" * 64)


async def test_missing_image_is_said_and_leaves_nothing(host: ContainerHost) -> None:
    with pytest.raises(ImageNotFound, match="missing/image"):
        await host.create_and_start(demo_spec(image="missing/image:1"))
    assert list(await host.list_containers()) == []


async def test_counters_of_running_ones_only(host: ContainerHost, clock: ManualClock) -> None:
    first = await host.create_and_start(demo_spec(env={"MEMORY_MB": "16", "SIM_MEMORY_BYTES": "20000000"}))
    second = await host.create_and_start(demo_spec())
    await pass_time(host, clock)
    await until_resident(host, first, 16 * 2**20)
    await host.stop(second.container_id, grace_s=2)
    counters = await host.read_counters([first, second])
    assert [one.container_id for one in counters] == [first.container_id]
    assert first.started_ns is not None
    assert counters[0].sampled_ns > first.started_ns
    assert counters[0].memory_bytes is not None
    assert 16 * 2**20 <= counters[0].memory_bytes < 40 * 2**20


async def test_volumes_outlive_their_containers_and_go_with_the_service(host: ContainerHost) -> None:
    env = {"VOLUME_MB": "2", "VOLUME_PATH": "/kept", "DISK_MB": "1"}
    simulated = {"SIM_VOLUME_BYTES": str(2 * 2**20), "SIM_LAYER_BYTES": str(2**20)}
    spec = demo_spec(env=env | simulated, volumes=(Volume(name="kept", path="/kept"),))
    record = await host.create_and_start(spec)
    await until_held(host, 3 * 2**20)
    sizes = {one.kind: one for one in await host.read_storage()}
    assert {kind: one.size_bytes for kind, one in sizes.items()} == {"layer": 2**20, "volume": 2 * 2**20}
    assert sizes["layer"].holder == record.container_id
    assert list(record.volumes) == [sizes["volume"].holder]
    assert {(one.account_id, one.service_id) for one in sizes.values()} == {(spec.account_id, spec.service_id)}
    await host.stop(record.container_id, grace_s=2)
    await host.remove(record.container_id)
    assert [(one.kind, one.size_bytes) for one in await host.read_storage()] == [("volume", 2 * 2**20)]
    await host.remove_volumes(new_service_id())
    assert len(await host.read_storage()) == 1
    await host.remove_volumes(spec.service_id)
    assert list(await host.read_storage()) == []


async def test_one_that_ends_by_itself_keeps_its_exit_code(host: ContainerHost, clock: ManualClock) -> None:
    env = {"RUN_SECONDS": "0.2", "EXIT_CODE": "3", "SIM_RUN_MS": "200", "SIM_EXIT_CODE": "3"}
    record = await host.create_and_start(demo_spec(env=env))
    for _ in range(20):
        await pass_time(host, clock)
        ended = await host.inspect(record.container_id)
        assert ended is not None
        if ended.state is ContainerState.EXITED:
            break
    assert ended.exit_code == 3
    assert ended.started_ns is not None
    assert ended.finished_ns is not None
    # An engine writes the start down when the process runs already: some thousandths of a second of it are before.
    assert 150_000_000 <= ended.finished_ns - ended.started_ns < 3_000_000_000


async def test_start_and_end_are_told_as_events(host: ContainerHost) -> None:
    seen: list[tuple[str, str]] = []
    is_done = asyncio.Event()

    async def listen() -> None:
        async for event in host.events():
            seen.append((event.container_id, event.action))
            if event.action == "die":
                is_done.set()

    listener = asyncio.create_task(listen())
    await asyncio.sleep(0.3)
    record = await host.create_and_start(demo_spec())
    await host.stop(record.container_id, grace_s=2)
    await asyncio.wait_for(is_done.wait(), 5)
    listener.cancel()
    await asyncio.gather(listener, return_exceptions=True)
    assert seen == [(record.container_id, "start"), (record.container_id, "die")]


async def test_node_has_a_name(host: ContainerHost) -> None:
    assert host.node == "test-node"

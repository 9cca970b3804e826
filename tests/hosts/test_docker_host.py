"""What only a real engine can show: whose containers are touched, how they are locked in, and its own instants."""

import asyncio
import socket
from collections.abc import AsyncIterator
from contextlib import suppress
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from uuid import uuid4

import pytest

from helvetia.containers.demo_image import BUSYBOX_PATHS, demo_archive, ensure_demo_image, find_static_busybox
from helvetia.containers.docker.create_body import container_name, create_body
from helvetia.containers.docker_host import DockerHost
from helvetia.containers.errors import ContainerRefused, HostUnavailable
from helvetia.containers.model import INSTALLATION_LABEL, ContainerHost, ContainerState, Volume
from helvetia.database.pool import NetworkInsideTransaction, _in_transaction
from helvetia.kernel.clock import SystemClock
from helvetia.metering.readers.cgroup_reader import CgroupReader
from helvetia.metering.readers.cgroup_v1 import LayoutV1
from helvetia.metering.readers.cgroup_v2 import LayoutV2
from helvetia.metering.readers.choose_reader import CGROUP_ROOT, FilesThenHostReader, choose_reader
from helvetia.metering.readers.host_reader import HostReader
from support.docker_engine import Engine, demo_spec

pytestmark = pytest.mark.docker


@pytest.mark.parametrize("labels", [{}, {INSTALLATION_LABEL: "somebody-else"}])
async def test_foreign_container_is_neither_listed_read_stopped_nor_counted(
    engine: Engine, labels: dict[str, str]
) -> None:
    host = engine.host
    foreign = await engine.run_foreign(labels)
    try:
        assert list(await host.list_containers()) == []
        assert await host.inspect(foreign) is None
        assert list(await host.read_storage()) == []
        for touch in (host.stop(foreign, grace_s=0), host.remove(foreign)):
            with pytest.raises(ContainerRefused, match="not touched"):
                await touch
        assert (await engine.inspect_raw(foreign))["State"]["Running"] is True
    finally:
        await engine.remove_foreign(foreign)


async def test_labelled_container_of_nobody_is_left_alone(engine: Engine) -> None:
    stray = await engine.run_foreign({INSTALLATION_LABEL: engine.installation_id, "helvetia.service_id": "nonsense"})
    assert list(await engine.host.list_containers()) == []
    assert await engine.host.inspect(stray) is None
    assert list(await engine.host.read_storage()) == []


async def test_foreign_events_are_not_told(engine: Engine) -> None:
    events = engine.host.events()
    first = asyncio.create_task(anext(aiter(events)))
    await asyncio.sleep(0.3)
    foreign = await engine.run_foreign({})
    await engine.remove_foreign(foreign)
    record = await engine.host.create_and_start(demo_spec())
    event = await asyncio.wait_for(first, 5)
    assert (event.container_id, event.action) == (record.container_id, "start")
    assert record.started_ns is not None
    assert abs(event.occurred_ns - record.started_ns) < 1_000_000_000


async def test_container_is_locked_in(engine: Engine) -> None:
    spec = demo_spec(memory_mb=48, cpu_cores="0.25", volumes=(Volume(name="data", path="/data"),))
    record = await engine.host.create_and_start(spec)
    body = await engine.inspect_raw(record.container_id)
    config = body["HostConfig"]
    assert config["Privileged"] is False
    assert config["SecurityOpt"] == ["no-new-privileges"]
    assert config["CapAdd"] is None
    assert {"NET_RAW", "MKNOD", "SYS_CHROOT", "SETPCAP"} <= {name.removeprefix("CAP_") for name in config["CapDrop"]}
    assert (config["Memory"], config["MemorySwap"], config["NanoCpus"]) == (48 * 2**20, 48 * 2**20, 250_000_000)
    assert config["PidsLimit"] == 1_024
    assert config["NetworkMode"] == "bridge"
    assert (config["PidMode"], config["UTSMode"], config["UsernsMode"], config["IpcMode"]) == ("", "", "", "private")
    assert (config["Binds"], config["Devices"] or [], config["PortBindings"] or {}) == (None, [], {})
    assert config["LogConfig"] == {"Type": "json-file", "Config": {"max-size": "10m", "max-file": "3"}}
    assert (config["AutoRemove"], config["RestartPolicy"]["Name"]) == (False, "no")
    assert [(mount["Type"], mount["Name"]) for mount in body["Mounts"]] == [
        ("volume", f"helvetia-{spec.service_id}-data")
    ]
    volume = await engine.host.engine.get(f"volumes/helvetia-{spec.service_id}-data")
    assert volume["Labels"][INSTALLATION_LABEL] == engine.installation_id


def status_of(process_id: int | None) -> dict[str, str]:
    status = Path(f"/proc/{process_id}/status")
    text = status.read_text() if status.exists() else ""
    return dict(line.split(":\t", 1) for line in text.splitlines() if ":\t" in line)


async def test_privileges_cannot_be_gained_inside(engine: Engine) -> None:
    record = await engine.host.create_and_start(demo_spec(command=("sleep", "600")))
    lines = status_of(record.process_id)
    if not lines:
        pytest.skip("the engine's processes are not visible here")
    assert lines["NoNewPrivs"] == "1"
    bits = int(lines["CapEff"], 16)
    kept = {"CHOWN": 0, "DAC_OVERRIDE": 1, "FOWNER": 3, "FSETID": 4, "KILL": 5, "SETGID": 6, "SETUID": 7}
    assert bits == sum(1 << bit for bit in (*kept.values(), 10))  # and NET_BIND_SERVICE


async def test_instants_equal_the_engines_to_the_nanosecond(engine: Engine) -> None:
    record = await engine.host.create_and_start(demo_spec())
    await engine.host.stop(record.container_id, grace_s=1)
    stopped = await engine.host.inspect(record.container_id)
    assert stopped is not None
    state = (await engine.inspect_raw(record.container_id))["State"]
    for told, text in ((stopped.started_ns, state["StartedAt"]), (stopped.finished_ns, state["FinishedAt"])):
        whole, _, fraction = text.rstrip("Z").partition(".")
        second = int(datetime.fromisoformat(whole).replace(tzinfo=UTC).timestamp())
        assert told == second * 10**9 + int(fraction.ljust(9, "0"))


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"command": ("/no/such/program",)}, "no such file"),
        ({"memory_bytes": 2**20}, "(?i)minimum memory limit"),
        ({"volumes": (Volume(name="../../etc", path="/x"),)}, "(?i)invalid"),
        ({"volumes": (Volume(name="data", path="relative"),)}, "(?i)invalid"),
    ],
)
async def test_refusal_is_told_in_the_engines_words_and_leaves_nothing(
    engine: Engine, change: dict[str, object], words: str
) -> None:
    with pytest.raises(ContainerRefused, match=words):
        await engine.host.create_and_start(replace(demo_spec(), **change))  # type: ignore[arg-type]
    assert list(await engine.host.list_containers()) == []


async def test_lost_answer_to_create_is_finished_by_the_next_call(engine: Engine) -> None:
    spec = demo_spec()
    body = create_body(spec, engine.installation_id, 0)
    made = await engine.host.engine.post("containers/create", body, params={"name": container_name(spec, 0)})
    (half_made,) = await engine.host.list_containers()
    assert (half_made.state, half_made.started_ns) == (ContainerState.CREATED, None)
    record = await engine.host.create_and_start(spec)
    assert (record.container_id, record.state) == (made["Id"], ContainerState.RUNNING)
    assert len(await engine.host.list_containers()) == 1


async def test_half_made_container_is_removed_by_stop(engine: Engine) -> None:
    spec = demo_spec()
    made = await engine.host.engine.post("containers/create", create_body(spec, engine.installation_id, 0))
    await engine.host.stop(made["Id"])
    assert await engine.host.inspect(made["Id"]) is None


async def test_volume_that_an_image_brings_is_counted_and_goes_with_its_container(engine: Engine) -> None:
    name, host = f"helvetia-test-{uuid4().hex}", engine.host
    program, _ = find_static_busybox(BUSYBOX_PATHS)
    assert program is not None
    params = {"fromSrc": "-", "repo": name, "tag": "1", "changes": "VOLUME /scratch\nENV PATH=/bin"}
    kind = "application/x-tar"
    async for _ in host.engine.lines(
        "images/create", method="POST", params=params, data=demo_archive(program), content_type=kind, silence_max_s=30
    ):
        pass
    try:
        command = ("sh", "-c", "head -c 1000000 /dev/zero > /scratch/x; sleep 600")
        spec = demo_spec(image=f"{name}:1", command=command)
        record = await host.create_and_start(spec)
        assert len(record.volumes) == 1
        await asyncio.sleep(0.5)
        sizes = [one for one in await host.read_storage() if one.kind == "volume"]
        assert [(one.holder, one.service_id, one.size_bytes) for one in sizes] == [
            (record.volumes[0], spec.service_id, 1_000_000)
        ]
        await host.stop(record.container_id, grace_s=0)
        await host.remove(record.container_id)
        assert list(await host.read_storage()) == []
    finally:
        with suppress(ContainerRefused):
            await host.engine.delete(f"images/{name}:1", {"force": "1"})


async def test_files_and_stats_api_agree(engine: Engine) -> None:
    """Memory within 1 %, bytes equal at rest."""
    host = engine.host
    layout = next((one for one in (LayoutV2(CGROUP_ROOT), LayoutV1(CGROUP_ROOT)) if one.is_present()), None)
    if layout is None:
        pytest.skip("control groups cannot be read here")
    script = """
        gateway=$(ip route | awk '/^default/ { print $3 }')
        { head -c 33554432 /dev/zero; exec sleep 600; } | tail -c 33554432 >/dev/null &
        nc -w 1 "$gateway" 9 </dev/null
        wait
    """
    record = await host.create_and_start(demo_spec(command=("sh", "-c", script), memory_mb=128))
    files = CgroupReader(layout, SystemClock())
    async with asyncio.timeout(30):
        while True:
            (before,), (by_stats,), (by_files,) = [
                await reader.read([record]) for reader in (files, HostReader(host), files)
            ]
            is_at_rest = (before.received_bytes, before.transmitted_bytes) == (
                by_files.received_bytes,  # neighbours on the bridge are heard too
                by_files.transmitted_bytes,
            )
            if (before.memory_bytes or 0) > 2**25 and by_files.transmitted_bytes != 0 and is_at_rest:
                break
            await asyncio.sleep(0.3)
    assert by_files.memory_bytes is not None
    assert by_stats.memory_bytes is not None
    assert by_files.transmitted_bytes == by_stats.transmitted_bytes
    assert abs(by_files.memory_bytes - by_stats.memory_bytes) <= by_stats.memory_bytes // 100
    assert by_files.received_bytes == by_stats.received_bytes
    assert by_files.memory_peak_bytes is None or by_files.memory_peak_bytes >= by_files.memory_bytes
    assert by_files.cpu_ns is not None
    assert by_stats.cpu_ns is not None
    assert abs(by_files.cpu_ns - by_stats.cpu_ns) < 500_000_000


async def test_chosen_reader_reads_live_containers_and_leaves_out_the_dead(engine: Engine) -> None:
    reader = await choose_reader(engine.host)
    alive = await engine.host.create_and_start(demo_spec())
    dead = await engine.host.create_and_start(demo_spec())
    await engine.host.stop(dead.container_id, grace_s=1)
    counters = await reader.read([alive, dead])
    assert [one.container_id for one in counters] == [alive.container_id]
    if isinstance(reader, FilesThenHostReader):
        assert reader.name.startswith("cgroup-")


async def test_call_inside_a_transaction_is_refused(engine: Engine) -> None:
    token = _in_transaction.set(True)
    try:
        with pytest.raises(NetworkInsideTransaction):
            await engine.host.list_containers()
    finally:
        _in_transaction.reset(token)


async def test_demo_image_is_not_made_twice(engine: Engine) -> None:
    again = await ensure_demo_image(engine.host)
    assert again
    assert again.reason == "it is there"


async def all_calls_are_unavailable(host: ContainerHost) -> None:
    spec = demo_spec()
    for call in (
        host.list_containers(),
        host.inspect("a" * 64),
        host.create_and_start(spec),
        host.stop("a" * 64),
        host.remove("a" * 64),
        host.remove_volumes(spec.service_id),
        host.read_storage(),
        anext(aiter(host.events())),
    ):
        with pytest.raises(HostUnavailable):
            await call


async def test_engine_that_is_not_there_is_unavailable(tmp_path: Path) -> None:
    host = DockerHost("nobody", url=f"unix://{tmp_path}/none.sock", timeout_s=1.0)
    await all_calls_are_unavailable(host)
    await host.close()


@pytest.fixture
async def silent_engine(tmp_path: Path) -> AsyncIterator[str]:
    """Takes connections and says nothing."""
    path = tmp_path / "silent.sock"
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(str(path))
        listener.listen()
        yield f"unix://{path}"


async def test_engine_that_hangs_is_unavailable_in_time(silent_engine: str) -> None:
    host = DockerHost("nobody", url=silent_engine, timeout_s=0.1)
    async with asyncio.timeout(5):
        await all_calls_are_unavailable(host)
    await host.close()

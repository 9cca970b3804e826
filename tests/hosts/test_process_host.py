"""The host of local processes: what it refuses, what it cannot measure, and what it remembers after a crash of ours."""

import asyncio
import json
import os
import signal
import subprocess
import sys
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import pytest

from helvetia.containers.errors import ContainerRefused, HostUnavailable, ImageNotFound
from helvetia.containers.model import ContainerState, Volume
from helvetia.containers.process_host import ProcessHost
from helvetia.containers.processes.proc_files import read_process
from helvetia.kernel.clock import SystemClock, to_ns
from support.docker_engine import demo_spec

PARENT = """
import asyncio, pathlib, sys
from helvetia.containers.process_host import ProcessHost
from helvetia.kernel.clock import SystemClock
from support.docker_engine import demo_spec

async def main():
    host = ProcessHost(SystemClock(), pathlib.Path(sys.argv[1]))
    record = await host.create_and_start(demo_spec())
    await host.list_containers()
    print(record.container_id, record.process_id, record.started_ns, flush=True)
    await asyncio.sleep(60)

asyncio.run(main())
"""


@pytest.fixture
async def host(tmp_path: Path) -> AsyncIterator[ProcessHost]:
    host = ProcessHost(SystemClock(), tmp_path)
    yield host
    await host.close()


def started_by_a_parent_that_was_killed(folder: Path) -> tuple[str, int, int]:
    """A workload whose host died by SIGKILL: its container id, process id and start."""
    source = Path(__file__).resolve().parents[1]
    with subprocess.Popen(
        [sys.executable, "-c", PARENT, str(folder)], stdout=subprocess.PIPE, text=True, cwd=source
    ) as parent:
        assert parent.stdout is not None
        container_id, process_id, started_ns = parent.stdout.readline().split()
        parent.kill()
    return container_id, int(process_id), int(started_ns)


def is_alive(process_id: int) -> bool:
    process = read_process(process_id)
    return process is not None and process.is_alive


async def until_dead(process_id: int) -> None:
    for _ in range(500):
        if not is_alive(process_id):
            return
        await asyncio.sleep(0.02)
    pytest.fail(f"process {process_id} did not end")


def environment_of(process_id: int | None) -> set[str]:
    text = Path(f"/proc/{process_id}/environ").read_text()
    return {line.partition("=")[0] for line in text.split("\0") if line}


async def test_other_image_is_refused_with_what_this_host_runs(host: ProcessHost) -> None:
    with pytest.raises(ImageNotFound, match=r"only the built-in demo workload, image helvetia/demo, not nginx"):
        await host.create_and_start(demo_spec(image="nginx"))


async def test_command_is_refused(host: ProcessHost) -> None:
    with pytest.raises(ContainerRefused, match="no command"):
        await host.create_and_start(demo_spec(command=("sh", "-c", "id")))


@pytest.mark.parametrize("name", ["..", "../other", "a/b", "", "-x"])
async def test_volume_name_that_leaves_its_folder_is_refused(host: ProcessHost, name: str) -> None:
    with pytest.raises(ContainerRefused, match="name of a volume"):
        await host.create_and_start(demo_spec(volumes=(Volume(name=name, path="/x"),)))


async def test_environment_reaches_neither_interpreter_nor_loader(host: ProcessHost) -> None:
    env = {"PYTHONSTARTUP": "/tmp/x", "LD_PRELOAD": "/tmp/x.so", "CPU": "0.1"}  # noqa: S108 - never written
    record = await host.create_and_start(demo_spec(env=env))
    assert environment_of(record.process_id) <= {
        "CPU",
        "HELVETIA_MEMORY_LIMIT_BYTES",
        "HELVETIA_CPU_LIMIT_CORES",
        "LC_CTYPE",
    }


async def test_what_proc_does_not_tell_is_not_measured(host: ProcessHost) -> None:
    record = await host.create_and_start(demo_spec(env={"SEND_BYTES_PER_S": "5000"}))
    (counters,) = await host.read_counters([record])
    assert (counters.transmitted_bytes, counters.received_bytes, counters.memory_peak_bytes) == (None, None, None)
    assert counters.cpu_ns is not None


async def test_workload_above_its_limit_ends_like_a_container_out_of_memory(host: ProcessHost) -> None:
    record = await host.create_and_start(demo_spec(env={"MEMORY_MB": "100"}, memory_mb=64))
    assert record.process_id is not None
    await until_dead(record.process_id)
    ended = await host.inspect(record.container_id)
    assert ended is not None
    assert (ended.state, ended.exit_code) == (ContainerState.EXITED, 137)


async def test_stopped_workload_has_the_exit_code_of_its_signal(host: ProcessHost) -> None:
    record = await host.create_and_start(demo_spec())
    await host.stop(record.container_id)
    stopped = await host.inspect(record.container_id)
    assert stopped is not None
    assert stopped.exit_code == 128 + signal.SIGTERM


async def test_close_stops_all_and_keeps_the_records(tmp_path: Path) -> None:
    host = ProcessHost(SystemClock(), tmp_path)
    records = [await host.create_and_start(demo_spec()) for _ in range(3)]
    await host.close()
    assert not any(is_alive(record.process_id) for record in records if record.process_id is not None)
    again = ProcessHost(SystemClock(), tmp_path)
    found = await again.list_containers()
    assert {record.container_id for record in found} == {record.container_id for record in records}
    assert all(record.finished_ns is not None for record in found)
    await again.close()


async def test_workload_of_a_killed_parent_is_found_again_and_watched(tmp_path: Path) -> None:
    container_id, process_id, started_ns = started_by_a_parent_that_was_killed(tmp_path)
    host = ProcessHost(SystemClock(), tmp_path)
    (record,) = await host.list_containers()
    assert (record.container_id, record.process_id, record.started_ns) == (container_id, process_id, started_ns)
    assert record.state is ContainerState.RUNNING
    assert len(await host.read_counters([record])) == 1
    before_ns = to_ns(SystemClock().wall())
    await host.stop(container_id)
    stopped = await host.inspect(container_id)
    assert stopped is not None
    assert stopped.finished_ns is not None
    assert before_ns <= stopped.finished_ns <= to_ns(SystemClock().wall())
    assert stopped.exit_code is None
    await host.close()


async def test_workload_that_died_unseen_ends_when_it_was_last_seen(tmp_path: Path) -> None:
    container_id, process_id, started_ns = started_by_a_parent_that_was_killed(tmp_path)
    seen_ns = json.loads((tmp_path / "processes.json").read_text())[0]["seen_ns"]
    os.kill(process_id, signal.SIGKILL)
    await until_dead(process_id)
    host = ProcessHost(SystemClock(), tmp_path)
    (record,) = await host.list_containers()
    assert record.container_id == container_id
    assert record.state is ContainerState.EXITED
    assert record.finished_ns == seen_ns >= started_ns
    await host.close()


@pytest.fixture
def bystander() -> Iterator[subprocess.Popen[bytes]]:
    with subprocess.Popen(["sleep", "60"]) as process:
        yield process
        process.kill()


async def test_process_id_of_somebody_else_is_neither_adopted_nor_stopped(
    tmp_path: Path, bystander: subprocess.Popen[bytes]
) -> None:
    _, process_id, _ = started_by_a_parent_that_was_killed(tmp_path)
    os.kill(process_id, signal.SIGKILL)
    state = tmp_path / "processes.json"
    (entry,) = json.loads(state.read_text())
    state.write_text(json.dumps([entry | {"process_id": bystander.pid}]))
    host = ProcessHost(SystemClock(), tmp_path)
    (record,) = await host.list_containers()
    assert record.state is ContainerState.EXITED
    await host.stop(record.container_id)
    await host.close()
    assert bystander.poll() is None


def test_workload_whose_host_dies_before_the_word_go_ends() -> None:
    command = [sys.executable, "-I", "-m", "helvetia.containers.processes.demo_workload", "--wait-for-go"]
    assert subprocess.run(command, stdin=subprocess.DEVNULL, timeout=20, check=False).returncode == 0


def test_damaged_record_stops_the_host_and_is_kept(tmp_path: Path) -> None:
    state = tmp_path / "processes.json"
    state.write_text("[{")
    with pytest.raises(HostUnavailable, match="damaged"):
        ProcessHost(SystemClock(), tmp_path)
    assert state.read_text() == "[{"

import shutil
from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path

import pytest
from structlog.testing import capture_logs

from helvetia.containers.model import ContainerCounters, ContainerRecord
from helvetia.containers.simulated_host import SimulatedHost
from helvetia.kernel.clock import ManualClock, SystemClock, to_ns
from helvetia.metering.readers.cgroup_reader import CgroupReader
from helvetia.metering.readers.cgroup_v1 import LayoutV1
from helvetia.metering.readers.cgroup_v2 import LayoutV2
from helvetia.metering.readers.choose_reader import FilesThenHostReader, choose_reader
from helvetia.metering.readers.host_reader import HostReader
from support.cgroup_machine import NS, Machine, record_of


@pytest.fixture(params=[1, 2])
def machine(request: pytest.FixtureRequest, tmp_path: Path) -> Machine:
    return Machine(tmp_path, request.param)


def ids(counters: Sequence[ContainerCounters]) -> list[str]:
    return [one.container_id for one in counters]


async def test_recorded_files_are_read(machine: Machine) -> None:
    record = machine.add(1)
    before_ns = to_ns(SystemClock().wall())
    (counters,) = await machine.reader().read([record])
    assert counters.container_id == record.container_id
    assert before_ns <= counters.sampled_ns <= to_ns(SystemClock().wall())
    assert counters.memory_bytes == 70_148_096 - 757_760
    assert counters.memory_peak_bytes == 70_303_744
    assert counters.cpu_ns == (430_229_063 if machine.version == 1 else 430_229_000)
    assert (counters.received_bytes, counters.transmitted_bytes) == (736, 0)


async def test_kernel_without_a_peak_leaves_it_unmeasured(machine: Machine) -> None:
    record = machine.add(1)
    machine.file(record, "memory.max_usage_in_bytes" if machine.version == 1 else "memory.peak").unlink()
    (counters,) = await machine.reader().read([record])
    assert counters.memory_peak_bytes is None
    assert counters.memory_bytes is not None


@pytest.mark.parametrize("content", [b"", b"-5\n", b"99999999999999999999\n", b"\xff\xfe", b"1" * 70_000])
async def test_damaged_file_leaves_out_that_container_and_is_logged_once(machine: Machine, content: bytes) -> None:
    good, bad = machine.add(1), machine.add(2)
    name = "memory.usage_in_bytes" if machine.version == 1 else "memory.current"
    machine.file(bad, name).write_bytes(content)
    reader = machine.reader()
    with capture_logs() as logs:
        for _ in range(3):
            assert ids(await reader.read([bad, good])) == [good.container_id]
    assert [log["event"] for log in logs] == ["metering.counter_file_damaged"]


async def test_container_that_died_in_between_is_left_out_in_silence(machine: Machine) -> None:
    good, gone, stopped = machine.add(1), machine.add(2), record_of("f" * 64, process_id=None)
    shutil.rmtree(machine.proc / str(gone.process_id))
    with capture_logs() as logs:
        assert ids(await machine.reader().read([gone, stopped, good])) == [good.container_id]
    assert logs == []


async def test_process_id_that_went_to_another_is_left_out(machine: Machine) -> None:
    record, other = machine.add(1), machine.add(2)
    reader = machine.reader()
    assert len(await reader.read([record])) == 1
    shutil.copy(machine.proc / str(other.process_id) / "cgroup", machine.proc / str(record.process_id) / "cgroup")
    assert ids(await reader.read([record])) == []


async def test_m14_network_that_two_share_is_counted_once(machine: Machine) -> None:
    first, second = machine.add(1, network="shared"), machine.add(2, network="shared")
    reader = machine.reader()
    for containers in ([first, second], [second, first], [second]):
        counted = [one.container_id for one in await reader.read(containers) if one.transmitted_bytes is not None]
        assert counted == [first.container_id for one in containers if one is first]


async def test_number_of_a_network_that_is_given_again_is_counted(machine: Machine) -> None:
    first = machine.add(1, network="reused")
    reader = machine.reader()
    await reader.read([first])
    shutil.rmtree(machine.proc / str(first.process_id))
    (counters,) = await reader.read([machine.add(2, network="reused")])
    assert counters.transmitted_bytes == 0


async def test_network_of_the_machine_itself_is_not_measured(machine: Machine) -> None:
    (counters,) = await machine.reader().read([machine.add(1, network="host")])
    assert (counters.transmitted_bytes, counters.received_bytes) == (None, None)
    assert counters.memory_bytes is not None


async def test_reading_past_its_deadline_leaves_out_the_rest(machine: Machine) -> None:
    reader = CgroupReader(machine.layout, SystemClock(), proc_root=machine.proc, deadline_ms=0)
    with capture_logs() as logs:
        assert list(await reader.read([machine.add(1)])) == []
    assert [log["event"] for log in logs] == ["metering.reading_too_slow"]


class RecordingReader:
    """Answers for everyone it is asked about, and remembers whom."""

    name = "recording"
    proves_runs = False

    def __init__(self) -> None:
        self.asked: list[str] = []

    async def read(self, containers: Sequence[ContainerRecord]) -> Sequence[ContainerCounters]:
        self.asked += [record.container_id for record in containers]
        return [counters_of(record) for record in containers]

    async def read_again(self, containers: Sequence[ContainerRecord]) -> Sequence[ContainerCounters]:
        return await self.read(containers)


def counters_of(record: ContainerRecord) -> ContainerCounters:
    return ContainerCounters(
        container_id=record.container_id,
        sampled_ns=NS,
        memory_bytes=1,
        memory_peak_bytes=1,
        cpu_ns=1,
        transmitted_bytes=1,
        received_bytes=1,
    )


async def test_what_the_files_do_not_show_is_asked_from_the_host(machine: Machine) -> None:
    shown, hidden = machine.add(1), record_of("e" * 64, process_id=77_777)
    stopped = record_of("f" * 64, process_id=None)
    host = RecordingReader()
    counters = await FilesThenHostReader(machine.reader(), host).read([shown, hidden, stopped])
    assert ids(counters) == [shown.container_id, hidden.container_id]
    assert host.asked == [hidden.container_id]


def test_layout_is_present_where_its_controllers_are(tmp_path: Path) -> None:
    v1, v2 = tmp_path / "v1", tmp_path / "v2"
    assert not LayoutV1(v1).is_present()
    assert not LayoutV2(v2).is_present()
    for path in (v1 / "memory" / "memory.stat", v1 / "cpuacct" / "cpuacct.usage", v2 / "cgroup.controllers"):
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text("cpuset cpu io memory pids\n")
    assert LayoutV1(v1).is_present()
    assert LayoutV2(v2).is_present()
    (v2 / "cgroup.controllers").write_text("hugetlb\n")
    assert not LayoutV2(v2).is_present()


async def test_host_that_is_no_local_engine_is_asked_itself() -> None:
    clock = ManualClock(datetime(2026, 3, 1, tzinfo=UTC))
    assert isinstance(await choose_reader(SimulatedHost("x", clock)), HostReader)


async def test_m16_five_hundred_containers_are_read_in_one_look_within_a_second(machine: Machine) -> None:
    records = [machine.add(number) for number in range(500)]
    reader, clock = machine.reader(), SystemClock()
    await reader.read(records)
    started_s = clock.monotonic()
    assert len(await reader.read(records)) == 500
    assert clock.monotonic() - started_s < 1

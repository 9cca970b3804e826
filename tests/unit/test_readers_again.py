"""Reading without asking the engine: only what is surely the same run, by its first process."""

import shutil
from datetime import UTC, datetime
from pathlib import Path

import pytest

from helvetia.containers.simulated_host import SimulatedHost
from helvetia.kernel.clock import ManualClock
from helvetia.metering.readers.choose_reader import FilesThenHostReader
from helvetia.metering.readers.host_reader import HostReader
from support.cgroup_machine import Machine


@pytest.fixture(params=[1, 2])
def machine(request: pytest.FixtureRequest, tmp_path: Path) -> Machine:
    return Machine(tmp_path, request.param)


async def test_a_run_that_was_read_is_read_again_and_one_never_read_is_not(machine: Machine) -> None:
    known, unknown, reader = machine.add(1), machine.add(2), machine.reader()
    await reader.read([known])
    assert [one.container_id for one in await reader.read_again([known, unknown])] == [known.container_id]


async def test_a_run_whose_process_ended_is_left_out_though_its_container_runs_anew(machine: Machine) -> None:
    record, reader = machine.add(1), machine.reader()
    await reader.read([record])
    anew = machine.restart(record, 9_000, started_ns=(record.started_ns or 0) + 1)
    assert await reader.read_again([record]) == []
    assert await reader.read_again([anew]) == []
    assert [one.cpu_ns for one in await reader.read([anew])] == [7_000]


async def test_a_process_id_given_again_inside_the_same_container_is_not_taken_for_the_former_run(
    machine: Machine,
) -> None:
    record, reader = machine.add(1), machine.reader()
    await reader.read([record])
    machine.end_process(record)
    machine.start_process(record.container_id, record.process_id or 0, began=4_712)
    assert await reader.read_again([record]) == []
    assert await reader.read([record]) == []


async def test_a_damaged_state_of_a_process_leaves_it_out(machine: Machine) -> None:
    record, reader = machine.add(1), machine.reader()
    await reader.read([record])
    (machine.proc / str(record.process_id) / "stat").write_text("1 (a) S 1\n")
    assert await reader.read_again([record]) == []


async def test_what_the_files_do_not_show_is_not_asked_from_the_host_again(machine: Machine) -> None:
    record = machine.add(1)
    clock = ManualClock(datetime(2026, 3, 1, tzinfo=UTC))
    host = SimulatedHost("away", clock)
    host.is_available = False
    reader = FilesThenHostReader(machine.reader(), HostReader(host))
    await reader.read([record])
    shutil.rmtree(machine.proc / str(record.process_id))
    assert await reader.read_again([record]) == []
    assert reader.proves_runs

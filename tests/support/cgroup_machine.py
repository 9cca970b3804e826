"""A machine's files of control groups and processes, copied from recorded ones: as many containers as wanted."""

import os
import shutil
from dataclasses import replace
from pathlib import Path

from helvetia.containers.model import ContainerRecord, ContainerState
from helvetia.kernel.clock import SystemClock
from helvetia.kernel.identity import new_account_id, new_service_id
from helvetia.metering.readers.cgroup_reader import CgroupReader, Layout
from helvetia.metering.readers.cgroup_v1 import LayoutV1
from helvetia.metering.readers.cgroup_v2 import LayoutV2

FIXTURES = Path(__file__).resolve().parents[1] / "fixtures"
NS = 1_000_000_000


class Machine:
    """A made-up /proc and /sys/fs/cgroup out of recorded files."""

    def __init__(self, root: Path, version: int) -> None:
        self.version = version
        self.proc = root / "proc"
        self.cgroup = root / "cgroup"
        self.layout: Layout = LayoutV1(self.cgroup) if version == 1 else LayoutV2(self.cgroup)
        self._networks = root / "networks"
        self._source = FIXTURES / f"cgroup_v{version}"
        for folder in (self.proc / "self" / "ns", self.cgroup, self._networks):
            folder.mkdir(parents=True)
        (self.proc / "self" / "ns" / "net").touch()

    def add(self, number: int, network: str | None = None) -> ContainerRecord:
        container_id = f"{number:064x}"
        self.start_process(container_id, 1_000 + number, network)
        for name in ("memory", "cpuacct") if self.version == 1 else ("",):
            group = self.cgroup / name / "docker" / container_id
            shutil.copytree(self._source, group, ignore=shutil.ignore_patterns("proc_cgroup", "net_dev"))
        return record_of(container_id, process_id=1_000 + number)

    def restart(self, record: ContainerRecord, process_id: int, *, started_ns: int) -> ContainerRecord:
        """The same container runs anew: another process in the same groups, whose counters began at 0."""
        self.end_process(record)
        self.start_process(record.container_id, process_id)
        cpu = self.file(record, "cpuacct.usage" if self.version == 1 else "cpu.stat")
        cpu.write_text("7000\n" if self.version == 1 else "usage_usec 7\n")
        return replace(record, process_id=process_id, started_ns=started_ns, restart_count=record.restart_count + 1)

    def end_process(self, record: ContainerRecord) -> None:
        shutil.rmtree(self.proc / str(record.process_id))

    def start_process(
        self, container_id: str, process_id: int, network: str | None = None, *, began: int = 4_711
    ) -> None:
        process = self.proc / str(process_id)
        (process / "net").mkdir(parents=True)
        (process / "ns").mkdir()
        shutil.copy(self._source / "net_dev", process / "net" / "dev")
        groups = f"/docker/{container_id}"
        lines = f"4:memory:{groups}\n2:cpuacct:{groups}\n0::/\n" if self.version == 1 else f"0::{groups}\n"
        (process / "cgroup").write_text(lines)
        (process / "stat").write_text(f"{process_id} (a) S 1 é) S {'0 ' * 18}{began} 0\n")
        shared = self._networks / (network or container_id)
        shared.touch()
        os.link(shared if network != "host" else self.proc / "self" / "ns" / "net", process / "ns" / "net")

    def file(self, record: ContainerRecord, name: str) -> Path:
        folder = {"cpuacct.usage": "cpuacct"}.get(name, "memory") if self.version == 1 else ""
        return self.cgroup / folder / "docker" / record.container_id / name

    def reader(self) -> CgroupReader:
        return CgroupReader(self.layout, SystemClock(), proc_root=self.proc)


def record_of(container_id: str, *, process_id: int | None, started_ns: int = NS) -> ContainerRecord:
    return ContainerRecord(
        container_id=container_id,
        account_id=new_account_id(),
        service_id=new_service_id(),
        revision=1,
        replica=0,
        state=ContainerState.EXITED if process_id is None else ContainerState.RUNNING,
        created_ns=started_ns,
        started_ns=started_ns,
        finished_ns=None,
        restart_count=0,
        exit_code=None,
        oom_killed=False,
        process_id=process_id,
    )

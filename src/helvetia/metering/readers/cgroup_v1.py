"""Container → sample by the files of cgroup version 1 (one tree per controller)."""

from dataclasses import dataclass
from pathlib import Path
from typing import Final

from helvetia.metering.readers.cgroup_reader import CgroupFigures, read_optional, read_text
from helvetia.metering.readers.counter_files import parse_cgroup_path, parse_keyed, parse_number


@dataclass(frozen=True, slots=True, kw_only=True)
class GroupV1:
    """The files of one container."""

    memory_usage: str
    memory_peak: str
    memory_stat: str
    cpu_usage: str

    def read(self) -> CgroupFigures:
        """Working set = usage − total_inactive_file; it includes what the container's own sub-groups use.

        Raises:
            OSError: the container is gone.
            DamagedFile: a file does not hold what the kernel writes there.
        """
        usage = parse_number(read_text(self.memory_usage))
        inactive = parse_keyed(read_text(self.memory_stat), "total_inactive_file")
        peak = read_optional(self.memory_peak)
        return CgroupFigures(
            memory_bytes=max(0, usage - inactive),
            memory_peak_bytes=None if peak is None else parse_number(peak),
            cpu_ns=parse_number(read_text(self.cpu_usage)),
        )


class LayoutV1:
    """Where the files are."""

    name: Final = "cgroup-v1"

    def __init__(self, root: Path) -> None:
        self._root = root

    def is_present(self) -> bool:
        return (self._root / "memory" / "memory.stat").is_file() and (
            self._root / "cpuacct" / "cpuacct.usage"
        ).is_file()

    def find(self, process_groups: str, container_id: str) -> GroupV1:
        """The files named by a process's /proc/<pid>/cgroup."""
        memory = f"{self._root}/memory{parse_cgroup_path(process_groups, 'memory', container_id)}"
        cpu = f"{self._root}/cpuacct{parse_cgroup_path(process_groups, 'cpuacct', container_id)}"
        return GroupV1(
            memory_usage=f"{memory}/memory.usage_in_bytes",
            memory_peak=f"{memory}/memory.max_usage_in_bytes",
            memory_stat=f"{memory}/memory.stat",
            cpu_usage=f"{cpu}/cpuacct.usage",
        )

"""Container → sample by the files of cgroup version 2 (one tree for all controllers)."""

from dataclasses import dataclass
from pathlib import Path
from typing import Final

from helvetia.metering.readers.cgroup_reader import CgroupFigures, read_optional, read_text
from helvetia.metering.readers.counter_files import parse_cgroup_path, parse_keyed, parse_number

_MICROSECOND_NS: Final = 1_000


@dataclass(frozen=True, slots=True, kw_only=True)
class GroupV2:
    """The files of one container."""

    memory_current: str
    memory_peak: str
    memory_stat: str
    cpu_stat: str

    def read(self) -> CgroupFigures:
        """Working set = memory.current − inactive_file; memory.peak exists from Linux 5.19 on.

        Raises:
            OSError: the container is gone.
            DamagedFile: a file does not hold what the kernel writes there.
        """
        current = parse_number(read_text(self.memory_current))
        inactive = parse_keyed(read_text(self.memory_stat), "inactive_file")
        peak = read_optional(self.memory_peak)
        return CgroupFigures(
            memory_bytes=max(0, current - inactive),
            memory_peak_bytes=None if peak is None else parse_number(peak),
            cpu_ns=parse_keyed(read_text(self.cpu_stat), "usage_usec") * _MICROSECOND_NS,
        )


class LayoutV2:
    """Where the files are."""

    name: Final = "cgroup-v2"

    def __init__(self, root: Path) -> None:
        self._root = root

    def is_present(self) -> bool:
        """Whether the memory controller is in the one tree (in a mixed set-up it stays in version 1)."""
        controllers = read_optional(f"{self._root}/cgroup.controllers")
        return controllers is not None and "memory" in controllers.split()

    def find(self, process_groups: str, container_id: str) -> GroupV2:
        """The files named by a process's /proc/<pid>/cgroup."""
        group = f"{self._root}{parse_cgroup_path(process_groups, '', container_id)}"
        return GroupV2(
            memory_current=f"{group}/memory.current",
            memory_peak=f"{group}/memory.peak",
            memory_stat=f"{group}/memory.stat",
            cpu_stat=f"{group}/cpu.stat",
        )

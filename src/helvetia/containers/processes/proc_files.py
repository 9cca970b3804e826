"""What /proc/<pid> tells of one process. Figures are None where it does not tell; a dead process is None."""

import os
from dataclasses import dataclass
from pathlib import Path
from typing import Final

_PROC: Final = Path("/proc")
_TICKS_PER_S: Final = os.sysconf("SC_CLK_TCK")
_SECOND_NS: Final = 1_000_000_000
_STATE, _USER_TICKS, _SYSTEM_TICKS, _START_TICKS = 0, 11, 12, 19  # fields after the name in /proc/<pid>/stat
_DEAD_STATES: Final = frozenset("ZXx")


@dataclass(frozen=True, slots=True, kw_only=True)
class ProcessFigures:
    """`start_ticks` with the process id names one process for ever: ids are used again."""

    is_alive: bool
    start_ticks: int
    cpu_ns: int


def read_process(process_id: int) -> ProcessFigures | None:
    """One process, or None when there is none of this id."""
    try:
        return parse_stat((_PROC / str(process_id) / "stat").read_text("utf-8", "replace"))
    except (OSError, ValueError):
        return None


def read_memory(process_id: int) -> int | None:
    """Bytes that this process alone holds resident: anonymous and shared memory, not the program's own file."""
    try:
        return parse_status((_PROC / str(process_id) / "status").read_text("utf-8", "replace"))
    except (OSError, ValueError):
        return None


def parse_stat(text: str) -> ProcessFigures:
    """Raises ValueError when this is not a /proc/<pid>/stat; the name in it may hold anything, brackets too."""
    fields = text.rpartition(")")[2].split()
    if len(fields) <= _START_TICKS:
        raise ValueError("not a process's stat")
    ticks = int(fields[_USER_TICKS]) + int(fields[_SYSTEM_TICKS])
    return ProcessFigures(
        is_alive=fields[_STATE] not in _DEAD_STATES,
        start_ticks=int(fields[_START_TICKS]),
        cpu_ns=ticks * _SECOND_NS // _TICKS_PER_S,
    )


def parse_status(text: str) -> int:
    """Raises ValueError when the two figures are not in this /proc/<pid>/status (a dead process has none)."""
    figures = {}
    for line in text.splitlines():
        name, _, rest = line.partition(":")
        if name in {"RssAnon", "RssShmem"}:
            figures[name] = int(rest.split()[0]) * 1_024
    if len(figures) != 2:  # noqa: PLR2004 - the two named above
        raise ValueError("no memory figures")
    return sum(figures.values())

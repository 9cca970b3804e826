"""Container → sample by the kernel's own files: what both versions of cgroups share.

Promises: one batch in a thread, within a deadline; a container that died in between is left out silently, one whose
files are damaged is left out and logged once; the others are never affected. A process id that went to another
process is noticed by its /proc/<pid>/cgroup. Instants are the machine's own, like the engine's.

A run lasts as long as its first process, and a process is known by its id and the tick of its start. Both are compared
after the counters were read: what is then the same process was there all the while, so no counter is of another run.
"""

import asyncio
import os
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Final, Protocol

import structlog

from helvetia.containers.model import ContainerCounters, ContainerRecord, ContainerState
from helvetia.kernel.clock import Clock, to_ns
from helvetia.metering.readers.counter_files import DamagedFile, parse_net_dev

DEADLINE_MS: Final = 5_000
_FILE_MAX_BYTES: Final = 65_536
_REMEMBERED_SPARE: Final = 1_000
_REMEMBERED_MAX: Final = 10_000
_BEGAN_FIELD: Final = 19  # of /proc/<pid>/stat, counted behind the name, which may hold anything
_LIVE: Final = frozenset({ContainerState.RUNNING, ContainerState.PAUSED})

_log = structlog.get_logger(__name__)


@dataclass(frozen=True, slots=True, kw_only=True)
class CgroupFigures:
    """What a container's control group tells."""

    memory_bytes: int
    memory_peak_bytes: int | None
    cpu_ns: int


class Group(Protocol):
    """The files of one container."""

    def read(self) -> CgroupFigures: ...


class Layout(Protocol):
    """Where a version of cgroups keeps its files."""

    @property
    def name(self) -> str: ...

    def is_present(self) -> bool: ...

    def find(self, process_groups: str, container_id: str) -> Group: ...


@dataclass(frozen=True, slots=True, kw_only=True)
class _Known:
    """What was found out about one incarnation."""

    process_groups: str
    group: Group
    counts_network: bool
    process_began: bytes


@dataclass(frozen=True, slots=True, kw_only=True)
class _Owner:
    """Who counts a network."""

    incarnation: str
    process: str

    def is_in(self, network: int) -> bool:
        try:
            return _network_of(self.process) == network
        except OSError:
            return False  # its process ended


class CgroupReader:
    """Reads the files of containers that run on this machine."""

    def __init__(
        self, layout: Layout, clock: Clock, *, proc_root: Path = Path("/proc"), deadline_ms: int = DEADLINE_MS
    ) -> None:
        self._layout = layout
        self._clock = clock
        self._proc = str(proc_root)
        self._deadline_ms = deadline_ms
        self._known: dict[str, _Known] = {}
        self._network_owners: dict[int, _Owner] = {}
        self._logged: set[str] = set()
        self._reading = asyncio.Lock()

    @property
    def name(self) -> str:
        return self._layout.name

    @property
    def proves_runs(self) -> bool:
        return True

    async def read(self, containers: Sequence[ContainerRecord]) -> Sequence[ContainerCounters]:
        async with self._reading:
            return await asyncio.to_thread(self._read_all, containers)

    async def read_again(self, containers: Sequence[ContainerRecord]) -> Sequence[ContainerCounters]:
        async with self._reading:
            known = [record for record in containers if record.incarnation in self._known]
            return await asyncio.to_thread(self._read_all, known)

    def _read_all(self, containers: Sequence[ContainerRecord]) -> list[ContainerCounters]:
        ends_ms = self._now_ms() + self._deadline_ms
        self._forget_old()
        counters: list[ContainerCounters] = []
        for record in sorted(containers, key=lambda one: (one.started_ns or 0, one.container_id)):
            if record.state not in _LIVE or record.process_id is None or record.incarnation is None:
                continue
            if self._now_ms() >= ends_ms:
                _log.warning("metering.reading_too_slow", read=len(counters), wanted=len(containers))
                break
            try:
                counters.append(self._read_one(record, record.incarnation, record.process_id))
            except OSError:
                continue  # it died since it was listed
            except DamagedFile as damage:
                self._note_damage(record.container_id, str(damage))
        return counters

    def _read_one(self, record: ContainerRecord, incarnation: str, process_id: int) -> ContainerCounters:
        process = f"{self._proc}/{process_id}"
        process_groups = read_text(f"{process}/cgroup")
        former = self._known.get(incarnation)
        if former is not None and former.process_groups == process_groups:
            known = former
        else:
            known = self._find(process, process_groups, record.container_id, incarnation)
        if former is not None:
            known = replace(known, process_began=former.process_began)
            del self._known[incarnation]  # it goes to the end again: the first are those not read for longest
        self._known[incarnation] = known
        sampled_ns = to_ns(self._clock.wall())
        figures = known.group.read()
        network = parse_net_dev(read_text(f"{process}/net/dev")) if known.counts_network else None
        if _began(process) != known.process_began:
            raise ProcessLookupError
        return ContainerCounters(
            container_id=record.container_id,
            sampled_ns=sampled_ns,
            memory_bytes=figures.memory_bytes,
            memory_peak_bytes=figures.memory_peak_bytes,
            cpu_ns=figures.cpu_ns,
            transmitted_bytes=None if network is None else network[1],
            received_bytes=None if network is None else network[0],
        )

    def _find(self, process: str, process_groups: str, container_id: str, incarnation: str) -> _Known:
        """The first look at an incarnation. A network is counted by the first seen in it, the host's by nobody."""
        group = self._layout.find(process_groups, container_id)
        network = _network_of(process)
        return _Known(
            process_groups=process_groups,
            group=group,
            process_began=_began(process),
            counts_network=network != _network_of(f"{self._proc}/self") and self._owns(network, process, incarnation),
        )

    def _owns(self, network: int, process: str, incarnation: str) -> bool:
        """Whether this one counts the network; a number whose owner has left it was given to a new network."""
        owner = self._network_owners.get(network)
        if owner is not None and owner.incarnation != incarnation and owner.is_in(network):
            return False
        self._network_owners[network] = _Owner(incarnation=incarnation, process=process)
        return True

    def _forget_old(self) -> None:
        """Let go of those that were not read for longest; one of them that is read again is found again."""
        if len(self._known) > _REMEMBERED_MAX:
            self._known = dict(list(self._known.items())[-_REMEMBERED_MAX // 2 :])
            self._network_owners = {
                network: owner for network, owner in self._network_owners.items() if owner.incarnation in self._known
            }

    def _note_damage(self, container_id: str, detail: str) -> None:
        if len(self._logged) > _REMEMBERED_SPARE:
            self._logged.clear()
        if container_id not in self._logged:
            self._logged.add(container_id)
            _log.warning("metering.counter_file_damaged", container_id=container_id, detail=detail)

    def _now_ms(self) -> int:
        return int(self._clock.monotonic() * 1_000)


def _network_of(process: str) -> int:
    return Path(f"{process}/ns/net").stat().st_ino


def _began(process: str) -> bytes:
    """The tick at which a process started, which no later process of the same id shares."""
    fields = _read_bytes(f"{process}/stat").rpartition(b")")[2].split()
    if len(fields) <= _BEGAN_FIELD:
        raise DamagedFile("not the state of a process")
    return fields[_BEGAN_FIELD]


def read_text(path: str) -> str:
    """A whole small file of counters.

    Raises:
        OSError: it cannot be read.
        DamagedFile: it is larger than any counter file, not text, or breaks off in a line: half a number is another.
    """
    content = _read_bytes(path)
    if len(content) == _FILE_MAX_BYTES or not content.isascii():
        raise DamagedFile(f"{path} is not a counter file")
    if content and not content.endswith(b"\n"):
        raise DamagedFile(f"{path} breaks off in a line")
    return content.decode("ascii")


def _read_bytes(path: str) -> bytes:
    """By bare system calls: five times faster than an open text file, and there are many."""
    descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    try:
        return os.read(descriptor, _FILE_MAX_BYTES)
    finally:
        os.close(descriptor)


def read_optional(path: str) -> str | None:
    """The same for a file that not every kernel has."""
    try:
        return read_text(path)
    except FileNotFoundError:
        return None

"""Which reader for which host: the kernel's files where they can be read, else the host itself.

Promises: no running container is lost by the choice. What the files do not show (an engine in a virtual machine of its
own, a process table that is not ours) is asked from the host in the same reading.
"""

from collections.abc import Sequence
from pathlib import Path
from typing import Final

from helvetia.containers.docker_host import DockerHost
from helvetia.containers.model import ContainerCounters, ContainerHost, ContainerRecord, ContainerState
from helvetia.kernel.clock import Clock, SystemClock
from helvetia.metering.readers.cgroup_reader import CgroupReader, Layout
from helvetia.metering.readers.cgroup_v1 import LayoutV1
from helvetia.metering.readers.cgroup_v2 import LayoutV2
from helvetia.metering.readers.egress import EgressCounters, EgressReader
from helvetia.metering.readers.host_reader import HostReader
from helvetia.metering.readers.model import CounterReader

CGROUP_ROOT: Final = Path("/sys/fs/cgroup")
_LIVE: Final = frozenset({ContainerState.RUNNING, ContainerState.PAUSED})


class FilesThenHostReader:
    """Asks the host about those that the files left out: most of them have just died, and then it has no answer too."""

    def __init__(self, files: CounterReader, host: CounterReader) -> None:
        self._files = files
        self._host = host

    @property
    def name(self) -> str:
        return self._files.name

    @property
    def proves_runs(self) -> bool:
        return self._files.proves_runs

    async def read(self, containers: Sequence[ContainerRecord]) -> Sequence[ContainerCounters]:
        counters = list(await self._files.read(containers))
        seen = {one.container_id for one in counters}
        unseen = [record for record in containers if record.state in _LIVE and record.container_id not in seen]
        if unseen:
            counters.extend(await self._host.read(unseen))
        return counters

    async def read_again(self, containers: Sequence[ContainerRecord]) -> Sequence[ContainerCounters]:
        """The files alone: the host would answer for a run that began since."""
        return await self._files.read_again(containers)


async def choose_reader(
    host: ContainerHost,
    clock: Clock | None = None,
    *,
    cgroup_root: Path = CGROUP_ROOT,
    egress: EgressCounters | None = None,
) -> CounterReader:
    """The fastest reader that is right for this host; nothing is asked of the engine.

    `egress`: counts what leaves this machine's container networks; used where the engine runs on this machine.
    """
    is_local = isinstance(host, DockerHost) and await host.engine.is_local()
    reader = await _reader(host, clock, cgroup_root, is_local=is_local)
    return reader if egress is None or not is_local else EgressReader(reader, egress)


async def _reader(host: ContainerHost, clock: Clock | None, cgroup_root: Path, *, is_local: bool) -> CounterReader:
    by_host = HostReader(host)
    if is_local:
        layouts: Sequence[Layout] = (LayoutV2(cgroup_root), LayoutV1(cgroup_root))
        for layout in layouts:
            if layout.is_present():
                return FilesThenHostReader(CgroupReader(layout, clock or SystemClock()), by_host)
    return by_host

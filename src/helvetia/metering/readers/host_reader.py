"""Container → sample by asking the host itself: the stats API, the local processes, the simulation."""

from collections.abc import Sequence

from helvetia.containers.model import ContainerCounters, ContainerHost, ContainerRecord


class HostReader:
    """Delegates to the host; the only way for an engine on another machine."""

    name = "host"
    proves_runs = False

    def __init__(self, host: ContainerHost) -> None:
        self._host = host

    async def read(self, containers: Sequence[ContainerRecord]) -> Sequence[ContainerCounters]:
        return await self._host.read_counters(containers)

    async def read_again(self, containers: Sequence[ContainerRecord]) -> Sequence[ContainerCounters]:
        """Nothing: an answer does not say of which run it is."""
        del containers
        return ()

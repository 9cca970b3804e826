"""What every reader promises: one look at each running container, and none guessed."""

from collections.abc import Sequence
from typing import Protocol

from helvetia.containers.model import ContainerCounters, ContainerRecord


class CounterReader(Protocol):
    """Reads cumulative counters."""

    @property
    def name(self) -> str:
        """Which way it reads, for the record."""
        ...

    @property
    def proves_runs(self) -> bool:
        """Whether `read_again` ever reads anything."""
        ...

    async def read(self, containers: Sequence[ContainerRecord]) -> Sequence[ContainerCounters]:
        """One look at each running one; a container that cannot be read is left out.

        Raises:
            HostUnavailable: nothing can be read at all.
        """
        ...

    async def read_again(self, containers: Sequence[ContainerRecord]) -> Sequence[ContainerCounters]:
        """One look at those that were read before and whose very run surely goes on, though nobody asked the engine.

        All others are left out: they ended, or run anew with counters that begin at 0.
        """
        ...

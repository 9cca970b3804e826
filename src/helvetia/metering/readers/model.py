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

    async def read(self, containers: Sequence[ContainerRecord]) -> Sequence[ContainerCounters]:
        """One look at each running one; a container that cannot be read is left out.

        Raises:
            HostUnavailable: nothing can be read at all.
        """
        ...

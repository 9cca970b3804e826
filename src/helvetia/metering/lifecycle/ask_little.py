"""The arrow container → look at little cost: what goes on is asked of the kernel, the engine only of what changed.

Promises: a container that is told as going on ran all the while since it was last told of by the engine; whatever
started, ended or started anew since is among the changed. What nobody remembers is changed, so losing this memory costs
only time. Fails with HostUnavailable.
"""

import asyncio
from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass
from typing import Final

import structlog

from helvetia.containers.errors import HostUnavailable
from helvetia.containers.model import ContainerCounters, ContainerHost, ContainerRecord, ContainerState
from helvetia.metering.readers.model import CounterReader

INSPECT_TIMEOUT_S: Final = 3.0
INSPECT_PARALLEL_MAX: Final = 16
_LIVE: Final = frozenset({ContainerState.RUNNING, ContainerState.PAUSED})
_log = structlog.get_logger(__name__)


@dataclass(frozen=True, slots=True, kw_only=True)
class GoingOn:
    """Containers whose runs surely go on, with their counters; and those of which only the engine can tell."""

    records: Sequence[ContainerRecord]
    counters: Sequence[ContainerCounters]
    changed: Collection[str]


class LiveMemory:
    """What lives on one host, as its engine last told it."""

    def __init__(self, host: ContainerHost, reader: CounterReader) -> None:
        self._host = host
        self._reader = reader
        self._live: dict[str, ContainerRecord] = {}

    async def look(self) -> GoingOn:
        """One question to the engine, however many run."""
        listed = set(await self._host.list_running_ids())
        known = [record for record in running(self._live.values()) if record.container_id in listed]
        counters = await self._reader.read_again(known)
        read = {one.container_id for one in counters}
        records = [record for record in known if record.container_id in read]
        return GoingOn(records=records, counters=counters, changed=(listed | self._live.keys()) - read)

    async def ask(self, container_ids: Collection[str]) -> tuple[list[ContainerRecord], Sequence[ContainerCounters]]:
        """Ask the engine of each of these, and read those that run."""
        records = await self._inspect_each(container_ids)
        return records, await self._reader.read(running(records))

    def remember(self, records: Iterable[ContainerRecord], *, asked: Collection[str] = ()) -> None:
        """What was told and is kept safe now; of those that were `asked` for, what was not told lives no more."""
        for container_id in asked:
            self._live.pop(container_id, None)
        for record in records:
            if record.state in _LIVE:
                self._live[record.container_id] = record
            else:
                self._live.pop(record.container_id, None)

    def replace(self, records: Iterable[ContainerRecord]) -> None:
        """The engine has told of everything."""
        self._live = {record.container_id: record for record in records if record.state in _LIVE}

    async def _inspect_each(self, container_ids: Collection[str]) -> list[ContainerRecord]:
        """What the engine tells in time; a container that it is slow to tell of keeps no other waiting.

        Raises HostUnavailable when it tells of none.
        """
        limit = asyncio.Semaphore(INSPECT_PARALLEL_MAX)

        async def inspect(container_id: str) -> ContainerRecord | HostUnavailable | None:
            async with limit:
                try:
                    async with asyncio.timeout(INSPECT_TIMEOUT_S):
                        return await self._host.inspect(container_id)
                except (HostUnavailable, TimeoutError) as error:
                    return error if isinstance(error, HostUnavailable) else HostUnavailable()

        answers = await asyncio.gather(*(inspect(container_id) for container_id in sorted(container_ids)))
        failures = [one for one in answers if isinstance(one, HostUnavailable)]
        if answers and len(failures) == len(answers):
            raise failures[0]
        if failures:
            _log.warning("metering.containers_untold", count=len(failures))
        return [one for one in answers if isinstance(one, ContainerRecord)]


def running(records: Iterable[ContainerRecord]) -> list[ContainerRecord]:
    """Those whose counters can be read."""
    return [record for record in records if record.state is ContainerState.RUNNING and record.started_ns is not None]

"""The arrow container → look: looks at the host of this process, and has it written down.

Promises: whatever is told twice, late or in another order leaves the same rows, so a crash anywhere loses and doubles
nothing; the network is never spoken to inside a transaction. Fails with HostUnavailable after writing down since when.
"""

import asyncio
from collections.abc import AsyncIterator, Collection, Iterable, Sequence
from contextlib import asynccontextmanager
from typing import Final

import structlog

from helvetia.containers.errors import HostUnavailable
from helvetia.containers.model import ContainerHost, ContainerRecord, ContainerState
from helvetia.database.pool import Database, assert_no_transaction
from helvetia.kernel.clock import Clock, to_ns
from helvetia.kernel.quantity import NS_PER_S
from helvetia.metering.lifecycle.record_looks import LookRecorder
from helvetia.metering.model import MeteringConfig
from helvetia.metering.readers.model import CounterReader

INSPECT_TIMEOUT_S: Final = 3.0
INSPECT_PARALLEL_MAX: Final = 16
_LIVE: Final = frozenset({ContainerState.RUNNING, ContainerState.PAUSED})
_log = structlog.get_logger(__name__)
STEP_MIN_NS = 5 * NS_PER_S
"""Wall-clock and monotonic time that part by more than this between two looks: the clock was set, or it slept."""


class RunRecorder:
    """Looks at one host; every look is one transaction after the network is done with."""

    def __init__(
        self, database: Database, clock: Clock, host: ContainerHost, reader: CounterReader, config: MeteringConfig
    ) -> None:
        self._clock = clock
        self._host = host
        self._reader = reader
        self._config = config
        self._last_look: tuple[int, int] | None = None
        self._live: dict[str, ContainerRecord] = {}
        self._looks = LookRecorder(database, clock, interval_ms=config.sample_interval_ms)

    async def sample(self) -> int:
        """Read the counters of everything that runs; how many readings were taken.

        Where the reader can tell that a run goes on, the engine is asked once for all, and by itself only of what
        started, ended or started anew since the last look; what goes on is written down before that.
        """
        if not self._reader.proves_runs:
            return await self._sample_all()
        looked_ns = await self._look_ns()
        async with self._host_in_time():
            listed = set(await self._host.list_running_ids())
            going_on = [record for record in _running(self._live.values()) if record.container_id in listed]
            counters = await self._reader.read_again(going_on)
        read = {one.container_id for one in counters}
        records = [record for record in going_on if record.container_id in read]
        if records:
            await self._looks.record(self._host.node, records, counters, looked_ns)
        changed = (listed | self._live.keys()) - read
        return len(counters) + await self._sample_changed(changed, since_ns=looked_ns)

    async def _sample_all(self) -> int:
        looked_ns = await self._look_ns()
        async with self._host_in_time():
            records = await self._host.list_containers()
            counters = await self._reader.read(_running(records))
        await self._looks.record(self._host.node, records, counters, looked_ns)
        return len(counters)

    async def _sample_changed(self, container_ids: Collection[str], *, since_ns: int) -> int:
        """Ask the engine of each of these, and read those that run; what was seen since `since_ns` misses nothing."""
        if not container_ids:
            return 0
        looked_ns = await self._look_ns()
        async with self._host_in_time(since_ns):
            records = await self._inspect_each(container_ids)
            counters = await self._reader.read(_running(records))
        if records:
            await self._looks.record(self._host.node, records, counters, looked_ns)
        told = {record.container_id for record in records}
        self._live = {one: record for one, record in self._live.items() if one not in container_ids or one in told}
        self._remember(records)
        return len(counters)

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
        if len(failures) == len(answers):
            raise failures[0]
        if failures:
            _log.warning("metering.containers_untold", count=len(failures))
        return [one for one in answers if isinstance(one, ContainerRecord)]

    async def look_at(self, container_id: str) -> ContainerRecord | None:
        """Look at one container now, and read its counters if it runs."""
        looked_ns = await self._look_ns()
        async with self._host_in_time():
            record = await self._host.inspect(container_id)
            counters = await self._reader.read(_running([record])) if record is not None else ()
        if record is not None:
            await self._looks.record(self._host.node, [record], counters, looked_ns)
            self._remember([record])
        return record

    async def sweep(self) -> Sequence[ContainerRecord]:
        """Look at every container; a run that the engine knows no more ends when it was last seen."""
        looked_ns = await self._look_ns()
        async with self._host_in_time():
            records = list(await self._host.list_containers())
        listed = {record.container_id for record in records}
        unfinished = await self._looks.unfinished(self._host.node, looked_ns)
        gone: list[str] = []
        for container_id in sorted(unfinished - listed):
            async with self._host_in_time():
                record = await self._host.inspect(container_id)
            if record is None:
                gone.append(container_id)
            else:
                records.append(record)
        await self._looks.record(self._host.node, records, (), looked_ns, gone)
        self._live.clear()
        self._remember(records)
        return records

    async def sample_storage(self) -> int:
        """Read the sizes of all layers and volumes; how many were read."""
        looked_ns = await self._look_ns()
        async with self._host_in_time():
            sizes = await self._host.read_storage()
        return await self._looks.record_sizes(self._host.node, sizes, looked_ns)

    def _remember(self, records: Iterable[ContainerRecord]) -> None:
        """What lives, as the engine last told it; it is asked again as soon as anything seems to have changed."""
        for record in records:
            if record.state in _LIVE:
                self._live[record.container_id] = record
            else:
                self._live.pop(record.container_id, None)

    async def _look_ns(self) -> int:
        """The instant of a look. A clock that jumped since the last one is written down before anything is seen."""
        assert_no_transaction()
        wall_ns, monotonic_ns = to_ns(self._clock.wall()), round(self._clock.monotonic() * NS_PER_S)
        looked_ns, last, self._last_look = to_ns(self._clock.now()), self._last_look, (wall_ns, monotonic_ns)
        if last is not None:
            step_ns = (wall_ns - last[0]) - (monotonic_ns - last[1])
            if abs(step_ns) > STEP_MIN_NS:
                await self._looks.record_clock_step(self._host.node, stepped_to_ns=looked_ns, step_ns=step_ns)
        return looked_ns

    @asynccontextmanager
    async def _host_in_time(self, since_ns: int | None = None) -> AsyncIterator[None]:
        """Give the host its time; when it does not answer, write down that the engine was unreachable, and say so.

        What was seen since `since_ns` (until now, if that is not given) was not out of reach.
        """
        try:
            async with asyncio.timeout(self._config.host_timeout_s):
                yield
        except TimeoutError as error:
            await self._looks.record_outage(self._host.node, "the engine did not answer in time", since_ns)
            raise HostUnavailable from error
        except HostUnavailable as error:
            await self._looks.record_outage(self._host.node, error.detail, since_ns)
            raise


def _running(records: Iterable[ContainerRecord]) -> list[ContainerRecord]:
    return [record for record in records if record.state is ContainerState.RUNNING and record.started_ns is not None]

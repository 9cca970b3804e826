"""The arrow container → look: looks at the host of this process, and has it written down.

Promises: whatever is told twice, late or in another order leaves the same rows, so a crash anywhere loses and doubles
nothing; the network is never spoken to inside a transaction. Fails with HostUnavailable after writing down since when.
"""

import asyncio
from collections.abc import AsyncIterator, Collection, Sequence
from contextlib import asynccontextmanager

from helvetia.containers.errors import HostUnavailable
from helvetia.containers.model import ContainerCounters, ContainerHost, ContainerRecord
from helvetia.database.pool import Database, assert_no_transaction
from helvetia.kernel.clock import Clock, to_ns
from helvetia.kernel.clock_steps import ClockReading, ClockWatch
from helvetia.metering.lifecycle.ask_little import LiveMemory, running
from helvetia.metering.lifecycle.record_looks import LookRecorder
from helvetia.metering.model import MeteringConfig
from helvetia.metering.readers.model import CounterReader


class RunRecorder:
    """Looks at one host; every look is one transaction after the network is done with."""

    def __init__(
        self, database: Database, clock: Clock, host: ContainerHost, reader: CounterReader, config: MeteringConfig
    ) -> None:
        self._clock = clock
        self._host = host
        self._reader = reader
        self._config = config
        self._clocks = ClockWatch()
        self._live = LiveMemory(host, reader)
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
            going_on = await self._live.look()
        if going_on.records:
            await self._record(going_on.records, going_on.counters, looked_ns)
        return len(going_on.counters) + await self._sample_changed(going_on.changed, since_ns=looked_ns)

    async def _sample_all(self) -> int:
        looked_ns = await self._look_ns()
        async with self._host_in_time():
            records = await self._host.list_containers()
            counters = await self._reader.read(running(records))
        await self._record(records, counters, looked_ns)
        return len(counters)

    async def _sample_changed(self, container_ids: Collection[str], *, since_ns: int) -> int:
        """Ask the engine of each of these, and read those that run; what was seen since `since_ns` misses nothing."""
        if not container_ids:
            return 0
        looked_ns = await self._look_ns()
        async with self._host_in_time(since_ns):
            records, counters = await self._live.ask(container_ids)
        if records:
            await self._record(records, counters, looked_ns)
        self._live.remember(records, asked=container_ids)
        return len(counters)

    async def look_at(self, container_id: str) -> ContainerRecord | None:
        """Look at one container now, and read its counters if it runs."""
        looked_ns = await self._look_ns()
        async with self._host_in_time():
            record = await self._host.inspect(container_id)
            counters = await self._reader.read(running([record])) if record is not None else ()
        if record is not None:
            await self._record([record], counters, looked_ns)
            self._live.remember([record])
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
        await self._record(records, (), looked_ns, gone)
        self._live.replace(records)
        return records

    async def sample_storage(self) -> int:
        """Read the sizes of all layers and volumes; how many were read."""
        looked_ns = await self._look_ns()
        async with self._host_in_time():
            sizes = await self._host.read_storage()
        return await self._looks.record_sizes(self._host.node, sizes, looked_ns)

    async def _record(
        self,
        records: Sequence[ContainerRecord],
        counters: Sequence[ContainerCounters],
        looked_ns: int,
        gone: Sequence[str] = (),
    ) -> None:
        """What the engine has told by now of a look that began at `looked_ns`."""
        told_ns = to_ns(self._clock.now())
        await self._looks.record(self._host.node, records, counters, looked_ns, gone, told_ns=told_ns)

    async def _look_ns(self) -> int:
        """The instant of a look. A clock that jumped since the last one is written down before anything is seen.

        At the first look that is the last one of whichever process looked before.
        """
        assert_no_transaction()
        reading, looked_ns = ClockReading.of(self._clock), to_ns(self._clock.now())
        if self._clocks.must_keep(reading):
            await self._looks.record_clocks(self._host.node, reading, looked_ns)
            self._clocks.note_kept(reading)
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

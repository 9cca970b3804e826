"""The arrow container → look: looks at the host of this process, and has it written down.

Promises: whatever is told twice, late or in another order leaves the same rows, so a crash anywhere loses and doubles
nothing; the network is never spoken to inside a transaction. Fails with HostUnavailable after writing down since when.
"""

import asyncio
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager

from helvetia.containers.errors import HostUnavailable
from helvetia.containers.model import ContainerHost, ContainerRecord, ContainerState
from helvetia.database.pool import Database, assert_no_transaction
from helvetia.kernel.clock import Clock, to_ns
from helvetia.kernel.quantity import NS_PER_S
from helvetia.metering.lifecycle.record_looks import LookRecorder
from helvetia.metering.model import MeteringConfig
from helvetia.metering.readers.model import CounterReader

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
        self._looks = LookRecorder(database, clock, interval_ms=config.sample_interval_ms)

    async def sample(self) -> int:
        """Read the counters of everything that runs; how many readings were taken."""
        looked_ns = await self._look_ns()
        async with self._host_in_time():
            records = await self._host.list_containers()
            counters = await self._reader.read(_running(records))
        await self._looks.record(self._host.node, records, counters, looked_ns)
        return len(counters)

    async def look_at(self, container_id: str) -> ContainerRecord | None:
        """Look at one container now, and read its counters if it runs."""
        looked_ns = await self._look_ns()
        async with self._host_in_time():
            record = await self._host.inspect(container_id)
            counters = await self._reader.read(_running([record])) if record is not None else ()
        if record is not None:
            await self._looks.record(self._host.node, [record], counters, looked_ns)
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
        return records

    async def sample_storage(self) -> int:
        """Read the sizes of all layers and volumes; how many were read."""
        looked_ns = await self._look_ns()
        async with self._host_in_time():
            sizes = await self._host.read_storage()
        return await self._looks.record_sizes(self._host.node, sizes, looked_ns)

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
    async def _host_in_time(self) -> AsyncIterator[None]:
        """Give the host its time; when it does not answer, write down that the engine was unreachable, and say so."""
        try:
            async with asyncio.timeout(self._config.host_timeout_s):
                yield
        except TimeoutError as error:
            await self._looks.record_outage(self._host.node, "the engine did not answer in time")
            raise HostUnavailable from error
        except HostUnavailable as error:
            await self._looks.record_outage(self._host.node, error.detail)
            raise


def _running(records: Sequence[ContainerRecord]) -> list[ContainerRecord]:
    return [record for record in records if record.state is ContainerState.RUNNING and record.started_ns is not None]

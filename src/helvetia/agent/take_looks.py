"""The arrow container → batch: looks at the node's host and puts what it says into batches of bounded size.

Samples ask the engine one question however many containers run, and by itself only of what changed; the sweep asks it
of everything, and finds what no event and no sample told.
"""

import asyncio
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import replace

import structlog

from helvetia.containers.errors import HostUnavailable
from helvetia.containers.model import ContainerCounters, ContainerHost, ContainerRecord
from helvetia.kernel.clock import Clock, to_ns
from helvetia.kernel.clock_steps import ClockReading, ClockWatch
from helvetia.kernel.identity import new_id
from helvetia.metering.lifecycle.ask_little import LiveMemory, running
from helvetia.metering.nodes.model import HELD_CHARS_MAX, HELD_MAX, ITEMS_MAX, NodeBatch, NodeItem
from helvetia.metering.readers.model import CounterReader

_log = structlog.get_logger(__name__)


class Looker:
    """Every look raises HostUnavailable when the engine does not answer in time."""

    def __init__(
        self, clock: Clock, host: ContainerHost, reader: CounterReader, *, interval_s: float, host_timeout_s: float
    ) -> None:
        self._clock = clock
        self._host = host
        self._reader = reader
        self._interval_ms = round(interval_s * 1_000)
        self._host_timeout_s = host_timeout_s
        self._live = LiveMemory(host, reader)
        self._clocks = ClockWatch()

    async def sample(self) -> Sequence[NodeBatch]:
        """The counters of all that runs; where no reader can tell that a run goes on, that takes a sweep."""
        if not self._reader.proves_runs:
            return await self.sweep()
        looked = ClockReading.of(self._clock)
        async with self._in_time():
            going_on = await self._live.look()
        batches = self._batches(going_on.records, going_on.counters, looked)
        if not going_on.changed:
            return batches
        looked = ClockReading.of(self._clock)
        try:
            async with self._in_time():
                records, counters = await self._live.ask(going_on.changed)
        except HostUnavailable as error:
            if not batches:
                raise
            _log.warning("agent.changes_untold", count=len(going_on.changed), detail=error.detail)
            return batches
        self._live.remember(records, asked=going_on.changed)
        return [*batches, *self._batches(records, counters, looked)]

    async def sweep(self) -> Sequence[NodeBatch]:
        """Every container that the engine knows, and the counters of those that run."""
        looked = ClockReading.of(self._clock)
        async with self._in_time():
            records = await self._host.list_containers()
            counters = await self._reader.read(running(records))
        self._live.replace(records)
        *parts, last = self._batches(records, counters, looked) or [self._batch((), looked)]
        return [*parts, replace(last, listed=[record.container_id for record in records])]

    async def look_at(self, container_id: str) -> Sequence[NodeBatch]:
        """One container, now."""
        looked = ClockReading.of(self._clock)
        async with self._in_time():
            record = await self._host.inspect(container_id)
            counters = () if record is None else await self._reader.read(running([record]))
        records = [] if record is None else [record]
        self._live.remember(records)
        return self._batches(records, counters, looked)

    async def sample_storage(self) -> Sequence[NodeBatch]:
        """Sizes of all layers and volumes, and at last which those are, so that no lost part of it ends anything."""
        looked = ClockReading.of(self._clock)
        async with self._in_time():
            sizes = await self._host.read_storage()
        items = [NodeItem(size=size) for size in sizes]
        parts = [self._batch(items[start : start + ITEMS_MAX], looked) for start in range(0, len(items), ITEMS_MAX)]
        held = [size.holder for size in sizes]
        if len(held) > HELD_MAX or sum(map(len, held)) > HELD_CHARS_MAX:
            return parts
        return [*parts, self._batch((), looked, held=held)]

    @asynccontextmanager
    async def _in_time(self) -> AsyncIterator[None]:
        try:
            async with asyncio.timeout(self._host_timeout_s):
                yield
        except TimeoutError as error:
            raise HostUnavailable from error

    def _batches(
        self, records: Sequence[ContainerRecord], counters: Sequence[ContainerCounters], looked: ClockReading
    ) -> list[NodeBatch]:
        read = {one.container_id: one for one in counters}
        items = [NodeItem(record=record, counters=read.get(record.container_id)) for record in records]
        return [self._batch(items[start : start + ITEMS_MAX], looked) for start in range(0, len(items), ITEMS_MAX)]

    def _batch(
        self, items: Sequence[NodeItem], looked: ClockReading, *, held: Sequence[str] | None = None
    ) -> NodeBatch:
        clocks = looked if self._clocks.must_keep(looked) else None
        if clocks is not None:
            self._clocks.note_kept(clocks)
        return NodeBatch(
            batch_id=new_id(),
            looked_ns=looked.wall_ns,
            interval_ms=self._interval_ms,
            items=items,
            held=held,
            clocks=clocks,
            told_ns=to_ns(self._clock.wall()),
        )

"""The arrow container → batch: looks at the node's host and puts what it says into batches of bounded size."""

import asyncio
from collections.abc import Sequence

from helvetia.containers.errors import HostUnavailable
from helvetia.containers.model import ContainerHost, ContainerRecord, ContainerState
from helvetia.kernel.clock import Clock, to_ns
from helvetia.kernel.identity import new_id
from helvetia.metering.nodes.model import HELD_CHARS_MAX, HELD_MAX, ITEMS_MAX, NodeBatch, NodeItem
from helvetia.metering.readers.model import CounterReader


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

    async def sweep(self) -> Sequence[NodeBatch]:
        """Every container that the engine knows, and the counters of those that run."""
        looked_ns = to_ns(self._clock.wall())
        try:
            async with asyncio.timeout(self._host_timeout_s):
                records = await self._host.list_containers()
                counters = await self._reader.read(_running(records))
        except TimeoutError as error:
            raise HostUnavailable from error
        read = {one.container_id: one for one in counters}
        items = [NodeItem(record=record, counters=read.get(record.container_id)) for record in records]
        listed = [record.container_id for record in records]
        starts = range(0, max(1, len(items)), ITEMS_MAX)
        return [
            self._batch(items[start : start + ITEMS_MAX], looked_ns, listed=listed if start == starts[-1] else None)
            for start in starts
        ]

    async def look_at(self, container_id: str) -> Sequence[NodeBatch]:
        """One container, now."""
        looked_ns = to_ns(self._clock.wall())
        try:
            async with asyncio.timeout(self._host_timeout_s):
                record = await self._host.inspect(container_id)
                counters = () if record is None else await self._reader.read(_running([record]))
        except TimeoutError as error:
            raise HostUnavailable from error
        items = [] if record is None else [NodeItem(record=record, counters=next(iter(counters), None))]
        return [self._batch(items, looked_ns)] if items else ()

    async def sample_storage(self) -> Sequence[NodeBatch]:
        """Sizes of all layers and volumes, and at last which those are, so that no lost part of it ends anything."""
        looked_ns = to_ns(self._clock.wall())
        try:
            async with asyncio.timeout(self._host_timeout_s):
                sizes = await self._host.read_storage()
        except TimeoutError as error:
            raise HostUnavailable from error
        items = [NodeItem(size=size) for size in sizes]
        parts = [self._batch(items[start : start + ITEMS_MAX], looked_ns) for start in range(0, len(items), ITEMS_MAX)]
        held = [size.holder for size in sizes]
        if len(held) > HELD_MAX or sum(map(len, held)) > HELD_CHARS_MAX:
            return parts
        return [*parts, self._batch((), looked_ns, held=held)]

    def _batch(
        self,
        items: Sequence[NodeItem],
        looked_ns: int,
        *,
        listed: Sequence[str] | None = None,
        held: Sequence[str] | None = None,
    ) -> NodeBatch:
        return NodeBatch(
            batch_id=new_id(),
            looked_ns=looked_ns,
            interval_ms=self._interval_ms,
            items=items,
            listed=listed,
            held=held,
        )


def _running(records: Sequence[ContainerRecord]) -> list[ContainerRecord]:
    return [record for record in records if record.state is ContainerState.RUNNING and record.started_ns is not None]

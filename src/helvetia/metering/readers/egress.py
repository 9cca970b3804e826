"""Container → sample: which of the bytes sent left the host's container networks, where the host can tell.

Promises: bytes are told only of containers whose every byte was counted, and never more than the container sent in this
run; of all others nothing is told, and all that they send counts. Fails never: without rights there is just no answer.
"""

from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Protocol

from helvetia.containers.model import OWN_MAC_PREFIX, ContainerCounters, ContainerRecord
from helvetia.metering.readers.model import CounterReader


@dataclass(frozen=True, slots=True, kw_only=True)
class EgressCount:
    """Bytes by the address of their sender, all that were sent since an instant; an address without any is absent.

    `lost_after_ns`: the counters were lost after it and are here again as they stood then. What was sent in between is
    in none of them; of who was there already, this one look tells nothing.
    """

    since_ns: int
    bytes_by_mac: Mapping[str, int]
    lost_after_ns: int | None = None

    def knows(self, started_ns: int | None) -> bool:
        """Whether it tells the bytes of a run that began then."""
        if started_ns is None or started_ns < self.since_ns:
            return False
        return self.lost_after_ns is None or started_ns > self.lost_after_ns


class EgressCounters(Protocol):
    """Counts what leaves the container networks of this host."""

    async def read(self) -> EgressCount | None:
        """The counters, or None when this host does not let us count."""
        ...


class EgressReader:
    """Adds the external bytes to what another reader reads."""

    def __init__(self, reader: CounterReader, egress: EgressCounters) -> None:
        self._reader = reader
        self._egress = egress

    @property
    def name(self) -> str:
        return self._reader.name

    @property
    def proves_runs(self) -> bool:
        return self._reader.proves_runs

    async def read(self, containers: Sequence[ContainerRecord]) -> Sequence[ContainerCounters]:
        """Egress first: what is sent in between is in the later figure only, so external never exceeds transmitted."""
        return await self._read(self._reader.read, containers)

    async def read_again(self, containers: Sequence[ContainerRecord]) -> Sequence[ContainerCounters]:
        return await self._read(self._reader.read_again, containers)

    async def _read(
        self,
        read: Callable[[Sequence[ContainerRecord]], Awaitable[Sequence[ContainerCounters]]],
        containers: Sequence[ContainerRecord],
    ) -> Sequence[ContainerCounters]:
        count = await self._egress.read() if containers else None
        counters = await read(containers)
        if count is None:
            return counters
        records = {record.container_id: record for record in containers}
        return [with_external(one, records.get(one.container_id), count) for one in counters]


def with_external(counters: ContainerCounters, record: ContainerRecord | None, count: EgressCount) -> ContainerCounters:
    """The same counters with the external bytes, if every byte of this run was counted under an address of its own.

    A container that was started again keeps its address: its counter holds former runs too, so it is cut to what this
    run has sent.
    """
    sent = counters.transmitted_bytes
    if record is None or sent is None or not (record.mac_address or "").startswith(f"{OWN_MAC_PREFIX}:"):
        return counters
    if not count.knows(record.started_ns):
        return counters
    return replace(counters, external_bytes=min(sent, count.bytes_by_mac.get(record.mac_address or "", 0)))

"""Steady containers whose memory, bytes and files are known: what the ledger says of them, within stated bounds.

The bounds are those of docs (memory and storage within 1 %, bytes equal at rest). Memory and files are held by two
containers, so that the kernel's cache of the files is no part of the known memory.
"""

import asyncio
from collections.abc import Callable
from dataclasses import dataclass

import pytest

from helvetia.containers.model import Volume
from helvetia.database.pool import Database
from helvetia.kernel.identity import ServiceId
from helvetia.kernel.quantity import UsageMetric
from support import trials
from support.byte_sink import byte_sink
from support.docker_engine import Engine
from support.metered_engine import MeteredEngine, eventually

MB = 2**20
BLOCK = 384 * MB
"""So large that the programs around it (2 to 3 MB of pages) stay below 1 % of it."""

LAYER, VOLUME = 8 * MB, 4 * MB
SENT = trials.choose(small=4, full=100) * MB
STEADY_S = trials.choose(small=4, full=60)
IDLE = "trap 'exit 0' TERM; while :; do sleep 0.1; done"

pytestmark = pytest.mark.docker


@dataclass(frozen=True, slots=True, kw_only=True)
class Known:
    """What the ledger held of a service at an instant until which it is counted."""

    quantity: int
    until_ns: int

    def level_since(self, before: "Known") -> float:
        """The mean level of something that is integrated over time."""
        return (self.quantity - before.quantity) / (self.until_ns - before.until_ns)


async def test_known_memory_bytes_and_files_are_counted_within_their_bounds(engine: Engine, database: Database) -> None:
    metered = await MeteredEngine.open(engine, database)
    holder, writer = await metered.add_service("memory"), await metered.add_service("files")
    address = await metered.bridge_address()
    async with byte_sink(address) as sink:
        hold = f"{{ head -c {BLOCK} /dev/zero; exec sleep 600; }} | tail -c {BLOCK} >/dev/null & "
        send = f"head -c {SENT} /dev/zero | nc {address} {sink.port}; {IDLE}"
        record = await metered.run(hold + send, service_id=holder, memory_mb=512)
        await metered.host.create_and_start(
            metered.spec(
                f"{_write('/data', LAYER)} {_write('/vol', VOLUME)} {IDLE}", service_id=writer, volumes=VOLUMES
            )
        )
        await eventually(lambda: _has_arrived(lambda: sink.received_bytes))
        await eventually(lambda: _holds(metered, writer, LAYER + VOLUME))
        await eventually(lambda: _is_filled(metered, record.container_id))
    await metered.tick()
    memory, files = await _memory(metered, holder), await _files(metered, writer)
    for _ in range(STEADY_S):
        await asyncio.sleep(0.95)
        await metered.tick()
    (counters,) = await metered.reader.read([record])
    sent = (await metered.totals(holder))[UsageMetric.BANDWIDTH_GB]
    assert (await _memory(metered, holder)).level_since(memory) == pytest.approx(BLOCK, rel=0.01)
    assert (await _files(metered, writer)).level_since(files) == pytest.approx(LAYER + VOLUME, rel=0.01)
    assert sent == counters.transmitted_bytes  # to the byte, at rest
    assert SENT <= sent <= SENT * 1.08  # headers are sent bytes too
    await metered.check()
    trials.record(f"known memory, bytes and files of steady containers over {STEADY_S} s: within 1 %", count=1)


VOLUMES = (Volume(name="v", path="/vol"),)


def _write(folder: str, size_bytes: int) -> str:
    return f"dd if=/dev/zero of={folder}/file bs={MB} count={size_bytes // MB} 2>/dev/null;"


async def _has_arrived(received: Callable[[], int]) -> bool:
    return received() >= SENT


async def _holds(metered: MeteredEngine, service_id: ServiceId, size_bytes: int) -> bool:
    sizes = [one.size_bytes for one in await metered.host.read_storage() if one.service_id == service_id]
    return sum(sizes) >= size_bytes


async def _is_filled(metered: MeteredEngine, container_id: str) -> bool:
    record = await metered.host.inspect(container_id)
    assert record is not None
    (counters,) = await metered.reader.read([record])
    return (counters.memory_bytes or 0) >= BLOCK


async def _memory(metered: MeteredEngine, service_id: ServiceId) -> Known:
    quantity = (await metered.totals(service_id))[UsageMetric.MEMORY_GB_HOURS]
    sql = "SELECT max(seen_ns) FROM container_runs WHERE service_id = %s"
    return Known(quantity=quantity, until_ns=await _ask(metered, sql, service_id))


async def _files(metered: MeteredEngine, service_id: ServiceId) -> Known:
    quantity = (await metered.totals(service_id))[UsageMetric.STORAGE_GB]
    sql = "SELECT max(seen_ns) FROM storage_holders WHERE service_id = %s"
    return Known(quantity=quantity, until_ns=await _ask(metered, sql, service_id))


async def _ask(metered: MeteredEngine, sql: str, service_id: ServiceId) -> int:
    async with metered.database.transaction() as tx:
        row = await (await tx.execute(sql, (service_id,))).fetchone()
    assert row is not None
    return int(row[0])

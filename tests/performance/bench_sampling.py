"""How long one look at all containers takes: the kernel's files against the engine's stats API, on real containers.

`run()` starts its own containers and removes them again. The earlier way asked `stats?stream=false` of one container
after another; that is the bare equivalent.
"""

import asyncio
import json
from collections.abc import Sequence
from dataclasses import replace
from statistics import median

from helvetia.containers.model import ContainerRecord
from helvetia.kernel.clock import SystemClock
from helvetia.metering.readers.choose_reader import choose_reader
from helvetia.metering.readers.model import CounterReader
from support.docker_engine import Engine, demo_spec, own_installation, why_no_engine

CONTAINERS = 60
ASKED_ONE_BY_ONE = 10
ROUNDS = 5
STARTED_AT_ONCE = 4


async def run() -> dict[str, object]:
    """The figures, in milliseconds; `skipped` with the reason where there is no engine."""
    reason = await why_no_engine()
    if reason is not None:
        return {"skipped": reason}
    async with own_installation(timeout_s=60.0) as engine:
        containers = await start_containers(engine, CONTAINERS)
        reader = await choose_reader(engine.host)
        files_ms = await time_reader(reader, containers)
        stats_ms = await time_stats_one_by_one(engine, containers[:ASKED_ONE_BY_ONE])
    per_container_ms = files_ms / len(containers)
    return {
        "reader": reader.name,
        "containers": len(containers),
        "reader_total_ms": round(files_ms, 2),
        "reader_per_container_ms": round(per_container_ms, 3),
        "stats_api_per_container_ms": round(stats_ms, 1),
        "ratio": round(stats_ms / per_container_ms),
    }


async def start_containers(engine: Engine, count: int) -> list[ContainerRecord]:
    """So many idle containers of one service, a few started at once."""
    spec = demo_spec(command=("sleep", "3600"), memory_mb=16, cpu_cores="0.1")
    limit = asyncio.Semaphore(STARTED_AT_ONCE)

    async def start(replica: int) -> ContainerRecord:
        async with limit:
            return await engine.host.create_and_start(replace(spec, replica=replica))

    return await asyncio.gather(*(start(replica) for replica in range(count)))


async def time_reader(reader: CounterReader, containers: Sequence[ContainerRecord], rounds: int = ROUNDS) -> float:
    """Milliseconds of one look at all of them: the median of some rounds, after one that finds the files."""
    assert len(await reader.read(containers)) == len(containers)
    durations_ms = []
    for _ in range(rounds):
        started_s = SystemClock().monotonic()
        counters = await reader.read(containers)
        durations_ms.append((SystemClock().monotonic() - started_s) * 1_000)
        assert len(counters) == len(containers)
    return median(durations_ms)


async def time_stats_one_by_one(engine: Engine, containers: Sequence[ContainerRecord]) -> float:
    """Milliseconds per container of the stats API, one after another."""
    started_s = SystemClock().monotonic()
    for record in containers:
        await engine.host.engine.get(f"containers/{record.container_id}/stats", {"stream": "false"})
    return (SystemClock().monotonic() - started_s) * 1_000 / len(containers)


if __name__ == "__main__":
    print(json.dumps(asyncio.run(run()), indent=2))

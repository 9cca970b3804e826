"""Counters by the engine's stats API: slow on old engines, but it works where its files cannot be read.

Promises: many at once, within a deadline; a container that does not run or does not answer is left out, never guessed.
"""

import asyncio
from collections.abc import Sequence
from typing import Final

from helvetia.containers.docker.convert import from_docker_stats
from helvetia.containers.docker.engine import DockerEngine, EngineRefusal
from helvetia.containers.errors import HostUnavailable
from helvetia.containers.model import ContainerCounters, ContainerRecord

PARALLEL_MAX: Final = 64


async def read_stats(engine: DockerEngine, running: Sequence[ContainerRecord]) -> list[ContainerCounters]:
    """One look at each of these.

    Raises:
        HostUnavailable: not one of them could be asked.
    """
    limit = asyncio.Semaphore(PARALLEL_MAX)
    tasks = [asyncio.create_task(_read_one(engine, record.container_id, limit)) for record in running]
    if not tasks:
        return []
    try:
        await asyncio.wait(tasks, timeout=2 * engine.timeout_s)
    finally:
        for task in tasks:
            task.cancel()
        answers = await asyncio.gather(*tasks, return_exceptions=True)
    failures = [answer for answer in answers if isinstance(answer, Exception)]
    unexpected = [failure for failure in failures if not isinstance(failure, HostUnavailable)]
    if unexpected or len(failures) == len(answers):
        raise (unexpected or failures)[0]
    return [answer for answer in answers if isinstance(answer, ContainerCounters)]


async def _read_one(engine: DockerEngine, container_id: str, limit: asyncio.Semaphore) -> ContainerCounters | None:
    async with limit:
        try:
            body = await engine.get(f"containers/{container_id}/stats", {"stream": "false", "one-shot": "true"})
            return from_docker_stats(container_id, body)
        except (EngineRefusal, KeyError, TypeError, ValueError):
            return None  # gone, or an answer without figures

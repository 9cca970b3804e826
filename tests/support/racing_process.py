"""A server process of its own that races others for an account's last places; the other end is `Racers`.

`python -m support.racing_process URL` reads a JSON list of requests a line, makes them all at once, and answers with
the list of their outcomes: a word of success, or the code of the refusal.
"""

import asyncio
import json
import os
import sys
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any
from uuid import UUID

from helvetia.containers.model import ServiceChange
from helvetia.database.enums import DATABASE_ENUMS
from helvetia.database.pool import Database
from helvetia.enforcement.model import EnforcementConfig
from helvetia.kernel.clock import ManualClock
from helvetia.kernel.errors import LimitReached
from helvetia.kernel.identity import AccountId, ServiceId
from support.enforcement_world import WEB, EnforcementWorld

ROOT = Path(__file__).resolve().parents[2]
DONE = "done"
ANSWER_MAX_S = 60.0
STARTS_AT = datetime(2026, 3, 10, 10, tzinfo=UTC)


class Racers:
    """Several such processes, which a test sets off together."""

    def __init__(self, processes: Sequence[asyncio.subprocess.Process]) -> None:
        self._processes = processes

    async def race(self, requests: Sequence[dict[str, Any]]) -> list[str]:
        """All requests at once, dealt out to the processes; the outcomes in their order."""
        count = len(self._processes)
        shares = [list(requests[number::count]) for number in range(count)]
        answers = await asyncio.gather(
            *(_ask(process, share) for process, share in zip(self._processes, shares, strict=True))
        )
        return [answers[number % count][number // count] for number in range(len(requests))]


async def _ask(process: asyncio.subprocess.Process, requests: Sequence[dict[str, Any]]) -> list[str]:
    assert process.stdin is not None
    assert process.stdout is not None
    process.stdin.write(json.dumps(requests).encode() + b"\n")
    await process.stdin.drain()
    while not (line := await asyncio.wait_for(process.stdout.readline(), ANSWER_MAX_S)).startswith(b"["):
        assert line, "the process ended"  # any other line is its log
    answers: list[str] = json.loads(line)
    return answers


@asynccontextmanager
async def racers(url: str, *, count: int) -> AsyncIterator[Racers]:
    processes = [
        await asyncio.create_subprocess_exec(
            *(sys.executable, "-m", "support.racing_process", url),
            cwd=ROOT / "tests",
            env={"PYTHONPATH": f"{ROOT / 'src'}:{ROOT / 'tests'}", "PATH": os.environ["PATH"]},
            stdin=asyncio.subprocess.PIPE,
            stdout=asyncio.subprocess.PIPE,
        )
        for _ in range(count)
    ]
    try:
        for process in processes:
            assert await _ask(process, []) == []
        yield Racers(processes)
    finally:
        for process in processes:
            process.kill()
            await process.wait()


async def make(world: EnforcementWorld, request: dict[str, Any]) -> str:
    """One request, as a route would make it."""
    account_id = AccountId(UUID(request["account"]))
    service_id = ServiceId(UUID(request["service"])) if "service" in request else None
    try:
        match request["kind"], service_id:
            case "create", _:
                wanted = replace(WEB, name=request["name"], memory_mb=request["memory_mb"])
                await world.containers.create_service(account_id, wanted)
            case "start", UUID():
                await world.containers.start_service(account_id, service_id)
            case "scale", UUID():
                await world.containers.scale_service(account_id, service_id, request["replicas"])
            case "deploy", UUID():
                change = ServiceChange(memory_mb=request["memory_mb"])
                await world.containers.change_service(account_id, service_id, change)
            case "resume", _:
                await world.enforcement.release_by_operator(account_id, reason="settled", actor="operator:eva")
            case _:
                raise ValueError(request["kind"])
    except LimitReached as error:
        return error.code
    return DONE


async def serve(url: str) -> None:
    database = Database(url, enums=DATABASE_ENUMS, connections_max=8, wait_s=30)
    await database.open()
    world = EnforcementWorld(database, ManualClock(STARTS_AT), EnforcementConfig())
    reader = asyncio.StreamReader(limit=2**20)
    await asyncio.get_running_loop().connect_read_pipe(lambda: asyncio.StreamReaderProtocol(reader), sys.stdin)
    while line := await reader.readline():
        print(json.dumps(await asyncio.gather(*(make(world, one) for one in json.loads(line)))), flush=True)


if __name__ == "__main__":
    asyncio.run(serve(*sys.argv[1:]))

"""A worker's part in enforcement as a process of its own, to be killed; the other end is `EnforcementChild`.

`python -m support.enforcement_process URL [INSTALLATION]` reads instants, one a line. For each it makes a pass, sends
what is due, drives the engine of the installation there if one is named, and says `done`.
"""

import asyncio
import os
import sys
from datetime import datetime
from pathlib import Path

import structlog

from helvetia.containers.docker_host import DockerHost
from helvetia.containers.reconcile_services import ServiceReconciler
from helvetia.database.enums import DATABASE_ENUMS
from helvetia.database.pool import Database
from helvetia.enforcement.model import EnforcementConfig
from helvetia.kernel.clock import ManualClock
from support.enforcement_world import EnforcementWorld

ROOT = Path(__file__).resolve().parents[2]
TURN_MAX_S = 120.0
CUTS_MAX = 16


class EnforcementChild:
    """The process, started when it is needed and killed when a test likes."""

    def __init__(self, url: str, installation_id: str | None = None) -> None:
        self._arguments = [url] if installation_id is None else [url, installation_id]
        self._process: asyncio.subprocess.Process | None = None

    async def turn(self, instant: datetime) -> None:
        """One turn of the worker, to its end."""
        await self._begin(instant)
        assert self._process is not None
        assert self._process.stdout is not None
        answer = await asyncio.wait_for(self._process.stdout.readline(), TURN_MAX_S)
        assert answer == b"done\n", f"the worker ended by itself: {self._process.returncode}"

    async def killed_turn(self, instant: datetime, after_s: float) -> bool:
        """A turn that SIGKILL ends so soon; says whether it was still at work."""
        await self._begin(instant)
        assert self._process is not None
        assert self._process.stdout is not None
        try:
            await asyncio.wait_for(self._process.stdout.readline(), after_s)
        except TimeoutError:
            await self.kill()
            return True
        return False

    async def cut_turn(self, instant: datetime, after_s: float) -> int:
        """Turns of one instant, cut off twice as early each time, until one was cut while at work; says how many."""
        for tries in range(1, CUTS_MAX + 1):
            if await self.killed_turn(instant, after_s):
                return tries
            after_s /= 2
        raise AssertionError(f"{CUTS_MAX} turns ended before they could be cut")

    async def kill(self) -> None:
        if self._process is not None:
            self._process.kill()
            await self._process.wait()
            self._process = None

    async def _begin(self, instant: datetime) -> None:
        if self._process is None:
            self._process = await self._start()
        assert self._process.stdin is not None
        self._process.stdin.write(f"{instant.isoformat()}\n".encode())
        await self._process.stdin.drain()

    async def _start(self) -> asyncio.subprocess.Process:
        process = await asyncio.create_subprocess_exec(
            *(sys.executable, "-m", "support.enforcement_process", *self._arguments),
            cwd=ROOT / "tests",
            env={"PYTHONPATH": f"{ROOT / 'src'}:{ROOT / 'tests'}", "PATH": os.environ["PATH"]},
            stdin=asyncio.subprocess.PIPE,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.DEVNULL,
        )
        assert process.stdout is not None
        assert await asyncio.wait_for(process.stdout.readline(), TURN_MAX_S) == b"ready\n"
        return process


async def work(url: str, installation_id: str | None = None) -> None:
    database = Database(url, enums=DATABASE_ENUMS, connections_max=4)
    await database.open()
    reader = asyncio.StreamReader()
    await asyncio.get_running_loop().connect_read_pipe(lambda: asyncio.StreamReaderProtocol(reader), sys.stdin)
    world: EnforcementWorld | None = None
    reconciler: ServiceReconciler | None = None
    print("ready", flush=True)
    while line := (await reader.readline()).decode().strip():
        instant = datetime.fromisoformat(line)
        if world is None:
            world = EnforcementWorld(database, ManualClock(instant), EnforcementConfig())
            if installation_id is not None:
                host = DockerHost(installation_id, timeout_s=30, node="test-node")
                reconciler = ServiceReconciler(database, world.clock, host)
        world.clock.advance_to(instant)
        await world.enforcement.run_pass()
        await world.notifications.send_due()
        if reconciler is not None:
            await reconciler.reconcile_services()
        print("done", flush=True)


if __name__ == "__main__":
    structlog.configure(logger_factory=structlog.PrintLoggerFactory(sys.stderr))  # what is printed answers the test
    asyncio.run(work(*sys.argv[1:]))

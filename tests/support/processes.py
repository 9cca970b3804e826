"""The product's own processes, started as in production, killed as in life."""

import asyncio
import os
import signal
import sys
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager


class RunningCommand:
    """`helvetia <command>` as a child process that can be killed and started again."""

    def __init__(self, command: str, environment: Mapping[str, str]) -> None:
        self._command = command
        self._environment = {**os.environ, **environment}
        self._process: asyncio.subprocess.Process | None = None

    async def start(self) -> None:
        self._process = await asyncio.create_subprocess_exec(
            sys.executable, "-m", "helvetia", self._command, env=self._environment, start_new_session=True
        )

    @property
    def pid(self) -> int:
        assert self._process is not None
        return self._process.pid

    async def kill(self) -> None:
        """SIGKILL: no goodbye."""
        await self._end(signal.SIGKILL)

    async def stop(self) -> int:
        """SIGTERM, and the exit code."""
        return await self._end(signal.SIGTERM)

    async def _end(self, number: signal.Signals) -> int:
        assert self._process is not None
        if self._process.returncode is None:
            self._process.send_signal(number)
        return await asyncio.wait_for(self._process.wait(), 30)


@asynccontextmanager
async def running_command(command: str, environment: Mapping[str, str]) -> AsyncIterator[RunningCommand]:
    running = RunningCommand(command, environment)
    await running.start()
    try:
        yield running
    finally:
        await running.kill()

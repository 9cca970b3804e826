"""Child processes of one command: started together, watched together, stopped in reverse order."""

import asyncio
import socket
import subprocess
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager

import aiohttp

STOP_WITHIN_S = 10.0
ASK_EVERY_S = 0.05


class ChildDied(Exception):
    """A part ended by itself."""


class Children:
    """The processes that this command started. They do not see the terminal's Ctrl-C; they are told by us."""

    def __init__(self) -> None:
        self._running: dict[str, asyncio.subprocess.Process] = {}

    @classmethod
    @asynccontextmanager
    async def open(cls) -> AsyncIterator["Children"]:
        children = cls()
        try:
            yield children
        finally:
            await children.stop()

    async def start(self, name: str, command: Sequence[str], environment: Mapping[str, str]) -> None:
        self._running[name] = await asyncio.create_subprocess_exec(
            *command, env=dict(environment), start_new_session=True, stdin=subprocess.DEVNULL
        )

    def check(self) -> None:
        """Raises ChildDied when one has ended."""
        for name, child in self._running.items():
            if child.returncode is not None:
                raise ChildDied(f"{name} ended with exit code {child.returncode}")

    async def wait(self, stop: asyncio.Event) -> None:
        """Until `stop` is set. Raises ChildDied when one ends before."""
        waiting = [asyncio.ensure_future(child.wait()) for child in self._running.values()]
        stopping = asyncio.ensure_future(stop.wait())
        await asyncio.wait([*waiting, stopping], return_when=asyncio.FIRST_COMPLETED)
        for task in (*waiting, stopping):
            task.cancel()
        if not stop.is_set():
            self.check()

    async def stop(self) -> None:
        """Ask each to end, the last started first; one that does not is killed."""
        for child in reversed(self._running.values()):
            if child.returncode is not None:
                continue
            child.terminate()
            try:
                async with asyncio.timeout(STOP_WITHIN_S):
                    await child.wait()
            except TimeoutError:
                child.kill()
                await child.wait()


def free_port(*, preferred: int) -> int:
    """The preferred port of loopback if it is free, else another that is."""
    for port in (preferred, 0):
        with socket.socket() as probe:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            try:
                probe.bind(("127.0.0.1", port))
            except OSError:
                continue
            return int(probe.getsockname()[1])
    raise ChildDied("no port of loopback is free")


async def wait_until_answers(url: str, children: Children, *, within_s: float) -> None:
    """Until GET answers 200. Raises ChildDied when a child ends first, or when it takes too long."""
    try:
        async with asyncio.timeout(within_s), aiohttp.ClientSession() as session:
            while not await _answers(session, url):
                children.check()
                await asyncio.sleep(ASK_EVERY_S)
    except TimeoutError:
        raise ChildDied(f"{url} did not answer within {within_s:.0f} s") from None


async def _answers(session: aiohttp.ClientSession, url: str) -> bool:
    try:
        async with session.get(url, timeout=aiohttp.ClientTimeout(total=5)) as answer:
            return answer.status == 200  # noqa: PLR2004 - HTTP OK
    except (aiohttp.ClientError, TimeoutError):
        return False

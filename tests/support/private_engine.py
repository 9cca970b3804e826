"""A Docker Engine of a test's own, which may be stopped, killed and frozen; the machine's engine is never touched.

It has its own data, sockets, process file and bridge, all of which go at the end, with every container it ever ran.
The bridge is a must: an engine that is told to have none (`--bridge=none`) deletes docker0, the other engine's.
"""

import asyncio
import os
import random
import shutil
import signal
import tempfile
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from uuid import uuid4

import aiohttp

from helvetia.containers.demo_image import ensure_demo_image
from helvetia.containers.docker_host import DockerHost
from support.docker_engine import Engine

READY_S, STOPPED_S, STARTS_MAX = 60.0, 60.0, 3


def why_no_private_engine() -> str | None:
    """Why a test cannot have an engine of its own, or None when it can."""
    if os.geteuid() != 0:
        return "only root may start an engine"
    lacking = [program for program in ("dockerd", "containerd", "ip") if shutil.which(program) is None]
    return f"{' and '.join(lacking)} not found" if lacking else None


class PrivateEngine:
    """One dockerd and what belongs to it."""

    def __init__(self, directory: Path, bridge: str, *, keeps_running: bool) -> None:
        self.url = f"unix://{directory}/engine.sock"
        self._directory = directory
        self._bridge = bridge
        self._keeps_running = keeps_running
        self._process: asyncio.subprocess.Process | None = None

    async def start(self) -> None:
        """Returns when it answers; one that gives up is started again, as a machine's supervisor would."""
        for _ in range(STARTS_MAX):
            if await self._start_once():
                return
        raise AssertionError((self._directory / "log").read_text()[-2_000:])

    async def _start_once(self) -> bool:
        options = {
            "--data-root": f"{self._directory}/data",
            "--exec-root": f"{self._directory}/exec",
            "--pidfile": f"{self._directory}/pid",
            "--host": self.url,
            "--bridge": self._bridge,
            "--iptables": "false",
            "--ip-forward": "false",
            "--live-restore": str(self._keeps_running).lower(),
        }
        with (self._directory / "log").open("ab") as log:
            self._process = await asyncio.create_subprocess_exec(
                "dockerd", *(f"{name}={value}" for name, value in options.items()), stdout=log, stderr=log
            )
        async with asyncio.timeout(READY_S):
            while not await self._answers():
                if self._process.returncode is not None:
                    return False
                await asyncio.sleep(0.1)
        return True

    async def stop(self, how: signal.Signals = signal.SIGTERM) -> None:
        assert self._process is not None
        if self._process.returncode is None:
            self._process.send_signal(how)
            await asyncio.wait_for(self._process.wait(), STOPPED_S)

    def freeze(self) -> None:
        assert self._process is not None
        self._process.send_signal(signal.SIGSTOP)

    def thaw(self) -> None:
        assert self._process is not None
        if self._process.returncode is None:
            self._process.send_signal(signal.SIGCONT)

    @property
    def is_stopped(self) -> bool:
        return self._process is None or self._process.returncode is not None

    async def remove_everything(self) -> None:
        """Every container of this engine; it is started for that if it must be."""
        if self.is_stopped:
            await self.start()
        host = DockerHost("nobody", url=self.url, timeout_s=30)
        try:
            for one in await host.engine.get("containers/json", {"all": "1"}):
                await host.engine.delete(f"containers/{one['Id']}", {"force": "1", "v": "1"})
        finally:
            await host.close()

    async def _answers(self) -> bool:
        connector = aiohttp.UnixConnector(path=self.url.removeprefix("unix://"))
        try:
            async with (
                aiohttp.ClientSession(connector=connector, timeout=aiohttp.ClientTimeout(total=2)) as session,
                session.get("http://engine/_ping") as answer,
            ):
                return answer.status == 200
        except (aiohttp.ClientError, OSError, TimeoutError):
            return False


@asynccontextmanager
async def private_engine(*, keeps_running: bool = False) -> AsyncIterator[PrivateEngine]:
    """A running engine with the demo image. `keeps_running`: containers go on while the engine is down."""
    directory = Path(tempfile.mkdtemp(prefix="hvd", dir="/tmp"))  # short: the paths of sockets are
    async with _bridge() as bridge:
        engine = PrivateEngine(directory, bridge, keeps_running=keeps_running)
        try:
            await engine.start()
            async with installation_on(engine) as one:
                image = await ensure_demo_image(one.host)
            assert image.is_ready, image.reason
            yield engine
        finally:
            engine.thaw()
            try:
                await engine.remove_everything()
            finally:
                await engine.stop()
                await _remove(directory)


@asynccontextmanager
async def installation_on(engine: PrivateEngine, *, timeout_s: float = 30.0) -> AsyncIterator[Engine]:
    """An installation with a random id on this engine; its containers go with the engine."""
    installation_id = f"test-{uuid4().hex}"
    host = DockerHost(installation_id, url=engine.url, timeout_s=timeout_s, node="test-node")
    try:
        yield Engine(host=host, installation_id=installation_id)
    finally:
        await host.close()


@asynccontextmanager
async def _bridge() -> AsyncIterator[str]:
    """A bridge with a network from the range that is set aside for tests (RFC 2544)."""
    name = f"hvt{uuid4().hex[:8]}"
    await _run("ip", "link", "add", "name", name, "type", "bridge")
    try:
        await _run("ip", "address", "add", f"198.18.{random.randrange(256)}.1/24", "dev", name)
        await _run("ip", "link", "set", name, "up")
        yield name
    finally:
        await _run("ip", "link", "delete", name)


async def _remove(directory: Path) -> None:
    """An engine that was killed leaves its data folder mounted upon itself."""
    for mount in reversed(_mounts()):
        if mount.startswith(f"{directory}/"):
            await _run("umount", mount)
    shutil.rmtree(directory)


def _mounts() -> list[str]:
    return [line.split()[4] for line in Path("/proc/self/mountinfo").read_text().splitlines()]


async def _run(*words: str) -> None:
    process = await asyncio.create_subprocess_exec(*words, stderr=asyncio.subprocess.PIPE)
    _, told = await process.communicate()
    assert process.returncode == 0, f"{' '.join(words)}: {told.decode().strip()}"

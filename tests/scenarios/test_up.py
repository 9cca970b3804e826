"""`helvetia up`, as a newcomer sees it.

given nothing but Python (and, in the second case, a Docker Engine on which somebody else's container runs)
when  everything is started with one command, stopped, and started again
then  page, API and sandbox answer, the printed login works, usage grows, the data is kept, nothing of ours is left
      running, and the other container is untouched and uncounted
"""

import asyncio
import os
import re
import shutil
import signal
import sys
import tempfile
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

import aiohttp
import pytest

from conftest import missing
from helvetia.containers.model import INSTALLATION_LABEL
from support.docker_engine import HINT, no_leftovers, own_installation, why_no_engine
from support.sandbox_process import free_port

pytestmark = pytest.mark.slow


@dataclass(frozen=True, kw_only=True)
class Running:
    """What was printed, and a client that is not signed in."""

    printed: str
    url: str
    sandbox_url: str
    client: aiohttp.ClientSession

    async def sign_in(self) -> None:
        """With the printed login, through the form."""
        found = re.search(r"Sign in as (\S+) .*password (\S+)", self.printed)
        assert found is not None
        async with self.client.get(f"{self.url}/sign-in") as answer:
            token = re.search(r'name="(\w+)" value="([^"]+)"', await answer.text())
        assert token is not None
        form = {token[1]: token[2], "email": found[1], "password": found[2]}
        async with self.client.post(f"{self.url}/sign-in", data=form, headers={"Origin": self.url}) as answer:
            assert (answer.status, answer.url.path) == (200, "/billing")

    async def compute_hours(self) -> float:
        async with self.client.get(f"{self.url}/api/v1/billing/usage") as answer:
            assert answer.status == 200
            lines = (await answer.json())["usage"]
        return float(next(line["quantity"] for line in lines if line["metric"] == "COMPUTE_HOURS"))


@pytest.fixture
def directory() -> Iterator[Path]:
    made = Path(tempfile.mkdtemp(prefix="hvup", dir="/tmp"))
    made.chmod(0o755)
    yield made
    shutil.rmtree(made, ignore_errors=True)


@asynccontextmanager
async def up(directory: Path, container_host: str) -> AsyncIterator[Running]:
    """Everything, from the greeting to Ctrl-C."""
    port, sandbox_port = free_port(), free_port()
    environment = {
        **os.environ,
        "PORT": str(port),
        "SANDBOX_PORT": str(sandbox_port),
        "DATA_DIRECTORY": str(directory),
        "CONTAINER_HOST": container_host,
        "METERING_INTERVAL_S": "1",
        "METERING_SWEEP_S": "1",
    }
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-m", "helvetia", "up", env=environment, stdout=asyncio.subprocess.PIPE
    )
    try:
        async with asyncio.timeout(60):
            printed = await _greeting(process)
        jar = aiohttp.CookieJar(unsafe=True)
        async with aiohttp.ClientSession(cookie_jar=jar) as client:
            url, sandbox_url = f"http://127.0.0.1:{port}", f"http://127.0.0.1:{sandbox_port}"
            yield Running(printed=printed, url=url, sandbox_url=sandbox_url, client=client)
    finally:
        process.send_signal(signal.SIGINT)
        assert await asyncio.wait_for(process.wait(), 60) == 0


async def _greeting(process: asyncio.subprocess.Process) -> str:
    assert process.stdout is not None
    printed = ""
    while "Ctrl-C" not in printed:
        line = await process.stdout.readline()
        assert line, "it ended before it was ready"
        printed += line.decode()
    return printed


async def usage_beyond(running: Running, beyond: float) -> float:
    async with asyncio.timeout(40):
        while (now := await running.compute_hours()) <= beyond:
            await asyncio.sleep(0.5)
    return now


async def test_newcomer_without_an_engine_finds_everything_and_keeps_the_data(directory: Path) -> None:
    async with up(directory, "process") as running:
        for url in (f"{running.sandbox_url}/healthz", f"{running.url}/healthz", f"{running.url}/api/v1/openapi.json"):
            async with running.client.get(url) as answer:
                assert answer.status == 200
        await running.sign_in()
        used = await usage_beyond(running, 0)
    async with up(directory, "process") as running:
        await running.sign_in()
        assert await running.compute_hours() >= used
        await usage_beyond(running, used)


@pytest.mark.docker
async def test_container_of_somebody_else_is_untouched_and_uncounted(directory: Path) -> None:
    reason = await why_no_engine()
    if reason is not None:
        missing("A Docker Engine", f"{reason} ({HINT})")
    async with no_leftovers(directory), own_installation() as engine:
        foreign_id = await engine.run_foreign({INSTALLATION_LABEL: "somebody-else"})
        try:
            before = await engine.inspect_raw(foreign_id)
            async with up(directory, "auto") as running:
                await running.sign_in()
                await usage_beyond(running, 0)
                async with running.client.get(f"{running.url}/api/v1/services") as answer:
                    assert {one["status"] for one in (await answer.json())["services"]} == {"running"}
            after = await engine.inspect_raw(foreign_id)
            assert after["State"] == before["State"]
            assert after["State"]["Running"]
        finally:
            await engine.remove_foreign(foreign_id)

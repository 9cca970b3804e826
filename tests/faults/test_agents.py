"""Three agents on one machine, each with its own label, one cut off for a while: the ledger tells the truth of all."""

import asyncio
from collections.abc import AsyncIterator, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path

import pytest
import uvicorn

from conftest import missing
from helvetia.agent.post_batches import Server
from helvetia.agent.run_agent import AgentConfig
from helvetia.database.pool import Database
from helvetia.kernel.clock import SystemClock
from helvetia.kernel.quantity import UsageMetric
from helvetia.metering.nodes.service import NodeService
from helvetia.web.config import WebConfig
from helvetia.wiring.agent import run_agent
from support import trials
from support.docker_engine import HINT, Engine, own_installation, why_no_engine
from support.metered_engine import MeteredEngine, eventually
from support.sandbox_process import free_port
from support.web_world import web_world

pytestmark = [pytest.mark.docker, pytest.mark.slow]

CUT_S = float(trials.choose(small=4, full=600))
IDLE = "trap 'exit 0' TERM; while :; do sleep 0.1; done"
CONFIG = AgentConfig(interval_s=1, storage_interval_s=2, post_retry_max_s=1, removes_closed=False)


class Cable:
    """A TCP connection to the server that can be pulled out."""

    def __init__(self, port: int) -> None:
        self._far_port = port
        self._server: asyncio.Server | None = None
        self._ends: set[asyncio.StreamWriter] = set()
        self.port = free_port()

    async def plug_in(self) -> None:
        self._server = await asyncio.start_server(self._join, "127.0.0.1", self.port)

    def pull_out(self) -> None:
        if self._server is not None:
            self._server.close()
            for writer in self._ends:
                writer.transport.abort()

    async def _join(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        far_reader, far_writer = await asyncio.open_connection("127.0.0.1", self._far_port)
        self._ends |= {writer, far_writer}
        await asyncio.gather(_pump(reader, far_writer), _pump(far_reader, writer))
        self._ends -= {writer, far_writer}


async def _pump(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    try:
        while chunk := await reader.read(1 << 16):
            writer.write(chunk)
            await writer.drain()
    except ConnectionError:
        return
    finally:
        writer.close()


@asynccontextmanager
async def serving(database: Database) -> AsyncIterator[int]:
    """The real application over HTTP on loopback."""
    port = free_port()
    async with web_world(database, SystemClock(), WebConfig(public_base_url=f"http://127.0.0.1:{port}")) as world:
        server = uvicorn.Server(uvicorn.Config(world.app, port=port, log_level="error", lifespan="off"))
        task = asyncio.create_task(server.serve())
        try:
            async with asyncio.timeout(20):
                while not server.started:
                    await asyncio.sleep(0.05)
            yield port
        finally:
            server.should_exit = True
            await task


async def _truth_ns(owner: MeteredEngine, engines: Sequence[Engine]) -> int:
    lived_ns = 0
    for engine in engines:
        for record in await engine.host.list_containers():
            await engine.host.stop(record.container_id, grace_s=1)
        ended = await engine.host.list_containers()
        lived_ns += sum(max(0, (one.finished_ns or 0) - (one.started_ns or 0)) for one in ended)
    return lived_ns


async def test_three_agents_one_cut_off_tell_the_truth(database: Database, tmp_path: Path) -> None:
    reason = await why_no_engine()
    if reason is not None:
        missing("Docker", f"{reason} ({HINT})")
    nodes, stop = NodeService(database, SystemClock()), asyncio.Event()
    async with AsyncExitStack() as stack:
        engines = [await stack.enter_async_context(own_installation()) for _ in range(3)]
        port = await stack.enter_async_context(serving(database))
        cable = Cable(port)
        await cable.plug_in()
        agents = []
        for number, engine in enumerate(engines):
            url = f"http://127.0.0.1:{cable.port if number == 0 else port}"
            server = Server(SystemClock(), url, await nodes.issue_token(f"node-{number}"), timeout_s=5)
            agent = run_agent(CONFIG, SystemClock(), server, tmp_path / str(number), stop, label=engine.installation_id)
            agents.append(asyncio.create_task(agent))
        owner = await MeteredEngine.open(engines[0], database)
        for number, engine in enumerate(engines):
            await engine.host.create_and_start(owner.spec(IDLE, replica=number))
        await asyncio.sleep(2)
        cable.pull_out()
        await engines[0].host.create_and_start(owner.spec("sleep 0.5", replica=7))  # lives while nobody can be told
        await asyncio.sleep(CUT_S)
        spooled = len(list((tmp_path / "0").glob("*.json")))
        await cable.plug_in()
        await asyncio.sleep(1)
        truth_ns = await _truth_ns(owner, engines)

        async def is_posted() -> bool:  # no longer than the wait was, though all of this runs in one process
            return not list((tmp_path / "0").glob("*.json"))

        async def is_all_told() -> bool:
            await owner.metering.roll_up()
            return (await owner.totals())[UsageMetric.COMPUTE_HOURS] == truth_ns

        await eventually(is_posted, within_s=30 + CUT_S)
        await eventually(is_all_told, within_s=60)
        stop.set()
        await asyncio.gather(*agents)
        cable.pull_out()
    await owner.check()
    assert spooled >= min(3, CUT_S / 2)
    assert {node.node for node in await nodes.list_nodes()} == {"node-0", "node-1", "node-2"}
    assert (await owner.totals())[UsageMetric.MEMORY_GB_HOURS] > 0
    trials.record(f"three agents on one machine, one cut off for {CUT_S:.0f} s: totals equal to the truth", count=1)

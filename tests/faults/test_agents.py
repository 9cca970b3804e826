"""Three agents on one machine, each with its own label, one cut off for a while: the ledger tells the truth of all."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

import pytest
import uvicorn

from conftest import missing
from helvetia.agent.post_batches import Server
from helvetia.agent.run_agent import AgentConfig
from helvetia.containers.model import ContainerRecord
from helvetia.database.pool import Database
from helvetia.kernel.clock import SystemClock, to_ns
from helvetia.kernel.quantity import UsageMetric
from helvetia.metering.nodes.service import NodeService
from helvetia.web.config import WebConfig
from helvetia.wiring.agent import run_agent
from support import trials
from support.byte_sink import ByteSink, byte_sink
from support.docker_engine import HINT, Engine, own_installation, why_no_engine
from support.metered_engine import MeteredEngine, eventually
from support.sandbox_process import free_port
from support.web_world import web_world

pytestmark = [pytest.mark.docker, pytest.mark.slow]

CUT_S = float(trials.choose(small=4, full=600))
ACTS_AFTER_S = 3
IDLE = "while :; do sleep 0.1; done"
MB = 2**20
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


@dataclass(frozen=True, slots=True, kw_only=True)
class Tenant:
    """The one account of one label: what its container sends and writes while the first agent is cut off."""

    number: int
    metered: MeteredEngine
    sink: ByteSink

    @property
    def sent_bytes(self) -> int:
        return (self.number + 1) * MB + 1_000 * self.number

    @property
    def written_bytes(self) -> int:
        return (3 - self.number) * MB

    async def start(self) -> ContainerRecord:
        address = await self.metered.bridge_address()
        write = f"head -c {self.written_bytes} /dev/zero > /kept"
        send = f"head -c {self.sent_bytes} /dev/zero | nc {address} {self.sink.port}"
        return await self.metered.run(f"trap 'exit 0' TERM; sleep {ACTS_AFTER_S}; {write}; {send}; {IDLE}")

    async def has_acted(self) -> bool:
        return self.sink.received_bytes == self.sent_bytes

    async def stop_all(self) -> int:
        """How long its containers lived by the engine's own words, ns."""
        for record in await self.metered.host.list_containers():
            await self.metered.host.stop(record.container_id, grace_s=1)
        return await self.metered.truth_ns()

    async def layer_bytes(self) -> int:
        """The largest size of a layer of its own that the ledger was told."""
        async with self.metered.database.transaction() as tx:
            cursor = await tx.execute(
                "SELECT max(size_bytes) FROM storage_readings WHERE account_id = %s", (self.metered.account_id,)
            )
            return int((await cursor.fetchone() or (0,))[0])

    async def readings_within(self, since_ns: int, until_ns: int) -> tuple[int, int]:
        """How many readings of counters and of sizes were taken in a stretch of time."""
        stretch = {"account_id": self.metered.account_id, "since": since_ns, "until": until_ns}
        async with self.metered.database.transaction() as tx:
            counts = [
                await (
                    await tx.execute(
                        f"SELECT count(*) FROM {table} WHERE account_id = %(account_id)s"
                        " AND sampled_ns BETWEEN %(since)s AND %(until)s",
                        stretch,
                    )
                ).fetchone()
                for table in ("container_readings", "storage_readings")
            ]
        return tuple(int(row[0]) for row in counts if row is not None)  # type: ignore[return-value]


async def _move_in(stack: AsyncExitStack, number: int, engine: Engine, database: Database) -> Tenant:
    metered = await MeteredEngine.open(engine, database)
    sink = await stack.enter_async_context(byte_sink(await metered.bridge_address()))
    return Tenant(number=number, metered=metered, sink=sink)


async def test_three_agents_one_cut_off_tell_the_truth(database: Database, tmp_path: Path) -> None:
    reason = await why_no_engine()
    if reason is not None:
        missing("Docker", f"{reason} ({HINT})")
    nodes, clock, stop = NodeService(database, SystemClock()), SystemClock(), asyncio.Event()
    async with AsyncExitStack() as stack:
        engines = [await stack.enter_async_context(own_installation()) for _ in range(3)]
        port = await stack.enter_async_context(serving(database))
        cable = Cable(port)
        await cable.plug_in()
        agents = []
        for number, engine in enumerate(engines):
            url = f"http://127.0.0.1:{cable.port if number == 0 else port}"
            server = Server(clock, url, await nodes.issue_token(f"node-{number}"), timeout_s=5)
            agent = run_agent(CONFIG, clock, server, tmp_path / str(number), stop, label=engine.installation_id)
            agents.append(asyncio.create_task(agent))
        tenants = [await _move_in(stack, number, engine, database) for number, engine in enumerate(engines)]
        running = [await tenant.start() for tenant in tenants]
        await asyncio.sleep(ACTS_AFTER_S - 1)
        cable.pull_out()
        pulled_ns = to_ns(clock.wall())
        await tenants[0].metered.run("sleep 0.5", replica=7)  # lives while nobody can be told
        await asyncio.sleep(CUT_S)
        spooled, plugged_ns = len(list((tmp_path / "0").glob("*.json"))), to_ns(clock.wall())
        for tenant in tenants:
            await eventually(tenant.has_acted)
        await cable.plug_in()
        await asyncio.sleep(2 * CONFIG.storage_interval_s)  # nothing is sent any more: the last readings have it all
        own = [await tenant.metered.reader.read([one]) for tenant, one in zip(tenants, running, strict=True)]
        truths_ns = [await tenant.stop_all() for tenant in tenants]

        async def is_posted() -> bool:  # no longer than the wait was, though all of this runs in one process
            return not list((tmp_path / "0").glob("*.json"))

        async def is_all_told() -> bool:
            await tenants[0].metered.metering.roll_up()
            return [(await tenant.metered.totals())[UsageMetric.COMPUTE_HOURS] for tenant in tenants] == truths_ns

        await eventually(is_posted, within_s=30 + CUT_S)
        await eventually(is_all_told, within_s=60)
        stop.set()
        await asyncio.gather(*agents)
        cable.pull_out()
    for tenant, ((counters,)) in zip(tenants, own, strict=True):
        used = await tenant.metered.totals()
        assert used[UsageMetric.BANDWIDTH_GB] >= tenant.sent_bytes
        assert used[UsageMetric.BANDWIDTH_GB] <= (counters.transmitted_bytes or 0)
        assert used[UsageMetric.MEMORY_GB_HOURS] > 0
        assert tenant.written_bytes <= await tenant.layer_bytes() <= tenant.written_bytes + MB // 4
        assert await tenant.metered.causes() == {}
        await tenant.metered.check()
    looks, sizes = await tenants[0].readings_within(pulled_ns, plugged_ns)
    assert looks >= CUT_S / CONFIG.interval_s / 2
    assert sizes >= CUT_S / CONFIG.storage_interval_s / 2
    assert spooled >= min(3, CUT_S / 2)
    assert {node.node for node in await nodes.list_nodes()} == {"node-0", "node-1", "node-2"}
    trials.record(f"three agents on one machine, one cut off for {CUT_S:.0f} s: totals equal to the truth", count=1)

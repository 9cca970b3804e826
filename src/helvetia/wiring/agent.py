"""The agent's few parts, put together by hand: it needs neither a database nor Stripe nor the web framework."""

import asyncio
from pathlib import Path

from helvetia.agent.errors import ServerUnavailable
from helvetia.agent.post_batches import Introduction, Server
from helvetia.agent.run_agent import Agent, AgentConfig
from helvetia.agent.spool import Spool
from helvetia.agent.take_looks import Looker
from helvetia.containers.docker_host import DockerHost
from helvetia.kernel.clock import Clock
from helvetia.metering.readers.choose_reader import choose_reader
from helvetia.metering.readers.nft_egress import NftEgress

INTRODUCE_AGAIN_S = 5.0
NAME_FILE = "introduction"


async def run_agent(
    config: AgentConfig, clock: Clock, server: Server, directory: Path, stop: asyncio.Event, *, label: str | None = None
) -> None:
    """Sample the engine of this machine until `stop` is set. Raises AgentRefused."""
    introduction = await _introduce(server, stop)
    if introduction is None:
        return
    host = DockerHost(label or introduction.installation_id, node=introduction.node, clock=clock)
    try:
        reader = await choose_reader(host, clock, egress=NftEgress(clock))
        looker = Looker(clock, host, reader, interval_s=config.interval_s, host_timeout_s=config.host_timeout_s)
        spool = await asyncio.to_thread(Spool, directory)
        await Agent(config, clock, host, looker, spool).run(server, stop)
    finally:
        await host.close()


async def _introduce(server: Server, stop: asyncio.Event) -> Introduction | None:
    while not stop.is_set():
        try:
            return await server.introduce()
        except ServerUnavailable:
            await asyncio.sleep(INTRODUCE_AGAIN_S)
    return None

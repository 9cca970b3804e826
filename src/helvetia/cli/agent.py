"""`helvetia agent`: sample the containers of this machine for a server elsewhere."""

import asyncio
import signal
import sys
from pathlib import Path

from helvetia.kernel.clock import SystemClock
from helvetia.kernel.errors import HelvetiaError


def agent(
    *,
    server: str,
    token: str | None = None,
    token_file: Path | None = None,
    spool: Path = Path("/var/lib/helvetia-agent"),
    interval_s: float = 10.0,
    label: str | None = None,
) -> int:
    """Sample the Docker Engine of this machine and post its readings; they wait on disk while the server is away.

    Exit code 0 when stopped, 1 when the server refuses this node.

    Example: helvetia agent --server https://billing.example.com --token-file /etc/helvetia/node-token

    Parameters
    ----------
    server
        The address of the API; https, unless it is this machine.
    token
        This node's token, from `helvetia node-token` on the server. Others on this machine can see it in the list of
        processes: prefer --token-file.
    token_file
        A file that holds the token.
    spool
        Where batches wait; at most 256 MB.
    interval_s
        How often is looked.
    label
        The installation's label on the containers, if not the server's own.
    """
    secret = token if token_file is None else token_file.read_text().strip()
    if not secret:
        print("Give the node's token with --token-file (or --token).", file=sys.stderr)
        return 2
    try:
        asyncio.run(_run(server, secret, spool, interval_s, label))
    except HelvetiaError as error:
        print(f"{error.detail} [{error.code}]", file=sys.stderr)
        return 1
    return 0


async def _run(url: str, token: str, spool: Path, interval_s: float, label: str | None) -> None:
    from helvetia.agent.post_batches import Server
    from helvetia.agent.run_agent import AgentConfig
    from helvetia.wiring.agent import run_agent

    stop, clock = asyncio.Event(), SystemClock()
    for number in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(number, stop.set)
    await run_agent(AgentConfig(interval_s=interval_s), clock, Server(clock, url, token), spool, stop, label=label)

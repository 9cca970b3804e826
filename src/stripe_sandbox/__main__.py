"""``python -m stripe_sandbox --port N [--host H] [--state FILE] [--webhook URL --webhook-secret whsec_…]``."""

from __future__ import annotations

import argparse
import logging
import sqlite3

import uvicorn

from stripe_sandbox import API_VERSION
from stripe_sandbox.app import Server
from stripe_sandbox.connections import CuttableProtocol
from stripe_sandbox.store import Store

# Long, as a load balancer's: a caller that pauses must not meet a connection that is just being closed.
_KEEP_ALIVE_S = 3_600
_SHUTDOWN_S = 2
_EVERYWHERE = frozenset({"0.0.0.0", "::", ""})


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m stripe_sandbox", description=f"A local, stateful Stripe (API version {API_VERSION})."
    )
    parser.add_argument("--port", type=int, required=True, help="TCP port to listen on")
    parser.add_argument("--host", default="127.0.0.1", help="address to bind (default: loopback only)")
    parser.add_argument("--state", metavar="FILE", help="SQLite file that keeps all state (default: in memory)")
    parser.add_argument("--webhook", metavar="URL", help="send every event of every account to this address")
    parser.add_argument("--webhook-secret", metavar="whsec_…", help="the secret those events are signed with")
    return parser


def _origin(host: str, port: int) -> str:
    """Return where a browser on this machine finds the server; its pages are for this machine only."""
    if host in _EVERYWHERE:
        host = "127.0.0.1"
    return f"http://[{host}]:{port}" if ":" in host else f"http://{host}:{port}"


def main() -> None:
    """Run the server until SIGINT or SIGTERM."""
    parser = _parser()
    options = parser.parse_args()
    if bool(options.webhook) != bool(options.webhook_secret):
        parser.error("--webhook and --webhook-secret go together")
    logging.basicConfig(level=logging.WARNING, format="%(asctime)s %(levelname)s %(name)s %(message)s")
    webhook = (options.webhook, options.webhook_secret) if options.webhook else None
    try:
        store = Store(options.state)
    except sqlite3.Error as error:
        parser.error(f"the state file cannot be opened (does another sandbox use it?): {error}")
    store.origin = _origin(options.host, options.port)
    server = Server(store, webhook)
    uvicorn.run(
        server.application(),
        host=options.host,
        port=options.port,
        loop="uvloop",
        http=CuttableProtocol,
        proxy_headers=False,
        access_log=False,
        log_level="warning",
        timeout_keep_alive=_KEEP_ALIVE_S,
        timeout_graceful_shutdown=_SHUTDOWN_S,
    )


if __name__ == "__main__":
    main()

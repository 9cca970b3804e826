"""How fast a webhook is on disk and answered: open-loop 200/s, and closed-loop beside a bare handler.

The bare one only checks the signature and inserts, in one statement that commits itself. Both serve the same events,
each in a process of its own, in turns; the load generator shares their cores. Processor time per event is each server's
own, so it says the same on a busy machine.
"""

import asyncio
import json
import multiprocessing
import os
import tempfile
from collections.abc import Awaitable, Callable
from pathlib import Path
from statistics import median, quantiles
from typing import Any
from uuid import uuid4

import aiohttp
import psycopg
import uvicorn
import uvloop
from fastapi import FastAPI
from loads import CLOCK, open_loop
from psycopg_pool import AsyncConnectionPool
from pydantic import SecretStr
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from helvetia.settings import SANDBOX_WEBHOOK_SECRET, Settings
from helvetia.webhooks.verify_signature import sign, verify_signature
from helvetia.wiring.controllers import WebProvider
from helvetia.wiring.data import DataDirectory
from helvetia.wiring.house import build_container
from support.databases import cloned_database, running_server
from support.sandbox_process import answers, free_port

WHAT = "webhook acceptance, durable"
OPEN_RATE_PER_S = 200
OPEN_S = 4.0
CLOSED_CONNECTIONS = 16
CLOSED_S = 1.5
ROUNDS = 5
# Measured on this kind of machine against a local stub of Stripe, each with its own handler and store.
PEERS = {
    "dj_stripe_1_process_per_s": 32,
    "stripe_sync_engine_1_connection_per_s": 353,
    "stripe_sync_engine_10_connections_per_s": "765 to 884",
}
PATH = "/api/v1/webhooks/stripe"


def make_event(number: int) -> bytes:
    """About the size of a subscription event."""
    subject = {"id": f"sub_{number}", "object": "subscription", "customer": f"cus_{number % 500}", "filler": "x" * 3000}
    event = {"id": f"evt_{uuid4().hex}", "object": "event", "type": "customer.subscription.updated", "livemode": False}
    return json.dumps({**event, "created": 1_773_137_843, "data": {"object": subject}}).encode()


def serve_house(database_url: str, port: int) -> None:
    """The product's own application, as wiring builds it."""

    async def run() -> None:
        settings = Settings.load(_env_file=None, database_url=SecretStr(database_url), container_host="process")
        container = build_container(settings, CLOCK, DataDirectory(Path(tempfile.gettempdir())), WebProvider())
        await serve(await container.get(FastAPI), port)

    uvicorn_run(run)


def serve_bare(database_url: str, port: int) -> None:
    """Signature and insert, nothing around it."""

    async def run() -> None:
        pool = AsyncConnectionPool(
            database_url, kwargs={"autocommit": True}, min_size=4, max_size=CLOSED_CONNECTIONS, open=False
        )
        await pool.open()

        async def receive(request: Request) -> Response:
            body = await request.body()
            signatures = request.headers.getlist("Stripe-Signature")
            verify_signature(body, signatures, [SANDBOX_WEBHOOK_SECRET], wall=CLOCK.wall(), tolerance_s=300)
            event = json.loads(body)
            async with pool.connection() as connection:
                await connection.execute(
                    "INSERT INTO bare_events (event_id, body) VALUES (%s, %s) ON CONFLICT DO NOTHING",
                    (event["id"], body),
                )
            return JSONResponse({"received": True})

        async def health(_: Request) -> Response:
            return JSONResponse({})

        routes = [Route(PATH, receive, methods=["POST"]), Route("/healthz", health)]
        await serve(Starlette(routes=routes), port)

    uvicorn_run(run)


def uvicorn_run(run: Callable[[], Awaitable[None]]) -> None:
    uvloop.run(run())  # type: ignore[arg-type]


async def serve(app: Any, port: int) -> None:
    await uvicorn.Server(uvicorn.Config(app, port=port, log_level="error", access_log=False, lifespan="off")).serve()


async def post(session: aiohttp.ClientSession, url: str, body: bytes) -> None:
    headers = {"Stripe-Signature": sign(body, SANDBOX_WEBHOOK_SECRET, CLOCK.wall())}
    async with session.post(url, data=body, headers=headers) as answer:
        assert answer.status == 200, await answer.text()


async def open_loop_of(url: str) -> list[float]:
    async with aiohttp.ClientSession(connector=aiohttp.TCPConnector(limit=64)) as session:

        async def send(number: int) -> None:
            await post(session, url, make_event(number))

        return await open_loop(send, rate_per_s=OPEN_RATE_PER_S, lasts_s=OPEN_S)


async def closed_loop(url: str, process_id: int) -> tuple[float, float]:
    """Answers a second at a fixed number of connections, and the server's processor time for one in milliseconds."""
    count, used_before_s = 0, processor_s(process_id)
    until_s = CLOCK.monotonic() + CLOSED_S

    async def client(session: aiohttp.ClientSession) -> None:
        nonlocal count
        while CLOCK.monotonic() < until_s:
            await post(session, url, make_event(count))
            count += 1

    async with aiohttp.ClientSession() as session, asyncio.TaskGroup() as group:
        for _ in range(CLOSED_CONNECTIONS):
            group.create_task(client(session))
    return count / CLOSED_S, (processor_s(process_id) - used_before_s) * 1000 / count


def processor_s(process_id: int) -> float:
    """What the process has used so far, in user and kernel mode."""
    fields = Path(f"/proc/{process_id}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


async def run() -> dict[str, object]:
    """The figures; the database flushes every commit to disk."""
    with running_server(is_durable=True) as server_url, cloned_database(server_url) as database_url:
        with psycopg.connect(database_url, autocommit=True) as connection:
            connection.execute("CREATE TABLE bare_events (event_id text PRIMARY KEY, body bytea NOT NULL)")
        return await measure(database_url)


async def measure(database_url: str) -> dict[str, object]:
    context = multiprocessing.get_context("spawn")
    ports = {"house": free_port(), "bare": free_port()}
    servers = [
        context.Process(target=serve_house, args=(database_url, ports["house"])),
        context.Process(target=serve_bare, args=(database_url, ports["bare"])),
    ]
    try:
        for server in servers:
            server.start()
        for port in ports.values():
            while not await asyncio.to_thread(answers, f"http://127.0.0.1:{port}/healthz"):
                assert all(server.is_alive() for server in servers), "a server ended by itself"
                await asyncio.sleep(0.05)
        urls = {name: f"http://127.0.0.1:{port}{PATH}" for name, port in ports.items()}
        for url in urls.values():
            await warm_up(url)
        latencies_ms = [await open_loop_of(urls["house"]) for _ in range(ROUNDS)]
        rounds = [
            {
                name: await closed_loop(urls[name], int(server.pid or 0))
                for name, server in zip(urls, servers, strict=True)
            }
            for _ in range(ROUNDS)
        ]
    finally:
        for server in servers:
            server.terminate()
            server.join(10)
    return figures(latencies_ms, rounds)


def figures(latencies_ms: list[list[float]], rounds: list[dict[str, tuple[float, float]]]) -> dict[str, object]:
    """Medians of the rounds; a ratio is of one round."""
    cuts = [quantiles(one, n=100) for one in latencies_ms]

    def middle(name: str, which: int) -> float:
        return median(one[name][which] for one in rounds)

    return {
        "open_loop_rate_per_s": OPEN_RATE_PER_S,
        "open_loop_p50_ms": round(median(one[49] for one in cuts), 2),
        "open_loop_p99_ms": round(median(one[98] for one in cuts), 2),
        "closed_loop_connections": CLOSED_CONNECTIONS,
        "closed_loop_per_s": round(middle("house", 0)),
        "bare_per_s": round(middle("bare", 0)),
        "ratio": round(median(one["house"][0] / one["bare"][0] for one in rounds), 2),
        "processor_ms_per_event": round(middle("house", 1), 3),
        "bare_processor_ms_per_event": round(middle("bare", 1), 3),
        "runs": ROUNDS,
        "cores": os.cpu_count(),
        "load_at_end": round(os.getloadavg()[0], 1),
        **PEERS,
    }


async def warm_up(url: str) -> None:
    async with aiohttp.ClientSession() as session:
        for number in range(50):
            await post(session, url, make_event(number))


if __name__ == "__main__":
    print(json.dumps(asyncio.run(run()), indent=2))

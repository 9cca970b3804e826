"""An engine whose stream of events is damaged: the connection ends, and nothing else does."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest
from aiohttp import web

from helvetia.containers.docker_host import DockerHost
from helvetia.containers.errors import HostUnavailable
from support.sandbox_process import free_port

GOOD = b'{"Action": "die", "Actor": {"ID": "c1"}, "timeNano": 7}\n'


@asynccontextmanager
async def engine_that_streams(lines: bytes) -> AsyncIterator[DockerHost]:
    async def version(_: web.Request) -> web.Response:
        return web.json_response({"ApiVersion": "1.41", "MinAPIVersion": "1.12"})

    async def events(_: web.Request) -> web.Response:
        return web.Response(body=lines, content_type="application/json")

    app = web.Application()
    app.router.add_get("/version", version)
    app.router.add_get("/v1.41/events", events)
    runner = web.AppRunner(app)
    await runner.setup()
    port = free_port()
    await web.TCPSite(runner, "127.0.0.1", port).start()
    host = DockerHost("test", url=f"http://127.0.0.1:{port}", timeout_s=20)
    try:
        yield host
    finally:
        await host.close()
        await runner.cleanup()


async def test_events_are_told_until_the_stream_ends() -> None:
    async with engine_that_streams(GOOD + GOOD) as host:
        assert [event.container_id async for event in host.events()] == ["c1", "c1"]


@pytest.mark.parametrize(
    "damage",
    [
        b'{"Action": "die", "Actor": {"ID"',
        b"no JSON\n",
        b"[]\n",
        b"{}\n",
        b'{"Action": "die", "Actor": null}\n',
        b"\xff\xfe\n",
    ],
)
async def test_a_line_that_is_no_event_is_an_engine_that_is_not_understood(damage: bytes) -> None:
    async with engine_that_streams(GOOD + damage) as host:
        events = host.events()
        assert (await anext(events)).container_id == "c1"
        with pytest.raises(HostUnavailable):
            await anext(events)

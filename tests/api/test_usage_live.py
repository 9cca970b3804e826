"""Open pages hear of what was measured: soon, once, from where they were, and not after they signed out."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import timedelta

import aiohttp
import pytest
import uvicorn

from helvetia.accounts.model import User
from helvetia.database.pool import Database
from helvetia.kernel.clock import ManualClock
from helvetia.kernel.identity import ServiceId
from helvetia.kernel.period import floor_hour
from helvetia.web.config import WebConfig
from helvetia.web.dashboard.usage_live import feed, live_controller
from support.sandbox_process import free_port
from support.usage_pages import add_services, use_hours
from support.web_world import PASSWORD, WebWorld, web_world

LIVE = "/billing/usage/live"
SOON_S = 15.0


@pytest.fixture
async def served(database: Database, clock: ManualClock) -> AsyncIterator[WebWorld]:
    """The application on a port of loopback: a stream needs a real connection."""
    port = free_port()
    async with web_world(database, clock, WebConfig(public_base_url=f"http://127.0.0.1:{port}")) as world:
        config = uvicorn.Config(
            world.app, host="127.0.0.1", port=port, log_level="warning", ws="none", timeout_graceful_shutdown=1
        )
        server = uvicorn.Server(config)
        task = asyncio.create_task(server.serve())
        async with asyncio.timeout(30):
            while not server.started:
                await asyncio.sleep(0.02)
        yield world
        server.should_exit = True
        await task


class Stream:
    """An open page's stream, event by event."""

    def __init__(self, answer: aiohttp.ClientResponse) -> None:
        self.headers = answer.headers
        self._content = answer.content

    async def next(self) -> dict[str, str]:
        """The next event or comment."""
        found: dict[str, str] = {}
        async with asyncio.timeout(SOON_S):
            while line := (await self._content.readline()).decode():
                if line == "\n":
                    return found
                name, _, value = line.rstrip("\n").partition(":")
                found[name] = f"{found[name]}\n{value.strip()}" if name in found else value.strip()
        return found


@asynccontextmanager
async def listening(world: WebWorld, user: User, *, path: str = LIVE, **headers: str) -> AsyncIterator[Stream]:
    session = await world.accounts.sign_in(user.email, PASSWORD, address="test")
    cookies = {world.config.session_cookie: session.secret}
    async with (
        aiohttp.ClientSession(cookies=cookies, headers=headers) as client,
        client.get(f"{world.config.public_base_url}{path}") as answer,
    ):
        assert answer.status == 200, await answer.text()
        yield Stream(answer)


@pytest.fixture
async def user(served: WebWorld) -> User:
    return await served.user("ada", PASSWORD)


@pytest.fixture
async def services(served: WebWorld, user: User, clock: ManualClock) -> dict[str, ServiceId]:
    return await add_services(served.database, user, clock.now())


async def use_an_hour(world: WebWorld, user: User, services: dict[str, ServiceId], clock: ManualClock) -> None:
    hour = floor_hour(clock.now())
    await use_hours(world.database, user, services, hour - timedelta(hours=1), hour)


async def test_new_usage_is_on_an_open_page_within_seconds(
    served: WebWorld, user: User, services: dict[str, ServiceId], clock: ManualClock
) -> None:
    async with listening(served, user) as stream:
        assert stream.headers["content-type"].startswith("text/event-stream")
        assert stream.headers["x-accel-buffering"] == "no"
        assert await stream.next() == {"retry": "3000"}
        first = await stream.next()
        assert "Nothing used since 1 March." in first["data"]
        await use_an_hour(served, user, services, clock)
        second = await stream.next()
    assert "of usage since 1 March." in second["data"]
    assert 'hx-target="#usage-figures"' in second["data"]
    assert first["id"] != second["id"]


async def test_page_that_comes_back_hears_only_what_is_newer(
    served: WebWorld, user: User, services: dict[str, ServiceId], clock: ManualClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(live_controller, "HEARTBEAT_S", 0.2)
    async with listening(served, user) as stream:
        await stream.next()
        seen = (await stream.next())["id"]
    async with listening(served, user, **{"Last-Event-ID": seen}) as stream:
        await stream.next()
        assert await stream.next() == {"": "still here"}
    async with listening(served, user, path=f"{LIVE}?after={seen}") as stream:
        await stream.next()
        assert await stream.next() == {"": "still here"}
        await use_an_hour(served, user, services, clock)
        told = await stream.next()
        while "id" not in told:
            told = await stream.next()
    assert told["id"] != seen


async def test_signing_out_ends_the_stream(served: WebWorld, user: User, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(live_controller, "HEARTBEAT_S", 0.1)
    monkeypatch.setattr(live_controller, "RECHECK_S", 0.1)
    async with listening(served, user) as stream:
        await stream.next()
        await stream.next()
        await served.accounts.sign_out_everywhere(user.account_id)
        told = await stream.next()
        while told == {"": "still here"}:
            told = await stream.next()
    assert told == {"event": "end", "data": "end"}


async def test_open_page_keeps_no_session_alive(served: WebWorld, user: User) -> None:
    assert live_controller.HEARTBEAT_S <= 15
    assert live_controller.RECHECK_S + live_controller.HEARTBEAT_S <= 60
    assert feed.POLL_S + 5 + 5 <= SOON_S
    session = await served.accounts.sign_in(user.email, PASSWORD, address="test")
    before = await _last_seen(served)
    await served.accounts.authenticate_session(session.secret, is_use=False)
    assert await _last_seen(served) == before


async def _last_seen(world: WebWorld) -> list[tuple[object, ...]]:
    async with world.database.transaction() as tx:
        return list(await (await tx.execute("SELECT last_seen_at FROM sessions ORDER BY 1")).fetchall())


async def test_pages_of_an_account_share_one_look_and_one_rendering(
    served: WebWorld, user: User, monkeypatch: pytest.MonkeyPatch
) -> None:
    looks, reads = 0, 0
    usage = served.feed._usage
    mark, history = usage.mark, usage.history

    async def counted_mark(account_id: object) -> str:
        nonlocal looks
        looks += 1
        return await mark(account_id)  # type: ignore[arg-type]

    async def counted_history(*args: object) -> object:
        nonlocal reads
        reads += 1
        return await history(*args)  # type: ignore[arg-type]

    monkeypatch.setattr(usage, "mark", counted_mark)
    monkeypatch.setattr(usage, "history", counted_history)
    async with listening(served, user) as one, listening(served, user) as two, listening(served, user) as three:
        told = [[await stream.next(), await stream.next()] for stream in (one, two, three)]
        assert served.feed.listener_count == 3
    assert len({one[1]["data"] for one in told}) == 1
    assert looks <= 3 + 3  # each page reads the mark once with its figures, which are read once
    assert reads == 1


async def test_full_house_is_refused_with_when_to_come_back(
    served: WebWorld, user: User, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(feed, "LISTENERS_MAX", 0)
    async with served.as_user(user) as client:
        answer = await client.get(LIVE)
    assert (answer.status_code, answer.json()["code"]) == (503, "too_many_listeners")
    assert answer.headers["retry-after"]


async def test_listeners_that_left_are_forgotten(served: WebWorld, user: User) -> None:
    async with listening(served, user) as stream:
        await stream.next()
        await stream.next()
        assert served.feed.listener_count == 1
    async with asyncio.timeout(SOON_S):
        while served.feed.listener_count:
            await asyncio.sleep(0.05)
    assert served.feed._channels == {}


async def test_stream_of_a_foreign_service_ends_at_once(
    served: WebWorld, user: User, services: dict[str, ServiceId]
) -> None:
    eve = await served.user("eve", PASSWORD)
    async with listening(served, eve, path=f"{LIVE}?service={services['web']}") as stream:
        await stream.next()
        assert await stream.next() == {"event": "end", "data": "end"}

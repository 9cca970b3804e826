"""Usage as it comes in, for pages that are open: server-sent events with fragments that replace the figures.

Each event carries an id, and a page that comes back with the last one it saw (`Last-Event-ID`, or `after` in its
address) is told only what is newer. Who listens is asked again every RECHECK_S: signing out, or losing the role, ends
the stream with `event: end`. A stream that nobody reads is given up, and every one ends after STREAM_LASTS_S; the page
comes back by itself.
"""

import asyncio
from collections.abc import AsyncIterator, Mapping

from fastapi import APIRouter, Request
from fastapi.responses import StreamingResponse
from starlette.types import Message as AsgiMessage
from starlette.types import Receive, Scope, Send

from helvetia.accounts.model import Permission
from helvetia.kernel.clock import Clock
from helvetia.kernel.errors import Forbidden, HelvetiaError, NotFound, NotSignedIn
from helvetia.web.dashboard.pages import Pages
from helvetia.web.dashboard.usage.read_facts import UsageReader
from helvetia.web.dashboard.usage.view import LIVE, to_view
from helvetia.web.dashboard.usage_live.feed import Listener, Message, UsageFeed
from helvetia.web.middleware.authenticate import Authenticator, BillingReader, Caller

RETRY_MS = 3_000
HEARTBEAT_S = 15.0
RECHECK_S = 15.0
STREAM_LASTS_S = 30 * 60.0
SEND_WITHIN_S = 20.0
_END = b"event: end\ndata: end\n\n"


class LiveResponse(StreamingResponse):
    """A stream whose every part must be taken within SEND_WITHIN_S: a reader that hangs is let go."""

    media_type = "text/event-stream"

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        async def send_in_time(message: AsgiMessage) -> None:
            async with asyncio.timeout(SEND_WITHIN_S):
                await send(message)

        try:
            await super().__call__(scope, receive, send_in_time)
        except TimeoutError:
            return  # the server closes the connection of an answer that was not ended


class UsageLiveController:
    def __init__(self, clock: Clock, pages: Pages, reader: UsageReader, feed: UsageFeed) -> None:
        self._clock = clock
        self._pages = pages
        self._reader = reader
        self._feed = feed

    def add_to(self, router: APIRouter) -> None:
        router.add_api_route(LIVE, self.listen, methods=["GET"], include_in_schema=False)

    async def listen(self, request: Request, caller: BillingReader) -> LiveResponse:
        """The figures of a page whenever they change. Raises TooManyListeners."""
        self._feed.check_room()
        return LiveResponse(self._events(request, caller), headers={"X-Accel-Buffering": "no"})

    async def _events(self, request: Request, caller: Caller) -> AsyncIterator[bytes]:
        yield f"retry: {RETRY_MS}\n\n".encode()
        told = {name: value for name, value in request.query_params.items() if name != "after"}
        voice = self._pages.voice(request)
        key = f"{sorted(told.items())} {voice.language} {voice.zone_name}"
        seen = request.headers.get("last-event-id") or request.query_params.get("after")

        async def render() -> str:
            return await self._render(request, caller, told)

        try:
            async with self._feed.listen(caller.account_id, key, render) as listener:
                async for part in self._follow(request, listener, seen):
                    yield part
        except (NotFound, NotSignedIn, Forbidden):
            yield _END

    async def _follow(self, request: Request, listener: Listener, seen: str | None) -> AsyncIterator[bytes]:
        began_s = checked_s = self._clock.monotonic()
        while self._clock.monotonic() - began_s < STREAM_LASTS_S and not listener.is_over:
            message = await self._next(listener, seen)
            if self._clock.monotonic() - checked_s >= RECHECK_S:
                await check_still_allowed(request)
                checked_s = self._clock.monotonic()
            if message is None:
                yield b": still here\n\n"
            else:
                seen = message.id
                yield message.event

    async def _next(self, listener: Listener, seen: str | None) -> Message | None:
        """None: nothing new, or it could not be read just now."""
        try:
            return await listener.next(seen, wait_s=HEARTBEAT_S)
        except (NotFound, NotSignedIn, Forbidden):
            raise
        except HelvetiaError:
            await asyncio.sleep(HEARTBEAT_S)
            return None

    async def _render(self, request: Request, caller: Caller, told: Mapping[str, str]) -> str:
        facts = await self._reader.read(caller.account_id, told, self._pages.voice(request))
        return bytes(self._pages.render_part(request, caller, "usage/live.html", to_view(facts)).body).decode()


async def check_still_allowed(request: Request) -> None:
    """Raises NotSignedIn, Forbidden, AccountNotFound: whoever began the stream may not read it any more."""
    authenticator: Authenticator = request.app.state.authenticator
    caller = await authenticator.find_caller(request, is_use=False)
    if not caller.allows(Permission.READ_BILLING):
        raise Forbidden(needs=Permission.READ_BILLING, role=caller.membership.role)

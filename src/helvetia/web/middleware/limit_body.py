"""Reads the whole request body, bounded in size and time, before any route sees the request."""

import asyncio

from starlette.datastructures import Headers
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from helvetia.web.errors import BodyTooLarge, BodyTooSlow

_WAIT_S = 20.0


class LimitBodyMiddleware:
    """Raises BodyTooLarge and BodyTooSlow; a body that lies about its length is counted as it comes."""

    def __init__(self, app: ASGIApp, bytes_max: int) -> None:
        self._app = app
        self._bytes_max = bytes_max

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http" or scope["method"] in {"GET", "HEAD", "OPTIONS"}:
            await self._app(scope, receive, send)
            return
        stated = Headers(scope=scope).get("content-length", "0")
        if not stated.isdecimal() or len(stated) > len(str(self._bytes_max)) or int(stated) > self._bytes_max:
            raise BodyTooLarge(maximum_bytes=self._bytes_max)
        body = await self._read(receive)
        if body is not None:
            await self._app(scope, _replay(body, receive), send)

    async def _read(self, receive: Receive) -> bytes | None:
        """The body, or None when the client has gone."""
        body = bytearray()
        try:
            async with asyncio.timeout(_WAIT_S):
                while True:
                    message = await receive()
                    if message["type"] == "http.disconnect":
                        return None
                    body += message.get("body", b"")
                    if len(body) > self._bytes_max:
                        raise BodyTooLarge(maximum_bytes=self._bytes_max)
                    if not message.get("more_body", False):
                        return bytes(body)
        except TimeoutError as error:
            raise BodyTooSlow from error


def _replay(body: bytes, receive: Receive) -> Receive:
    """The body once, in one piece; after it whatever the connection says."""
    pending: list[Message] = [{"type": "http.request", "body": body, "more_body": False}]

    async def replay() -> Message:
        return pending.pop() if pending else await receive()

    return replay

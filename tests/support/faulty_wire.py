"""A wire to Stripe that breaks on order: it hands requests on to the sandbox, and spoils those it was told to.

Answers are moved as bytes, so that they can be cut, dripped or sent twice. A spoilt request of a kind in UNDONE never
reaches Stripe; of a kind in DONE Stripe has done it, whatever the caller sees.
"""

import asyncio
import contextlib
import json
from collections.abc import AsyncIterator
from fnmatch import fnmatchcase
from urllib.parse import urlsplit

UNDONE = ("reset_before", "stall_before", "rate_limit", "rate_limit_retry", "key_in_use", "server_error", "unavailable")
DONE = ("reset_after", "stall_after", "drip", "bad_json", "twice", "wrong_object")
KINDS = (*UNDONE, *DONE)
STALLS_S = 1.0
DRIP_S = 0.05
_REFUSALS = {
    "rate_limit": (429, ""),
    "rate_limit_retry": (429, "Stripe-Should-Retry: true\r\n"),
    "key_in_use": (409, ""),
    "server_error": (500, ""),
    "unavailable": (503, ""),
}
_HEAD_END = b"\r\n\r\n"


class FaultyWire:
    """One fault at a time: `strike` orders it, `struck_count` says how often it met a request."""

    def __init__(self, upstream: str) -> None:
        self._upstream = urlsplit(upstream)
        self._server: asyncio.Server | None = None
        self._kind, self._method, self._path, self._left = "", "", "", 0
        self._serving: set[asyncio.Task[None] | None] = set()
        self.struck_count = 0

    @property
    def port(self) -> int:
        assert self._server is not None
        return int(self._server.sockets[0].getsockname()[1])

    def strike(self, kind: str, method: str, path: str, count: int) -> None:
        self._kind, self._method, self._path, self._left = kind, method, path, count
        self.struck_count = 0

    @contextlib.asynccontextmanager
    async def running(self) -> AsyncIterator["FaultyWire"]:
        self._server = await asyncio.start_server(self._serve, "127.0.0.1", 0)
        try:
            yield self
        finally:
            self._server.close()
            await asyncio.gather(*(task for task in self._serving if task is not None))

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._serving.add(asyncio.current_task())
        with contextlib.suppress(ConnectionError, asyncio.IncompleteReadError):
            await self._answer(await reader.readuntil(_HEAD_END), reader, writer)
        with contextlib.suppress(ConnectionError):
            writer.close()
            await writer.wait_closed()
        self._serving.discard(asyncio.current_task())

    async def _answer(self, head: bytes, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        first, *fields = head.removesuffix(_HEAD_END).decode("latin-1").split("\r\n")
        named = {field.split(":", 1)[0].lower(): field.split(":", 1)[1].strip() for field in fields}
        request = await reader.readexactly(int(named.get("content-length", "0")))
        method, target, _ = first.split(" ")
        kind = self._draw(method, target.partition("?")[0])
        if kind in UNDONE:
            await self._refuse(kind, writer)
            return
        kept = [field for field in fields if field.split(":", 1)[0].lower() not in {"host", "connection"}]
        sent = "\r\n".join([first, f"Host: {self._upstream.netloc}", "Connection: close", *kept])
        answer = await self._hand_on(sent.encode("latin-1") + _HEAD_END + request)
        await self._spoil(kind, answer, writer)

    def _draw(self, method: str, path: str) -> str:
        if self._left == 0 or method != self._method or not fnmatchcase(path, self._path):
            return ""
        self._left -= 1
        self.struck_count += 1
        return self._kind

    async def _hand_on(self, request: bytes) -> bytes:
        reader, writer = await asyncio.open_connection(self._upstream.hostname, self._upstream.port)
        writer.write(request)
        answer = await reader.read(-1)
        writer.close()
        await writer.wait_closed()
        return answer

    async def _refuse(self, kind: str, writer: asyncio.StreamWriter) -> None:
        if kind == "stall_before":
            await asyncio.sleep(STALLS_S)
        if kind not in _REFUSALS:
            writer.transport.abort()
            return
        status, headers = _REFUSALS[kind]
        error = {"type": "api_error", "message": "by order of the test"}
        if kind == "key_in_use":
            error = {"type": "idempotency_error", "code": "idempotency_key_in_use", "message": "by order of the test"}
        body = json.dumps({"error": error})
        head = f"HTTP/1.1 {status} X\r\nContent-Length: {len(body)}\r\nConnection: close\r\n{headers}"
        writer.write(f"{head}Content-Type: application/json\r\n\r\n{body}".encode())
        await writer.drain()

    async def _spoil(self, kind: str, answer: bytes, writer: asyncio.StreamWriter) -> None:
        if kind == "stall_after":
            await asyncio.sleep(STALLS_S)
        if kind in {"reset_after", "stall_after"}:
            writer.transport.abort()
            return
        if kind == "drip":
            for number in range(int(STALLS_S / DRIP_S)):
                writer.write(answer[number : number + 1])
                await writer.drain()
                await asyncio.sleep(DRIP_S)
            writer.transport.abort()
            return
        head, _, body = answer.partition(_HEAD_END)
        if kind == "bad_json":
            answer = head + _HEAD_END + b"{" * len(body)
        if kind == "wrong_object":
            other = b'{"id":"other_1","object":"something.else"}'
            answer = head + _HEAD_END + other.ljust(len(body))[: max(len(body), len(other))]
        writer.write(answer * 2 if kind == "twice" else answer)
        await writer.drain()

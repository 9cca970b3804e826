"""The arrow disk → server: posts batches, one at a time, in order. Posting one twice is posting it once."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Final, TypeVar
from urllib.parse import urlsplit

import aiohttp

from helvetia.agent.errors import AgentRefused, BatchRefused, ServerUnavailable
from helvetia.kernel.clock import Clock, to_ns
from helvetia.metering.errors import InvalidBatch
from helvetia.metering.nodes.model import BatchAnswer, PostAnswer
from helvetia.metering.nodes.wire import from_wire_answer
from helvetia.metering.nodes.wire_posts import from_wire_post_answer

_T = TypeVar("_T")
SENT_HEADER: Final = "X-Helvetia-Sent-Ns"
_OK, _UNREADABLE = 200, frozenset({400, 413, 422})
_LOOPBACK = frozenset({"127.0.0.1", "localhost", "::1"})


@dataclass(frozen=True, slots=True, kw_only=True)
class Introduction:
    """What the server says of this node: its name, and the label of its containers."""

    node: str
    installation_id: str


class Server:
    """One server and this node's token, which is sent over TLS or loopback only."""

    def __init__(self, clock: Clock, url: str, token: str, *, timeout_s: float = 15.0) -> None:
        parts = urlsplit(url)
        if parts.scheme != "https" and parts.hostname not in _LOOPBACK:
            raise AgentRefused("The server's URL must begin with https:// unless it is this machine.")
        self._clock = clock
        self._url = url.rstrip("/")
        self._headers = {"Authorization": f"Bearer {token}"}
        self._timeout = aiohttp.ClientTimeout(total=timeout_s)

    async def introduce(self) -> Introduction:
        """Raises ServerUnavailable, AgentRefused."""
        body = await self._ask("GET", "/internal/v1/node")
        try:
            return Introduction(node=str(body["node"]), installation_id=str(body["installationId"]))
        except (KeyError, TypeError) as error:
            raise ServerUnavailable("The server answers in a way that is not understood.") from error

    async def post(self, batch: bytes) -> BatchAnswer:
        """One batch. Raises ServerUnavailable, AgentRefused, BatchRefused."""
        return await self._post(batch, {}, from_wire_answer)

    async def post_looks(self, packed: bytes) -> PostAnswer:
        """Several looks, folded. Raises as `post` does; BatchRefused also of a server that knows no such posts."""
        return await self._post(packed, {"Content-Encoding": "gzip"}, from_wire_post_answer)

    async def _post(self, body: bytes, more: dict[str, str], read: Callable[[bytes], _T]) -> _T:
        headers = {SENT_HEADER: str(to_ns(self._clock.wall())), "Content-Type": "application/json", **more}
        status, told = await self._send("POST", "/internal/v1/readings", data=body, headers=headers)
        if status != _OK:
            raise _refusal(status, told)
        try:
            return read(told)
        except InvalidBatch as error:
            raise ServerUnavailable("The server answers in a way that is not understood.") from error

    async def _ask(self, method: str, path: str) -> dict[str, object]:
        import json

        status, told = await self._send(method, path, data=None, headers={})
        if status != _OK:
            raise _refusal(status, told)
        try:
            body = json.loads(told)
        except ValueError as error:
            raise ServerUnavailable("The server answers in a way that is not understood.") from error
        return body if isinstance(body, dict) else {}

    async def _send(self, method: str, path: str, *, data: bytes | None, headers: dict[str, str]) -> tuple[int, bytes]:
        try:
            async with (
                aiohttp.ClientSession(timeout=self._timeout) as session,
                session.request(
                    method, self._url + path, data=data, headers={**self._headers, **headers}, allow_redirects=False
                ) as answer,
            ):
                return answer.status, await answer.read()
        except (aiohttp.ClientError, OSError, TimeoutError) as error:
            raise ServerUnavailable from error


def _refusal(status: int, told: bytes) -> Exception:
    words = told.decode(errors="replace")[:300]
    if status in {401, 403}:
        return AgentRefused(words)
    if status in _UNREADABLE:
        return BatchRefused(words)
    return ServerUnavailable(f"The server answered {status}: {words}")

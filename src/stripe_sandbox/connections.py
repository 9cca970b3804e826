"""The HTTP protocol of the server, with one more power: cutting a client's connection by a TCP reset.

A reset needs the socket, which ASGI hides; so open connections are remembered here by the client's address.
"""

from __future__ import annotations

import asyncio
import contextlib
import socket
import struct

from starlette.requests import Request
from uvicorn.protocols.http.h11_impl import H11Protocol

_OPEN: dict[tuple[str, int], asyncio.Transport] = {}
_RESET_ON_CLOSE = struct.pack("ii", 1, 0)
_TURNS = 10


class CuttableProtocol(H11Protocol):
    """uvicorn's protocol, remembering its transport while the connection lasts."""

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        super().connection_made(transport)
        if self.client:
            _OPEN[self.client] = transport

    def connection_lost(self, exc: Exception | None) -> None:
        if self.client:
            _OPEN.pop(self.client, None)
        super().connection_lost(exc)


async def cut(request: Request) -> bool:
    """Reset the request's connection; return False when it is not one of this server's sockets."""
    transport = _OPEN.get((request.client.host, request.client.port)) if request.client else None
    if transport is None:
        return False
    raw = transport.get_extra_info("socket")
    if raw is not None:
        with contextlib.suppress(OSError):
            raw.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _RESET_ON_CLOSE)
    transport.abort()
    for _ in range(_TURNS):
        await asyncio.sleep(0)
    return True

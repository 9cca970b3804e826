"""A TCP server that counts what it is sent, reachable from containers on the engine's bridge."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager


class ByteSink:
    """How many bytes of payload arrived."""

    def __init__(self) -> None:
        self.received_bytes = 0
        self.port = 0

    async def _read(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while chunk := await reader.read(1 << 16):
            self.received_bytes += len(chunk)
        writer.close()


@asynccontextmanager
async def byte_sink(host: str) -> AsyncIterator[ByteSink]:
    sink = ByteSink()
    server = await asyncio.start_server(sink._read, host, 0)
    sink.port = server.sockets[0].getsockname()[1]
    try:
        yield sink
    finally:
        server.close()

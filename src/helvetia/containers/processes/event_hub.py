"""Start and die events from one publisher to any number of listeners; a listener that is too slow loses the oldest."""

import asyncio
from collections.abc import AsyncIterator
from typing import Final

from helvetia.containers.model import ContainerEvent

WAITING_MAX: Final = 1_000


class EventHub:
    """Events are hints: losing one costs speed, never a record."""

    def __init__(self) -> None:
        self._listeners: set[asyncio.Queue[ContainerEvent | None]] = set()

    def publish(self, event: ContainerEvent | None) -> None:
        for queue in self._listeners:
            if queue.full():
                queue.get_nowait()
            queue.put_nowait(event)

    async def subscribe(self) -> AsyncIterator[ContainerEvent]:
        """Events from now on, until the hub is closed."""
        queue: asyncio.Queue[ContainerEvent | None] = asyncio.Queue(WAITING_MAX)
        self._listeners.add(queue)
        try:
            while (event := await queue.get()) is not None:
                yield event
        finally:
            self._listeners.discard(queue)

    def close(self) -> None:
        """End every listener's loop."""
        self.publish(None)

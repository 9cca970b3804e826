"""Sees processes end, at the moment they do: our children and those of an earlier life of ours alike.

A handle of the kernel (pidfd) stands for one process for ever, so a signal never reaches another that got its id.
"""

import asyncio
import os
import signal
from collections.abc import Callable
from contextlib import suppress


class ProcessWatch:
    """The processes that are watched, by container id."""

    def __init__(self, on_end: Callable[[str], None]) -> None:
        self._on_end = on_end
        self._handles: dict[str, int] = {}
        self._ended: dict[str, asyncio.Event] = {}

    def __contains__(self, container_id: str) -> bool:
        return container_id in self._handles

    def ids(self) -> list[str]:
        return list(self._handles)

    def add(self, container_id: str, process_id: int) -> bool:
        """Watch it; False when it is gone already."""
        try:
            handle = os.pidfd_open(process_id)
        except ProcessLookupError:
            return False
        self._handles[container_id] = handle
        self._ended[container_id] = asyncio.Event()
        asyncio.get_running_loop().add_reader(handle, self.end, container_id)
        return True

    def end(self, container_id: str) -> None:
        """Its process ended: called by the loop, or by whoever sees it first."""
        self.drop(container_id)
        self._on_end(container_id)
        self._ended.pop(container_id).set()

    def drop(self, container_id: str) -> None:
        """Watch it no longer."""
        handle = self._handles.pop(container_id)
        asyncio.get_running_loop().remove_reader(handle)
        os.close(handle)

    async def stop(self, container_id: str, number: signal.Signals, wait_s: float) -> bool:
        """Send a signal and wait for the end; whether it came."""
        handle = self._handles.get(container_id)
        if handle is None:
            return True
        ended = self._ended[container_id]
        with suppress(ProcessLookupError):  # it ended, and the loop is about to tell
            signal.pidfd_send_signal(handle, number)
        try:
            async with asyncio.timeout(wait_s):
                await ended.wait()
        except TimeoutError:
            return False
        return True

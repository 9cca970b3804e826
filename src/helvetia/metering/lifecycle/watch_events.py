"""The arrow event → look: makes metering fast. Sweeps make it right, so an event that is lost costs nothing but time.

Runs until it is told to stop; reconnects with a growing, bounded wait. Failures are logged, and the engine's absence is
written down as a gap by the recorder.
"""

import asyncio
from collections.abc import AsyncIterator

import structlog

from helvetia.containers.errors import HostUnavailable
from helvetia.containers.model import ContainerEvent, ContainerHost
from helvetia.database.pool import DatabaseUnavailable
from helvetia.metering.lifecycle.record_runs import RunRecorder

_log = structlog.get_logger()


async def watch_events(
    host: ContainerHost, recorder: RunRecorder, stop: asyncio.Event, *, reconnect_wait_max_s: float
) -> None:
    """Look at each container that the engine says started or died, until `stop` is set."""
    wait_s = min(1.0, reconnect_wait_max_s)
    while not stop.is_set():
        try:
            if await _follow(host.events(), recorder, stop):
                wait_s = min(1.0, reconnect_wait_max_s)
        except (HostUnavailable, DatabaseUnavailable) as error:
            _log.warning("metering.events_interrupted", error=error.code, retry_in_s=wait_s)
        if not stop.is_set():
            await _wait(stop, wait_s)
            wait_s = min(wait_s * 2, reconnect_wait_max_s)


async def _follow(events: AsyncIterator[ContainerEvent], recorder: RunRecorder, stop: asyncio.Event) -> bool:
    """One connection to the engine; whether it told us anything before it ended."""
    told = False
    stopping = asyncio.ensure_future(stop.wait())
    try:
        while not stop.is_set():
            coming = asyncio.ensure_future(anext(events, None))
            await asyncio.wait({coming, stopping}, return_when=asyncio.FIRST_COMPLETED)
            if not coming.done():
                coming.cancel()
                await asyncio.gather(coming, return_exceptions=True)
                return told
            event = coming.result()
            if event is None:
                return told
            told = True
            await recorder.look_at(event.container_id)
        return told
    finally:
        stopping.cancel()
        close = getattr(events, "aclose", None)
        if close is not None:
            await close()


async def _wait(stop: asyncio.Event, wait_s: float) -> None:
    try:
        async with asyncio.timeout(wait_s):
            await stop.wait()
    except TimeoutError:
        return

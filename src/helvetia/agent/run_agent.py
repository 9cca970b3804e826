"""The agent: looks on a schedule and at each event, keeps what it saw, posts it, and removes what is closed.

May be killed at any instant: batches on disk are posted later, runs are found again by the next sweep, and a container
is removed only when the server has its whole record.
"""

import asyncio
import random
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass

import structlog

from helvetia.agent.errors import AgentRefused, BatchRefused, ServerUnavailable
from helvetia.agent.fold_looks import fold_looks
from helvetia.agent.post_batches import Server
from helvetia.agent.spool import Spool
from helvetia.agent.take_looks import Looker
from helvetia.containers.errors import ContainerRefused, HostUnavailable
from helvetia.containers.model import ContainerHost
from helvetia.kernel.clock import Clock
from helvetia.metering.nodes.model import NodeBatch
from helvetia.metering.nodes.wire import to_wire_batch

JITTER_SHARE = 0.05
FOLDED_MAX = 100
"""So many batches are read from the spool to be posted together; how many of them are is `fold_looks`' to say."""

_log = structlog.get_logger(__name__)


@dataclass(frozen=True, slots=True, kw_only=True)
class AgentConfig:
    """The rhythm of an agent, in seconds."""

    interval_s: float = 10.0
    sweep_interval_s: float = 60.0
    storage_interval_s: float = 300.0
    host_timeout_s: float = 20.0
    post_retry_max_s: float = 60.0
    reconnect_wait_s: float = 2.0
    removes_closed: bool = True


class Agent:
    """Samples one host for one server."""

    def __init__(self, config: AgentConfig, clock: Clock, host: ContainerHost, looker: Looker, spool: Spool) -> None:
        self._config = config
        self._clock = clock
        self._host = host
        self._looker = looker
        self._spool = spool
        self._added = asyncio.Event()

    async def run(self, server: Server, stop: asyncio.Event) -> None:
        """Until `stop` is set; what waits then is posted by the next start.

        Raises AgentRefused; and whatever ends one of its loops: an agent that looks no more must not seem alive.
        """
        posting: asyncio.Task[None] = asyncio.ensure_future(self._post(server, stop))
        work = [
            asyncio.ensure_future(one)
            for one in (
                self._repeat(self._looker.sweep, self._config.sweep_interval_s, stop),
                self._repeat(self._looker.sample, self._config.interval_s, stop),
                self._repeat(self._looker.sample_storage, self._config.storage_interval_s, stop),
                self._follow_events(stop),
            )
        ]
        try:
            ends = {posting, *work, asyncio.ensure_future(stop.wait())}
            await asyncio.wait(ends, return_when=asyncio.FIRST_COMPLETED)
        finally:
            stop.set()
            for task in (*work, posting):
                task.cancel()
            await asyncio.gather(*work, posting, return_exceptions=True)
        for task in (posting, *work):
            if not task.cancelled() and (error := task.exception()) is not None:
                raise error

    async def keep(self, look: Callable[[], Awaitable[Sequence[NodeBatch]]]) -> None:
        """Look, and put what was seen on disk; an engine that is away is logged, its gap is the server's to see.

        So is a disk that takes nothing: what is lost of time and bytes, later looks tell again.
        """
        try:
            batches = await look()
        except HostUnavailable as error:
            _log.warning("agent.engine_unavailable", detail=error.detail)
            return
        try:
            for batch in batches:
                await asyncio.to_thread(self._spool.add, to_wire_batch(batch))
        except OSError as error:
            _log.error("agent.spool_not_written", detail=str(error))
        self._added.set()

    async def post_waiting(self, server: Server) -> int:
        """Post everything that waits, in order, several looks at once; how many batches.

        What a server does not take folded (an older one, or a damaged batch) is posted one by one.

        Raises ServerUnavailable, AgentRefused.
        """
        count = singly = 0
        while waiting := await asyncio.to_thread(self._spool.waiting, 1 if singly else FOLDED_MAX):
            folded = 0
            if not singly:
                packed, folded = await asyncio.to_thread(fold_looks, [body for _, body in waiting])
            if not folded:
                await self._post_one(server, waiting[0][1])
            elif not await self._post_looks(server, packed):
                singly = folded
                continue
            done = waiting[: folded or 1]
            for name, _ in done:
                await asyncio.to_thread(self._spool.remove, name)
            count += len(done)
            singly = max(0, singly - 1)
        return count

    async def _post_one(self, server: Server, body: bytes) -> None:
        try:
            answer = await server.post(body)
        except BatchRefused as error:
            _log.error("agent.batch_refused", detail=error.detail)
            return
        refused = [str(one.reason) for one in answer.answers if not one.accepted]
        if refused:
            _log.warning("agent.items_refused", count=len(refused), reasons=sorted(set(refused)))
        await self._remove(answer.removable)

    async def _post_looks(self, server: Server, packed: bytes) -> bool:
        """Whether the server took it."""
        try:
            answer = await server.post_looks(packed)
        except BatchRefused as error:
            _log.warning("agent.looks_refused", detail=error.detail)
            return False
        if answer.refused:
            reasons = sorted({one.reason for one in answer.refused})
            _log.warning("agent.items_refused", count=len(answer.refused), reasons=reasons)
        await self._remove(answer.removable)
        return True

    async def _remove(self, container_ids: Sequence[str]) -> None:
        for container_id in container_ids if self._config.removes_closed else ():
            try:
                async with asyncio.timeout(self._config.host_timeout_s):
                    await self._host.remove(container_id)
            except (ContainerRefused, HostUnavailable, TimeoutError) as error:
                _log.warning("agent.removal_failed", container_id=container_id, error=str(error))

    async def _post(self, server: Server, stop: asyncio.Event) -> None:
        wait_s = 1.0
        while not stop.is_set():
            try:
                await self.post_waiting(server)
                wait_s = 1.0
                self._added.clear()
                if self._spool.waiting_count == 0:
                    await self._added.wait()
            except ServerUnavailable as error:
                _log.warning("agent.server_unavailable", waiting=self._spool.waiting_count, detail=error.detail)
                await _pause(stop, wait_s)
                wait_s = min(2 * wait_s, self._config.post_retry_max_s)

    async def _repeat(
        self, look: Callable[[], Awaitable[Sequence[NodeBatch]]], every_s: float, stop: asyncio.Event
    ) -> None:
        due_s = self._clock.monotonic()
        while not stop.is_set():
            await self.keep(look)
            due_s = max(due_s + every_s, self._clock.monotonic())
            jitter_s = every_s * JITTER_SHARE * random.random()  # noqa: S311 - spreads load, guards nothing
            await _pause(stop, due_s + jitter_s - self._clock.monotonic())

    async def _follow_events(self, stop: asyncio.Event) -> None:
        while not stop.is_set():
            try:
                async for event in self._host.events():
                    await self.keep(lambda container_id=event.container_id: self._looker.look_at(container_id))  # type: ignore[misc]
            except HostUnavailable as error:
                _log.warning("agent.events_ended", detail=error.detail)
            await _pause(stop, self._config.reconnect_wait_s)


async def _pause(stop: asyncio.Event, seconds: float) -> None:
    try:
        async with asyncio.timeout(max(0.0, seconds)):
            await stop.wait()
    except TimeoutError:
        return


__all__ = ["Agent", "AgentConfig", "AgentRefused"]

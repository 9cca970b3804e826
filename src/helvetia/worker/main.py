"""The worker: holds the lease, runs the schedule's ticks and the jobs while it does, and gives the lease up at the end.

A worker that dies is followed by the next at once on the same machine, elsewhere when its lease runs out. A worker that
cannot renew its lease stops working before the lease ends.
"""

import asyncio
from collections.abc import Mapping, Sequence
from datetime import timedelta

import structlog

from helvetia.database.job_queue import JobFunction, JobQueue, run_until
from helvetia.database.lease import Lease, give_up_lease, take_lease, this_process
from helvetia.database.pool import Database
from helvetia.kernel.clock import Clock
from helvetia.kernel.errors import HelvetiaError
from helvetia.metering.service import MeteringService
from helvetia.worker.schedule import Schedule
from helvetia.worker.ticks import Tick, run_ticks

LEASE = "worker"
LEASE_LASTS = timedelta(seconds=15)
RENEW_EVERY_S = 4.0
WATCH_AGAIN_S = 2.0

_log = structlog.get_logger()


class Worker:
    """Runs the schedule of one process."""

    def __init__(
        self, database: Database, clock: Clock, queue: JobQueue, schedule: Schedule, metering: MeteringService
    ) -> None:
        self._database = database
        self._clock = clock
        self._queue = queue
        self._ticks: Sequence[Tick] = schedule.ticks
        self._jobs: Mapping[str, JobFunction] = schedule.jobs
        self._metering = metering

    async def run(self, stop: asyncio.Event) -> None:
        """Work whenever the lease is ours, until `stop` is set."""
        while not stop.is_set():
            lease = await self._take_lease()
            if lease is None:
                await _pause(stop, RENEW_EVERY_S)
                continue
            _log.info("worker.lease_taken", fencing_number=lease.fencing_number)
            await self._work_under(lease, stop)

    async def _work_under(self, lease: Lease, stop: asyncio.Event) -> None:
        ended = asyncio.Event()
        async with asyncio.TaskGroup() as group:
            group.create_task(self._renew(lease, stop, ended))
            group.create_task(run_ticks(self._ticks, self._clock, ended))
            group.create_task(run_until(ended, self._queue.run(self._jobs)))
            group.create_task(run_until(ended, self._watch_events(ended)))

    async def _renew(self, lease: Lease, stop: asyncio.Event, ended: asyncio.Event) -> None:
        """Keep the lease; set `ended` when it is lost or `stop` is set."""
        held_until_s = self._clock.monotonic() + LEASE_LASTS.total_seconds()
        while not stop.is_set():
            await _pause(stop, RENEW_EVERY_S)
            if await self._take_lease() is not None:
                held_until_s = self._clock.monotonic() + LEASE_LASTS.total_seconds()
            elif self._clock.monotonic() > held_until_s - RENEW_EVERY_S:
                _log.warning("worker.lease_lost", fencing_number=lease.fencing_number)
                break
        ended.set()
        if stop.is_set():
            await self._give_up(lease)

    async def _take_lease(self) -> Lease | None:
        try:
            async with self._database.transaction() as tx:
                return await take_lease(tx, LEASE, holder=this_process(), wall=self._clock.wall(), lasts=LEASE_LASTS)
        except HelvetiaError as error:
            _log.warning("worker.lease_not_taken", code=error.code)
            return None

    async def _give_up(self, lease: Lease) -> None:
        try:
            async with self._database.transaction() as tx:
                await give_up_lease(tx, lease)
        except HelvetiaError as error:
            _log.warning("worker.lease_not_given_up", code=error.code)

    async def _watch_events(self, ended: asyncio.Event) -> None:
        """Follow the engine's events; they end with the connection, so begin again."""
        while not ended.is_set():
            try:
                await self._metering.watch_events(ended)
            except HelvetiaError as error:
                _log.warning("worker.events_ended", code=error.code)
            await _pause(ended, WATCH_AGAIN_S)


async def _pause(stop: asyncio.Event, seconds: float) -> None:
    try:
        async with asyncio.timeout(seconds):
            await stop.wait()
    except TimeoutError:
        return

"""The arrow wish → engine: drive every service to run iff it is wished and not held.

Observed state never overwrites a wish or a hold. A pass may die anywhere: the labels on the containers say what was
done, so the next pass goes on from there. Failed starts are repeated with a growing delay, never given up.
"""

import asyncio
from collections.abc import Sequence
from datetime import datetime

from helvetia.containers import store
from helvetia.containers.errors import HostUnavailable
from helvetia.containers.model import ContainerHost, ContainerRecord, ContainerSpec, Service, ServiceStatus
from helvetia.containers.plan_actions import ServicePlan, plan_actions
from helvetia.database.pool import Database
from helvetia.kernel.clock import Clock
from helvetia.kernel.errors import HelvetiaError
from helvetia.kernel.identity import ServiceId

PARALLEL_MAX = 8
UNRANKED = 2**31
STOPS_MAX = 64  # a stop only waits for the container's own grace
RETRY_FIRST_S = 1.0
RETRY_MAX_S = 60.0
FULL_PASS_EVERY_S = 10.0


class ServiceReconciler:
    """Passes over all services; cheap when nothing changed."""

    def __init__(self, database: Database, clock: Clock, host: ContainerHost, *, stop_grace_s: int = 10) -> None:
        self._database = database
        self._clock = clock
        self._host = host
        self._stop_grace_s = stop_grace_s
        self._delays: dict[tuple[ServiceId, int, int], tuple[float, float]] = {}
        self._seen_change_at: datetime | None = None
        self._last_pass_s = float("-inf")
        self._has_work_left = True

    async def reconcile_if_changed(self) -> None:
        """A pass when a wish changed, when the last one left work, or when the last is long ago."""
        async with self._database.transaction() as tx:
            changed_at = await store.last_change_at(tx)
        is_due = self._clock.monotonic() - self._last_pass_s >= FULL_PASS_EVERY_S
        if is_due or self._has_work_left or changed_at != self._seen_change_at:
            self._seen_change_at = changed_at
            await self.reconcile_services()

    async def reconcile_services(self) -> None:
        """One pass over all services.

        Raises:
            HostUnavailable: the engine does not answer; services that wait for it say so in their status.
        """
        async with self._database.transaction() as tx:
            services = await store.services_to_drive(tx)
        self._last_pass_s = self._clock.monotonic()
        try:
            containers = await self._host.list_containers()
        except HostUnavailable as error:
            self._has_work_left = True
            await self._note_unavailable(services, error)
            raise
        plans = plan_actions(services, containers)
        self._has_work_left = any(plan.stop or plan.start for plan in plans)
        current = {(service.service_id, service.generation) for service in services if service.should_run}
        self._delays = {key: delay for key, delay in self._delays.items() if key[:2] in current}
        limits = asyncio.Semaphore(STOPS_MAX), asyncio.Semaphore(PARALLEL_MAX)
        async with asyncio.TaskGroup() as group:
            for plan in sorted(plans, key=_stops_first):
                group.create_task(self._drive_bounded(plan, *limits))

    async def _drive_bounded(self, plan: ServicePlan, stops: asyncio.Semaphore, starts: asyncio.Semaphore) -> None:
        try:
            stopped = await asyncio.gather(*(self._stop(one, stops) for one in plan.stop), return_exceptions=True)
            for failure in stopped:
                if failure is not None:
                    raise failure
            async with starts:
                await self._drive(plan)
        except HelvetiaError as error:
            await self._save(plan.service, ServiceStatus.FAILED, error.code, error.detail)

    async def _stop(self, container: ContainerRecord, stops: asyncio.Semaphore) -> None:
        async with stops:
            await self._host.stop(container.container_id, grace_s=self._stop_grace_s)

    async def _drive(self, plan: ServicePlan) -> None:
        """Start what is missing, once what must go is stopped, and say how it stands."""
        service = plan.service
        failure: HelvetiaError | None = None
        started_count = 0
        for spec in plan.start:
            if self._must_wait(spec):
                continue
            try:
                await self._host.create_and_start(spec)
                started_count += 1
            except HelvetiaError as error:
                failure = error
        if failure is not None:
            await self._save(service, ServiceStatus.FAILED, failure.code, failure.detail)
        elif service.deleted_at is not None:
            await self._finish_deletion(plan)
        elif not service.should_run or service.definition.replicas == 0:
            await self._save(service, ServiceStatus.HELD if service.holds else ServiceStatus.STOPPED, None, None)
        elif plan.live_count + started_count == service.definition.replicas:
            await self._save(service, ServiceStatus.RUNNING, None, None)

    async def _finish_deletion(self, plan: ServicePlan) -> None:
        if plan.present_count == 0:
            await self._host.remove_volumes(plan.service.service_id)
            await self._save(plan.service, ServiceStatus.DELETED, None, None)

    def _must_wait(self, spec: ContainerSpec) -> bool:
        """Whether this replica was started too recently; each start in a row doubles the delay up to a minute."""
        key = (spec.service_id, spec.revision, spec.replica)
        now = self._clock.monotonic()
        next_try_s, delay_s = self._delays.get(key, (0.0, RETRY_FIRST_S))
        if now < next_try_s:
            return True
        if now - next_try_s > RETRY_MAX_S:
            delay_s = RETRY_FIRST_S
        self._delays[key] = (now + delay_s, min(delay_s * 2, RETRY_MAX_S))
        return False

    async def _note_unavailable(self, services: Sequence[Service], error: HostUnavailable) -> None:
        for service in services:
            if service.status in {ServiceStatus.PENDING, ServiceStatus.FAILED}:
                await self._save(service, ServiceStatus.FAILED, error.code, error.detail)

    async def _save(self, service: Service, status: ServiceStatus, code: str | None, message: str | None) -> None:
        if (service.status, service.status_code, service.status_message) == (status, code, message):
            return
        async with self._database.transaction() as tx:
            await store.save_status(tx, service, status, code, message, self._clock.now())


def _stops_first(plan: ServicePlan) -> tuple[bool, int, float]:
    """What is to be stopped goes first: by its owner's rank, else the newest first."""
    service = plan.service
    rank = service.stop_rank
    return (not plan.stop, UNRANKED if rank is None else rank, -service.created_at.timestamp())

"""Services by wish, hold and reconciler, on a simulated host and a real database."""

import asyncio
from collections.abc import Sequence
from dataclasses import replace
from decimal import Decimal

import pytest

from helvetia.accounts.model import Account
from helvetia.accounts.service import AccountService
from helvetia.containers.errors import HostUnavailable, ServiceHeld, ServiceNameTaken, ServiceNotFound
from helvetia.containers.model import (
    ContainerRecord,
    ContainerState,
    HoldCause,
    ServiceChange,
    ServiceDefinition,
    ServiceStatus,
)
from helvetia.containers.reconcile_services import ServiceReconciler
from helvetia.containers.service import ContainerService
from helvetia.containers.simulated_host import SimulatedHost
from helvetia.database.pool import Database
from helvetia.enforcement.admit_service import PlanAdmission
from helvetia.enforcement.errors import ServiceLimitReached
from helvetia.enforcement.model import EnforcementConfig
from helvetia.kernel.clock import ManualClock
from helvetia.kernel.identity import AccountId, new_service_id
from helvetia.subscriptions.service import SubscriptionHooks

WEB = ServiceDefinition(name="web", image="helvetia/demo:latest", memory_mb=64, cpu_cores=Decimal("0.25"))


class World:
    """The parts of this test, on one database and one clock."""

    def __init__(self, database: Database, clock: ManualClock) -> None:
        self.accounts = AccountService(database, clock, SubscriptionHooks(clock))
        self.host = SimulatedHost("installation", clock)
        self.services = ContainerService(database, clock, PlanAdmission(clock, EnforcementConfig()))
        self.reconciler = ServiceReconciler(database, clock, self.host)
        self._database = database

    async def account(self, name: str = "ada", plan: str | None = None) -> AccountId:
        account_id = (await self.accounts.create_user(f"{name}@example.com")).account_id
        if plan is not None:
            async with self._database.transaction() as tx:
                await tx.execute("UPDATE subscriptions SET plan = %s WHERE account_id = %s", (plan, account_id))
        return account_id

    async def running(self) -> Sequence[ContainerRecord]:
        return [one for one in await self.host.list_containers() if one.state is ContainerState.RUNNING]


@pytest.fixture
def world(database: Database, clock: ManualClock) -> World:
    return World(database, clock)


async def test_wished_service_runs_and_says_so(world: World) -> None:
    account_id = await world.account()
    service = await world.services.create_service(account_id, WEB)
    assert service.status is ServiceStatus.PENDING
    await world.reconciler.reconcile_services()
    assert len(await world.running()) == 1
    assert (await world.services.get_service(account_id, service.service_id)).status is ServiceStatus.RUNNING


async def test_service_beyond_the_plan_is_refused_with_the_plan_that_fits(world: World) -> None:
    account_id = await world.account()
    await world.services.create_service(account_id, WEB)
    with pytest.raises(ServiceLimitReached) as caught:
        await world.services.create_service(account_id, replace(WEB, name="two"))
    assert caught.value.figures == {"limit": "services", "allowed": 1, "used": 1, "requested": 1, "plan": "STARTER"}
    assert len(await world.services.list_services(account_id)) == 1


async def test_parallel_creates_never_pass_the_limit_and_fill_it(world: World) -> None:
    account_id = await world.account(plan="STARTER")
    definitions = [replace(WEB, name=f"web-{number}") for number in range(20)]
    outcomes = await asyncio.gather(
        *(world.services.create_service(account_id, one) for one in definitions), return_exceptions=True
    )
    assert sum(not isinstance(one, BaseException) for one in outcomes) == 5
    assert {type(one) for one in outcomes if isinstance(one, BaseException)} == {ServiceLimitReached}


async def test_name_is_unique_in_the_account_and_free_after_deletion(world: World) -> None:
    account_id = await world.account(plan="STARTER")
    first = await world.services.create_service(account_id, WEB)
    with pytest.raises(ServiceNameTaken):
        await world.services.create_service(account_id, WEB)
    await world.services.delete_service(account_id, first.service_id)
    assert await world.services.create_service(account_id, WEB)


async def test_foreign_service_answers_like_a_missing_one(world: World) -> None:
    owner, other = await world.account("ada"), await world.account("bob")
    service = await world.services.create_service(owner, WEB)
    for service_id in (service.service_id, new_service_id()):
        for call in (world.services.get_service, world.services.start_service, world.services.delete_service):
            with pytest.raises(ServiceNotFound):
                await call(other, service_id)


async def test_held_service_stops_keeps_its_wish_and_comes_back(world: World) -> None:
    account_id = await world.account()
    service = await world.services.create_service(account_id, WEB)
    await world.reconciler.reconcile_services()
    for cause in (HoldCause.PAYMENT, HoldCause.OPERATOR):
        await world.services.place_hold(account_id, service.service_id, cause, reason="test", placed_by="test")
    await world.reconciler.reconcile_services()
    held = await world.services.get_service(account_id, service.service_id)
    assert (held.status, held.wish.value, len(await world.running())) == (ServiceStatus.HELD, "running", 0)
    with pytest.raises(ServiceHeld):
        await world.services.start_service(account_id, service.service_id)
    with pytest.raises(ServiceHeld):
        await world.services.restart_service(account_id, service.service_id)

    await world.services.lift_hold(account_id, service.service_id, HoldCause.PAYMENT)
    await world.reconciler.reconcile_services()
    assert len(await world.running()) == 0
    await world.services.lift_hold(account_id, service.service_id, HoldCause.OPERATOR)
    await world.reconciler.reconcile_services()
    assert len(await world.running()) == 1


async def test_deploy_makes_a_revision_and_replaces_what_runs(world: World) -> None:
    account_id = await world.account()
    service = await world.services.create_service(account_id, WEB)
    await world.reconciler.reconcile_services()
    (before,) = await world.running()
    changed = await world.services.change_service(account_id, service.service_id, ServiceChange(memory_mb=128))
    await world.reconciler.reconcile_services()
    (after,) = await world.running()
    assert changed.revision == 2
    assert after.container_id != before.container_id


async def test_scaling_leaves_what_stays_alone(world: World) -> None:
    account_id = await world.account(plan="STARTER")
    service = await world.services.create_service(account_id, WEB)
    await world.reconciler.reconcile_services()
    (first,) = await world.running()
    scaled = await world.services.scale_service(account_id, service.service_id, 3)
    await world.reconciler.reconcile_services()
    assert scaled.revision == 1
    assert first.container_id in {one.container_id for one in await world.running()}
    assert len(await world.running()) == 3


async def test_missing_image_is_a_status_with_a_code_and_nothing_half_made(world: World) -> None:
    account_id = await world.account()
    service = await world.services.create_service(account_id, replace(WEB, image="missing/image:1"))
    await world.reconciler.reconcile_services()
    failed = await world.services.get_service(account_id, service.service_id)
    assert (failed.status, failed.status_code) == (ServiceStatus.FAILED, "image_not_found")
    assert await world.host.list_containers() == []


async def test_engine_away_is_a_status_and_recovers_by_itself(world: World) -> None:
    account_id = await world.account()
    service = await world.services.create_service(account_id, WEB)
    world.host.is_available = False
    with pytest.raises(HostUnavailable):
        await world.reconciler.reconcile_services()
    failed = await world.services.get_service(account_id, service.service_id)
    assert (failed.status, failed.status_code) == (ServiceStatus.FAILED, "host_unavailable")
    world.host.is_available = True
    await world.reconciler.reconcile_if_changed()
    assert (await world.services.get_service(account_id, service.service_id)).status is ServiceStatus.RUNNING


async def test_answer_to_create_lost_leaves_one_container(world: World) -> None:
    await world.services.create_service(await world.account(), WEB)
    world.host.loses_next_answer = True
    await world.reconciler.reconcile_services()
    await world.reconciler.reconcile_services()
    assert len(await world.running()) == 1


async def test_organization_and_user_have_services_of_their_own(world: World) -> None:
    user_id = await world.account()
    organization: Account = await world.accounts.create_organization("Alpine Labs", user_id)
    await world.services.create_service(user_id, WEB)
    await world.services.create_service(organization.account_id, WEB)
    assert len(await world.services.list_services(user_id)) == 1
    assert len(await world.services.list_services(organization.account_id)) == 1

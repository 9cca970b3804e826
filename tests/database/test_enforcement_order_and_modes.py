"""The order of stopping on a host, a failure without an invoice, and the mode that only warns."""

from collections.abc import Sequence
from dataclasses import replace
from datetime import timedelta

import pytest

from helvetia.containers.model import ContainerState
from helvetia.containers.reconcile_services import ServiceReconciler
from helvetia.containers.simulated_host import SimulatedHost
from helvetia.database.pool import Database
from helvetia.enforcement.errors import BandwidthLimitReached, InvalidStopOrder, ServiceLimitReached, SubscriptionUnpaid
from helvetia.enforcement.model import EnforcementConfig, EnforcementMode, NewWork, PaymentState
from helvetia.kernel.clock import ManualClock
from helvetia.kernel.identity import AccountId, ServiceId, new_id, new_service_id
from helvetia.kernel.quantity import BYTES_PER_GB
from helvetia.notifications.model import NoticeKind
from support.enforcement_world import WEB, EnforcementWorld

DAY = timedelta(days=1)
MODES = [EnforcementMode.WARN, EnforcementMode.OBSERVE]


@pytest.fixture
def world(database: Database, clock: ManualClock) -> EnforcementWorld:
    return EnforcementWorld(database, clock, EnforcementConfig())


@pytest.fixture
def host(clock: ManualClock) -> SimulatedHost:
    return SimulatedHost("rest", clock)


async def running(world: EnforcementWorld, host: SimulatedHost, account_id: AccountId) -> set[str]:
    """Names of the services whose containers run, once the host was driven there."""
    await ServiceReconciler(world.database, world.clock, host).reconcile_services()
    alive = {one.service_id for one in await host.list_containers() if one.state is ContainerState.RUNNING}
    services = await world.containers.list_services(account_id)
    return {one.definition.name for one in services if one.service_id in alive}


async def four(world: EnforcementWorld) -> tuple[AccountId, Sequence[ServiceId]]:
    """A PRO account whose services web-0 to web-3 were made in this order."""
    account_id = await world.account("ada", services=0)
    made = []
    for number in range(4):
        world.clock.advance(timedelta(seconds=1))
        service = await world.containers.create_service(account_id, replace(WEB, name=f"web-{number}"))
        made.append(service.service_id)
    return account_id, made


async def becomes_free(world: EnforcementWorld, account_id: AccountId) -> None:
    await world.execute("UPDATE subscriptions SET plan = 'FREE' WHERE account_id = %s", account_id)
    world.clock.advance(timedelta(minutes=2))
    await world.enforcement.check_quotas()


async def order(world: EnforcementWorld, account_id: AccountId) -> list[str]:
    return [one.name for one in (await world.enforcement.explain(account_id)).services]


async def test_newest_stops_first_by_default(world: EnforcementWorld, host: SimulatedHost) -> None:
    account_id, _ = await four(world)
    assert await running(world, host, account_id) == {"web-0", "web-1", "web-2", "web-3"}
    assert await order(world, account_id) == ["web-3", "web-2", "web-1", "web-0"]
    await becomes_free(world, account_id)
    assert await running(world, host, account_id) == {"web-0"}


async def test_order_of_the_customer_decides_what_stops_and_what_stays(
    world: EnforcementWorld, host: SimulatedHost
) -> None:
    account_id, made = await four(world)
    await world.enforcement.set_stop_order(account_id, [made[0], made[3]], actor="user:ada")
    assert await order(world, account_id) == ["web-0", "web-3", "web-2", "web-1"]
    await becomes_free(world, account_id)
    assert await running(world, host, account_id) == {"web-1"}
    await world.enforcement.set_stop_order(account_id, [made[1]], actor="user:ada")
    assert await order(world, account_id) == ["web-1", "web-3", "web-2", "web-0"]
    await world.containers.delete_service(account_id, made[1])
    world.clock.advance(timedelta(minutes=2))
    await world.enforcement.check_quotas()
    assert await running(world, host, account_id) == {"web-0"}


async def test_order_that_is_taken_back_is_the_default_again(world: EnforcementWorld) -> None:
    account_id, made = await four(world)
    await world.enforcement.set_stop_order(account_id, made, actor="user:ada")
    assert await order(world, account_id) == ["web-0", "web-1", "web-2", "web-3"]
    await world.enforcement.set_stop_order(account_id, [], actor="user:ada")
    assert await order(world, account_id) == ["web-3", "web-2", "web-1", "web-0"]
    for wrong in ([made[0], made[0]], [new_service_id()]):
        with pytest.raises(InvalidStopOrder):
            await world.enforcement.set_stop_order(account_id, wrong, actor="user:ada")


async def test_unpaid_without_an_open_invoice_starts_nothing_new_and_stops_nothing(
    world: EnforcementWorld, host: SimulatedHost
) -> None:
    account_id = await world.account("ada")
    await world.fail(account_id, world.clock.now())
    await world.execute(
        "UPDATE subscriptions SET status = 'UNPAID', stripe_status = 'unpaid' WHERE account_id = %s", account_id
    )
    await world.execute(
        "UPDATE payment_facts SET stripe_status = 'unpaid', failed_invoice_id = NULL, first_failed_at = NULL"
    )
    for _ in range(3):
        outcome = await world.enforcement.run_pass()
        assert (list(outcome.would_hold), outcome.brake) == ([], None)
        assert await running(world, host, account_id) == {"web-0"}
        verdict = (await world.enforcement.explain(account_id)).verdict
        assert (verdict.state, verdict.new_work) == (PaymentState.LOCKED, NewWork.REFUSED)
        assert (verdict.hold_due_at, verdict.is_certain) == (None, False)
        with pytest.raises(SubscriptionUnpaid):
            await world.containers.create_service(account_id, replace(WEB, name="more"))
        world.clock.advance(20 * DAY)
        await world.read_stripe()
    await world.pay(account_id)
    await world.containers.create_service(account_id, replace(WEB, name="more"))


async def test_mode_warn_tells_every_step_and_holds_nobody(
    database: Database, clock: ManualClock, host: SimulatedHost
) -> None:
    world = EnforcementWorld(database, clock, EnforcementConfig(mode=EnforcementMode.WARN))
    account_id, failed_at = await world.account("ada"), clock.now()
    await world.fail(account_id, failed_at)
    for _ in range(10):
        await world.enforcement.run_pass()
        await world.notifications.send_due()
        clock.advance(DAY)
        await world.read_stripe()
    told = [
        (one.kind, (one.due_at - failed_at).days) for one in await world.notifications.list_notifications(account_id)
    ]
    assert sorted(told, key=lambda one: one[1]) == [
        (NoticeKind.PAYMENT_FAILED, 0),
        (NoticeKind.PAYMENT_REMINDER, 1),
        (NoticeKind.PAYMENT_REMINDER, 3),
        (NoticeKind.PAYMENT_REMINDER, 5),
        (NoticeKind.PAYMENT_LAST_DAY, 6),
    ]
    assert await running(world, host, account_id) == {"web-0"}
    verdict = (await world.enforcement.explain(account_id)).verdict
    assert (verdict.state, verdict.services_run) == (PaymentState.OVERDUE, False)


@pytest.mark.parametrize("mode", MODES)
async def test_whom_the_former_mode_held_is_let_go_when_paid_in_every_mode(
    database: Database, clock: ManualClock, host: SimulatedHost, world: EnforcementWorld, mode: EnforcementMode
) -> None:
    account_id = await world.account("ada")
    await world.fail(account_id, clock.now() - 7 * DAY)
    await world.enforcement.run_pass()
    assert await running(world, host, account_id) == set()
    milder = EnforcementWorld(database, clock, EnforcementConfig(mode=mode))
    await milder.enforcement.run_pass()
    assert await running(world, host, account_id) == set()
    await milder.pay(account_id)
    assert list((await milder.enforcement.run_pass()).resumed) == [account_id]
    assert await running(world, host, account_id) == {"web-0"}


async def test_mode_warn_refuses_no_used_up_bandwidth_but_what_the_plan_has_no_place_for(
    database: Database, clock: ManualClock, world: EnforcementWorld
) -> None:
    account_id = await world.account("ada", plan="FREE", services=0)
    hour = clock.now().replace(minute=0, second=0, microsecond=0)
    await world.execute(
        "INSERT INTO usage_records (id, account_id, service_id, metric, incarnation, quantity, timestamp, period_start,"
        " period_end) VALUES (%s, %s, %s, 'BANDWIDTH_GB', 'one', %s, %s, %s, %s)",
        *(new_id(), account_id, account_id, 10 * BYTES_PER_GB, clock.now(), hour, hour + timedelta(hours=1)),
    )
    with pytest.raises(BandwidthLimitReached):
        await world.containers.create_service(account_id, WEB)
    milder = EnforcementWorld(database, clock, EnforcementConfig(mode=EnforcementMode.WARN))
    await milder.containers.create_service(account_id, WEB)
    with pytest.raises(ServiceLimitReached):
        await milder.containers.create_service(account_id, replace(WEB, name="more"))

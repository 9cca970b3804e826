"""Defects that enforcement is known for elsewhere, each made impossible here."""

import asyncio
from collections import Counter
from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest

from helvetia.containers.model import ContainerState, ServiceStatus, Wish
from helvetia.containers.reconcile_services import ServiceReconciler
from helvetia.containers.simulated_host import SimulatedHost
from helvetia.database.enums import DATABASE_ENUMS
from helvetia.database.migrate import migrate
from helvetia.database.pool import Database, DatabaseUnavailable
from helvetia.enforcement.model import EnforcementConfig
from helvetia.kernel.clock import ManualClock
from helvetia.kernel.identity import new_id
from helvetia.kernel.period import Period
from helvetia.kernel.quantity import BYTES_PER_GB
from helvetia.observability.metrics import TICK_FAILURES, TICK_LATE_S
from helvetia.subscriptions import store as subscriptions
from helvetia.worker.ticks import Tick, run_ticks
from support.enforcement_world import WEB, EnforcementWorld

DAY = timedelta(days=1)


@pytest.fixture
def world(database: Database, clock: ManualClock) -> EnforcementWorld:
    return EnforcementWorld(database, clock, EnforcementConfig())


@pytest.fixture
def host(clock: ManualClock) -> SimulatedHost:
    return SimulatedHost("defects", clock)


@pytest.fixture
def reconciler(world: EnforcementWorld, host: SimulatedHost) -> ServiceReconciler:
    return ServiceReconciler(world.database, world.clock, host)


async def running(host: SimulatedHost) -> list[str]:
    return [str(one.service_id) for one in await host.list_containers() if one.state is ContainerState.RUNNING]


async def test_e03_reconciler_never_writes_running_back_over_a_hold(
    world: EnforcementWorld, host: SimulatedHost, reconciler: ServiceReconciler
) -> None:
    account_id = await world.account("ada", services=2)
    await reconciler.reconcile_services()
    await world.fail(account_id, world.clock.now() - 7 * DAY)
    await world.enforcement.run_pass()
    await reconciler.reconcile_services()
    for _ in range(20):
        for one in await host.list_containers():
            host.restart(one.container_id)
        assert len(await running(host)) == 2
        await reconciler.reconcile_services()
        assert await running(host) == []
        services = await world.containers.list_services(account_id)
        assert {(one.status, one.wish) for one in services} == {(ServiceStatus.HELD, Wish.RUNNING)}
        assert await world.held() == {account_id}


async def test_e04_payment_brings_back_what_was_wished_within_a_minute(
    world: EnforcementWorld, host: SimulatedHost, reconciler: ServiceReconciler
) -> None:
    account_id = await world.account("ada", services=2)
    idle = await world.containers.create_service(account_id, replace(WEB, name="idle"))
    await world.containers.stop_service(account_id, idle.service_id)
    await reconciler.reconcile_services()
    before = Counter(await running(host))
    await world.fail(account_id, world.clock.now() - 7 * DAY)
    await world.enforcement.run_pass()
    await reconciler.reconcile_services()
    assert await running(host) == []
    await world.pay(account_id)
    paid_at = world.clock.now()
    while Counter(await running(host)) != before:
        world.clock.advance(timedelta(seconds=15))
        await world.enforcement.run_pass()
        await reconciler.reconcile_services()
        assert world.clock.now() - paid_at < timedelta(seconds=60)
    wishes = {one.definition.name: one.wish for one in await world.containers.list_services(account_id)}
    assert wishes == {"web-0": Wish.RUNNING, "web-1": Wish.RUNNING, "idle": Wish.STOPPED}


async def test_e11_free_account_has_a_month_of_its_own_in_which_its_use_counts(world: EnforcementWorld) -> None:
    account_id = await world.account("ada", plan="FREE")
    march = Period(starts_at=datetime(2026, 3, 1, tzinfo=UTC), ends_at=datetime(2026, 4, 1, tzinfo=UTC))
    assert await period_of(world, account_id) == march
    used_at = world.clock.now().replace(minute=0, second=0, microsecond=0)
    await world.execute(
        "INSERT INTO usage_records (id, account_id, service_id, metric, incarnation, quantity, timestamp, period_start,"
        " period_end) VALUES (%s, %s, %s, 'BANDWIDTH_GB', 'run', %s, %s, %s, %s)",
        *(new_id(), account_id, account_id, 10 * BYTES_PER_GB, used_at, used_at, used_at + timedelta(hours=1)),
    )
    world.clock.advance(15 * DAY)
    assert await period_of(world, account_id) == march
    assert list((await world.enforcement.explain(account_id)).over_quota) == ["bandwidth"]
    world.clock.advance_to(march.ends_at)
    assert (await period_of(world, account_id)).starts_at == march.ends_at
    assert list((await world.enforcement.explain(account_id)).over_quota) == []


async def period_of(world: EnforcementWorld, account_id: object) -> Period:
    async with world.database.transaction() as tx:
        return (await subscriptions.find(tx, account_id)).period_at(world.clock.now())  # type: ignore[arg-type]


async def test_e13_starts_of_replicas_wipe_nothing_and_two_workers_do_each_thing_once(
    world: EnforcementWorld, clock: ManualClock
) -> None:
    account_id = await world.account("ada")
    await world.fail(account_id, clock.now())
    await world.enforcement.run_pass()
    planned = await world.execute("SELECT key, due_at FROM notifications ORDER BY key")
    assert len(planned) == 5
    migrate(world.database.url)  # what every start of a process does
    other = Database(world.database.url, enums=DATABASE_ENUMS, connections_max=3)
    await other.open()
    try:
        workers = [world, EnforcementWorld(other, clock, EnforcementConfig())]
        assert await world.execute("SELECT key, due_at FROM notifications ORDER BY key") == planned
        for _ in range(8):
            await asyncio.gather(*(one.enforcement.run_pass() for one in workers))
            await asyncio.gather(*(one.notifications.send_due() for one in workers))
            clock.advance(DAY)
            await world.read_stripe()
    finally:
        await other.close()
    sent = await world.execute("SELECT kind, attempt_count FROM notifications WHERE state = 'sent'")
    counted = Counter(sent)
    assert counted == {
        ("payment_failed", 1): 1,
        ("payment_reminder", 1): 3,
        ("payment_last_day", 1): 1,
        ("services_held", 1): 1,
    }
    rows = await world.execute("SELECT count(*) FROM audit_entries WHERE action = 'services_held'")
    assert rows == [(1,)]


async def test_e13_failing_tick_is_counted_and_a_late_one_shows_it(clock: ManualClock) -> None:
    stop, runs = asyncio.Event(), 0

    async def fails() -> None:
        raise DatabaseUnavailable

    async def is_slow() -> None:
        nonlocal runs
        runs += 1
        if runs == 3:
            stop.set()
        await asyncio.sleep(0.05)

    ticks = [
        Tick(name="test.fails", every_s=0.01, deadline_s=1, run=fails),
        Tick(name="test.slow", every_s=0.01, deadline_s=1, run=is_slow),
    ]
    await asyncio.wait_for(run_ticks(ticks, clock, stop), 10)
    assert runs == 3
    assert TICK_FAILURES.labels("test.fails")._value.get() > 1
    assert TICK_LATE_S.labels("test.slow")._value.get() >= 0

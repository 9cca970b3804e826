"""Passes, brakes, taking back, quotas and notices on a real database."""

import random
import time
from collections import Counter
from datetime import timedelta

import pytest

from helvetia.database.pool import Database
from helvetia.enforcement.errors import InvalidOverride, PassNotFound
from helvetia.enforcement.model import EnforcementConfig, EnforcementMode
from helvetia.kernel.clock import ManualClock
from helvetia.kernel.identity import AccountId, new_id
from helvetia.kernel.quantity import BYTES_PER_GB
from helvetia.notifications.model import NoticeKind
from support import trials
from support.enforcement_world import EnforcementWorld, killed_after
from support.ten_day_lives import TenDayLives

DAY = timedelta(days=1)


@pytest.fixture
def world(database: Database, clock: ManualClock) -> EnforcementWorld:
    return EnforcementWorld(database, clock, EnforcementConfig())


async def test_brake_stops_a_pass_that_would_hold_too_many(world: EnforcementWorld) -> None:
    accounts = [await world.account(f"user-{number}") for number in range(20)]
    for account_id in accounts[:5]:
        await world.fail(account_id, world.clock.now() - 7 * DAY)
    outcome = await world.enforcement.run_pass()
    assert outcome.brake is not None
    assert (len(outcome.would_hold), outcome.held, await world.held()) == (5, [], set())
    released = await world.enforcement.run_pass(actor="operator:eva", despite_brake="a real wave")
    assert set(released.held) == set(accounts[:5]) == await world.held()
    audited = await world.execute("SELECT actor, reason FROM audit_entries WHERE action = 'brake_released'")
    assert audited == [("operator:eva", "a real wave")]


async def test_four_accounts_are_held_whatever_their_share(world: EnforcementWorld) -> None:
    accounts = [await world.account(f"user-{number}") for number in range(4)]
    for account_id in accounts:
        await world.fail(account_id, world.clock.now() - 7 * DAY)
    assert len((await world.enforcement.run_pass()).held) == 4


async def test_old_knowledge_of_stripe_holds_nobody_and_resumes_still(world: EnforcementWorld) -> None:
    overdue, paid = await world.account("overdue"), await world.account("paid")
    await world.fail(paid, world.clock.now() - 8 * DAY)
    await world.enforcement.run_pass()
    await world.fail(overdue, world.clock.now() - 7 * DAY)
    await world.pay(paid)
    await world.execute("UPDATE metering_accounts SET known_until = %s", world.clock.now() - timedelta(hours=1))
    outcome = await world.enforcement.run_pass()
    assert outcome.brake is not None
    assert (list(outcome.held), list(outcome.resumed), await world.held()) == ([], [paid], set())


async def test_one_command_takes_back_a_pass_and_leaves_time(world: EnforcementWorld) -> None:
    account_id = await world.account("ada", services=3)
    await world.fail(account_id, world.clock.now() - 7 * DAY)
    held = await world.enforcement.run_pass()
    assert await world.held() == {account_id}
    await world.enforcement.lift_pass(held.pass_id, reason="our mistake", actor="operator:eva")
    assert await world.held() == set()
    assert (await world.enforcement.run_pass()).held == []
    world.clock.advance(DAY)
    await world.read_stripe()
    assert list((await world.enforcement.run_pass()).held) == [account_id]
    with pytest.raises(PassNotFound):
        await world.enforcement.lift_pass(new_id(), reason="x", actor="operator:eva")
    with pytest.raises(InvalidOverride):
        await world.enforcement.lift_pass(held.pass_id, reason=" ", actor="operator:eva")


@pytest.mark.parametrize("mode", [EnforcementMode.OBSERVE, EnforcementMode.WARN])
async def test_other_modes_hold_nobody_and_say_whom_they_would(
    database: Database, clock: ManualClock, mode: EnforcementMode
) -> None:
    world = EnforcementWorld(database, clock, EnforcementConfig(mode=mode))
    account_id = await world.account("ada")
    await world.fail(account_id, clock.now())
    await world.enforcement.run_pass()
    await world.notifications.send_due()
    told = [one.kind for one in await world.notifications.list_notifications(account_id)]
    assert told == ([] if mode is EnforcementMode.OBSERVE else [NoticeKind.PAYMENT_FAILED])
    clock.advance(7 * DAY)
    await world.read_stripe()
    outcome = await world.enforcement.run_pass()
    assert (list(outcome.would_hold), outcome.held, await world.held()) == ([account_id], [], set())


async def test_e14_ten_passes_hold_once_and_tell_once(world: EnforcementWorld) -> None:
    account_id = await world.account("ada")
    await world.fail(account_id, world.clock.now() - 7 * DAY)
    outcomes = [await world.enforcement.run_pass() for _ in range(10)]
    assert sum(len(one.held) for one in outcomes) == 1
    actions = Counter(row[0] for row in await world.execute("SELECT action FROM audit_entries"))
    assert actions["services_held"] == 1
    rows = await world.execute("SELECT count(*) FROM notifications WHERE kind = 'services_held'")
    assert rows == [(1,)]


async def test_e07_organization_is_held_and_its_owners_are_told(world: EnforcementWorld) -> None:
    owner = await world.accounts.create_user("owner@example.com")
    organization = await world.accounts.create_organization("Alpine Labs", owner.account_id)
    account_id = organization.account_id
    await world.execute("UPDATE subscriptions SET plan = 'PRO' WHERE account_id = %s", account_id)
    await world.fail(account_id, world.clock.now())
    await world.enforcement.run_pass()
    await world.notifications.send_due()
    (notice,) = await world.notifications.list_notifications(account_id)
    assert (list(notice.recipients), notice.state) == (["owner@example.com"], "sent")
    assert "Alpine Labs" in (notice.body_text or "")


async def use_bandwidth(world: EnforcementWorld, account_id: AccountId, used_bytes: int) -> None:
    now = world.clock.now()
    hour = now.replace(minute=0, second=0, microsecond=0)
    await world.execute(
        "INSERT INTO usage_records (id, account_id, service_id, metric, incarnation, quantity, timestamp, period_start,"
        " period_end) VALUES (%s, %s, %s, 'BANDWIDTH_GB', %s, %s, %s, %s, %s)",
        *(new_id(), account_id, account_id, str(new_id()), used_bytes, now, hour, hour + timedelta(hours=1)),
    )


async def test_free_bandwidth_is_told_at_each_mark_then_held_and_back_next_month(world: EnforcementWorld) -> None:
    account_id = await world.account("ada", plan="FREE")
    for gigabytes in (8, 1, 1):
        await use_bandwidth(world, account_id, gigabytes * BYTES_PER_GB)
        await world.enforcement.check_quotas()
        world.clock.advance(timedelta(minutes=2))
        await world.notifications.send_due()
    told = [one.figures["percent"] for one in await world.notifications.list_notifications(account_id)]
    assert sorted(told) == ["100", "80", "90"]
    rows = await world.execute("SELECT cause FROM service_holds WHERE account_id = %s", account_id)
    assert rows == [("quota",)]
    world.clock.advance(31 * DAY)
    await world.enforcement.check_quotas()
    assert await world.execute("SELECT cause FROM service_holds") == []


async def test_pass_over_many_accounts_is_quick(world: EnforcementWorld) -> None:
    count = trials.choose(small=1_000, full=10_000)
    await world.past_due_accounts(count, failed_at=world.clock.now() - DAY)
    started_s = time.monotonic()
    outcome = await world.enforcement.run_pass()
    took_s = time.monotonic() - started_s
    print(f"a pass over {count} accounts in grace took {took_s:.2f} s")
    assert outcome.account_count == count
    assert took_s < 5


async def test_lives_of_ten_days_with_cancelled_passes_tell_hold_and_resume_exactly(
    database: Database, clock: ManualClock
) -> None:
    seed, count = 20260310, trials.choose(small=12, full=500)
    dice = random.Random(seed)
    lives = TenDayLives(dice, clock.now())
    world, kill_count = EnforcementWorld(database, clock, EnforcementConfig()), 0
    await lives.begin(world, count)
    for instant in lives.instants():
        clock.advance_to(instant)
        await lives.happen(world, instant)
        if await killed_after(world.enforcement.run_pass(), dice.choice([0.001, 0.004, 0.02, 30])):
            kill_count += 1
            world = EnforcementWorld(database, clock, EnforcementConfig())
            assert (await world.enforcement.run_pass()).brake is None
        kill_count += await killed_after(world.notifications.send_due(), dice.choice([0.002, 30]))
        await world.notifications.send_due()
        await lives.look(world, instant)
    assert kill_count > 0
    await lives.check(world)
    trials.record("grace: lives of ten days, passes cut short at random, payment at the edge", count=count, seed=seed)

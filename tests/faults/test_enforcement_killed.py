"""SIGKILL of the worker in the middle of passes: told once, held and resumed in time; the brake holds nobody."""

import random
from collections import Counter
from collections.abc import AsyncIterator
from datetime import timedelta

import pytest

from helvetia.database.pool import Database
from helvetia.enforcement.model import EnforcementConfig
from helvetia.kernel.clock import ManualClock
from support import trials
from support.enforcement_process import EnforcementChild
from support.enforcement_world import EnforcementWorld
from support.ten_day_lives import TenDayLives

pytestmark = pytest.mark.slow

SEED = 10_2026
DAY = timedelta(days=1)


@pytest.fixture
def world(database: Database, clock: ManualClock) -> EnforcementWorld:
    return EnforcementWorld(database, clock, EnforcementConfig())


@pytest.fixture
async def child(database_url: str) -> AsyncIterator[EnforcementChild]:
    child = EnforcementChild(database_url)
    yield child
    await child.kill()


async def test_lives_of_ten_days_with_a_killed_worker_tell_hold_and_resume_exactly(
    world: EnforcementWorld, child: EnforcementChild
) -> None:
    count, share = trials.choose(small=5, full=60), trials.choose(small=0.06, full=0.25)
    dice, kills = random.Random(SEED), 0
    lives = TenDayLives(dice, world.clock.now())
    await lives.begin(world, count)
    for instant in lives.instants():
        world.clock.advance_to(instant)
        await lives.happen(world, instant)
        if dice.random() < share:
            await child.cut_turn(instant, dice.uniform(0.0005, 0.03))
            kills += 1
        await child.turn(instant)
        await lives.look(world, instant)
    assert kills > 0
    assert await world.execute("SELECT brake FROM enforcement_passes WHERE brake IS NOT NULL") == []
    await lives.check(world)
    trials.record("grace: lives of ten days, worker killed (SIGKILL) at random", count=count, seed=SEED)
    print(f"{count} lives, {kills} kills in the middle of a turn")


async def test_killed_worker_keeps_the_brake_on_and_lets_go_of_nobody_twice(
    world: EnforcementWorld, child: EnforcementChild
) -> None:
    accounts = [await world.account(f"user-{number}") for number in range(12)]
    dice = random.Random(SEED)
    for account_id in accounts[:6]:
        await world.fail(account_id, world.clock.now() - 7 * DAY)
    for _ in range(trials.choose(small=3, full=40)):
        await child.killed_turn(world.clock.now(), dice.uniform(0.001, 0.05))
        await child.turn(world.clock.now())
        assert await world.held() == set()
    (brake,) = {row[0] for row in await world.execute("SELECT brake FROM enforcement_passes")}
    assert "6 of 12 accounts" in brake
    await world.enforcement.run_pass(actor="operator:eva", despite_brake="a real wave")
    assert await world.held() == set(accounts[:6])
    for account_id in accounts[:6]:
        await world.pay(account_id)
    await child.killed_turn(world.clock.now(), 0.01)
    await child.turn(world.clock.now())
    assert await world.held() == set()
    rows = await world.execute("SELECT kind FROM notifications WHERE kind LIKE 'services%%' AND state = 'sent'")
    assert Counter(row[0] for row in rows) == {"services_held": 6, "services_resumed": 6}

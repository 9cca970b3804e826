"""M19, metering.md rule 7: what runs on while its service is held for payment costs no compute and no memory."""

import random
from datetime import UTC, datetime, timedelta
from itertools import pairwise

import pytest

from helvetia.containers.model import HoldCause
from helvetia.containers.store_holds import lift_holds, place_holds
from helvetia.database.pool import Database
from helvetia.kernel.clock import SystemClock, to_ns
from helvetia.kernel.period import Period
from helvetia.kernel.quantity import UsageMetric
from support.metered_house import MeteredHouse, ns
from support.trials import choose, record

COMPUTE, MEMORY, BANDWIDTH = UsageMetric.COMPUTE_HOURS, UsageMetric.MEMORY_GB_HOURS, UsageMetric.BANDWIDTH_GB
START = datetime(2026, 3, 10, 10, tzinfo=UTC)
LIVES = choose(small=3, full=100)
DAY = Period(starts_at=datetime(2026, 3, 10, tzinfo=UTC), ends_at=datetime(2026, 3, 11, tzinfo=UTC))
WHOLE = "the engine's own start and finish"
WITHOUT = f"{WHOLE}; the time held for payment is left out"


class HeldHouse(MeteredHouse):
    """A service that is held and goes on, for nobody can stop it."""

    async def live_until(self, hour: int, minute: int = 0) -> None:
        step = timedelta(minutes=1)
        await self.live(START.replace(hour=hour, minute=minute) - self.clock.now(), step=step)

    async def hold(self, cause: HoldCause = HoldCause.PAYMENT, *, at: datetime | None = None) -> None:
        at, services = at or self.clock.now(), [self.service_id]
        async with self.database.transaction() as tx:
            await place_holds(tx, self.account_id, services, cause, reason="t", placed_by="t", pass_id=None, at=at)

    async def lift(self, cause: HoldCause = HoldCause.PAYMENT, *, at: datetime | None = None) -> None:
        async with self.database.transaction() as tx:
            lifted = await lift_holds(tx, self.account_id, cause, None, at=at or self.clock.now())
        assert lifted == [self.service_id]

    async def used(self, metric: UsageMetric, period: Period = DAY) -> int:
        return (await self.totals(period)).quantities[metric]


@pytest.fixture
async def house(database: Database) -> HeldHouse:
    house = HeldHouse(database, START)
    await house.move_in()
    return house


async def test_m19_what_runs_on_while_held_for_payment_costs_no_compute_and_no_memory(house: HeldHouse) -> None:
    record = await house.start()
    await house.live_until(10, 30)
    await house.hold()
    await house.live_until(12, 30)
    assert await house.used(COMPUTE) == ns(timedelta(minutes=30))
    assert await house.used(MEMORY) == 1000 * ns(timedelta(minutes=30))
    await house.lift()
    await house.live_until(13, 10)
    await house.host.stop(record.container_id)
    await house.live_until(16)
    assert await house.used(COMPUTE) == ns(timedelta(minutes=30 + 40))
    assert await house.used(MEMORY) == 1000 * ns(timedelta(minutes=30 + 40))
    # Bytes were sent all the same, and the highest counter is billed.
    assert await house.used(BANDWIDTH) == 7 * 190 * 60
    rows = await house.fetch("SELECT bound FROM usage_records WHERE metric = 'COMPUTE_HOURS' ORDER BY period_start")
    assert [bound for (bound,) in rows] == [WITHOUT, WITHOUT, WITHOUT, WHOLE]
    assert await house.fetch("SELECT cause FROM metering_findings") == []
    await house.check()


async def test_m19_a_hold_told_after_what_it_held_was_counted_for_good_takes_it_back(house: HeldHouse) -> None:
    record = await house.start()
    await house.live_until(10, 30)
    await house.host.stop(record.container_id)
    await house.live_until(10, 31)
    assert await house.used(COMPUTE) == ns(timedelta(minutes=30))
    await house.hold(at=START + timedelta(minutes=20))
    await house.live_until(10, 32)
    assert await house.used(COMPUTE) == ns(timedelta(minutes=20))
    await house.lift(at=START + timedelta(minutes=25))
    await house.live_until(10, 33)
    assert await house.used(COMPUTE) == ns(timedelta(minutes=25))
    await house.check()


async def test_m19_a_hold_placed_twice_or_for_another_cause_takes_nothing_more(house: HeldHouse) -> None:
    await house.start()
    await house.live_until(10, 10)
    await house.hold(HoldCause.BUDGET)
    await house.live_until(10, 20)
    await house.hold()
    await house.live_until(10, 30)
    await house.hold()
    await house.lift(HoldCause.BUDGET)
    await house.live_until(10, 50)
    await house.lift()
    await house.live_until(11)
    assert await house.used(COMPUTE) == ns(timedelta(minutes=20 + 10))
    await house.check()


async def test_m19_a_hold_lifted_by_code_that_knows_no_stretches_ends_by_the_databases_clock(house: HeldHouse) -> None:
    await house.hold()
    async with house.database.transaction() as tx:
        await tx.execute("DELETE FROM service_holds")
        row = await (await tx.execute("SELECT ends_ns, starts_ns FROM payment_hold_stretches")).fetchone()
    assert row is not None
    assert to_ns(SystemClock().wall()) >= row[0] > row[1] == to_ns(house.clock.now())
    await house.check()


async def test_m19_a_hold_placed_again_at_the_instant_it_was_lifted_goes_on(house: HeldHouse) -> None:
    await house.start()
    await house.live_until(10, 10)
    await house.hold()
    await house.lift()
    await house.hold()
    await house.live_until(10, 30)
    assert await house.used(COMPUTE) == ns(timedelta(minutes=10))
    await house.check()


@pytest.mark.parametrize("seed", range(LIVES))
async def test_m19_random_holds_and_runs_cost_what_was_lived_outside_of_holds(house: HeldHouse, seed: int) -> None:
    """The oracle walks the minutes; the ledger integrates. Every hour by itself, and the invariants."""
    await _random_day(house, random.Random(seed))
    record("six hours of a service among random holds, stops and late looks", count=1, seed=f"0–{LIVES - 1}")


async def _random_day(house: HeldHouse, chance: random.Random) -> None:
    billed = [0] * 6
    is_held = False
    container = await house.start()
    is_running = True
    for minute in range(6 * 60):
        if chance.random() < 0.03:
            await (house.lift() if is_held else house.hold())
            is_held = not is_held
        if chance.random() < 0.02:
            if is_running:
                await house.host.stop(container.container_id)
                await house.tick()
            else:
                container = await house.start()
            is_running = not is_running
        house.clock.advance(timedelta(minutes=1))
        billed[minute // 60] += is_running and not is_held
        if chance.random() < 0.3:
            await house.tick()
    for _ in range(4):
        await house.tick()
    hours = [START + timedelta(hours=hour) for hour in range(7)]
    for hour, (starts_at, ends_at) in enumerate(pairwise(hours)):
        used = await house.used(COMPUTE, Period(starts_at=starts_at, ends_at=ends_at))
        assert used == ns(timedelta(minutes=billed[hour])), (hour, billed)
    await house.check()

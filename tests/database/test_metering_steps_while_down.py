"""The host's clock is set while no collector runs: the next one sees it, and nobody is billed more than was lived."""

import random
from datetime import timedelta

import pytest

from helvetia.database.pool import Database
from helvetia.kernel.clock import SystemClock
from helvetia.kernel.quantity import UsageMetric
from support.metered_house import ns
from support.settable_house import EVER, SettableHouse

MINUTE = timedelta(minutes=1)
STEPS = "SELECT step_ns FROM metering_clock_steps"


@pytest.fixture
async def house(database: Database) -> SettableHouse:
    house = SettableHouse(database)
    await house.move_in()
    return house


async def compute(house: SettableHouse) -> int:
    return (await house.totals(EVER)).quantities[UsageMetric.COMPUTE_HOURS]


@pytest.mark.parametrize("step", [timedelta(minutes=7), timedelta(hours=3, minutes=20), timedelta(days=1)])
@pytest.mark.parametrize("away", [timedelta(), timedelta(minutes=45)])
async def test_time_jumped_over_while_the_collector_was_down_is_not_billed(
    house: SettableHouse, step: timedelta, away: timedelta
) -> None:
    record = await house.start()
    await house.live(20 * MINUTE)
    house.clock.advance(away / 2)
    house.clock.set_by(step)
    house.clock.advance(away / 2)
    house.restart()
    await house.live(20 * MINUTE)
    await house.host.stop(record.container_id)
    await house.live(timedelta(hours=1, minutes=10), step=5 * MINUTE)
    assert await compute(house) == ns(40 * MINUTE + away)
    assert await house.fetch(STEPS) == [(ns(step),)]
    storage = (await house.totals(EVER)).quantities[UsageMetric.STORAGE_GB]
    assert storage <= 50 * ns(110 * MINUTE + away)
    await house.check()


@pytest.mark.parametrize("seed", range(40))
async def test_a_life_around_an_unseen_step_is_never_billed_for_more_than_it_was(
    house: SettableHouse, seed: int
) -> None:
    dice = random.Random(seed)
    away = timedelta(minutes=dice.randrange(1, 90))
    steps_at, starts_at, ends_at = (dice.random() * away for _ in range(3))
    await house.live(2 * MINUTE)
    lived = {}
    early = await house.start(replica=1)
    begun = house.clock.monotonic()
    moments = sorted([(steps_at, "step"), (starts_at, "start"), (ends_at, "end")])
    await house.live(MINUTE)
    past = timedelta()
    for moment, what in moments:
        house.clock.advance(moment - past)
        past = moment
        if what == "step":
            house.clock.set_by(timedelta(minutes=dice.randrange(1, 200)))
        elif what == "start":
            late = await house.start(replica=2)
            lived["late"] = house.clock.monotonic()
        else:
            await house.host.stop(early.container_id)
            lived["early"] = house.clock.monotonic() - begun
    house.clock.advance(away - past)
    house.restart()
    await house.live(5 * MINUTE)
    await house.host.stop(late.container_id)
    lived["late"] = house.clock.monotonic() - lived["late"]
    await house.live(timedelta(hours=2), step=10 * MINUTE)
    rows = await house.fetch(
        """SELECT container_id, sum(quantity)::bigint FROM usage_records JOIN container_runs USING (incarnation)
           WHERE metric = 'COMPUTE_HOURS' GROUP BY 1"""
    )
    used = {str(container_id): int(str(quantity)) for container_id, quantity in rows}
    assert used.get(early.container_id, 0) <= round(lived["early"] * 10**9) + 1_000
    assert used.get(late.container_id, 0) <= round(lived["late"] * 10**9) + 1_000
    await house.check()


@pytest.mark.parametrize("step", [timedelta(minutes=7), timedelta(hours=3)])
async def test_a_clock_set_back_while_down_never_bills_more_than_was_lived(
    house: SettableHouse, step: timedelta
) -> None:
    record = await house.start()
    await house.live(30 * MINUTE)
    house.clock.set_by(-step)
    house.restart()
    await house.live(30 * MINUTE)
    await house.host.stop(record.container_id)
    await house.live(timedelta(hours=4), step=10 * MINUTE)
    assert await compute(house) == max(0, ns(60 * MINUTE - step))
    assert await house.fetch(STEPS) == [(-ns(step),)]
    await house.check()


async def test_a_step_that_was_written_down_before_the_kill_is_not_counted_again(house: SettableHouse) -> None:
    record = await house.start()
    await house.live(20 * MINUTE)
    house.clock.set_by(timedelta(hours=2))
    await house.metering.sample()  # it sees the step, and dies
    house.restart()
    await house.live(20 * MINUTE)
    house.restart()
    await house.live(MINUTE)
    await house.host.stop(record.container_id)
    await house.live(timedelta(minutes=70), step=5 * MINUTE)
    assert await compute(house) == ns(41 * MINUTE)
    assert len(await house.fetch(STEPS)) == 1
    await house.check()


async def test_two_collectors_that_take_turns_write_a_step_down_once(house: SettableHouse) -> None:
    await house.start()
    former, next_one = house.metering, house.another_collector()
    await house.live(5 * MINUTE)
    house.clock.set_by(timedelta(hours=1))
    house.metering = next_one  # the lease went over
    await house.live(5 * MINUTE)
    house.metering = former  # and back, to one that remembers how it was before
    await house.live(5 * MINUTE)
    assert len(await house.fetch(STEPS)) == 1
    assert await compute(house) == ns(15 * MINUTE)


async def test_after_a_boot_nothing_is_said_of_the_time_before_it(house: SettableHouse) -> None:
    await house.start()
    await house.live(20 * MINUTE)
    house.clock.set_by(timedelta(hours=2))
    house.clock.boot_again()
    house.restart()
    await house.live(2 * MINUTE)
    assert await house.fetch(STEPS) == []
    house.clock.set_by(timedelta(hours=1))
    house.restart()
    await house.live(2 * MINUTE)
    assert await house.fetch(STEPS) == [(ns(timedelta(hours=1)),)]


async def test_a_collector_that_was_only_away_sees_no_step(house: SettableHouse) -> None:
    await house.start()
    await house.live(20 * MINUTE)
    house.clock.advance(timedelta(days=2))
    house.restart()
    await house.live(20 * MINUTE)
    assert await house.fetch(STEPS) == []


def test_the_machines_own_clock_names_its_boot() -> None:
    assert SystemClock().boot_id() == SystemClock().boot_id() != ""

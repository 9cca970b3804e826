"""The host's clock is set while containers run: time it jumped over is nobody's usage."""

from datetime import timedelta

import pytest

from helvetia.database.pool import Database
from helvetia.kernel.quantity import UsageMetric
from support.metered_house import MeteredHouse, ns
from support.settable_house import EVER, START, SettableHouse


@pytest.fixture
async def house(database: Database) -> SettableHouse:
    house = SettableHouse(database)
    await house.move_in()
    return house


@pytest.mark.parametrize("step", [timedelta(minutes=7), timedelta(hours=3, minutes=20), timedelta(days=1)])
async def test_time_that_the_clock_jumped_over_is_not_billed(house: SettableHouse, step: timedelta) -> None:
    record = await house.start()
    await house.live(timedelta(minutes=20))
    house.clock.set_by(step)
    await house.live(timedelta(minutes=20))
    await house.host.stop(record.container_id)
    await house.live(timedelta(hours=1, minutes=10), step=timedelta(minutes=5))
    totals = (await house.totals(EVER)).quantities
    assert totals[UsageMetric.COMPUTE_HOURS] == ns(timedelta(minutes=40))
    assert totals[UsageMetric.MEMORY_GB_HOURS] == 1000 * ns(timedelta(minutes=40))
    assert totals[UsageMetric.STORAGE_GB] <= 50 * ns(timedelta(minutes=110))
    await house.check()


@pytest.mark.parametrize("step", [timedelta(minutes=7), timedelta(hours=3)])
async def test_a_clock_set_back_never_bills_more_than_was_lived(house: SettableHouse, step: timedelta) -> None:
    record = await house.start()
    await house.live(timedelta(minutes=30))
    house.clock.set_by(-step)
    await house.live(timedelta(minutes=30))
    await house.host.stop(record.container_id)
    await house.live(timedelta(hours=4), step=timedelta(minutes=10))
    used = (await house.totals(EVER)).quantities[UsageMetric.COMPUTE_HOURS]
    assert used == max(0, ns(timedelta(minutes=60) - step))  # the smaller of the engine's word and what was lived
    await house.check()


async def test_a_clock_set_ahead_and_right_again_bills_at_most_what_was_lived(house: SettableHouse) -> None:
    record = await house.start()
    await house.live(timedelta(minutes=20))
    house.clock.set_by(timedelta(hours=2))
    await house.live(timedelta(minutes=10))
    house.clock.set_by(-timedelta(hours=2))
    await house.live(timedelta(minutes=30))
    await house.host.stop(record.container_id)
    await house.live(timedelta(hours=3), step=timedelta(minutes=10))
    used = (await house.totals(EVER)).quantities[UsageMetric.COMPUTE_HOURS]
    assert ns(timedelta(minutes=49)) <= used <= ns(timedelta(minutes=60))
    await house.check()


async def test_business_time_that_is_moved_ahead_is_no_step(database: Database) -> None:
    house = MeteredHouse(database, START)
    await house.move_in()
    await house.start()
    await house.live(timedelta(hours=5), step=timedelta(hours=1))
    assert await house.fetch("SELECT FROM metering_clock_steps") == []
    assert (await house.totals(EVER)).quantities[UsageMetric.COMPUTE_HOURS] == ns(timedelta(hours=5))

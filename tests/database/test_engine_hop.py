"""The first hop, engine against ledger: equal while all is well; each difference named by metric, hour and amount."""

from datetime import UTC, datetime, timedelta

import pytest

from helvetia.database.pool import Database
from helvetia.kernel.clock import to_ns
from helvetia.kernel.quantity import NS_PER_HOUR, UsageMetric
from support.engine_hop import engine_hop
from support.metered_house import MeteredHouse, ns

START = datetime(2026, 3, 10, 8, 0, 0, tzinfo=UTC)
SECOND_HOUR = START + timedelta(hours=1)


@pytest.fixture
async def house(database: Database) -> MeteredHouse:
    """Four hours of a container with a layer of 50 bytes; the first two hours are closed and old enough to compare."""
    house = MeteredHouse(database, START)
    await house.move_in()
    await house.start()
    await house.live(timedelta(hours=4), step=timedelta(minutes=10))
    return house


async def change(house: MeteredHouse, statement: str, *values: object) -> None:
    async with house.database.transaction() as tx:
        cursor = await tx.execute(statement, values)  # type: ignore[arg-type]
        assert cursor.rowcount == 1


async def test_hours_of_a_life_that_was_only_looked_at_agree(house: MeteredHouse) -> None:
    await house.check()
    stored = await house.fetch(
        "SELECT count(*) FROM usage_records WHERE metric = 'STORAGE_GB' AND closed_at IS NOT NULL"
    )
    assert stored >= [(2,)], "there is something to compare"


async def test_size_that_the_ledger_does_not_hold_is_named_by_its_hour(house: MeteredHouse) -> None:
    at_ns = to_ns(SECOND_HOUR + timedelta(minutes=20))
    await change(house, "UPDATE storage_readings SET size_bytes = size_bytes + 7 WHERE sampled_ns = %s", at_ns)
    async with house.database.transaction() as tx:
        [found] = (await engine_hop(tx, house.clock.now()))[house.account_id]
    held_ns = ns(timedelta(minutes=10))
    assert (found.metric, found.starts_ns, found.ends_ns) == (
        UsageMetric.STORAGE_GB,
        to_ns(SECOND_HOUR),
        to_ns(SECOND_HOUR) + NS_PER_HOUR,
    )
    assert found.engine - found.ledger == 7 * held_ns


async def test_storage_that_no_engine_told_of_is_named_by_its_hour(house: MeteredHouse) -> None:
    await change(
        house, "DELETE FROM storage_readings WHERE sampled_ns = (SELECT min(sampled_ns) FROM storage_readings)"
    )
    async with house.database.transaction() as tx:
        [found] = (await engine_hop(tx, house.clock.now()))[house.account_id]
    assert (found.metric, found.starts_ns) == (UsageMetric.STORAGE_GB, to_ns(START))
    assert found.engine < found.ledger

from datetime import UTC, datetime, timedelta

from helvetia.database.lease import give_up_lease, take_lease
from helvetia.database.pool import Database

NOON = datetime(2026, 3, 10, 12, tzinfo=UTC)
LASTS = timedelta(seconds=10)


async def test_lease_of_a_live_holder_is_refused_to_others(database: Database) -> None:
    async with database.transaction() as tx:
        assert await take_lease(tx, "worker", holder="elsewhere/1", wall=NOON, lasts=LASTS)
        assert await take_lease(tx, "worker", holder="here/2", wall=NOON, lasts=LASTS) is None


async def test_lease_that_ran_out_goes_to_the_next_with_a_greater_number(database: Database) -> None:
    async with database.transaction() as tx:
        first = await take_lease(tx, "worker", holder="elsewhere/1", wall=NOON, lasts=LASTS)
        second = await take_lease(tx, "worker", holder="here/2", wall=NOON + LASTS, lasts=LASTS)
    assert first
    assert second
    assert second.fencing_number == first.fencing_number + 1


async def test_lease_given_up_is_free_at_once(database: Database) -> None:
    async with database.transaction() as tx:
        first = await take_lease(tx, "worker", holder="elsewhere/1", wall=NOON, lasts=LASTS)
        assert first
        await give_up_lease(tx, first)
        assert await take_lease(tx, "worker", holder="here/2", wall=NOON, lasts=LASTS)

"""No store beside the ledger: with it away a tick fails soon, and the next one goes on."""

import asyncio
from datetime import UTC, datetime

import pytest

from helvetia.database.pool import Database, DatabaseUnavailable
from support.metered_house import MeteredHouse


async def test_m20_a_dead_database_fails_a_tick_in_bounded_time_and_blocks_nothing() -> None:
    database = Database("postgresql://nobody@127.0.0.1:1/none", wait_s=0.3)
    await database.open()
    house = MeteredHouse(database, datetime(2026, 3, 10, 10, tzinfo=UTC))
    try:
        async with asyncio.timeout(10):
            for tick in (house.metering.sample, house.metering.sweep, house.metering.roll_up, house.metering.close_due):
                with pytest.raises(DatabaseUnavailable):
                    await tick()
    finally:
        await database.close()

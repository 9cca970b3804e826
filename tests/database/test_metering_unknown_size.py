"""A holder that could not be sized is there: neither gone nor empty, and the stretch without a size is told."""

from datetime import UTC, datetime, timedelta

import pytest

from helvetia.containers.model import ContainerSpec, Volume
from helvetia.database.pool import Database
from helvetia.kernel.period import Period
from helvetia.kernel.quantity import UsageMetric
from helvetia.metering.model import FindingCause
from support.metered_house import MeteredHouse, ns

START = datetime(2026, 3, 10, 10, tzinfo=UTC)
DAY = Period(starts_at=START, ends_at=START + timedelta(days=1))
STORAGE = UsageMetric.STORAGE_GB


@pytest.fixture
async def house(database: Database) -> MeteredHouse:
    house = MeteredHouse(database, START)
    await house.move_in()
    spec = ContainerSpec(
        account_id=house.account_id,
        service_id=house.service_id,
        revision=1,
        replica=1,
        image="demo",
        command=(),
        env={"SIM_VOLUME_BYTES": "9", "SIM_LAYER_BYTES": "0"},
        memory_bytes=2**26,
        cpu_cores=1,  # type: ignore[arg-type]
        volumes=(Volume(name="data", path="/data"),),
    )
    await house.host.create_and_start(spec)
    await house.tick()
    return house


async def test_a_size_that_could_not_be_read_once_neither_ends_nor_empties_its_volume(house: MeteredHouse) -> None:
    await house.live(timedelta(minutes=10))
    house.host.sizes_fail = True
    await house.live(timedelta(minutes=30))
    assert (await house.totals(DAY)).quantities[STORAGE] == 9 * ns(timedelta(minutes=40))
    house.host.sizes_fail = False
    await house.live(timedelta(minutes=20))
    totals = await house.totals(DAY)
    assert totals.quantities[STORAGE] == 9 * ns(timedelta(minutes=60))
    assert [(gap.cause, gap.starts_at, gap.ends_at) for gap in totals.gaps] == [
        (FindingCause.SIZE_UNKNOWN, START + timedelta(minutes=10), START + timedelta(minutes=40))
    ]
    assert await house.fetch(
        "SELECT count(*) FROM storage_readings WHERE size_bytes <> 9 AND holder LIKE '%%data%%'"
    ) == [(0,)]
    await house.check()


async def test_a_volume_that_is_gone_after_an_unknown_size_ends_when_it_was_last_there(house: MeteredHouse) -> None:
    await house.live(timedelta(minutes=10))
    house.host.sizes_fail = True
    await house.live(timedelta(minutes=5))
    await house.host.remove_volumes(house.service_id)
    house.host.sizes_fail = False
    await house.live(timedelta(minutes=30))
    assert (await house.totals(DAY)).quantities[STORAGE] == 9 * ns(timedelta(minutes=15))
    await house.check()

"""Counters of this machine that are damaged or lost: never on a bill, always on record, and over when they are over."""

from collections.abc import Callable, Sequence
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from helvetia.containers.model import ContainerCounters, Counts, StorageSize
from helvetia.database.pool import Database
from helvetia.kernel.clock import to_ns
from helvetia.kernel.period import Period
from helvetia.kernel.quantity import UsageMetric
from helvetia.metering.lifecycle.judge_counters import absurd_counter
from support.metered_house import MeteredHouse, ns

START = datetime(2026, 3, 10, 10, tzinfo=UTC)
MARCH = Period(starts_at=datetime(2026, 3, 1, tzinfo=UTC), ends_at=datetime(2026, 4, 1, tzinfo=UTC))
MINUTE = timedelta(minutes=1)
Damage = Callable[[ContainerCounters], ContainerCounters]


@pytest.fixture
async def house(database: Database) -> MeteredHouse:
    house = MeteredHouse(database, START)
    await house.move_in()
    return house


async def live_with(house: MeteredHouse, damage: Damage, length: timedelta) -> None:
    """Minutes in which every reading comes damaged."""
    read = house.host.read_counters

    async def damaged(*args: Any, **options: Any) -> Sequence[ContainerCounters]:
        return [damage(one) for one in await read(*args, **options)]

    house.host.read_counters = damaged  # type: ignore[method-assign]
    await house.live(length, step=MINUTE)
    house.host.read_counters = read  # type: ignore[method-assign]


@pytest.mark.parametrize(
    "damage",
    [
        lambda one: replace(one, transmitted_bytes=2**61),
        lambda one: replace(one, memory_bytes=2**61),
        lambda one: replace(one, cpu_ns=2**61),
        lambda one: replace(one, received_bytes=-1),
        lambda one: replace(one, external_bytes=one.transmitted_bytes + 1),
    ],
    ids=["bytes", "memory", "cpu", "negative", "more outward than sent"],
)
async def test_a_counter_that_cannot_be_is_an_anomaly_and_what_follows_counts_as_ever(
    house: MeteredHouse, damage: Damage
) -> None:
    await house.start()
    await house.live(10 * MINUTE, step=MINUTE)
    await live_with(house, damage, 2 * MINUTE)
    await house.live(10 * MINUTE, step=MINUTE)
    found = (await house.totals(MARCH)).quantities
    assert found[UsageMetric.COMPUTE_HOURS] == ns(22 * MINUTE)
    assert found[UsageMetric.BANDWIDTH_GB] == 7 * 60 * 22
    assert found[UsageMetric.MEMORY_GB_HOURS] <= 1_000 * ns(22 * MINUTE)
    rows = await house.fetch("SELECT kind, cause FROM metering_findings WHERE cause <> 'no_reading'")
    assert [tuple(row) for row in rows] == [("anomaly", "absurd_counter")]
    await house.check()


def test_a_reading_from_just_before_the_start_that_was_written_down_is_no_sign_of_damage() -> None:
    started_ns = to_ns(START)
    early = Counts(started_ns - 4_000_000, 1_000, 1_000, 2_000_000, 500, 300, 400)
    assert absurd_counter(early, started_ns) is None
    assert absurd_counter(early._replace(cpu_ns=2**61), started_ns) is not None


async def test_a_size_that_cannot_be_is_unknown_and_the_last_one_goes_on(house: MeteredHouse) -> None:
    await house.start()
    await house.live(2 * MINUTE, step=MINUTE)
    before = await house.fetch("SELECT holder, size_bytes FROM storage_holders ORDER BY holder")
    read = house.host.read_storage

    async def damaged() -> Sequence[StorageSize]:
        return [replace(one, size_bytes=2**62) for one in await read()]

    house.host.read_storage = damaged  # type: ignore[method-assign]
    house.clock.advance(MINUTE)
    await house.metering.sample_storage()
    assert await house.fetch("SELECT holder, size_bytes FROM storage_holders ORDER BY holder") == before
    assert await house.fetch("SELECT DISTINCT cause FROM metering_findings WHERE kind = 'gap'") == [("size_unknown",)]


async def test_bytes_that_the_firewall_did_not_tell_are_a_gap_and_end_with_it(house: MeteredHouse) -> None:
    await house.start()
    await live_with(house, lambda one: replace(one, external_bytes=one.transmitted_bytes), 10 * MINUTE)
    assert (await house.totals(MARCH)).is_complete
    await live_with(house, lambda one: replace(one, external_bytes=None), 20 * MINUTE)
    found = await house.totals(MARCH)
    assert not found.is_complete
    [gap] = [gap for gap in found.gaps if gap.cause == "egress_unknown"]
    assert (gap.starts_at, gap.ends_at) == (START + 10 * MINUTE, START + 30 * MINUTE)
    assert found.quantities[UsageMetric.BANDWIDTH_GB] == 7 * 60 * 10
    await live_with(house, lambda one: replace(one, external_bytes=one.transmitted_bytes), 10 * MINUTE)
    found = await house.totals(MARCH)
    assert found.quantities[UsageMetric.BANDWIDTH_GB] == 7 * 60 * 40
    assert [(gap.starts_at, gap.ends_at) for gap in found.gaps] == [(START + 10 * MINUTE, START + 30 * MINUTE)]

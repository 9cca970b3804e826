"""A node that died for good is closed where it was last seen, told and priced; one that comes back is believed."""

from datetime import UTC, datetime, timedelta
from decimal import Decimal

import pytest

from helvetia.containers.simulated_host import SimulatedHost
from helvetia.database.pool import Database
from helvetia.kernel.period import Period
from helvetia.kernel.quantity import UsageMetric
from helvetia.metering.errors import NodeNotFound
from helvetia.metering.find_leaks import LeakService
from helvetia.metering.model import FindingCause, LeakKind, MeteringConfig
from helvetia.metering.nodes.lose_nodes import LostNodeService
from support.metered_house import MeteredHouse, ns

START = datetime(2026, 3, 10, 10, tzinfo=UTC)
EVER = Period(starts_at=START, ends_at=START + timedelta(days=20))
CONFIG = MeteringConfig(sample_interval_s=60, settle_s=180, node_lost_after_s=7_200, node_patience_s=0)
COMPUTE, STORAGE = UsageMetric.COMPUTE_HOURS, UsageMetric.STORAGE_GB


@pytest.fixture
async def house(database: Database) -> MeteredHouse:
    house = MeteredHouse(database, START, CONFIG)
    await house.move_in()
    await house.start()
    await house.live(timedelta(minutes=30))
    return house


def watchdog(house: MeteredHouse, **changes: float) -> LostNodeService:
    """A worker elsewhere, whose own host is another one."""
    config = MeteringConfig(**{"node_lost_after_s": 7_200, "node_patience_s": 0, **changes})  # type: ignore[arg-type]
    return LostNodeService(house.database, house.clock, SimulatedHost("test", house.clock, node="elsewhere"), config)


async def die(house: MeteredHouse) -> None:
    house.host.is_available = False
    house.clock.advance(timedelta(hours=3))


async def settle(house: MeteredHouse) -> None:
    await house.metering.roll_up()
    await house.metering.close_due()


async def test_usage_of_a_node_that_died_is_closed_where_it_was_last_seen(house: MeteredHouse) -> None:
    await die(house)
    await settle(house)
    assert not (await house.totals(EVER)).is_closed
    assert await watchdog(house).lose_silent_nodes() == 1
    await settle(house)
    totals = await house.totals(EVER)
    assert totals.is_closed
    assert totals.quantities[COMPUTE] == ns(timedelta(minutes=30))
    assert {(gap.cause, gap.starts_at, gap.ends_at) for gap in totals.gaps} == {
        (FindingCause.NODE_LOST, START + timedelta(minutes=30), START + timedelta(hours=3, minutes=30))
    }
    assert await watchdog(house).lose_silent_nodes() == 0
    await house.check()


async def test_a_lost_node_is_a_priced_task_and_stands_in_the_audit_record(house: MeteredHouse) -> None:
    await die(house)
    assert await watchdog(house).declare_lost("simulated", actor="operator:x", reason="burnt") == 2
    assert await watchdog(house).declare_lost("simulated", actor="operator:x", reason="burnt") == 0
    (leak,) = await LeakService(house.database, house.clock).find_leaks()
    assert (leak.kind, leak.name, leak.since_at) == (LeakKind.NODE_LOST, "simulated", START + timedelta(minutes=30))
    assert leak.day_minor == Decimal("24.0000")
    rows = await house.fetch("SELECT actor, action, reason, detail FROM audit_entries")
    detail = {"node": "simulated", "runs": 1, "holders": 1}
    assert rows == [("operator:x", "metering.node_lost", "burnt", detail)]


async def test_a_node_that_comes_back_goes_on_as_if_it_had_never_ended(house: MeteredHouse) -> None:
    await die(house)
    await watchdog(house).lose_silent_nodes()
    await settle(house)
    closed = await house.fetch("SELECT id, quantity FROM usage_records WHERE closed_at IS NOT NULL ORDER BY id")
    house.host.is_available = True
    await house.live(timedelta(minutes=30))
    totals = await house.totals(EVER)
    assert totals.quantities[COMPUTE] == ns(timedelta(hours=4))
    assert totals.quantities[STORAGE] == 50 * ns(timedelta(hours=4) - timedelta(minutes=1))
    assert FindingCause.NODE_LOST not in {gap.cause for gap in totals.gaps}
    assert FindingCause.NO_READING in {gap.cause for gap in totals.gaps}
    assert await LeakService(house.database, house.clock).find_leaks() == []
    for row in closed:
        assert await house.fetch("SELECT id, quantity FROM usage_records WHERE id = %s", row[0]) == [row]
    await house.check()


async def test_a_node_that_is_heard_of_our_own_host_and_a_fresh_start_lose_nothing(house: MeteredHouse) -> None:
    house.clock.advance(timedelta(hours=3))
    own = LostNodeService(house.database, house.clock, house.host, CONFIG)
    assert await own.lose_silent_nodes() == 0
    assert await watchdog(house, node_patience_s=60).lose_silent_nodes() == 0
    await house.tick()
    assert await watchdog(house).lose_silent_nodes() == 0
    house.host.is_available = False
    house.clock.advance(timedelta(hours=3))
    assert await own.lose_silent_nodes() == 1


async def test_a_node_of_which_nothing_was_ever_seen_cannot_be_lost(house: MeteredHouse) -> None:
    with pytest.raises(NodeNotFound):
        await watchdog(house).declare_lost("nowhere", actor="operator:x", reason="typo")

"""Readings in days, records in months, roll-ups that are their sum: whatever is dropped, no total changes."""

import random
from datetime import UTC, date, datetime, timedelta

import pytest

from helvetia.database.partitions import keep_partitions, list_partitions
from helvetia.database.pool import Database
from helvetia.kernel.clock import to_ns
from helvetia.kernel.period import Period
from helvetia.kernel.quantity import UsageMetric
from helvetia.metering import store_usage
from helvetia.metering.model import MeteringConfig
from helvetia.metering.retention.service import RetentionService
from helvetia.metering.retention.store import SIZES, TABLES
from helvetia.metering.service import UsageTrackingService
from support import trials
from support.metered_house import MeteredHouse, ns

START = datetime(2026, 3, 30, 10, tzinfo=UTC)
EVER = Period(starts_at=datetime(2026, 1, 1, tzinfo=UTC), ends_at=datetime(2027, 1, 1, tzinfo=UTC))
CONFIG = MeteringConfig(sample_interval_s=60, settle_s=180, hours_per_pass=12, readings_kept_days=1)


class Attic(MeteredHouse):
    """A house that keeps its readings for a day only."""

    def __init__(self, database: Database) -> None:
        super().__init__(database, START, CONFIG)
        self.retention = RetentionService(database, self.clock, CONFIG)

    async def names(self, table: str) -> list[str]:
        async with self.database.transaction() as tx:
            found = await list_partitions(tx, next(one for one in TABLES if one.name == table))
        return sorted(one.name.removeprefix(f"{table}_") for one in found)


@pytest.fixture
async def attic(database: Database) -> Attic:
    attic = Attic(database)
    await attic.move_in()
    return attic


async def test_partitions_are_made_ahead_and_again_changes_nothing(attic: Attic) -> None:
    assert await attic.retention.keep_partitions() == 8 + 8 + 3
    assert await attic.retention.keep_partitions() == 0
    assert await attic.names("usage_records") == ["default", "m202603", "m202604", "m202605"]
    assert (await attic.names("container_readings"))[:4] == ["d20260330", "d20260331", "d20260401", "d20260402"]


async def test_rows_without_a_partition_are_kept_and_then_moved_to_their_own(attic: Attic) -> None:
    await attic.start()
    await attic.live(timedelta(days=3), step=timedelta(hours=1))
    before = (await attic.totals(EVER)).quantities
    assert await attic.fetch("SELECT count(*) > 0 FROM ONLY usage_records_default") == [(True,)]
    await attic.retention.keep_partitions()
    for table in TABLES:
        assert await attic.fetch(f"SELECT FROM {table.default}") == []
    assert await attic.fetch("SELECT count(*) > 0 FROM usage_records_m202604") == [(True,)]
    assert (await attic.totals(EVER)).quantities == before
    await attic.live(timedelta(hours=2))
    await attic.check()


async def test_a_closed_record_in_a_moved_partition_still_cannot_be_changed(attic: Attic) -> None:
    await attic.start()
    await attic.live(timedelta(hours=2), step=timedelta(minutes=20))
    await attic.retention.keep_partitions()
    with pytest.raises(Exception, match="is closed"):
        await attic.fetch("UPDATE usage_records_m202603 SET quantity = 0 WHERE closed_at IS NOT NULL")


async def test_the_default_partition_is_emptied_in_bounded_passes(
    attic: Attic, database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("helvetia.database.partitions.SLICES_PER_PASS_MAX", 2)
    for day in (1, 5, 9):
        await attic.fetch(
            """INSERT INTO storage_readings (account_id, service_id, holder, sampled_ns, size_bytes, recorded_at)
               VALUES (%s, %s, 'v', %s, 1, %s) RETURNING 1""",
            *(attic.account_id, attic.service_id, to_ns(datetime(2026, 1, day, tzinfo=UTC)), START),
        )
    left = []
    for _ in range(2):
        async with database.transaction() as tx:
            await keep_partitions(tx, SIZES, START)
        left += await attic.fetch("SELECT count(*) FROM storage_readings_default")
    assert left == [(1,), (0,)]
    assert await attic.fetch("SELECT count(*) FROM storage_readings") == [(3,)]


async def test_readings_are_dropped_in_whole_days_and_no_total_changes(attic: Attic) -> None:
    await attic.retention.keep_partitions()
    record = await attic.start()
    await attic.live(timedelta(days=4), step=timedelta(minutes=10))
    before = (await attic.totals(EVER)).quantities
    pieces = await attic.fetch("SELECT reading_count, first_reading_ns, last_reading_ns FROM usage_records ORDER BY id")
    assert await attic.retention.drop_readings() == 6  # three whole days of readings and of sizes
    assert await attic.retention.drop_readings() == 0
    assert "d20260401" not in await attic.names("container_readings")
    assert "d20260402" in await attic.names("container_readings")
    assert (await attic.totals(EVER)).quantities == before
    assert pieces == await attic.fetch(
        "SELECT reading_count, first_reading_ns, last_reading_ns FROM usage_records ORDER BY id"
    )
    await attic.live(timedelta(hours=3))
    await attic.host.stop(record.container_id)
    await attic.live(timedelta(hours=2))
    length = timedelta(days=4, hours=3)
    totals = (await attic.totals(EVER)).quantities
    assert totals[UsageMetric.COMPUTE_HOURS] == ns(length)
    assert totals[UsageMetric.BANDWIDTH_GB] == 7 * (length // timedelta(seconds=1))
    await attic.check()


async def test_a_boundary_learnt_after_the_readings_went_takes_nothing_away(attic: Attic) -> None:
    await attic.retention.keep_partitions()
    await attic.start()
    await attic.live(timedelta(days=3), step=timedelta(minutes=10))
    await attic.retention.drop_readings()
    before = (await attic.totals(EVER)).quantities
    await attic.cut(START + timedelta(hours=5, minutes=17, seconds=23))
    await attic.tick()
    assert (await attic.totals(EVER)).quantities == before
    await attic.check()


async def test_readings_of_what_is_not_counted_for_good_are_kept(attic: Attic) -> None:
    await attic.retention.keep_partitions()
    await attic.start()
    await attic.live(timedelta(hours=2))
    attic.host.is_available = False
    attic.clock.advance(timedelta(days=5))
    assert await attic.retention.drop_readings() == 0
    assert "d20260330" in await attic.names("container_readings")


async def test_the_last_size_of_a_holder_is_carried_over_the_drop(attic: Attic) -> None:
    await attic.retention.keep_partitions()
    record = await attic.start(SIM_RUN_MS="60000")
    await attic.live(timedelta(minutes=10))
    attic.clock.advance(timedelta(days=4))
    await attic.tick()
    await attic.metering.roll_up()
    before = (await attic.totals(EVER)).quantities[UsageMetric.STORAGE_GB]
    await attic.retention.drop_readings()
    await attic.cut(attic.clock.now() - timedelta(minutes=30))
    await attic.tick()
    assert (
        (await attic.totals(EVER)).quantities[UsageMetric.STORAGE_GB] == before == 50 * ns(timedelta(days=4, minutes=9))
    )
    assert record.container_id
    await attic.check()


async def test_usage_by_day_and_month_tells_each_service_apart(attic: Attic) -> None:
    usage = UsageTrackingService(attic.database, attic.clock)
    await attic.start()
    await attic.live(timedelta(days=2), step=timedelta(hours=1))
    other = attic.service_id
    attic.service_id = await attic.new_service(attic.account_id, "db")
    await attic.start(replica=2)
    await attic.live(timedelta(hours=2), step=timedelta(minutes=30))
    days = await usage.get_usage_by_day(attic.account_id, date(2026, 3, 30), date(2026, 4, 2), other)
    compute = [one.quantity for one in days if one.metric is UsageMetric.COMPUTE_HOURS]
    assert compute == [ns(timedelta(hours=14)), ns(timedelta(hours=24)), ns(timedelta(hours=12))]
    months = await usage.get_usage_by_month(attic.account_id, date(2026, 3, 1), date(2026, 5, 1))
    found = {(one.starts_on, one.service_id): one.quantity for one in months if one.metric is UsageMetric.COMPUTE_HOURS}
    assert found == {
        (date(2026, 3, 1), other): ns(timedelta(hours=38)),
        (date(2026, 4, 1), other): ns(timedelta(hours=12)),
        (date(2026, 4, 1), attic.service_id): ns(timedelta(hours=2)),
    }


@pytest.mark.parametrize("seed", range(trials.choose(small=3, full=60)))
async def test_any_sequence_of_events_keeps_the_roll_ups_equal_to_the_records(attic: Attic, seed: int) -> None:
    dice = random.Random(seed)
    usage = UsageTrackingService(attic.database, attic.clock)
    running: list[str] = []
    for step in range(60):
        attic.clock.advance(timedelta(seconds=dice.randint(60, 20_000)))
        what = dice.choice(("start", "stop", "tick", "tick", "cut", "close", "record", "keep", "drop"))
        if what == "start":
            running.append((await attic.start(replica=step)).container_id)
        elif what == "stop" and running:
            await attic.host.stop(running.pop(dice.randrange(len(running))))
        elif what == "cut":
            await attic.cut(attic.clock.now() - timedelta(seconds=dice.randint(0, 300_000)))
        elif what == "close":
            await attic.metering.close_through(attic.account_id, attic.clock.now())
        elif what == "record":
            ends_at = attic.clock.now().replace(minute=0, second=0, microsecond=0)
            await _record(attic, usage, Period(starts_at=ends_at - timedelta(minutes=1), ends_at=ends_at), step)
        elif what == "keep":
            await attic.retention.keep_partitions()
        elif what == "drop":
            before = (await attic.totals(EVER)).quantities
            await attic.retention.drop_readings()
            assert (await attic.totals(EVER)).quantities == before
        else:
            await attic.tick()
        await _assert_totals_add_up(attic, dice)
    await attic.tick()
    await attic.check()
    trials.record("roll-ups compared with the records after each of 60 random steps", count=60)


async def _record(attic: Attic, usage: UsageTrackingService, period: Period, step: int) -> None:
    async with attic.database.transaction() as tx:
        if await store_usage.has_cut_inside(tx, attic.account_id, period):
            return
    await usage.record_usage(
        attic.account_id,
        attic.service_id,
        UsageMetric.BANDWIDTH_GB,
        step,
        period,
        idempotency_key=str(step),
        reason="test",
        actor="test",
    )


async def _assert_totals_add_up(attic: Attic, dice: random.Random) -> None:
    """The invariants of the roll-ups, and the total of a random period against the sum of its records."""
    starts_at = START + timedelta(seconds=dice.randint(-100_000, 400_000))
    period = Period(starts_at=starts_at, ends_at=starts_at + timedelta(seconds=dice.randint(1, 500_000)))
    rows = await attic.fetch(
        """SELECT metric, sum(quantity) FROM usage_records WHERE period_start >= %s AND period_start < %s
           GROUP BY metric""",
        *(period.starts_at, period.ends_at),
    )
    raw = {metric: int(str(quantity)) for metric, quantity in rows}
    assert (await attic.totals(period)).quantities == {metric: raw.get(metric, 0) for metric in UsageMetric}
    days = await attic.fetch("SELECT metric, sum(quantity) FROM usage_days GROUP BY metric")
    months = await attic.fetch("SELECT metric, sum(quantity) FROM usage_months GROUP BY metric")
    records = await attic.fetch("SELECT metric, sum(quantity) FROM usage_records GROUP BY metric")
    for rolled in (days, months):
        assert {k: v for k, v in rolled if v} == {k: v for k, v in records if v}

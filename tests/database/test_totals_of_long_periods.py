"""Totals of long periods, from roll-ups of months and days and from records at both ends: the sum of the records."""

import random
from datetime import UTC, datetime, timedelta

from helvetia.database.pool import Database
from helvetia.enforcement.store import quota_use
from helvetia.kernel.clock import to_ns
from helvetia.kernel.period import Period
from helvetia.kernel.quantity import NS_PER_HOUR, UsageMetric
from helvetia.metering import store_pieces
from support.metered_house import MeteredHouse

START = datetime(2025, 11, 17, 9, tzinfo=UTC)
HOURS = 150 * 24
_FILL = """
INSERT INTO usage_records (id, account_id, service_id, metric, incarnation, revision, quantity, "timestamp",
    period_start, period_end, closed_at, reading_count)
SELECT gen_random_uuid(), %(account_id)s, %(service_id)s, 'BANDWIDTH_GB', 'c:1', 0, hour, at, at,
    at + interval '1 hour', at + interval '1 hour', 1
FROM generate_series(1, %(hours)s) AS hour, LATERAL (SELECT %(start)s + hour * interval '1 hour' AS at) AS t
RETURNING 1
"""


async def test_totals_of_any_period_over_months_are_the_sum_of_its_records(database: Database) -> None:
    house = MeteredHouse(database, START)
    await house.move_in()
    async with database.transaction() as tx:
        await tx.execute(
            _FILL,
            {"account_id": house.account_id, "service_id": house.service_id, "hours": HOURS, "start": START},
        )
    dice = random.Random(7)
    lengths_s = [0, 60, 86_400, 31 * 86_400, 60 * 86_400, 200 * 86_400]
    for _ in range(60):
        starts_at = START + timedelta(seconds=dice.randint(-5 * 86_400, HOURS * 3_600))
        if dice.random() < 0.3:
            starts_at = starts_at.replace(day=dice.choice((1, 28)), hour=0, minute=0, second=0)
        period = Period(
            starts_at=starts_at, ends_at=starts_at + timedelta(seconds=dice.randint(1, dice.choice(lengths_s) + 2))
        )
        hours = [hour for hour in range(1, HOURS + 1) if START + timedelta(hours=hour) in period]
        assert (await house.totals(period)).quantities[UsageMetric.BANDWIDTH_GB] == sum(hours), period
        async with database.transaction() as tx:
            assert (await quota_use(tx, house.account_id, period)).bandwidth_bytes == sum(hours), period


async def test_the_bytes_of_a_run_are_summed_on_from_its_last_count_and_anew_from_an_earlier_one(
    database: Database,
) -> None:
    house = MeteredHouse(database, START)
    await house.move_in()
    await house.start()
    await house.live(timedelta(hours=3), step=timedelta(minutes=20))
    (row,) = await house.fetch("SELECT incarnation, counted_until, counted_bytes FROM container_runs")
    incarnation, counted_until, counted = row
    assert counted_until == START + timedelta(hours=2)
    assert counted == 7 * 2 * 3_600
    start_ns, key = to_ns(START), (house.service_id, str(incarnation))
    for hours in (1, 3, 2):
        async with database.transaction() as tx:
            told = await store_pieces.counted_bytes(
                tx, house.account_id, {key: (start_ns, start_ns + hours * NS_PER_HOUR)}
            )
        assert told == {key: 7 * hours * 3_600}
        await house.check()

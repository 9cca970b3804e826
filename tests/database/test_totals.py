"""Totals are read from months, days or pieces, whichever is least: in any period they are the sum of its pieces."""

import random
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from decimal import Decimal

import pytest

from helvetia.database.partitions import keep_partitions
from helvetia.database.pool import Database
from helvetia.kernel.period import Period
from helvetia.kernel.quantity import UsageMetric
from helvetia.metering.retention.store import LEDGER
from helvetia.metering.store_usage import closed_totals
from support.metered_house import MeteredHouse
from support.trials import choose, record

PERIODS = choose(small=60, full=3_000)
FIRST = datetime(2026, 1, 25, tzinfo=UTC)
DAYS = 70
COMPUTE, STORAGE = UsageMetric.COMPUTE_HOURS, UsageMetric.STORAGE_GB

_PIECES = """
INSERT INTO usage_records (id, account_id, service_id, metric, incarnation, revision, quantity, "timestamp",
    period_start, period_end, closed_at)
SELECT gen_random_uuid(), %(account_id)s, service_id, metric, service_id || ':1', 0,
    (extract(epoch FROM at)::bigint %% 999983) * (1 + extract(minute FROM at)::bigint), at, at,
    date_trunc('hour', at, 'UTC') + interval '1 hour', CASE WHEN extract(day FROM at) %% 9 <> 0 THEN at END
FROM generate_series(%(first)s, %(last)s, interval '1 hour') AS hour
CROSS JOIN LATERAL (VALUES (hour), (hour + interval '37 minutes')) AS cut (at)
CROSS JOIN unnest(%(services)s::uuid[]) AS service_id
CROSS JOIN (VALUES ('COMPUTE_HOURS'::usage_metric), ('STORAGE_GB'::usage_metric)) AS m (metric)
"""
_SUM = """
SELECT metric, sum(quantity), coalesce(sum(quantity) FILTER (WHERE closed_at IS NOT NULL), 0) FROM usage_records
WHERE account_id = %(account_id)s AND period_start >= %(first)s AND period_start < %(last)s
  AND (%(service)s::uuid IS NULL OR service_id = %(service)s) GROUP BY metric
"""


@pytest.fixture
async def house(database: Database) -> MeteredHouse:
    house = MeteredHouse(database, FIRST + timedelta(days=DAYS))
    await house.move_in()
    other = await house.new_service(house.account_id, "other")
    values = {
        "account_id": house.account_id,
        "services": [house.service_id, other],
        "first": FIRST,
        "last": FIRST + timedelta(days=DAYS, hours=-1),
    }
    async with database.transaction() as tx:
        for days in range(0, DAYS + 28, 28):
            await keep_partitions(tx, LEDGER, FIRST + timedelta(days=days))
        await tx.execute(_PIECES, values)
    return house


def _whole(found: Mapping[UsageMetric, Decimal]) -> dict[UsageMetric, int]:
    return {metric: int(found.get(metric, 0)) for metric in UsageMetric}


async def test_totals_of_random_periods_are_the_sums_of_their_pieces(house: MeteredHouse) -> None:
    chance = random.Random(5)
    for number in range(PERIODS):
        starts_at = FIRST + timedelta(minutes=chance.randrange(-3_000, DAYS * 1_440))
        length = chance.choice([timedelta(days=30), timedelta(minutes=chance.randrange(1, DAYS * 1_440))])
        period = Period(starts_at=starts_at, ends_at=starts_at + length)
        service = chance.choice([None, house.service_id])
        values = {"account_id": house.account_id, "first": starts_at, "last": period.ends_at, "service": service}
        async with house.database.transaction() as tx:
            rows = await (await tx.execute(_SUM, values)).fetchall()
            closed = await closed_totals(tx, house.account_id, period)
        used = (await house.totals(period, service_id=service)).quantities
        assert used == _whole({metric: total for metric, total, _ in rows}), (number, period)
        if service is None:
            assert closed == _whole({metric: total for metric, _, total in rows}), (number, period)
    assert await house.fetch("SELECT count(*) FROM usage_records") == [(DAYS * 24 * 2 * 2 * 2,)]
    record("totals of random periods: the sum of their pieces", count=PERIODS, seed=5)

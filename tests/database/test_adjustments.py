"""An operator's difference is a record of its own, once, audited, and never takes more than was used."""

import asyncio
from datetime import UTC, datetime, timedelta

import pytest

from helvetia.database.pool import Database
from helvetia.kernel.identity import AccountId, new_service_id
from helvetia.kernel.period import Period
from helvetia.kernel.quantity import UsageMetric
from helvetia.metering.corrections.adjust_usage import AdjustmentService
from helvetia.metering.errors import InvalidUsage, MeteredServiceNotFound, UsageKeyTaken
from helvetia.metering.model import UsageRecord
from support.metered_house import MeteredHouse

START = datetime(2026, 3, 10, 10, tzinfo=UTC)
HOUR = Period(starts_at=START, ends_at=START + timedelta(hours=1))
BANDWIDTH = UsageMetric.BANDWIDTH_GB


class Office(MeteredHouse):
    async def adjust(self, difference: int, key: str = "k", period: Period = HOUR) -> UsageRecord:
        return await AdjustmentService(self.database, self.clock).adjust_usage(
            self.account_id,
            self.service_id,
            BANDWIDTH,
            difference,
            period,
            idempotency_key=key,
            reason="our own backup",
            actor="operator:x",
        )


@pytest.fixture
async def office(database: Database) -> Office:
    office = Office(database, START)
    await office.move_in()
    await office.start()
    await office.live(timedelta(minutes=65), step=timedelta(minutes=5))
    return office


async def test_a_difference_stands_beside_the_closed_pieces_once_and_in_the_audit_record(office: Office) -> None:
    before = (await office.totals(HOUR)).quantities[BANDWIDTH]
    pieces = await office.fetch("SELECT id, quantity FROM usage_records WHERE closed_at IS NOT NULL ORDER BY id")
    records = await asyncio.gather(*(office.adjust(-100) for _ in range(3)))
    assert len({record.id for record in records}) == 1
    assert (await office.totals(HOUR)).quantities[BANDWIDTH] == before - 100
    for row in pieces:
        assert await office.fetch("SELECT id, quantity FROM usage_records WHERE id = %s", row[0]) == [row]
    audited = await office.fetch("SELECT account_id, actor, action, reason, detail ->> 'difference' FROM audit_entries")
    assert audited == [(office.account_id, "operator:x", "metering.usage_adjusted", "our own backup", "-100")]
    await office.check()


async def test_no_more_can_be_taken_away_than_was_used(office: Office) -> None:
    used = (await office.totals(HOUR)).quantities[BANDWIDTH]
    for difference in (-used - 1, 0, 10**30):
        with pytest.raises(InvalidUsage):
            await office.adjust(difference)
    await office.adjust(-used)
    assert (await office.totals(HOUR)).quantities[BANDWIDTH] == 0
    with pytest.raises(UsageKeyTaken):
        await office.adjust(-1)
    with pytest.raises(InvalidUsage):
        await office.adjust(-1, key="other")


async def test_an_adjustment_of_the_future_across_a_boundary_or_of_a_stranger_is_refused(office: Office) -> None:
    with pytest.raises(InvalidUsage):
        await office.adjust(5, period=Period(starts_at=START, ends_at=START + timedelta(days=1)))
    await office.cut(START + timedelta(minutes=20))
    with pytest.raises(InvalidUsage):
        await office.adjust(5)
    office.service_id = new_service_id()
    with pytest.raises(MeteredServiceNotFound):
        await office.adjust(5)
    office.account_id = AccountId(office.service_id)
    with pytest.raises(MeteredServiceNotFound):
        await office.adjust(5)
    assert await office.fetch("SELECT FROM audit_entries") == []

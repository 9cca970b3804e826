"""External records and what the ledger tells of services and accounts."""

import asyncio
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from itertools import pairwise

import pytest

from helvetia.accounts.model import Account, AccountKind
from helvetia.accounts.store import insert_account
from helvetia.containers.model import ServiceDefinition
from helvetia.containers.store import get_service, insert_service, mark_deleted
from helvetia.database.pool import Database
from helvetia.kernel.clock import ManualClock
from helvetia.kernel.identity import AccountId, ServiceId, new_account_id, new_service_id
from helvetia.kernel.period import Period
from helvetia.kernel.quantity import UsageMetric
from helvetia.metering import store
from helvetia.metering.errors import InvalidUsage, MeteredServiceNotFound, UsageKeyTaken
from helvetia.metering.invariants import broken_invariants
from helvetia.metering.model import UsageRecord
from helvetia.metering.service import UsageTrackingService

BANDWIDTH = UsageMetric.BANDWIDTH_GB
HOUR = Period(starts_at=datetime(2026, 3, 10, 9, tzinfo=UTC), ends_at=datetime(2026, 3, 10, 10, tzinfo=UTC))


async def an_account(database: Database) -> tuple[AccountId, ServiceId]:
    account_id, service_id = new_account_id(), new_service_id()
    definition = ServiceDefinition(name="web", image="demo", memory_mb=64, cpu_cores=Decimal("0.1"))
    account = Account(account_id=account_id, kind=AccountKind.USER, name="a", created_at=HOUR.starts_at)
    async with database.transaction() as tx:
        await insert_account(tx, account)
        await insert_service(tx, account_id, service_id, definition, HOUR.starts_at)
    return account_id, service_id


class Recorder:
    def __init__(self, database: Database, clock: ManualClock, account_id: AccountId, service_id: ServiceId) -> None:
        self.usage = UsageTrackingService(database, clock)
        self.account_id = account_id
        self.service_id = service_id

    async def record(self, quantity: int = 5, key: str = "k", period: Period = HOUR) -> UsageRecord:
        return await self.usage.record_usage(
            self.account_id,
            self.service_id,
            BANDWIDTH,
            quantity,
            period,
            idempotency_key=key,
            reason="measured at the router",
            actor="operator",
        )


@pytest.fixture
async def recorder(database: Database, clock: ManualClock) -> Recorder:
    return Recorder(database, clock, *await an_account(database))


async def test_m06_repeating_a_key_returns_the_first_record(recorder: Recorder) -> None:
    records = await asyncio.gather(*(recorder.record() for _ in range(5)))
    assert len({record.id for record in records}) == 1
    totals = await recorder.usage.get_aggregated_usage(recorder.account_id, HOUR)
    assert totals.quantities[BANDWIDTH] == 5
    assert totals.is_closed


async def test_a_key_with_other_content_is_refused(recorder: Recorder) -> None:
    await recorder.record()
    with pytest.raises(UsageKeyTaken):
        await recorder.record(quantity=6)


async def test_a_foreign_and_a_missing_service_are_refused_alike(recorder: Recorder, database: Database) -> None:
    _, foreign = await an_account(database)
    refusals = []
    for service_id in (foreign, new_service_id()):
        recorder.service_id = service_id
        with pytest.raises(MeteredServiceNotFound) as refused:
            await recorder.record()
        refusals.append(refused.value.detail)
        with pytest.raises(MeteredServiceNotFound):
            await recorder.usage.get_service_usage(recorder.account_id, service_id, HOUR)
    assert refusals[0] == refusals[1]


async def test_a_record_across_a_boundary_is_refused(recorder: Recorder, database: Database) -> None:
    cut = HOUR.starts_at + timedelta(minutes=20)
    async with database.transaction() as tx:
        await store.write_cuts(tx, recorder.account_id, [cut], reason="test", recorded_at=HOUR.ends_at)
    with pytest.raises(InvalidUsage):
        await recorder.record()


async def test_m18_records_of_a_deleted_service_stay_and_can_be_read(recorder: Recorder, database: Database) -> None:
    written = await recorder.record()
    async with database.transaction() as tx:
        service = await get_service(tx, recorder.account_id, recorder.service_id)
        assert service is not None
        await mark_deleted(tx, service, HOUR.ends_at)
    used = await recorder.usage.get_service_usage(recorder.account_id, recorder.service_id, HOUR)
    assert used.quantities[BANDWIDTH] == 5
    assert await recorder.usage.get_service_records(recorder.account_id, recorder.service_id, HOUR) == [written]


async def test_m21_every_record_belongs_to_exactly_one_of_two_adjoining_periods(
    recorder: Recorder, database: Database
) -> None:
    halves = [HOUR.starts_at + timedelta(minutes=minutes) for minutes in (0, 30, 60)]
    for start, end in pairwise(halves):
        await recorder.record(key=str(start), period=Period(starts_at=start, ends_at=end))
    split_at = HOUR.starts_at + timedelta(minutes=45)
    first = Period(starts_at=HOUR.starts_at, ends_at=split_at)
    second = Period(starts_at=split_at, ends_at=HOUR.ends_at)
    totals = [await recorder.usage.get_aggregated_usage(recorder.account_id, one) for one in (first, second)]
    assert sum(one.quantities[BANDWIDTH] for one in totals) == 10
    async with database.transaction() as tx:
        assert await broken_invariants(tx) == {}

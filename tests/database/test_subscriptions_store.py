"""Subscription rows, periods and outbox rows in a real database, without Stripe."""

import asyncio
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from decimal import Decimal

import pytest
from psycopg.errors import UniqueViolation

from helvetia.accounts.service import AccountService
from helvetia.catalogue.plans import SubscriptionPlan
from helvetia.costs.service import CostService
from helvetia.database.pool import Database
from helvetia.kernel.clock import ManualClock
from helvetia.kernel.identity import AccountId
from helvetia.kernel.period import Period
from helvetia.kernel.quantity import BYTES_PER_GB, UsageMetric
from helvetia.kernel.status import SubscriptionStatus
from helvetia.meter_reports import store as reports
from helvetia.meter_reports.model import MeterReport, ReportState
from helvetia.stripe_gateway.price_book_holder import PriceBookHolder
from helvetia.subscriptions import store
from helvetia.subscriptions.model import BillingPeriod, SubscriptionState
from helvetia.subscriptions.service import SubscriptionHooks

START = datetime(2026, 3, 10, 10, 17, 23, tzinfo=UTC)
END = datetime(2026, 4, 10, 10, 17, 23, tzinfo=UTC)
PRO = SubscriptionState(
    stripe_subscription_id="sub_1",
    stripe_status="active",
    plan=SubscriptionPlan.PRO,
    status=SubscriptionStatus.ACTIVE,
    period=Period(starts_at=START, ends_at=END),
    started_at=START,
    cancel_at=None,
    ended_at=None,
    fee_minor=2900,
    currency="usd",
    plan_problem=None,
)


@pytest.fixture
async def account_id(database: Database, clock: ManualClock) -> AccountId:
    accounts = AccountService(database, clock, SubscriptionHooks(clock))
    return (await accounts.create_user("ada@example.com")).account_id


def _period(account_id: AccountId, starts_at: datetime, ends_at: datetime) -> BillingPeriod:
    return BillingPeriod(
        account_id=account_id,
        period=Period(starts_at=starts_at, ends_at=ends_at),
        stripe_subscription_id="sub_1",
        stripe_customer_id="cus_1",
        plan=SubscriptionPlan.PRO,
    )


async def test_new_account_has_its_rows_in_the_same_transaction(database: Database, account_id: AccountId) -> None:
    async with database.transaction() as tx:
        record = await store.find(tx, account_id)
        row = await (
            await tx.execute("SELECT waits_for_stripe FROM metering_accounts WHERE account_id = %s", (account_id,))
        ).fetchone()
    assert (record.plan, record.status, record.user_id) == (
        SubscriptionPlan.FREE,
        SubscriptionStatus.ACTIVE,
        account_id,
    )
    assert row == (False,)


async def test_organization_owns_its_subscription(
    database: Database, clock: ManualClock, account_id: AccountId
) -> None:
    accounts = AccountService(database, clock, SubscriptionHooks(clock))
    organization = await accounts.create_organization("Acme", account_id)
    async with database.transaction() as tx:
        record = await store.find(tx, organization.account_id)
    assert (record.user_id, record.organization_id) == (None, organization.account_id)


async def test_older_fetch_seq_is_ignored(database: Database, account_id: AccountId) -> None:
    async with database.transaction() as tx:
        older, newer = await store.next_fetch_seq(tx), await store.next_fetch_seq(tx)
        assert await store.save_state(tx, account_id, PRO, fetch_seq=newer, at=START)
        assert not await store.save_state(tx, account_id, PRO, fetch_seq=newer, at=START)
        assert not await store.save_status(
            tx,
            account_id,
            stripe_status="unpaid",
            status=SubscriptionStatus.UNPAID,
            fetch_seq=older,
            at=START,
        )
        record = await store.find(tx, account_id)
    assert (record.plan, record.status, record.fetch_seq) == (SubscriptionPlan.PRO, SubscriptionStatus.ACTIVE, newer)


async def test_period_that_ended_early_is_shortened_and_later_ones_go(
    database: Database, account_id: AccountId
) -> None:
    async with database.transaction() as tx:
        await store.save_periods(
            tx, [_period(account_id, START, END), _period(account_id, END, END + timedelta(days=30))], START
        )
        ended_at = START + timedelta(days=3)
        await store.delete_periods_from(tx, account_id, "sub_1", ended_at)
        await store.save_periods(tx, [_period(account_id, START, ended_at)], START)
        assert [one.period for one in await store.billing_periods(tx, account_id)] == [
            Period(starts_at=START, ends_at=ended_at)
        ]


async def test_accounts_take_turns_and_those_without_a_customer_are_not_synced(
    database: Database, clock: ManualClock, account_id: AccountId
) -> None:
    accounts = AccountService(database, clock, SubscriptionHooks(clock))
    other_id = (await accounts.create_user("bob@example.com")).account_id
    async with database.transaction() as tx:
        assert await store.accounts_to_sync(tx, 10) == ()
        for name, one in (("cus_1", account_id), ("cus_2", other_id)):
            await store.save_customer(tx, one, name, START)
        await store.mark_sync_attempt(tx, account_id, START)
        assert await store.accounts_to_sync(tx, 1) == (other_id,)
        await store.mark_sync_attempt(tx, other_id, START + timedelta(seconds=1))
        assert await store.accounts_to_sync(tx, 1) == (account_id,)
        await store.save_customer(tx, account_id, "cus_other", START)
        assert (await store.find(tx, account_id)).stripe_customer_id == "cus_1"
        assert await store.find_account_of_customer(tx, "cus_2") == other_id


def _report(account_id: AccountId, revision: int, value: str, state: ReportState = ReportState.DUE) -> MeterReport:
    return MeterReport(
        account_id=account_id,
        metric=UsageMetric.COMPUTE_HOURS,
        piece_start=START,
        revision=revision,
        billing_period_start=START,
        billing_period_end=END,
        stripe_customer_id="cus_1",
        event_name="e",
        identifier=f"id_{revision}",
        value=Decimal(value),
        state=state,
        attempt_count=0,
        created_at=START,
        first_sent_at=None,
        last_sent_at=None,
        settled_at=None,
        last_error=None,
    )


async def test_every_state_but_rejected_counts_as_reported(database: Database, account_id: AccountId) -> None:
    async with database.transaction() as tx:
        for revision, state in enumerate(ReportState):
            await reports.insert_report(tx, _report(account_id, revision, str(10**revision), state))
        so_far = await reports.reported_so_far(tx, account_id, START)
        rejected = 10 ** list(ReportState).index(ReportState.REJECTED)
        assert so_far[UsageMetric.COMPUTE_HOURS].value == Decimal(111111 - rejected)
        assert so_far[UsageMetric.COMPUTE_HOURS].rejected_count == 1
        assert await reports.next_revision(tx, account_id, UsageMetric.COMPUTE_HOURS, START) == 6
        taken = await reports.value_at_stripe(tx, account_id, START)
        assert taken == {UsageMetric.COMPUTE_HOURS: Decimal(110)}
    async with database.transaction() as tx:
        with pytest.raises(UniqueViolation):
            await reports.insert_report(tx, _report(account_id, 0, "1"))


async def test_row_that_is_being_sent_is_nobody_elses(
    database: Database, account_id: AccountId, clock: ManualClock
) -> None:
    async with database.transaction() as tx:
        for revision, metric in enumerate(list(UsageMetric)[:3]):
            await reports.insert_report(tx, replace(_report(account_id, revision, "1"), metric=metric))
    wall, lasts = clock.wall(), timedelta(seconds=60)

    async def claim() -> int:
        async with database.transaction() as tx:
            due = await reports.lock_due(tx, wall=wall, sending_lasts=lasts, limit=2, account_id=account_id)
            return len(await reports.mark_sending(tx, due, wall))

    assert sum(await asyncio.gather(*(claim() for _ in range(4)))) == 3
    async with database.transaction() as tx:
        later = wall + lasts
        again = await reports.lock_due(tx, wall=later, sending_lasts=lasts, limit=9, account_id=None)
        assert [report.attempt_count for report in again] == [1, 1, 1]
        await reports.free_claim(tx, again[:1])
        [free] = await reports.lock_due(tx, wall=wall, sending_lasts=lasts, limit=9, account_id=None)
        assert (free.attempt_count, free.first_sent_at, free.last_sent_at) == (0, None, None)


async def test_free_account_sees_its_usage_and_pays_nothing(
    database: Database, clock: ManualClock, account_id: AccountId
) -> None:
    service_id = account_id
    async with database.transaction() as tx:
        await tx.execute(
            "INSERT INTO services (account_id, service_id, name, image, memory_mb, cpu_cores, replicas, wish, status,"
            " status_at, created_at, updated_at) VALUES (%s, %s, 'a', 'i', 1, 1, 1, 'stopped', 's', %s, %s, %s)",
            (account_id, service_id, START, START, START),
        )
        await tx.execute(
            "INSERT INTO usage_records (id, account_id, service_id, metric, incarnation, quantity, timestamp,"
            " period_start, period_end) VALUES (gen_random_uuid(), %s, %s, 'BANDWIDTH_GB', 'c', %s, %s, %s, %s)",
            (account_id, service_id, 5 * BYTES_PER_GB, START, START, START + timedelta(minutes=1)),
        )
        await tx.execute(
            "INSERT INTO storage_holders (account_id, service_id, holder, kind, node, first_ns, seen_ns)"
            " VALUES (%s, %s, 'v', 'volume', 'n', 0, 0)",
            (account_id, service_id),
        )
        for sampled_ns, size in ((1, 1), (2, BYTES_PER_GB)):
            await tx.execute(
                "INSERT INTO storage_readings (account_id, service_id, holder, sampled_ns, size_bytes, recorded_at)"
                " VALUES (%s, %s, 'v', %s, %s, %s)",
                (account_id, service_id, sampled_ns, size, START),
            )
    usage = await CostService(database, clock, PriceBookHolder()).current_usage(account_id)
    lines = {line.metric: line for line in usage.lines}
    bandwidth, storage = lines[UsageMetric.BANDWIDTH_GB], lines[UsageMetric.STORAGE_GB]
    assert (bandwidth.quantity, bandwidth.amount_minor, bandwidth.not_at_stripe) == (Decimal(5), 60, None)
    assert bandwidth.limit_use is not None
    assert bandwidth.limit_use.share == Decimal("0.5")
    assert storage.limit_use is not None
    assert (storage.limit_use.used, storage.limit_use.limit) == (Decimal(1), Decimal(5))
    assert lines[UsageMetric.COMPUTE_HOURS].limit_use is None
    assert (usage.usage_minor, usage.total_minor, usage.is_charged) == (60, 0, False)
    assert (usage.are_prices_verified, usage.is_closed) == (False, False)
    assert usage.period.starts_at == datetime(2026, 3, 1, tzinfo=UTC)

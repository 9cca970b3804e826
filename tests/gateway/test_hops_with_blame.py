"""Dropped, doubled and late on the way to Stripe: the comparison finds each, by hour and amount, and nothing more."""

from datetime import UTC, datetime, timedelta
from decimal import Decimal
from uuid import uuid4

import pytest

from helvetia.catalogue.plans import SubscriptionPlan
from helvetia.kernel.clock import to_unix_s
from helvetia.kernel.identity import AccountId
from helvetia.kernel.quantity import NS_PER_HOUR, UsageMetric
from helvetia.meter_reports.model import MeterReport, ReportState
from helvetia.meter_reports.settlement.model import Hop, UsageDifference
from support.billing_house import BillingHouse, MovableClock
from support.stripe_world import StripeWorld

START = datetime(2026, 3, 10, 10, 17, 23, tzinfo=UTC)
NOON = START.replace(hour=12, minute=0, second=0)
COMPUTE = UsageMetric.COMPUTE_HOURS


@pytest.fixture
async def account_ids(house: BillingHouse, world: StripeWorld) -> list[AccountId]:
    """Two that are subscribed, and used 3, 5 and 7 hours in three hours of the day, reported hour by hour."""
    found = []
    for _ in range(2):
        account_id = await house.new_account()
        await house.billing.create_subscription(account_id, SubscriptionPlan.PRO, "pm_card_visa")
        found.append(account_id)
    await world.advance_to(START + timedelta(days=1))
    for number, hours in enumerate((3, 5, 7)):
        for account_id in found:
            await use(house, account_id, hours, NOON + timedelta(hours=number))
            await house.reports.queue(account_id)
        await house.reports.drain()
    return found


async def use(house: BillingHouse, account_id: AccountId, hours: int, at: datetime) -> None:
    await house.add_closed_usage(account_id, COMPUTE, hours * NS_PER_HOUR, at, incarnation=f"record:{uuid4()}")


async def compared(house: BillingHouse, clock: MovableClock) -> list[UsageDifference]:
    clock.wall_shift += timedelta(hours=1)
    clock.advance(timedelta(hours=1))
    return list((await house.settlement.compare_all()).differences)


async def drop(world: StripeWorld, report: MeterReport) -> None:
    await world.v1.billing.meter_event_adjustments.create_async(
        {"event_name": report.event_name, "type": "cancel", "cancel": {"identifier": report.identifier}}
    )


async def test_hops_of_ordinary_days_agree_before_and_after_they_are_confirmed(
    house: BillingHouse, clock: MovableClock, account_ids: list[AccountId]
) -> None:
    assert await compared(house, clock) == []
    await house.reports.confirm_all()
    assert await compared(house, clock) == []


@pytest.mark.parametrize("confirms", [True, False])
async def test_event_that_stripe_dropped_is_named_by_customer_hour_and_money(
    house: BillingHouse, world: StripeWorld, clock: MovableClock, account_ids: list[AccountId], confirms: bool
) -> None:
    if confirms:
        await house.reports.confirm_all()
    [_, second, _] = await house.all_reports(account_ids[0])
    assert second.state is (ReportState.CONFIRMED if confirms else ReportState.SENT)
    await drop(world, second)
    [found] = await compared(house, clock)
    assert (found.hop, found.account_id, found.metric) == (Hop.STRIPE, account_ids[0], COMPUTE)
    assert (found.starts_at, found.quantity, found.amount_minor) == (NOON + timedelta(hours=1), Decimal(5), Decimal(5))
    assert "not counted" in found.repair


async def test_event_that_was_counted_twice_is_named_as_too_much(
    house: BillingHouse, world: StripeWorld, clock: MovableClock, account_ids: list[AccountId]
) -> None:
    [_, _, third] = await house.all_reports(account_ids[1])
    payload = {"stripe_customer_id": third.stripe_customer_id, "value": str(third.value)}
    await world.v1.billing.meter_events.create_async(
        {"event_name": third.event_name, "payload": payload, "timestamp": to_unix_s(third.occurred_at)}
    )
    [found] = await compared(house, clock)
    assert (found.hop, found.account_id, found.starts_at) == (Hop.STRIPE, account_ids[1], NOON + timedelta(hours=2))
    assert (found.quantity, found.amount_minor) == (Decimal(-7), Decimal(-7))
    assert "more than we sent" in found.repair


async def test_usage_that_is_not_queued_is_named_at_the_outbox_and_goes_away_with_the_queue(
    house: BillingHouse, clock: MovableClock, account_ids: list[AccountId]
) -> None:
    await use(house, account_ids[0], 11, NOON + timedelta(hours=4))
    [found] = await compared(house, clock)
    assert (found.hop, found.account_id, found.quantity) == (Hop.OUTBOX, account_ids[0], Decimal(11))
    await house.reports.queue(account_ids[0])
    await house.reports.drain()
    assert await compared(house, clock) == []


async def test_dropped_and_doubled_in_one_day_that_cancel_out_do_not_hide_each_other(
    house: BillingHouse, world: StripeWorld, clock: MovableClock, account_ids: list[AccountId]
) -> None:
    """Where the period's sums agree there is no difference in money; each customer's own sums are compared."""
    first, other = [(await house.all_reports(one))[1] for one in account_ids]
    await drop(world, first)
    payload = {"stripe_customer_id": other.stripe_customer_id, "value": str(first.value)}
    await world.v1.billing.meter_events.create_async(
        {"event_name": first.event_name, "payload": payload, "timestamp": to_unix_s(first.occurred_at)}
    )
    found = {one.account_id: one.quantity for one in await compared(house, clock)}
    assert found == {account_ids[0]: Decimal(5), account_ids[1]: Decimal(-5)}


def test_whoever_reads_summaries_shares_one_bucket(house: BillingHouse) -> None:
    assert house.settlement._compare.pace is house.reports._confirm.pace
    assert house.settlement._compare.pace is not house.reports._send.pace

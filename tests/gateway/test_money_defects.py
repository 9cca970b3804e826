"""Usage → money, where it once went wrong: billed twice, billed never, or nobody told."""

from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any

from helvetia.catalogue.plans import SubscriptionPlan
from helvetia.kernel.clock import to_unix_s
from helvetia.kernel.identity import AccountId
from helvetia.kernel.quantity import NS_PER_HOUR, UsageMetric
from helvetia.meter_reports.invariants import broken_invariants
from helvetia.meter_reports.model import ReportState
from helvetia.stripe_gateway.client import StripeClientGateway
from helvetia.stripe_gateway.errors import StripeObjectMissing, StripeUnavailable
from helvetia.stripe_gateway.model import MeterEvent, MeterSummary
from helvetia.stripe_gateway.price_book_holder import PriceBookHolder
from helvetia.subscriptions.model import SubscriptionRecord
from support.billing_house import BillingHouse, MovableClock, build_house
from support.stripe_world import StripeWorld

START = datetime(2026, 3, 10, 10, 17, 23, tzinfo=UTC)
APRIL = datetime(2026, 4, 10, 10, 17, 23, tzinfo=UTC)
DAY_5 = START + timedelta(days=5)
HOUR_AFTER_DAY_5 = (DAY_5 + timedelta(hours=1)).replace(minute=0, second=0)
COMPUTE = UsageMetric.COMPUTE_HOURS


class LossyGateway:
    """Passes everything on, but loses meter events on their way, or only their answers."""

    def __init__(self, gateway: StripeClientGateway) -> None:
        self._gateway = gateway
        self.is_away = False
        self.loses_answers = False

    def __getattr__(self, name: str) -> Any:
        return getattr(self._gateway, name)

    async def send_meter_event(self, event: MeterEvent) -> None:
        if self.is_away:
            raise StripeUnavailable
        await self._gateway.send_meter_event(event)
        if self.loses_answers:
            raise StripeUnavailable


class ForgetfulGateway:
    """Passes everything on, but knows no summaries of one customer."""

    def __init__(self, gateway: StripeClientGateway, forgotten: str) -> None:
        self._gateway = gateway
        self._forgotten = forgotten

    def __getattr__(self, name: str) -> Any:
        return getattr(self._gateway, name)

    async def meter_event_summaries(
        self, *, meter_id: str, customer_id: str, starts_at: datetime, ends_at: datetime
    ) -> Sequence[MeterSummary]:
        if customer_id == self._forgotten:
            raise StripeObjectMissing
        return await self._gateway.meter_event_summaries(
            meter_id=meter_id, customer_id=customer_id, starts_at=starts_at, ends_at=ends_at
        )


async def _subscribed(house: BillingHouse) -> tuple[AccountId, SubscriptionRecord]:
    account_id = await house.new_account()
    return account_id, await house.billing.create_subscription(account_id, SubscriptionPlan.PRO, "pm_card_visa")


def _customer(record: SubscriptionRecord) -> str:
    assert record.stripe_customer_id is not None
    return record.stripe_customer_id


async def _counted(world: StripeWorld, holder: PriceBookHolder, record: SubscriptionRecord) -> Decimal:
    """Compute hours of the first month, as Stripe added them up."""
    summaries = await world.v1.billing.meters.event_summaries.list_async(
        holder.require().meters[COMPUTE].meter_id,
        {
            "customer": _customer(record),
            "start_time": to_unix_s(START) // 60 * 60,
            "end_time": to_unix_s(APRIL) // 60 * 60 + 60,
        },
    )
    return sum((Decimal(str(one.aggregated_value)) for one in summaries.data), Decimal(0))


def _compute_lines(invoice: Any, holder: PriceBookHolder) -> list[tuple[str, int]]:
    price_id = holder.require().meters[COMPUTE].price_id
    lines = [line for line in invoice.lines.data if line.pricing.price_details.price == price_id]
    return [(str(line.quantity_decimal), line.amount) for line in lines]


async def _cycle_lines(
    world: StripeWorld, holder: PriceBookHolder, record: SubscriptionRecord
) -> list[list[tuple[str, int]]]:
    invoices = await world.invoices(_customer(record))
    return [_compute_lines(one, holder) for one in invoices if one.billing_reason == "subscription_cycle"]


async def _use(house: BillingHouse, account_id: AccountId, hours: int, starts_at: datetime) -> None:
    await house.add_closed_usage(account_id, COMPUTE, hours * NS_PER_HOUR, starts_at)
    await house.reports.queue(account_id)
    await house.reports.send_due()


async def _reset_anchor(world: StripeWorld, subscription_id: str | None) -> None:
    assert subscription_id is not None
    await world.v1.subscriptions.update_async(
        subscription_id, {"billing_cycle_anchor": {"type": "now"}, "proration_behavior": "none"}
    )


async def _subscribe_outside(
    world: StripeWorld, holder: PriceBookHolder, customer_id: str, payment_method_id: str | None = None
) -> Any:
    """A subscription that somebody makes at Stripe, beside ours."""
    book = holder.require()
    items = [
        {"price": book.plans[SubscriptionPlan.PRO].price_id, "quantity": 1},
        *({"price": meter.price_id} for meter in book.meters.values()),
    ]
    params: Any = {"customer": customer_id, "billing_mode": {"type": "flexible"}, "items": items}
    if payment_method_id is not None:
        params["default_payment_method"] = payment_method_id
    return await world.v1.subscriptions.create_async(params)


async def test_anchor_reset_in_mid_period_bills_usage_once(
    house: BillingHouse, world: StripeWorld, holder: PriceBookHolder
) -> None:
    account_id, record = await _subscribed(house)
    await world.advance_to(DAY_5)
    await house.subscriptions.sync_subscription(account_id)
    await _reset_anchor(world, record.stripe_subscription_id)
    await world.advance_to(DAY_5 + timedelta(hours=3))
    record = (await house.subscriptions.sync_subscription(account_id)).record
    await _use(house, account_id, 1000, HOUR_AFTER_DAY_5)
    first, second = await house.subscriptions.billing_periods(account_id)
    assert first.period.ends_at == second.period.starts_at == DAY_5
    assert await _counted(world, holder, record) == Decimal(1000)
    ours = await house.costs.current_usage(account_id)
    await world.advance_to(record.period.ends_at + timedelta(hours=2))
    assert await _cycle_lines(world, holder, record) == [[("1000", ours.lines[0].amount_minor)]]


async def test_anchor_reset_before_the_first_sync_leaves_no_hole(
    house: BillingHouse, world: StripeWorld, holder: PriceBookHolder
) -> None:
    account_id = await house.new_account()
    customer_id = await house.billing.get_or_create_customer(account_id)
    card = await world.v1.payment_methods.attach_async("pm_card_visa", {"customer": customer_id})
    made = await _subscribe_outside(world, holder, customer_id, card.id)
    await world.advance_to(START + timedelta(hours=5))
    await _reset_anchor(world, made.id)
    await world.advance_to(START + timedelta(hours=6))
    await house.subscriptions.sync_subscription(account_id)
    await _use(house, account_id, 1, START.replace(hour=12, minute=0, second=0))
    first, second = await house.subscriptions.billing_periods(account_id)
    assert (first.period.starts_at, first.period.ends_at) == (START, second.period.starts_at)
    assert len(await house.all_reports(account_id)) == 1


async def test_replaced_subscription_bills_the_overlap_once(
    house: BillingHouse, world: StripeWorld, holder: PriceBookHolder
) -> None:
    account_id, record = await _subscribed(house)
    await world.advance_to(DAY_5)
    await _subscribe_outside(world, holder, _customer(record))
    await world.advance_to(DAY_5 + timedelta(hours=2))
    assert record.stripe_subscription_id is not None
    await world.v1.subscriptions.cancel_async(record.stripe_subscription_id)
    await world.advance_to(DAY_5 + timedelta(hours=4))
    record = (await house.subscriptions.sync_subscription(account_id)).record
    await _use(house, account_id, 1000, HOUR_AFTER_DAY_5)
    await world.advance_to(record.period.ends_at + timedelta(hours=2))
    assert await _cycle_lines(world, holder, record) == [[("1000", 1000)]]


async def test_two_live_subscriptions_report_usage_to_one_and_raise_an_alarm(
    house: BillingHouse, world: StripeWorld, holder: PriceBookHolder
) -> None:
    account_id, record = await _subscribed(house)
    await world.advance_to(DAY_5)
    await _subscribe_outside(world, holder, _customer(record))
    await world.advance_to(DAY_5 + timedelta(hours=3))
    record = (await house.subscriptions.sync_subscription(account_id)).record
    assert "more than one subscription lives" in (record.plan_problem or "")
    await _use(house, account_id, 1000, HOUR_AFTER_DAY_5)
    assert await _counted(world, holder, record) == Decimal(1000)
    await world.advance_to(APRIL + timedelta(days=1))
    record = (await house.subscriptions.sync_subscription(account_id)).record
    older, newer = await house.subscriptions.billing_periods(account_id)
    assert older.period.ends_at == newer.period.starts_at == DAY_5
    await house.reports.queue(account_id)
    assert len(await house.all_reports(account_id)) == 1


async def test_unknown_report_is_not_confirmed_by_the_arrival_of_another(
    house: BillingHouse, gateway: StripeClientGateway, holder: PriceBookHolder, clock: MovableClock, world: StripeWorld
) -> None:
    account_id, record = await _subscribed(house)
    lossy = LossyGateway(gateway)
    other = build_house(house.database, clock, lossy, holder)  # type: ignore[arg-type]
    await world.advance_to(START + timedelta(hours=5))
    await house.add_closed_usage(account_id, COMPUTE, NS_PER_HOUR, START.replace(hour=11, minute=0, second=0))
    await house.reports.queue(account_id)
    lossy.is_away = True
    assert (await other.reports.send_due()).failed_count == 1
    clock.wall_shift += timedelta(hours=24)
    assert (await other.reports.send_due()).unknown_count == 1
    later = START.replace(hour=12, minute=0, second=0)
    await house.add_closed_usage(account_id, COMPUTE, NS_PER_HOUR, later, incarnation="c:2")
    await house.reports.queue(account_id)
    lossy.is_away, lossy.loses_answers = False, True
    assert (await other.reports.send_due()).failed_count == 1
    clock.wall_shift += timedelta(minutes=30)
    await house.reports.confirm_all()
    assert [row.state for row in await house.all_reports(account_id)] == [ReportState.REJECTED, ReportState.DUE]
    lossy.loses_answers = False
    for _ in range(3):
        await house.reports.queue(account_id)
        await other.reports.send_due()
        clock.wall_shift += timedelta(minutes=30)
        await house.reports.confirm_all()
    states = [row.state for row in await house.all_reports(account_id)]
    assert sorted(states) == [ReportState.CONFIRMED, ReportState.CONFIRMED, ReportState.REJECTED]
    assert await _counted(world, holder, record) == Decimal(2)


async def test_report_not_sent_before_the_invoice_was_final_is_the_operators(
    house: BillingHouse, world: StripeWorld, holder: PriceBookHolder
) -> None:
    account_id, record = await _subscribed(house)
    await house.add_closed_usage(account_id, COMPUTE, 1000 * NS_PER_HOUR, START)
    await world.advance_to(APRIL + timedelta(minutes=10))
    await house.subscriptions.sync_subscription(account_id)
    assert await house.reports.queue(account_id) == 1
    await world.advance_to(APRIL + timedelta(hours=2))
    await house.subscriptions.sync_subscription(account_id)
    await house.billing.mirror_invoices(account_id)
    assert (await house.reports.send_due()).dead_count == 1
    [row] = await house.all_reports(account_id)
    assert row.state is ReportState.DEAD
    assert "final" in (row.last_error or "")
    assert await _counted(world, holder, record) == Decimal(0)


async def test_confirming_goes_on_when_one_account_fails(
    house: BillingHouse, gateway: StripeClientGateway, holder: PriceBookHolder, clock: MovableClock
) -> None:
    subscribed = [await _subscribed(house) for _ in range(3)]
    for account_id, _ in subscribed:
        await _use(house, account_id, 1, START)
    forgetful = ForgetfulGateway(gateway, _customer(subscribed[0][1]))
    other = build_house(house.database, clock, forgetful, holder)  # type: ignore[arg-type]
    assert await other.reports.confirm_all() == 3
    states = [(await house.all_reports(account_id))[0].state for account_id, _ in subscribed]
    assert states == [ReportState.SENT, ReportState.CONFIRMED, ReportState.CONFIRMED]


async def test_event_ahead_of_stripes_clock_is_sent_when_its_time_has_come(
    house: BillingHouse, world: StripeWorld, holder: PriceBookHolder, clock: MovableClock
) -> None:
    account_id, record = await _subscribed(house)
    clock.advance_to(START + timedelta(hours=4))
    await _use(house, account_id, 1, START.replace(hour=12, minute=0, second=0))
    assert [row.state for row in await house.all_reports(account_id)] == [ReportState.DUE]
    await world.advance_to(START + timedelta(hours=5))
    clock.wall_shift += timedelta(hours=2)
    await house.reports.send_due()
    assert await _counted(world, holder, record) == Decimal(1)


async def test_sent_report_that_stripe_never_counts_is_told_after_a_day(
    house: BillingHouse, world: StripeWorld, clock: MovableClock
) -> None:
    account_id, _ = await _subscribed(house)
    await _use(house, account_id, 100, START)
    [row] = await house.all_reports(account_id)
    await world.v1.billing.meter_event_adjustments.create_async(
        {"event_name": row.event_name, "type": "cancel", "cancel": {"identifier": row.identifier}}
    )
    for wait, is_told in ((timedelta(hours=23), False), (timedelta(hours=2), True)):
        clock.wall_shift += wait
        await house.reports.confirm_all()
        async with house.database.transaction() as tx:
            broken = await broken_invariants(tx)
        assert ("what was sent is counted within a day" in broken) is is_told

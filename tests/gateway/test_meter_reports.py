"""Usage → Stripe, once: telescoping values, crashes, lost identifiers, summaries, and bills equal to our figure."""

import asyncio
import random
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any

import pytest

from helvetia.billing.errors import InvalidReport
from helvetia.billing.service import BillingService
from helvetia.catalogue.plans import SubscriptionPlan
from helvetia.containers.model import ContainerSpec
from helvetia.kernel.identity import AccountId
from helvetia.kernel.quantity import NS_PER_HOUR, UsageMetric, to_sold_quantity
from helvetia.kernel.status import SubscriptionStatus
from helvetia.meter_reports.errors import FlushInFuture, ReportsStillDue
from helvetia.meter_reports.model import ReportState
from helvetia.stripe_gateway.client import StripeClientGateway
from helvetia.stripe_gateway.errors import AlreadyUsedIdentifier, PricesNotVerified, StripeRefused, StripeUnavailable
from helvetia.stripe_gateway.model import MeterEvent
from helvetia.stripe_gateway.price_book_holder import PriceBookHolder
from support.billing_house import BillingHouse, MovableClock, build_house
from support.stripe_world import StripeWorld

START = datetime(2026, 3, 10, 10, 17, 23, tzinfo=UTC)
APRIL = datetime(2026, 4, 10, 10, 17, 23, tzinfo=UTC)
MAY = datetime(2026, 5, 10, 10, 17, 23, tzinfo=UTC)
COMPUTE = UsageMetric.COMPUTE_HOURS
ELEVEN = START.replace(hour=11, minute=0, second=0)


class Crash(BaseException):
    """The process died."""


class CrashingGateway:
    """Passes everything on, and dies right after Stripe took an event."""

    def __init__(self, gateway: StripeClientGateway) -> None:
        self._gateway = gateway
        self.crashes = True
        self.is_away = False
        self.refuses = False
        self.sent: list[MeterEvent] = []

    def __getattr__(self, name: str) -> object:
        return getattr(self._gateway, name)

    async def send_meter_event(self, event: MeterEvent) -> None:
        if self.is_away:
            raise StripeUnavailable
        if self.refuses:
            raise StripeRefused
        self.sent.append(event)
        await self._gateway.send_meter_event(event)
        if self.crashes:
            raise Crash


async def _subscribed(house: BillingHouse) -> AccountId:
    account_id = await house.new_account()
    await house.billing.create_subscription(account_id, SubscriptionPlan.PRO, "pm_card_visa")
    return account_id


async def _counted(house: BillingHouse, account_id: AccountId, metric: UsageMetric = COMPUTE) -> Decimal:
    found = {one.metric: one.counted for one in await house.reports.confirm(account_id, START)}
    return found.get(metric, Decimal(0))


async def _states(house: BillingHouse, account_id: AccountId) -> list[ReportState]:
    return [report.state for report in await house.all_reports(account_id)]


async def test_m02_closed_usage_is_reported_once_and_confirmed(house: BillingHouse) -> None:
    account_id = await _subscribed(house)
    await house.add_closed_usage(account_id, COMPUTE, 3 * NS_PER_HOUR // 2, START)
    house.clock.advance_to(ELEVEN + timedelta(hours=2))
    assert await house.reports.queue_all() == 1
    assert await house.reports.queue_all() == 0
    assert (await house.reports.send_due()).sent_count == 1
    assert (await house.reports.send_due()).sent_count == 0
    [report] = await house.all_reports(account_id)
    assert (report.value, report.state, report.occurred_at) == (Decimal("1.5"), ReportState.SENT, START)
    await house.reports.confirm_all()
    assert await _states(house, account_id) == [ReportState.CONFIRMED]
    assert await _counted(house, account_id) == Decimal("1.5")


async def test_differences_telescope_to_the_cut_total(house: BillingHouse, world: StripeWorld) -> None:
    account_id = await _subscribed(house)
    rng = random.Random(20260310)
    await world.advance_to(START + timedelta(days=2))
    total = 0
    for step in range(12):
        quantity = rng.randrange(1, 2 * NS_PER_HOUR)
        if step % 4 == 3:
            quantity = -quantity // 3
        total += quantity
        starts_at = START if step % 3 == 0 else ELEVEN + timedelta(hours=step // 3)
        await house.add_closed_usage(account_id, COMPUTE, quantity, starts_at, revision=step, incarnation=f"c:{step}")
        await house.reports.queue(account_id)
        if step % 2:
            await house.reports.send_due()
    await house.reports.send_due()
    reports = await house.all_reports(account_id)
    assert sum(report.value for report in reports) == to_sold_quantity(COMPUTE, total)
    assert len({report.identifier for report in reports}) == len(reports)
    assert await _counted(house, account_id) == to_sold_quantity(COMPUTE, total)


async def test_usage_too_small_to_be_sold_is_not_reported(house: BillingHouse) -> None:
    account_id = await _subscribed(house)
    await house.add_closed_usage(account_id, COMPUTE, 3_599_999, START)
    assert await house.reports.queue(account_id) == 0
    await house.add_closed_usage(account_id, COMPUTE, 1, START, revision=1)
    assert await house.reports.queue(account_id) == 1
    assert (await house.all_reports(account_id))[0].value == Decimal("0.000001")


async def test_usage_outside_billing_periods_is_never_reported(house: BillingHouse) -> None:
    account_id = await _subscribed(house)
    await house.add_closed_usage(account_id, COMPUTE, NS_PER_HOUR, START - timedelta(minutes=10))
    free_id = await house.new_account()
    await house.add_closed_usage(free_id, COMPUTE, NS_PER_HOUR, START)
    assert await house.reports.queue_all() == 0


async def test_m05_crash_between_send_and_mark_sends_the_same_identifier_and_counts_once(
    house: BillingHouse, gateway: StripeClientGateway, holder: PriceBookHolder, clock: MovableClock
) -> None:
    account_id = await _subscribed(house)
    await house.add_closed_usage(account_id, COMPUTE, NS_PER_HOUR, START)
    crashing = CrashingGateway(gateway)
    broken = build_house(house.database, clock, crashing, holder)  # type: ignore[arg-type]
    await broken.reports.queue(account_id)
    with pytest.raises(Crash):
        await broken.reports.send_due()
    assert await _states(house, account_id) == [ReportState.DUE]
    assert (await house.reports.send_due()).sent_count == 0, "somebody may still be sending it"
    clock.wall_shift += timedelta(seconds=61)
    crashing.crashes = False
    assert (await broken.reports.send_due()).sent_count == 1
    assert [event.identifier for event in crashing.sent] == [crashing.sent[0].identifier] * 2
    assert await _counted(house, account_id) == Decimal(1)
    [report] = await house.all_reports(account_id)
    assert (report.state, report.attempt_count) == (ReportState.CONFIRMED, 2)


async def test_unanswered_for_a_day_is_unknown_until_the_summary_decides(
    house: BillingHouse, gateway: StripeClientGateway, holder: PriceBookHolder, clock: MovableClock
) -> None:
    account_id = await _subscribed(house)
    await house.add_closed_usage(account_id, COMPUTE, NS_PER_HOUR, START)
    crashing = CrashingGateway(gateway)
    broken = build_house(house.database, clock, crashing, holder)  # type: ignore[arg-type]
    await broken.reports.queue(account_id)
    with pytest.raises(Crash):
        await broken.reports.send_due()
    clock.wall_shift += timedelta(hours=24)
    assert (await broken.reports.send_due()).unknown_count == 1
    assert len(crashing.sent) == 1, "nothing is sent blindly"
    await house.reports.confirm_all()
    assert await _states(house, account_id) == [ReportState.CONFIRMED]


async def test_m04_unknown_that_never_arrived_is_sent_after_the_summary_was_read(
    house: BillingHouse, gateway: StripeClientGateway, holder: PriceBookHolder, clock: MovableClock
) -> None:
    account_id = await _subscribed(house)
    await house.add_closed_usage(account_id, COMPUTE, NS_PER_HOUR, START)
    crashing = CrashingGateway(gateway)
    crashing.is_away = True
    broken = build_house(house.database, clock, crashing, holder)  # type: ignore[arg-type]
    await broken.reports.queue(account_id)
    assert (await broken.reports.send_due()).failed_count == 1
    clock.wall_shift += timedelta(hours=24)
    assert (await broken.reports.send_due()).unknown_count == 1
    await house.reports.confirm_all()
    assert await _states(house, account_id) == [ReportState.REJECTED]
    clock.wall_shift += timedelta(minutes=2)
    assert await house.reports.queue(account_id) == 1
    assert (await house.reports.send_due()).sent_count == 1
    first, second = await house.all_reports(account_id)
    assert first.identifier != second.identifier, "a late word about the first says nothing of the second"
    assert await _counted(house, account_id) == Decimal(1)


async def test_refused_repetition_is_unknown_because_the_first_attempt_may_have_arrived(
    house: BillingHouse, gateway: StripeClientGateway, holder: PriceBookHolder, clock: MovableClock
) -> None:
    account_id = await _subscribed(house)
    await house.add_closed_usage(account_id, COMPUTE, NS_PER_HOUR, START)
    crashing = CrashingGateway(gateway)
    broken = build_house(house.database, clock, crashing, holder)  # type: ignore[arg-type]
    await broken.reports.queue(account_id)
    with pytest.raises(Crash):
        await broken.reports.send_due()
    crashing.refuses = True
    clock.wall_shift += timedelta(seconds=61)
    assert (await broken.reports.send_due()).unknown_count == 1
    assert await house.reports.queue(account_id) == 0, "no second report of the same usage"
    await house.reports.confirm_all()
    assert await _states(house, account_id) == [ReportState.CONFIRMED]
    assert await _counted(house, account_id) == Decimal(1)


async def test_two_senders_at_once_send_each_report_once(house: BillingHouse, holder: PriceBookHolder) -> None:
    account_id = await _subscribed(house)
    for metric in UsageMetric:
        await house.add_closed_usage(account_id, metric, 2**70, START)
    await asyncio.gather(house.reports.queue_all(), house.reports.queue_all(), house.reports.queue(account_id))
    rounds = await asyncio.gather(house.reports.send_due(), house.reports.send_due())
    assert sum(done.sent_count for done in rounds) == len(await house.all_reports(account_id)) == 4
    assert {report.attempt_count for report in await house.all_reports(account_id)} == {1}


async def test_rejected_report_is_followed_by_a_new_revision_after_a_pause(
    house: BillingHouse, world: StripeWorld, holder: PriceBookHolder, clock: MovableClock
) -> None:
    account_id = await _subscribed(house)
    await house.add_closed_usage(account_id, COMPUTE, NS_PER_HOUR, START)
    meter_id = holder.require().meters[COMPUTE].meter_id
    await world.v1.billing.meters.deactivate_async(meter_id)
    await house.reports.queue(account_id)
    assert (await house.reports.send_due()).rejected_count == 1
    assert await house.reports.queue(account_id) == 0
    await world.v1.billing.meters.reactivate_async(meter_id)
    clock.wall_shift += timedelta(minutes=2)
    assert await house.reports.queue(account_id) == 1
    assert (await house.reports.send_due()).sent_count == 1
    first, second = await house.all_reports(account_id)
    assert (first.state, second.state) == (ReportState.REJECTED, ReportState.SENT)
    assert (second.revision, second.value) == (first.revision + 1, Decimal(1))
    assert first.last_error


async def test_usage_older_than_35_days_is_dead_with_a_reason(house: BillingHouse, world: StripeWorld) -> None:
    account_id = await _subscribed(house)
    await world.advance_to(APRIL + timedelta(days=6))
    await house.subscriptions.sync_subscription(account_id)
    await house.add_closed_usage(account_id, COMPUTE, NS_PER_HOUR, START)
    assert await house.reports.queue(account_id) == 1
    [report] = await house.all_reports(account_id)
    assert report.state is ReportState.DEAD
    assert report.last_error is not None
    assert await house.reports.queue(account_id) == 0


async def test_usage_known_after_the_final_invoice_is_dead_with_a_reason(
    house: BillingHouse, world: StripeWorld
) -> None:
    account_id = await _subscribed(house)
    await world.advance_to(APRIL + timedelta(hours=2))
    await house.subscriptions.sync_subscription(account_id)
    await house.billing.mirror_invoices(account_id)
    await house.add_closed_usage(account_id, COMPUTE, NS_PER_HOUR, APRIL - timedelta(hours=2))
    await house.reports.queue(account_id)
    [report] = await house.all_reports(account_id)
    assert (report.state, "final" in (report.last_error or "")) == (ReportState.DEAD, True)


async def test_nothing_is_reported_while_prices_are_not_verified(
    house: BillingHouse, gateway: StripeClientGateway
) -> None:
    other = build_house(house.database, house.clock, gateway, PriceBookHolder())
    for call in (other.reports.queue_all, other.reports.send_due):
        with pytest.raises(PricesNotVerified):
            await call()


async def test_invoice_of_the_period_equals_our_own_figure_to_the_cent(house: BillingHouse, world: StripeWorld) -> None:
    account_id = await _subscribed(house)
    rng = random.Random(7)
    hours = [START, *(ELEVEN + timedelta(hours=n) for n in range(5))]
    for metric, largest in (
        (UsageMetric.COMPUTE_HOURS, 300 * NS_PER_HOUR),
        (UsageMetric.MEMORY_GB_HOURS, 300 * 2**30 * NS_PER_HOUR),
        (UsageMetric.BANDWIDTH_GB, 40 * 2**30),
        (UsageMetric.STORAGE_GB, 9_000 * 2**30 * NS_PER_HOUR),
    ):
        for hour in hours:
            await house.add_closed_usage(account_id, metric, rng.randrange(largest), hour)
    await world.advance_to(APRIL - timedelta(hours=1))
    ours = await house.costs.current_usage(account_id)
    assert [line.not_at_stripe for line in ours.lines] == [line.quantity for line in ours.lines]
    await house.reports.queue_all()
    await house.reports.send_due()
    at_stripe = await house.costs.current_usage(account_id)
    assert [line.not_at_stripe for line in at_stripe.lines] == [Decimal(0)] * 4
    await world.advance_to(APRIL + timedelta(hours=2))
    await house.subscriptions.sync_subscription(account_id)
    await house.billing.mirror_invoices(account_id)
    newest = (await house.billing.get_invoices(account_id)).invoices[0]
    invoice, lines = await house.billing.get_invoice(account_id, newest.stripe_invoice_id)
    billed = {
        line.unit_price_minor: (line.quantity, line.amount_minor) for line in lines if line.unit_price_minor != 2900
    }
    assert billed == {line.unit_price_minor: (line.quantity, line.amount_minor) for line in ours.lines}
    assert invoice.total_minor == ours.usage_minor + 2900
    assert ours.total_minor == invoice.total_minor
    await house.reports.confirm(account_id, START)
    assert set(await _states(house, account_id)) == {ReportState.CONFIRMED}


async def test_m22_what_is_used_while_past_due_is_at_stripe_and_on_the_next_invoice(
    house: BillingHouse, world: StripeWorld
) -> None:
    account_id = await _subscribed(house)
    customer_id = await house.billing.get_or_create_customer(account_id)
    await _use_card(world, customer_id, "pm_card_chargeCustomerFail")
    await world.advance_to(APRIL + timedelta(hours=2))
    await house.subscriptions.sync_subscription(account_id)
    record = await house.subscriptions.get_subscription(account_id)
    assert record.status is SubscriptionStatus.PAST_DUE
    await house.add_closed_usage(account_id, COMPUTE, 3 * NS_PER_HOUR // 2, APRIL + timedelta(days=2))
    await world.advance_to(APRIL + timedelta(days=3))
    assert await house.reports.queue_all() == 1
    assert (await house.reports.send_due()).sent_count == 1
    counted = {one.metric: one.counted for one in await house.reports.confirm(account_id, APRIL)}
    assert counted[COMPUTE] == Decimal("1.5")
    assert await _states(house, account_id) == [ReportState.CONFIRMED]
    await _use_card(world, customer_id, "pm_card_visa")
    [owed] = [invoice for invoice in await world.invoices(customer_id) if invoice.status == "open"]
    await world.v1.invoices.pay_async(owed.id)
    await world.advance_to(MAY + timedelta(hours=2))
    await house.subscriptions.sync_subscription(account_id)
    await house.billing.mirror_invoices(account_id)
    newest = (await house.billing.get_invoices(account_id)).invoices[0]
    _, lines = await house.billing.get_invoice(account_id, newest.stripe_invoice_id)
    assert [line.amount_minor for line in lines if line.quantity == Decimal("1.5")] == [2]


async def _use_card(world: StripeWorld, customer_id: str, token: str) -> None:
    attached = await world.v1.payment_methods.attach_async(token, {"customer": customer_id})
    settings: Any = {"invoice_settings": {"default_payment_method": attached.id}}
    await world.v1.customers.update_async(customer_id, settings)


async def test_flush_meters_closes_and_sends_what_runs(house: BillingHouse, world: StripeWorld) -> None:
    account_id = await _subscribed(house)
    await house.host.create_and_start(
        ContainerSpec(
            account_id=account_id,
            service_id=await house.new_service(account_id),
            revision=1,
            replica=0,
            image="demo",
            command=(),
            env={"SIM_MEMORY_BYTES": str(2**29)},
            memory_bytes=2**30,
            cpu_cores=Decimal(1),
            volumes=(),
        )
    )
    await world.advance_to(START + timedelta(minutes=30))
    with pytest.raises(FlushInFuture):
        await house.reports.flush(account_id, house.clock.now() + timedelta(hours=1))
    await house.reports.flush(account_id, house.clock.now())
    reports = {report.metric: report for report in await house.all_reports(account_id)}
    started = {metric: report.state for metric, report in reports.items()}
    assert started.get(COMPUTE) is ReportState.SENT
    assert await _counted(house, account_id) == Decimal("0.5")
    usage = await house.costs.current_usage(account_id)
    assert usage.lines[0].quantity == Decimal("0.5")
    await house.reports.flush(account_id, house.clock.now())
    assert await _counted(house, account_id) == Decimal("0.5")


async def test_flush_says_when_stripe_did_not_take_all(
    house: BillingHouse, gateway: StripeClientGateway, holder: PriceBookHolder, clock: MovableClock
) -> None:
    account_id = await _subscribed(house)
    await house.add_closed_usage(account_id, COMPUTE, NS_PER_HOUR, START)
    away = CrashingGateway(gateway)
    away.is_away = True
    broken = build_house(house.database, clock, away, holder)  # type: ignore[arg-type]
    with pytest.raises(ReportsStillDue):
        await broken.reports.flush(account_id, clock.now())
    clock.wall_shift += timedelta(minutes=2)
    await house.reports.flush(account_id, clock.now())
    assert await _counted(house, account_id) == Decimal(1)


async def test_single_event_is_refused_when_it_is_too_fine(house: BillingHouse) -> None:
    billing: BillingService = house.billing
    event = MeterEvent(
        event_name="helvetia_compute_hours",
        customer_id="cus_x",
        value=Decimal("0.0000001"),
        identifier="x",
        occurred_at=house.clock.wall(),
    )
    with pytest.raises(InvalidReport, match="6 decimal places"):
        await billing.report_usage(event)
    event = replace(event, value=Decimal("0.5"))
    await billing.report_usage(event)
    with pytest.raises(AlreadyUsedIdentifier):
        await billing.report_usage(event)

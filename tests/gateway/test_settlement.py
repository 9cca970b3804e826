"""What no invoice bills by itself: it becomes a priced task, is decided once, and the comparison of hops finds it."""

import asyncio
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any

import pytest

from helvetia.catalogue.plans import SubscriptionPlan
from helvetia.kernel.identity import AccountId
from helvetia.kernel.period import Period
from helvetia.kernel.quantity import NS_PER_HOUR, UsageMetric
from helvetia.kernel.status import SubscriptionStatus
from helvetia.meter_reports.errors import ReasonMissing, UsageTaskChanged
from helvetia.meter_reports.handover.finish_cancellation import WAITS_FOR
from helvetia.meter_reports.invariants import broken_invariants
from helvetia.meter_reports.model import ReportState
from helvetia.meter_reports.settlement.decide_tasks import Decision
from helvetia.meter_reports.settlement.model import Hop, TaskCause, TaskState, UsageTask
from helvetia.stripe_gateway.client import StripeClientGateway
from helvetia.stripe_gateway.errors import StripeUnavailable
from helvetia.stripe_gateway.model import MeterEvent, MeterSummary
from helvetia.stripe_gateway.price_book_holder import PriceBookHolder
from support.billing_house import BillingHouse, MovableClock, build_house
from support.stripe_world import StripeWorld

START = datetime(2026, 3, 10, 10, 17, 23, tzinfo=UTC)
APRIL = datetime(2026, 4, 10, 10, 17, 23, tzinfo=UTC)
DAY_5 = START + timedelta(days=5)
NOON = START.replace(hour=12, minute=0, second=0)
COMPUTE = UsageMetric.COMPUTE_HOURS
ACTOR = "operator:test"


class Spoilt:
    """Passes everything on, but for what a test spoils."""

    def __init__(self, gateway: StripeClientGateway, **spoilt: Any) -> None:
        self._gateway = gateway
        self._spoilt = spoilt

    def __getattr__(self, name: str) -> Any:
        return self._spoilt.get(name) or getattr(self._gateway, name)


async def subscribed(house: BillingHouse) -> tuple[AccountId, str, str]:
    account_id = await house.new_account()
    record = await house.billing.create_subscription(account_id, SubscriptionPlan.PRO, "pm_card_visa")
    assert record.stripe_subscription_id is not None
    assert record.stripe_customer_id is not None
    return account_id, record.stripe_subscription_id, record.stripe_customer_id


async def use(house: BillingHouse, account_id: AccountId, hours: int, at: datetime, **more: Any) -> None:
    await house.add_closed_usage(account_id, COMPUTE, hours * NS_PER_HOUR, at, **more)


async def report(house: BillingHouse, account_id: AccountId) -> None:
    await house.reports.queue(account_id)
    await house.reports.drain()


async def read(house: BillingHouse, account_id: AccountId) -> None:
    await house.subscriptions.sync_subscription(account_id)
    await house.billing.mirror_invoices(account_id)


async def tasks(house: BillingHouse, account_id: AccountId) -> Sequence[UsageTask]:
    await house.settlement.open_tasks(account_id)
    return [task for task in await house.settlement.undecided() if task.account_id == account_id]


async def decide(house: BillingHouse, task: UsageTask, *, bill: bool = True) -> UsageTask:
    return await house.settlement.decide(
        Decision(task_id=task.task_id, is_billed=bill, amount_minor=task.amount_minor, reason="as agreed", actor=ACTOR)
    )


async def items(world: StripeWorld, customer_id: str) -> list[int]:
    page = await world.v1.invoice_items.list_async({"customer": customer_id, "limit": 100})
    return [item.amount for item in page.data]


async def test_end_made_outside_without_invoice_leaves_a_priced_task(house: BillingHouse, world: StripeWorld) -> None:
    account_id, subscription_id, customer_id = await subscribed(house)
    await use(house, account_id, 1000, NOON)
    await world.advance_to(DAY_5)
    await report(house, account_id)
    assert [row.state for row in await house.all_reports(account_id)] == [ReportState.SENT]
    await world.v1.subscriptions.cancel_async(subscription_id)
    await house.subscriptions.sync_subscription(account_id)
    assert await tasks(house, account_id) == [], "the invoices were not read since the end"
    await world.advance_to(DAY_5 + timedelta(minutes=10))
    await read(house, account_id)
    [task] = await tasks(house, account_id)
    assert (task.cause, task.quantity, task.amount_minor) == (TaskCause.ENDED, Decimal(1000), 1000)
    assert await tasks(house, account_id) == [task], "again is the same"
    async with house.database.transaction() as tx:
        assert "nothing waits for the operator" in await broken_invariants(tx)
    await use(house, account_id, 500, NOON, revision=1)
    [task] = await tasks(house, account_id)
    assert (task.quantity, task.amount_minor) == (Decimal(1500), 1500)
    done = await decide(house, task)
    assert done.state is TaskState.BILLED
    assert await items(world, customer_id) == [1500]
    newest = (await world.invoices(customer_id))[0]
    assert (newest.total, newest.auto_advance) == (1500, True)
    await world.advance_to(DAY_5 + timedelta(hours=3))
    assert (await world.invoices(customer_id))[0].status == "paid"
    await read(house, account_id)
    assert await tasks(house, account_id) == []
    async with house.database.transaction() as tx:
        assert not await broken_invariants(tx)


async def test_end_with_an_invoice_leaves_no_task(house: BillingHouse, world: StripeWorld) -> None:
    account_id, subscription_id, _ = await subscribed(house)
    await use(house, account_id, 1000, NOON)
    await world.advance_to(DAY_5)
    await report(house, account_id)
    await world.v1.subscriptions.cancel_async(subscription_id, {"invoice_now": True})
    await world.advance_to(DAY_5 + timedelta(minutes=10))
    await read(house, account_id)
    assert await tasks(house, account_id) == []


async def test_usage_between_an_outside_end_and_the_hold_is_priced(house: BillingHouse, world: StripeWorld) -> None:
    account_id, subscription_id, _ = await subscribed(house)
    service_id = await house.new_service(account_id)
    await world.advance_to(DAY_5)
    await world.v1.subscriptions.cancel_async(subscription_id)
    await read(house, account_id)
    await use(house, account_id, 7, DAY_5 + timedelta(minutes=5))
    held_at = DAY_5 + timedelta(hours=2)
    await world.advance_to(held_at)
    assert await tasks(house, account_id) == [], "it is not over yet"
    async with house.database.transaction() as tx:
        await tx.execute(
            "INSERT INTO service_holds (account_id, service_id, cause, reason, placed_by, placed_at)"
            " VALUES (%s, %s, 'payment', 'unpaid', 'test', %s)",
            (account_id, service_id, held_at),
        )
    await use(house, account_id, 100, held_at, incarnation="c:later")
    [task] = await tasks(house, account_id)
    assert (task.cause, task.amount_minor) == (TaskCause.AFTER_END, 7)
    assert (task.starts_at, task.ends_at) == (DAY_5, held_at)


async def test_usage_after_the_final_invoice_is_billed_by_the_next_one_once(
    house: BillingHouse, world: StripeWorld, gateway: StripeClientGateway, holder: PriceBookHolder
) -> None:
    account_id, _, customer_id = await subscribed(house)
    await use(house, account_id, 300, NOON)
    await world.advance_to(DAY_5)
    await report(house, account_id)
    await world.advance_to(APRIL + timedelta(hours=2))
    await read(house, account_id)
    assert await tasks(house, account_id) == []
    await use(house, account_id, 200, APRIL - timedelta(hours=3))
    await report(house, account_id)
    assert [row.state for row in await house.all_reports(account_id)][-1] is ReportState.DEAD
    [task] = await tasks(house, account_id)
    assert (task.cause, task.amount_minor) == (TaskCause.LATE, 200)

    async def answer_lost(new: Any) -> Any:
        await gateway.create_invoice_item(new)
        raise StripeUnavailable

    lossy = build_house(house.database, house.clock, Spoilt(gateway, create_invoice_item=answer_lost), holder)  # type: ignore[arg-type]
    with pytest.raises(StripeUnavailable):
        await decide(lossy, task)
    with pytest.raises(UsageTaskChanged):
        await decide(house, task, bill=False)
    assert [one.state for one in await house.settlement.undecided()] == [TaskState.BILLING]
    assert await house.settlement.resume_billing() == 1
    assert await house.settlement.resume_billing() == 0
    assert await items(world, customer_id) == [200]
    assert await tasks(house, account_id) == []
    await world.advance_to(APRIL + timedelta(days=32))
    amounts = [line.amount for line in (await world.invoices(customer_id))[0].lines.data]
    assert 200 in amounts


async def test_waiving_needs_a_reason_and_the_amount_that_was_seen(house: BillingHouse, world: StripeWorld) -> None:
    account_id, _, customer_id = await subscribed(house)
    await world.advance_to(APRIL + timedelta(hours=2))
    await read(house, account_id)
    await use(house, account_id, 200, NOON)
    [task] = await tasks(house, account_id)
    wrong = Decision(task_id=task.task_id, is_billed=False, amount_minor=1, reason="no", actor=ACTOR)
    with pytest.raises(UsageTaskChanged):
        await house.settlement.decide(wrong)
    with pytest.raises(ReasonMissing):
        await house.settlement.decide(
            Decision(task_id=task.task_id, is_billed=False, amount_minor=200, reason=" ", actor=ACTOR)
        )
    assert (await decide(house, task, bill=False)).state is TaskState.WAIVED
    assert await items(world, customer_id) == []
    assert await tasks(house, account_id) == []
    await use(house, account_id, 50, NOON, revision=1)
    [more] = await tasks(house, account_id)
    assert more.amount_minor == 50, "only what is not decided"
    async with house.database.transaction() as tx:
        cursor = await tx.execute("SELECT reason FROM audit_entries WHERE action = 'usage_task.waived'")
        assert await cursor.fetchall() == [("as agreed",)]


async def test_usage_taken_back_after_the_invoice_is_a_credit(house: BillingHouse, world: StripeWorld) -> None:
    account_id, _, _ = await subscribed(house)
    await use(house, account_id, 300, NOON)
    await world.advance_to(DAY_5)
    await report(house, account_id)
    await world.advance_to(APRIL + timedelta(hours=2))
    await read(house, account_id)
    await use(house, account_id, -100, NOON, revision=1)
    [task] = await tasks(house, account_id)
    assert (task.quantity, task.amount_minor) == (Decimal(-100), -100)


async def test_planned_end_is_reported_ahead_and_billed_whole(house: BillingHouse, world: StripeWorld) -> None:
    account_id, _, customer_id = await subscribed(house)
    await house.billing.cancel_subscription(account_id, actor=ACTOR)
    last_hour = APRIL.replace(minute=0, second=0)
    await world.advance_to(APRIL - timedelta(minutes=8))
    await house.add_closed_usage(account_id, COMPUTE, 400 * NS_PER_HOUR, last_hour)
    assert await house.reports.close_periods() == 1
    assert await house.reports.close_periods() == 0
    assert [row.state for row in await house.all_reports(account_id)] == [ReportState.SENT]
    await house.add_closed_usage(account_id, COMPUTE, 100 * NS_PER_HOUR, last_hour, revision=1)
    await world.advance_to(APRIL + timedelta(minutes=1))
    assert await house.reports.close_periods() == 1
    assert await house.reports.close_periods() == 0
    await world.advance_to(APRIL + timedelta(hours=2))
    await read(house, account_id)
    assert (await world.invoices(customer_id))[0].total == 500
    assert await tasks(house, account_id) == []


async def test_period_closes_by_our_own_clock_before_the_draft_is_final(
    house: BillingHouse, world: StripeWorld
) -> None:
    account_id, _, customer_id = await subscribed(house)
    await world.advance_to(APRIL + timedelta(seconds=5))
    await use(house, account_id, 250, APRIL - timedelta(hours=3))
    assert await house.reports.close_periods() == 1
    assert {row.state for row in await house.all_reports(account_id)} == {ReportState.CONFIRMED}
    await world.advance_to(APRIL + timedelta(hours=2))
    assert (await world.invoices(customer_id))[0].total == 2900 + 250


async def test_cancellation_that_stripe_never_confirms_becomes_the_operators_and_loses_nothing(
    house: BillingHouse,
    world: StripeWorld,
    gateway: StripeClientGateway,
    holder: PriceBookHolder,
    clock: MovableClock,
) -> None:
    account_id, _, customer_id = await subscribed(house)

    async def counts_nothing(**_: Any) -> Sequence[MeterSummary]:
        return ()

    async def swallows(event: MeterEvent) -> None:
        return None

    blind = Spoilt(
        gateway,
        meter_event_summaries=counts_nothing,
        meter_event_summaries_by_hour=counts_nothing,
        send_meter_event=swallows,
    )
    other = build_house(house.database, clock, blind, holder)  # type: ignore[arg-type]
    await world.advance_to(DAY_5)
    await use(house, account_id, 600, NOON)
    await house.billing.cancel_subscription(account_id, now=True, actor=ACTOR)
    assert not await other.reports.finish_cancellation(account_id)
    assert await house.settlement.stuck_cancellations() == []
    await world.advance_to(DAY_5 + WAITS_FOR + timedelta(minutes=1))
    assert not await other.reports.finish_cancellation(account_id)
    [stuck] = await house.settlement.stuck_cancellations()
    assert "not_all_counted" in (stuck.last_error or "")
    with pytest.raises(ReasonMissing):
        await other.reports.end_anyway(account_id, reason="", actor=ACTOR)
    await other.reports.end_anyway(account_id, reason="it will not come", actor=ACTOR)
    assert await other.reports.finish_cancellation(account_id)
    assert await house.settlement.stuck_cancellations() == []
    await world.advance_to(DAY_5 + WAITS_FOR + timedelta(hours=1))
    await read(house, account_id)
    assert (await house.subscriptions.get_subscription(account_id)).status is SubscriptionStatus.CANCELED
    [task] = await tasks(house, account_id)
    assert (task.cause, task.amount_minor) == (TaskCause.ENDED, 600)
    assert (await decide(house, task)).state is TaskState.BILLED
    assert await items(world, customer_id) == [600]


async def test_cancellation_with_a_container_that_never_stops_has_a_way_on(
    house: BillingHouse, world: StripeWorld, clock: MovableClock
) -> None:
    account_id, _, _ = await subscribed(house)
    service_id = await house.new_service(account_id)
    async with house.database.transaction() as tx:
        await tx.execute(
            "INSERT INTO container_runs (account_id, service_id, incarnation, container_id, node, started_ns, seen_ns)"
            " VALUES (%s, %s, 'gone:1', 'gone', 'a dead node', 1773137843000000000, 1773137843000000000)",
            (account_id, service_id),
        )
    await house.billing.cancel_subscription(account_id, now=True, actor=ACTOR)
    assert not await house.reports.finish_cancellation(account_id)
    await world.advance_to(START + WAITS_FOR + timedelta(minutes=1))
    assert not await house.reports.finish_cancellation(account_id)
    [stuck] = await house.settlement.stuck_cancellations()
    assert "still_running" in (stuck.last_error or "")
    await house.reports.end_anyway(account_id, reason="that node is scrap", actor=ACTOR)
    assert await house.reports.finish_cancellation(account_id)
    assert (await house.subscriptions.get_subscription(account_id)).status is SubscriptionStatus.CANCELED


async def test_unknown_report_does_not_block_an_end(
    house: BillingHouse, world: StripeWorld, gateway: StripeClientGateway, holder: PriceBookHolder, clock: MovableClock
) -> None:
    account_id, _, customer_id = await subscribed(house)

    async def away(event: MeterEvent) -> None:
        raise StripeUnavailable

    lossy = build_house(house.database, clock, Spoilt(gateway, send_meter_event=away), holder)  # type: ignore[arg-type]
    await world.advance_to(DAY_5)
    await use(house, account_id, 700, NOON)
    await house.reports.queue(account_id)
    assert (await lossy.reports.send_due()).failed_count == 1
    clock.wall_shift += timedelta(hours=24)
    assert (await house.reports.send_due()).unknown_count == 1
    await house.billing.cancel_subscription(account_id, now=True, actor=ACTOR)
    assert not await house.reports.finish_cancellation(account_id), "the usage waits a minute under its new name"
    clock.wall_shift += timedelta(minutes=2)
    assert await house.reports.finish_cancellation(account_id)
    assert (await world.invoices(customer_id))[0].total == 700


async def test_late_word_about_an_earlier_attempt_never_rejects_what_was_counted(
    house: BillingHouse, world: StripeWorld, gateway: StripeClientGateway, holder: PriceBookHolder, clock: MovableClock
) -> None:
    account_id, _, _ = await subscribed(house)

    async def away(event: MeterEvent) -> None:
        raise StripeUnavailable

    lossy = build_house(house.database, clock, Spoilt(gateway, send_meter_event=away), holder)  # type: ignore[arg-type]
    await world.advance_to(START + timedelta(hours=5))
    await use(house, account_id, 5, NOON)
    await house.reports.queue(account_id)
    assert (await lossy.reports.send_due()).failed_count == 1
    clock.wall_shift += timedelta(minutes=2)
    assert (await house.reports.send_due()).sent_count == 1
    [row] = await house.all_reports(account_id)
    assert row.attempt_count == 2
    assert await house.reports.reject([row.identifier], "Stripe refused it afterwards") == 1
    assert [one.state for one in await house.all_reports(account_id)] == [ReportState.UNKNOWN]
    assert await house.reports.queue(account_id) == 0, "no second report of the same usage"
    clock.wall_shift += timedelta(minutes=20)
    assert await house.reports.confirm_due() == 1
    assert [one.state for one in await house.all_reports(account_id)] == [ReportState.CONFIRMED]


async def test_refusals_that_stripe_does_not_name_are_found_by_its_summary(
    house: BillingHouse, world: StripeWorld, gateway: StripeClientGateway, holder: PriceBookHolder, clock: MovableClock
) -> None:
    account_id, _, _ = await subscribed(house)

    async def swallows(event: MeterEvent) -> None:
        return None

    blind = build_house(house.database, clock, Spoilt(gateway, send_meter_event=swallows), holder)  # type: ignore[arg-type]
    await world.advance_to(START + timedelta(hours=8))
    for number in range(4):
        at = NOON + timedelta(hours=number)
        await use(house, account_id, number + 1, at, incarnation=f"c:{number}")
        await (blind if number % 2 else house).reports.queue(account_id)
        await (blind if number % 2 else house).reports.drain()
    meter_id = holder.require().meters[COMPUTE].meter_id
    wall = clock.wall()
    sent = Period(starts_at=wall - timedelta(minutes=1), ends_at=wall)
    assert await house.reports.suspect(meter_id, sent, "refused some") == 4
    clock.wall_shift += timedelta(minutes=20)
    await house.reports.confirm_due()
    states = [row.state for row in await house.all_reports(account_id)]
    assert states == [ReportState.CONFIRMED, ReportState.REJECTED] * 2
    clock.wall_shift += timedelta(minutes=5)
    await report(house, account_id)
    assert all(one.is_confirmed for one in await house.reports.confirm(account_id, START))


async def test_every_hop_that_differs_is_named_with_amount_money_and_repair(
    house: BillingHouse, world: StripeWorld, holder: PriceBookHolder, clock: MovableClock
) -> None:
    account_id, _, customer_id = await subscribed(house)
    service_id = await house.new_service(account_id)
    await use(house, account_id, 100, NOON, incarnation="record:1")
    await world.advance_to(DAY_5)
    await report(house, account_id)
    clock.wall_shift += timedelta(hours=1)
    clean = await house.settlement.compare_all()
    assert (clean.compared_count, clean.differences) == (1, ())
    await use(house, account_id, 20, NOON + timedelta(hours=2), incarnation="record:2")
    event_name = holder.require().meters[COMPUTE].event_name
    await world.v1.billing.meter_events.create_async(
        {
            "event_name": event_name,
            "payload": {"stripe_customer_id": customer_id, "value": "3"},
            "timestamp": int((NOON + timedelta(hours=4)).timestamp()),
        }
    )
    starts_ns = int((NOON + timedelta(hours=6)).timestamp()) * 10**9
    async with house.database.transaction() as tx:
        await tx.execute(
            "INSERT INTO container_runs (account_id, service_id, incarnation, container_id, node, started_ns,"
            " finished_ns, seen_ns, closed_at) VALUES (%s, %s, 'lost:1', 'lost', 'n', %s, %s, %s, now())",
            (account_id, service_id, starts_ns, starts_ns + NS_PER_HOUR // 2, starts_ns + NS_PER_HOUR // 2),
        )
    await world.advance_to(DAY_5 + timedelta(hours=1))
    found = {one.hop: one for one in (await house.settlement.compare_all()).differences}
    assert set(found) == {Hop.ENGINE, Hop.OUTBOX, Hop.STRIPE}
    assert (found[Hop.ENGINE].quantity, found[Hop.ENGINE].amount_minor) == (Decimal("0.5"), Decimal("0.5"))
    assert found[Hop.ENGINE].starts_at == NOON + timedelta(hours=6)
    assert (found[Hop.OUTBOX].quantity, found[Hop.OUTBOX].amount_minor) == (Decimal(20), Decimal(20))
    assert (found[Hop.STRIPE].quantity, found[Hop.STRIPE].starts_at) == (Decimal(-3), NOON + timedelta(hours=4))
    assert all(one.repair for one in found.values())
    compared_at, kept = await house.settlement.last_comparison()
    assert compared_at is not None
    assert {one["hop"] for one in kept} == {hop.value for hop in found}
    await world.advance_to(APRIL + timedelta(hours=2))
    await read(house, account_id)
    by_hop = {one.hop: one for one in (await house.settlement.compare_all()).differences}
    assert (by_hop[Hop.INVOICE].ours, by_hop[Hop.INVOICE].theirs) == (Decimal(120), Decimal(103))


async def test_turns_that_are_cut_short_reach_every_account(
    house: BillingHouse, monkeypatch: pytest.MonkeyPatch
) -> None:
    accounts = {(await subscribed(house))[0] for _ in range(3)}
    looked_at = list[AccountId]()
    look = house.settlement.open_tasks

    async def slow(account_id: AccountId) -> int:
        looked_at.append(account_id)
        found = await look(account_id)
        await asyncio.sleep(60)  # the turn's deadline comes first
        return found

    monkeypatch.setattr(house.settlement, "open_tasks", slow)
    for _ in accounts:
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(0.5):
                await house.settlement.open_all_tasks()
    assert set(looked_at) == accounts

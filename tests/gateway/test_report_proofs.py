"""Usage → Stripe exactly once, proven: every fault of the wire, a crash at every seam, Stripe away for 40 days."""

import random
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any

import aiohttp
import pytest

from helvetia.catalogue.plans import SubscriptionPlan
from helvetia.database.pool import Database, Transaction
from helvetia.kernel.clock import to_unix_s
from helvetia.kernel.errors import HelvetiaError
from helvetia.kernel.identity import AccountId
from helvetia.kernel.quantity import NS_PER_HOUR, UsageMetric, to_sold_quantity
from helvetia.meter_reports.model import ReportsConfig, ReportState
from helvetia.stripe_gateway import client as gateway_client
from helvetia.stripe_gateway.client import StripeClientGateway
from helvetia.stripe_gateway.errors import StripeUnavailable
from helvetia.stripe_gateway.price_book_holder import PriceBookHolder
from support import trials
from support.billing_house import BillingHouse, MovableClock, build_house
from support.stripe_world import StripeWorld

START = datetime(2026, 3, 10, 10, 17, 23, tzinfo=UTC)
APRIL = datetime(2026, 4, 10, 10, 17, 23, tzinfo=UTC)
NOON = START.replace(hour=12, minute=0, second=0)
COMPUTE = UsageMetric.COMPUTE_HOURS
FAST = ReportsConfig(calls_per_second=1000)
SEED = 20260310
EVENTS, SUMMARIES = "/v1/billing/meter_events", "/v1/billing/meters/*"


async def subscribed(house: BillingHouse) -> AccountId:
    account_id = await house.new_account()
    await house.billing.create_subscription(account_id, SubscriptionPlan.PRO, "pm_card_visa")
    return account_id


async def at_stripe(world: StripeWorld, holder: PriceBookHolder, house: BillingHouse, account_id: AccountId) -> Decimal:
    """Compute hours that Stripe counted since March, whatever we believe."""
    record = await house.subscriptions.get_subscription(account_id)
    summaries = await world.v1.billing.meters.event_summaries.list_async(
        holder.require().meters[COMPUTE].meter_id,
        {
            "customer": str(record.stripe_customer_id),
            "start_time": to_unix_s(START) // 60 * 60,
            "end_time": to_unix_s(START + timedelta(days=80)) // 60 * 60,
        },
    )
    return sum((Decimal(str(one.aggregated_value)) for one in summaries.data), Decimal(0)).quantize(Decimal("1e-6"))


async def tick(house: BillingHouse) -> None:
    """One turn of everything the worker does about reports; what fails is tried at the next turn."""
    for work in (house.reports.queue_all, house.reports.drain, house.reports.confirm_all):
        try:
            await work()
        except HelvetiaError:
            continue


async def quiet(house: BillingHouse, clock: MovableClock, account_id: AccountId, turns: int = 12) -> None:
    """Turn after turn, until all is confirmed."""
    for _ in range(turns):
        await tick(house)
        rows = await house.all_reports(account_id)
        if rows and {row.state for row in rows} <= {ReportState.CONFIRMED, ReportState.REJECTED}:
            return
        clock.wall_shift += timedelta(minutes=16)
    raise AssertionError([(row.state, row.last_error) for row in await house.all_reports(account_id)])


WIRE_FAULTS: tuple[dict[str, str], ...] = (
    {"kind": "rate_limit"},
    {"kind": "rate_limit", "should_retry": "true"},
    {"kind": "lock_timeout"},
    {"kind": "lock_timeout", "status": "429"},
    {"kind": "server_error"},
    {"kind": "server_error", "should_retry": "false"},
    {"kind": "unavailable"},
    {"kind": "slow", "delay_ms": "600"},
    {"kind": "reset_before"},
    {"kind": "reset_after"},
    {"kind": "malformed_json"},
)
REPEATS = trials.choose(small=1, full=10)


@pytest.mark.parametrize("path", [EVENTS, SUMMARIES])
async def test_every_fault_of_the_wire_leaves_one_effect_per_report(
    house: BillingHouse,
    world: StripeWorld,
    holder: PriceBookHolder,
    clock: MovableClock,
    sandbox_url: str,
    secret_key: str,
    monkeypatch: pytest.MonkeyPatch,
    path: str,
) -> None:
    monkeypatch.setattr(gateway_client, "ATTEMPT_S", 0.3)
    account_id = await subscribed(house)
    await world.advance_to(START + timedelta(days=20))
    chance = random.Random(SEED)
    total = 0
    headers = {"Authorization": f"Bearer {secret_key}"}
    async with aiohttp.ClientSession(sandbox_url, headers=headers) as operator:
        for number, fault in enumerate(WIRE_FAULTS * REPEATS, start=1):
            quantity = chance.randrange(NS_PER_HOUR, 9 * NS_PER_HOUR)
            total += quantity
            at = NOON + timedelta(hours=number)
            await house.add_closed_usage(account_id, COMPUTE, quantity, at, incarnation=f"c:{number}")
            # One SDK call makes up to three attempts: the fault outlives them once, so that our own repetition is met.
            await operator.post("/_sandbox/faults", data={**fault, "count": "4", "path": path})
            gateway = StripeClientGateway(secret_key, api_base=sandbox_url)
            struck = build_house(house.database, clock, gateway, holder, pace=FAST)
            await tick(struck)
            await gateway.close()
            await operator.delete("/_sandbox/faults")
            clock.wall_shift += timedelta(seconds=61)
            await quiet(house, clock, account_id)
            assert await at_stripe(world, holder, house, account_id) == to_sold_quantity(COMPUTE, total), fault
            assert len(await house.all_reports(account_id)) == number, fault
    trials.record("R4 faults of the wire on meter calls", count=len(WIRE_FAULTS) * REPEATS, seed=SEED)


@pytest.mark.parametrize("base", ["http://127.0.0.1:1", "https://127.0.0.1:{port}"])
async def test_nobody_there_or_no_tls_leaves_the_report_due(
    house: BillingHouse, world: StripeWorld, holder: PriceBookHolder, clock: MovableClock, sandbox_url: str, base: str
) -> None:
    account_id = await subscribed(house)
    await world.advance_to(START + timedelta(days=1))
    await house.add_closed_usage(account_id, COMPUTE, NS_PER_HOUR, NOON)
    gateway = StripeClientGateway("sk_test_nobody", api_base=base.format(port=sandbox_url.rpartition(":")[2]))
    await tick(build_house(house.database, clock, gateway, holder, pace=FAST))
    await gateway.close()
    assert [row.state for row in await house.all_reports(account_id)] == [ReportState.DUE]
    clock.wall_shift += timedelta(seconds=61)
    await quiet(house, clock, account_id)
    assert await at_stripe(world, holder, house, account_id) == Decimal(1)


class Died(BaseException):
    """The process is gone."""


class Seams:
    """Counts every place where a process can die; dies at one of them, and nothing of it lives on."""

    def __init__(self, dies_at: int | None = None) -> None:
        self.count = 0
        self.names: list[str] = []
        self._dies_at = dies_at
        self._is_dead = False

    def reach(self, name: str) -> None:
        self.names.append(name)
        self._is_dead = self._is_dead or self.count == self._dies_at
        self.count += 1
        if self._is_dead:
            raise Died(name)


class SeamedDatabase:
    """A database whose transactions die before they begin, before they commit, or right after."""

    def __init__(self, database: Database, seams: Seams) -> None:
        self._database = database
        self._seams = seams
        self.url = database.url

    @asynccontextmanager
    async def transaction(self) -> AsyncIterator[Transaction]:
        self._seams.reach("before the transaction")
        async with self._database.transaction() as tx:
            yield tx
            self._seams.reach("before the commit")
        self._seams.reach("after the commit")


class SeamedGateway:
    """A gateway whose calls die before they leave, or when their answer has come."""

    def __init__(self, gateway: StripeClientGateway, seams: Seams) -> None:
        self._gateway = gateway
        self._seams = seams

    def __getattr__(self, name: str) -> Any:
        async def call(*given: Any, **named: Any) -> Any:
            self._seams.reach(f"before {name}")
            answer = await getattr(self._gateway, name)(*given, **named)
            self._seams.reach(f"after {name}")
            return answer

        return call


async def test_a_crash_at_every_seam_between_queue_send_and_confirm_ends_in_equal_totals(
    house: BillingHouse, world: StripeWorld, holder: PriceBookHolder, clock: MovableClock, gateway: StripeClientGateway
) -> None:
    account_id = await subscribed(house)
    await world.advance_to(START + timedelta(days=20))
    totals = {COMPUTE: 0, UsageMetric.STORAGE_GB: 0}

    async def life(number: int, dies_at: int | None) -> Seams:
        seams = Seams(dies_at)
        for metric in totals:
            totals[metric] += 2**62 + number
            at = NOON + timedelta(hours=number)
            await house.add_closed_usage(account_id, metric, 2**62 + number, at, incarnation=f"c:{number}")
        mortal = build_house(
            SeamedDatabase(house.database, seams),  # type: ignore[arg-type]
            clock,
            SeamedGateway(gateway, seams),  # type: ignore[arg-type]
            holder,
            pace=FAST,
        )
        try:
            await mortal.reports.queue(account_id)
            await mortal.reports.drain()
            await mortal.reports.confirm(account_id, START)
        except Died:
            pass
        clock.wall_shift += timedelta(seconds=61)
        await quiet(house, clock, account_id)
        expected = to_sold_quantity(COMPUTE, totals[COMPUTE])
        assert await at_stripe(world, holder, house, account_id) == expected, seams.names[-1]
        return seams

    whole = await life(0, None)
    assert whole.count > 25, "queue, claim, send, settle and confirm have seams"
    for seam in range(whole.count):
        await life(seam + 1, seam)
    trials.record("R2 seams of queue, send and confirm", count=whole.count)


async def reach_through_outage(
    house: BillingHouse, world: StripeWorld, away: BillingHouse, account_id: AccountId, days: list[timedelta]
) -> int:
    """Metering goes on while Stripe does not answer; says how many base units were used."""
    chance = random.Random(SEED)
    used = 0
    for passed in days:
        await world.advance_to(START + passed)
        quantity = chance.randrange(NS_PER_HOUR, 30 * NS_PER_HOUR)
        used += quantity
        at = (START + passed - timedelta(hours=2)).replace(minute=0, second=0)
        await house.add_closed_usage(account_id, COMPUTE, quantity, at, incarnation=f"c:{passed}")
        await away.reports.queue(account_id)
        assert (await away.reports.drain()).failed_count == 1
        house.clock.wall_shift += timedelta(hours=1)  # type: ignore[attr-defined]
    return used


class Away:
    """Stripe does not answer."""

    def __getattr__(self, name: str) -> Any:
        async def call(*_: Any, **__: Any) -> Any:
            raise StripeUnavailable

        return call


@pytest.mark.parametrize("hours", [[4, 6, 8], [24, 48, 70, 96]], ids=["hours", "days"])
async def test_m04_usage_of_an_outage_drains_and_the_invoice_is_whole(
    house: BillingHouse, world: StripeWorld, holder: PriceBookHolder, clock: MovableClock, hours: list[int]
) -> None:
    account_id = await subscribed(house)
    away = build_house(house.database, clock, Away(), holder, pace=FAST)  # type: ignore[arg-type]
    used = await reach_through_outage(house, world, away, account_id, [timedelta(hours=one) for one in hours])
    await quiet(house, clock, account_id, turns=20)
    assert await at_stripe(world, holder, house, account_id) == to_sold_quantity(COMPUTE, used)
    usage = await house.costs.current_usage(account_id)
    await world.advance_to(APRIL + timedelta(hours=2))
    await house.subscriptions.sync_subscription(account_id)
    await house.billing.mirror_invoices(account_id)
    newest = (await house.billing.get_invoices(account_id)).invoices[0]
    assert newest.total_minor == 2900 + usage.usage_minor
    assert await house.settlement.open_tasks(account_id) == 0


async def test_m04_an_outage_of_forty_days_leaves_every_second_billed_or_in_a_task(
    house: BillingHouse, world: StripeWorld, holder: PriceBookHolder, clock: MovableClock
) -> None:
    account_id = await subscribed(house)
    away = build_house(house.database, clock, Away(), holder, pace=FAST)  # type: ignore[arg-type]
    days = [timedelta(days=one) for one in (1, 10, 20, 29, 40)]
    used = await reach_through_outage(house, world, away, account_id, days)
    clock.wall_shift += timedelta(days=40)
    await house.subscriptions.sync_subscription(account_id)
    await house.billing.mirror_invoices(account_id)
    for _ in range(8):
        await tick(house)
        clock.wall_shift += timedelta(minutes=16)
    await house.settlement.open_tasks(account_id)
    [task] = await house.settlement.undecided()
    counted = await at_stripe(world, holder, house, account_id)
    march = [row for row in await house.all_reports(account_id) if row.billing_period_start == START]
    assert {row.state for row in march} <= {ReportState.DEAD, ReportState.REJECTED, ReportState.CONFIRMED}
    assert task.quantity > 0
    assert task.starts_at == START
    assert abs(counted + task.quantity - to_sold_quantity(COMPUTE, used)) <= Decimal("0.000001")


async def test_m05_a_failed_round_repeats_neither_usage_nor_what_was_sent(
    house: BillingHouse, world: StripeWorld, holder: PriceBookHolder, clock: MovableClock, gateway: StripeClientGateway
) -> None:
    account_ids = [await subscribed(house) for _ in range(3)]
    await world.advance_to(START + timedelta(days=1))
    for account_id in account_ids:
        await house.add_closed_usage(account_id, COMPUTE, 5 * NS_PER_HOUR, NOON)

    class FailsForOne:
        """Answers for all customers but one."""

        def __init__(self, failing: str) -> None:
            self._failing = failing

        def __getattr__(self, name: str) -> Any:
            return getattr(gateway, name)

        async def send_meter_event(self, event: Any) -> None:
            if event.customer_id == self._failing:
                raise StripeUnavailable
            await gateway.send_meter_event(event)

    failing = await house.subscriptions.get_subscription(account_ids[0])
    other = build_house(house.database, clock, FailsForOne(str(failing.stripe_customer_id)), holder, pace=FAST)  # type: ignore[arg-type]
    for _ in range(3):
        await tick(other)
        clock.wall_shift += timedelta(minutes=16)
    for account_id in account_ids:
        await quiet(house, clock, account_id)
        assert await at_stripe(world, holder, house, account_id) == Decimal(5)
        assert len(await house.all_reports(account_id)) == 1


async def test_m02_m03_usage_goes_to_meters_and_every_plan_has_the_four_metered_prices(
    house: BillingHouse, world: StripeWorld, holder: PriceBookHolder, sandbox_url: str, secret_key: str
) -> None:
    account_id = await subscribed(house)
    record = await house.subscriptions.get_subscription(account_id)
    live = await world.v1.subscriptions.retrieve_async(str(record.stripe_subscription_id))
    items = live["items"].data
    prices = {item.price.id for item in items}
    assert prices >= {meter.price_id for meter in holder.require().meters.values()}
    assert len(prices) == 5
    url = f"/v1/subscription_items/{items[1].id}/usage_records"
    headers = {"Authorization": f"Bearer {secret_key}"}
    async with aiohttp.ClientSession(sandbox_url, headers=headers) as session:
        assert (await session.post(url, data={"quantity": "1"})).status == 404
    await house.add_closed_usage(account_id, COMPUTE, 600 * 10**9, START)
    await world.advance_to(START + timedelta(hours=1))
    await tick(house)
    assert await at_stripe(world, holder, house, account_id) == Decimal("0.166666")

"""The estimate of the next invoice is Stripe's own preview, line by line, once Stripe has all usage."""

import random
from collections.abc import Awaitable, Callable
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any

import pytest

from helvetia.catalogue.plans import SubscriptionPlan
from helvetia.costs.estimate import store
from helvetia.costs.estimate.model import LineKind
from helvetia.database.pool import Database
from helvetia.kernel.identity import AccountId
from helvetia.kernel.quantity import SOLD_UNITS, UsageMetric
from helvetia.stripe_gateway.client import StripeClientGateway
from helvetia.stripe_gateway.errors import StripeUnavailable
from helvetia.stripe_gateway.upcoming import PreviewInvoice, UpcomingFacts
from helvetia.web.config import WebConfig
from support import trials
from support.billing_house import BillingHouse, MovableClock, build_house
from support.estimate_world import (
    START,
    Subscriber,
    assert_is_stripes,
    new_subscriber,
    read_estimate,
    report,
    use_everything,
)
from support.stripe_world import StripeWorld
from support.web_world import web_world

FREE, STARTER, PRO, ENTERPRISE = SubscriptionPlan
APRIL = datetime(2026, 4, 10, 10, 17, 23, tzinfo=UTC)
DAY_5 = START + timedelta(days=5)
ACTOR = "user:test"


async def _coupon(world: StripeWorld, subscriber: Subscriber, **terms: Any) -> None:
    coupon = await world.v1.coupons.create_async({"duration": "forever", **terms})  # type: ignore[typeddict-item]
    await world.v1.subscriptions.update_async(subscriber.subscription_id, {"discounts": [{"coupon": coupon.id}]})


async def _tax(world: StripeWorld, subscriber: Subscriber, percent: float, *, inclusive: bool) -> None:
    rate = await world.v1.tax_rates.create_async({"display_name": "VAT", "percentage": percent, "inclusive": inclusive})
    await world.v1.subscriptions.update_async(subscriber.subscription_id, {"default_tax_rates": [rate.id]})


async def _credit(world: StripeWorld, subscriber: Subscriber, amount_minor: int) -> None:
    await world.v1.customers.balance_transactions.create_async(
        subscriber.customer_id, {"amount": amount_minor, "currency": "usd"}
    )


async def _percent_off(world: StripeWorld, subscriber: Subscriber) -> None:
    await _coupon(world, subscriber, percent_off=12.5)


async def _amount_off(world: StripeWorld, subscriber: Subscriber) -> None:
    await _coupon(world, subscriber, amount_off=777, currency="usd")


async def _once(world: StripeWorld, subscriber: Subscriber) -> None:
    await _coupon(world, subscriber, percent_off=50, duration="once")


async def _exclusive(world: StripeWorld, subscriber: Subscriber) -> None:
    await _tax(world, subscriber, 8.1, inclusive=False)


async def _inclusive(world: StripeWorld, subscriber: Subscriber) -> None:
    await _tax(world, subscriber, 7.7, inclusive=True)


async def _some_credit(world: StripeWorld, subscriber: Subscriber) -> None:
    await _credit(world, subscriber, -1234)


async def _more_credit_than_owed(world: StripeWorld, subscriber: Subscriber) -> None:
    await _credit(world, subscriber, -9_999_999)


async def _debt(world: StripeWorld, subscriber: Subscriber) -> None:
    await _credit(world, subscriber, 31)


async def _waiting(world: StripeWorld, subscriber: Subscriber) -> None:
    for amount, owner in ((-450, {}), (1250, {"subscription": subscriber.subscription_id})):
        item: Any = {"customer": subscriber.customer_id, "currency": "usd", "amount": amount, **owner}
        await world.v1.invoice_items.create_async(item)


async def _nothing(_world: StripeWorld, _subscriber: Subscriber) -> None:
    return None


async def _everything(world: StripeWorld, subscriber: Subscriber) -> None:
    for step in (_waiting, _amount_off, _exclusive, _some_credit):
        await step(world, subscriber)


@pytest.mark.parametrize(
    "setting",
    [
        _nothing,
        _percent_off,
        _amount_off,
        _once,
        _exclusive,
        _inclusive,
        _some_credit,
        _more_credit_than_owed,
        _debt,
        _waiting,
        _everything,
    ],
)
async def test_d04_estimate_is_stripes_preview_line_by_line(
    house: BillingHouse,
    world: StripeWorld,
    gateway: StripeClientGateway,
    clock: MovableClock,
    setting: Callable[[StripeWorld, Subscriber], Awaitable[None]],
) -> None:
    subscriber = await new_subscriber(house)
    await setting(world, subscriber)
    await world.advance_to(DAY_5)
    await use_everything(house, subscriber.account_id, random.Random(4))
    before = await read_estimate(house, subscriber.account_id)
    usage = [line for line in before.lines if line.kind is LineKind.USAGE]
    assert [line.metric for line in usage] == list(UsageMetric)
    assert all(line.not_at_stripe == line.quantity for line in usage)
    await report(house, clock, subscriber.account_id)
    estimate = await read_estimate(house, subscriber.account_id)
    assert all(line.not_at_stripe == 0 for line in estimate.lines if line.kind is LineKind.USAGE)
    assert estimate.sums == before.sums
    assert (estimate.is_complete, estimate.issued_at) == (True, APRIL)
    await assert_is_stripes(gateway, subscriber, estimate)


async def test_estimate_with_everything_becomes_the_invoice(
    house: BillingHouse, world: StripeWorld, clock: MovableClock
) -> None:
    subscriber = await new_subscriber(house)
    await _everything(world, subscriber)
    await world.advance_to(DAY_5)
    await use_everything(house, subscriber.account_id, random.Random(5))
    await report(house, clock, subscriber.account_id)
    estimate = await read_estimate(house, subscriber.account_id)
    await world.advance_to(APRIL + timedelta(hours=3))
    invoice = (await world.invoices(subscriber.customer_id))[0]
    assert (invoice.total, invoice.amount_due) == (estimate.sums.total_minor, estimate.sums.amount_due_minor)
    assert [line.amount for line in invoice.lines.data] == [line.amount_minor for line in estimate.lines]
    assert invoice.ending_balance == estimate.sums.balance_after_minor


async def test_scheduled_smaller_plan_is_the_next_fee(
    house: BillingHouse, world: StripeWorld, gateway: StripeClientGateway, clock: MovableClock
) -> None:
    subscriber = await new_subscriber(house)
    await world.advance_to(DAY_5)
    await use_everything(house, subscriber.account_id, random.Random(6))
    await report(house, clock, subscriber.account_id)
    preview = await house.billing.preview_update(subscriber.account_id, STARTER, actor=ACTOR)
    await house.billing.update_subscription(subscriber.account_id, STARTER, preview.change.change_id, actor=ACTOR)
    estimate = await read_estimate(house, subscriber.account_id)
    fee = next(line for line in estimate.lines if line.kind is LineKind.FEE)
    assert (fee.description, fee.amount_minor) == ("STARTER", 900)
    await assert_is_stripes(gateway, subscriber, estimate)


async def test_scheduled_smaller_plan_is_the_next_fee_before_stripe_was_read_again(
    house: BillingHouse, world: StripeWorld
) -> None:
    subscriber = await new_subscriber(house)
    await world.advance_to(DAY_5)
    before = await read_estimate(house, subscriber.account_id)
    assert before.is_complete
    await world.advance_to(DAY_5 + timedelta(minutes=1))
    preview = await house.billing.preview_update(subscriber.account_id, STARTER, actor=ACTOR)
    await house.billing.update_subscription(subscriber.account_id, STARTER, preview.change.change_id, actor=ACTOR)
    estimate = await house.estimates.estimate(subscriber.account_id)
    fee = next(line for line in estimate.lines if line.kind is LineKind.FEE)
    assert (fee.description, fee.amount_minor, estimate.is_complete) == ("STARTER", 900, False)


async def test_cancellation_at_period_end_leaves_no_fee(
    house: BillingHouse, world: StripeWorld, gateway: StripeClientGateway, clock: MovableClock
) -> None:
    subscriber = await new_subscriber(house)
    await world.advance_to(DAY_5)
    await _amount_off(world, subscriber)
    await _waiting(world, subscriber)
    await world.v1.subscriptions.update_async(subscriber.subscription_id, {"cancel_at_period_end": True})
    nothing_used = await read_estimate(house, subscriber.account_id)
    assert [line.kind for line in nothing_used.lines] == [LineKind.OTHER, *[LineKind.USAGE] * 4]
    await use_everything(house, subscriber.account_id, random.Random(7))
    await report(house, clock, subscriber.account_id)
    await assert_is_stripes(gateway, subscriber, await read_estimate(house, subscriber.account_id))


async def test_random_invoices_are_estimated_as_stripe_previews_them(
    house: BillingHouse, world: StripeWorld, gateway: StripeClientGateway, clock: MovableClock
) -> None:
    count, seed = trials.choose(small=10, full=200), 20260310
    luck = random.Random(seed)
    subscribers = [await new_subscriber(house, plan) for plan in (STARTER, PRO, ENTERPRISE)]
    await world.advance_to(DAY_5)
    for number in range(count):
        subscriber = luck.choice(subscribers)
        await _random_terms(world, subscriber, luck)
        for metric in luck.sample(list(UsageMetric), luck.randrange(5)):
            quantity = luck.randrange(SOLD_UNITS[metric].base_per_unit * luck.choice((1, 50, 5000)))
            await house.add_closed_usage(subscriber.account_id, metric, quantity, DAY_5, incarnation=f"c:{number}")
        await report(house, clock, subscriber.account_id)
        await assert_is_stripes(gateway, subscriber, await read_estimate(house, subscriber.account_id))
    trials.record("estimates equal to Stripe's preview, line by line", count=count, seed=seed)


async def _random_terms(world: StripeWorld, subscriber: Subscriber, luck: random.Random) -> None:
    """Other discounts, taxes, items, balance and end than before."""
    rates: list[str] = []
    if luck.random() < 0.7:
        rate: Any = {"display_name": "VAT", "percentage": luck.randrange(1, 300) / 10, "inclusive": luck.random() < 0.5}
        rates.append((await world.v1.tax_rates.create_async(rate)).id)
    offs = [await _random_coupon(world, luck) for _ in range(luck.randrange(3))]
    terms: Any = {
        "discounts": offs or "",
        "default_tax_rates": rates or "",
        "cancel_at_period_end": luck.random() < 0.2,
    }
    await world.v1.subscriptions.update_async(subscriber.subscription_id, terms)
    if luck.random() < 0.3:
        await _waiting(world, subscriber)
    await _credit(world, subscriber, luck.randrange(-8000, 6000) or 1)


async def _random_coupon(world: StripeWorld, luck: random.Random) -> dict[str, str]:
    terms: Any = {"duration": luck.choice(("forever", "once"))}
    if luck.random() < 0.5:
        terms["percent_off"] = luck.randrange(1, 1000) / 10
    else:
        terms |= {"amount_off": luck.randrange(1, 6000), "currency": "usd"}
    return {"coupon": (await world.v1.coupons.create_async(terms)).id}


class LateGateway:
    """Passes everything on; a reading it was told to hold back is answered with what was true before."""

    def __init__(self, gateway: StripeClientGateway) -> None:
        self._gateway = gateway
        self.meanwhile: Callable[[], Awaitable[object]] | None = None
        self.is_away = False
        self.adds_minor = 0

    def __getattr__(self, name: str) -> Any:
        return getattr(self._gateway, name)

    async def read_upcoming(self, customer_id: str, subscription_id: str) -> UpcomingFacts:
        if self.is_away:
            raise StripeUnavailable
        found = await self._gateway.read_upcoming(customer_id, subscription_id)
        if self.meanwhile is not None:
            await self.meanwhile()
        return found

    async def preview_upcoming(self, subscription_id: str) -> PreviewInvoice | None:
        found = await self._gateway.preview_upcoming(subscription_id)
        if found is None or not self.adds_minor:
            return found
        return PreviewInvoice(
            lines=found.lines,
            has_more_lines=False,
            total_minor=found.total_minor + self.adds_minor,
            amount_due_minor=found.amount_due_minor,
        )


async def test_reading_overtaken_by_a_newer_one_changes_nothing(
    house: BillingHouse, world: StripeWorld, gateway: StripeClientGateway, clock: MovableClock
) -> None:
    subscriber = await new_subscriber(house)
    late = LateGateway(gateway)
    slow = build_house(house.database, clock, late, house.prices)  # type: ignore[arg-type]

    async def meanwhile() -> None:
        await _credit(world, subscriber, -500)
        await house.estimates.read_account(subscriber.account_id)

    late.meanwhile = meanwhile
    await slow.estimates.read_account(subscriber.account_id)
    estimate = await house.estimates.estimate(subscriber.account_id)
    assert estimate.sums.balance_applied_minor == -500


async def test_estimate_stands_while_stripe_is_away_and_says_what_it_lacks(
    house: BillingHouse, world: StripeWorld, gateway: StripeClientGateway, clock: MovableClock
) -> None:
    subscriber = await new_subscriber(house)
    late = LateGateway(gateway)
    away = build_house(house.database, clock, late, house.prices)  # type: ignore[arg-type]
    late.is_away = True
    with pytest.raises(StripeUnavailable):
        await away.estimates.read_all_due()
    estimate = await away.estimates.estimate(subscriber.account_id)
    assert (estimate.facts_at, estimate.is_complete, estimate.sums.total_minor) == (None, False, 2900)
    late.is_away = False
    assert (await away.estimates.read_all_due()).read_count == 1
    assert (await away.estimates.read_all_due()).read_count == 0
    known = await away.estimates.estimate(subscriber.account_id)
    assert (known.facts_at, known.is_complete) == (START, True)
    await world.advance_to(APRIL + timedelta(minutes=5))
    await house.subscriptions.sync_subscription(subscriber.account_id)
    assert (await house.estimates.estimate(subscriber.account_id)).facts_at is None
    assert (await house.estimates.read_all_due()).read_count == 1
    assert (await house.estimates.estimate(subscriber.account_id)).facts_at == APRIL + timedelta(minutes=5)


async def test_difference_from_the_preview_is_the_operators_finding_once(
    house: BillingHouse, gateway: StripeClientGateway, clock: MovableClock
) -> None:
    subscriber = await new_subscriber(house)
    late = LateGateway(gateway)
    late.adds_minor = 1
    other = build_house(house.database, clock, late, house.prices)  # type: ignore[arg-type]
    assert await other.estimates.read_account(subscriber.account_id)
    assert not await other.estimates.read_account(subscriber.account_id)
    clock.advance(timedelta(days=1))
    assert await other.estimates.read_account(subscriber.account_id)
    assert await _findings(house.database, subscriber.account_id) == (1, 1)
    clock.advance(timedelta(days=1))
    late.adds_minor = 0
    assert not await other.estimates.read_account(subscriber.account_id)
    assert await _findings(house.database, subscriber.account_id) == (1, 0)


async def _findings(database: Database, account_id: AccountId) -> tuple[int, int]:
    """Entries on the account's record, and accounts that differ now."""
    async with database.transaction() as tx:
        cursor = await tx.execute(
            "SELECT count(*) FROM audit_entries WHERE account_id = %s AND action = 'costs.estimate_differs'",
            (account_id,),
        )
        row = await cursor.fetchone()
        assert row is not None
        return int(row[0]), await store.count_different(tx)


async def test_free_account_is_shown_its_usage_and_no_invoice(house: BillingHouse) -> None:
    account_id = await house.new_account()
    metric = UsageMetric.COMPUTE_HOURS
    await house.add_closed_usage(account_id, metric, SOLD_UNITS[metric].base_per_unit * 3, START)
    estimate = await house.estimates.estimate(account_id)
    assert (estimate.is_charged, estimate.issued_at, estimate.is_complete) == (False, None, True)
    assert next((line.quantity, line.amount_minor) for line in estimate.lines) == (Decimal(3), 0)
    assert estimate.sums.amount_due_minor == 0


async def test_page_of_the_next_invoice_tells_every_step_from_the_fee_to_the_amount_due(
    database: Database,
    clock: MovableClock,
    gateway: StripeClientGateway,
    house: BillingHouse,
    world: StripeWorld,
) -> None:
    config = WebConfig(public_base_url="https://cloud.example", stripe_publishable_key="pk_test_x", metrics_token="m")
    async with web_world(database, clock, config, gateway=gateway, prices=house.prices) as web:
        user = await web.user("ada")
        record = await house.billing.create_subscription(user.account_id, PRO, "pm_card_visa")
        assert record.stripe_customer_id is not None
        assert record.stripe_subscription_id is not None
        subscriber = Subscriber(
            account_id=user.account_id,
            customer_id=record.stripe_customer_id,
            subscription_id=record.stripe_subscription_id,
        )
        for step in (_percent_off, _exclusive, _some_credit):
            await step(world, subscriber)
        await house.estimates.read_all_due()
        metric = UsageMetric.COMPUTE_HOURS
        await house.add_closed_usage(user.account_id, metric, SOLD_UNITS[metric].base_per_unit // 4, START)
        async with web.as_user(user) as client:
            body = (await client.get("/api/v1/billing/estimate")).json()
            usage = (await client.get("/api/v1/billing/usage")).json()
    fee, compute = body["lines"][0], body["lines"][1]
    assert (fee["kind"], fee["description"], fee["start"], fee["end"]) == ("fee", "PRO", "2026-04-10T10:17:23Z", None)
    assert (fee["amount"], fee["discount"], fee["tax"]) == ("29.00", "3.63", "2.05")
    assert (compute["metric"], compute["quantity"], compute["notAtStripe"]) == (metric.value, "0.250000", "0.250000")
    assert usage["usage"][0]["notAtStripe"] == "0.250000"
    assert body["discounts"] == [{"name": None, "percentOff": "12.5", "amountOff": None, "amount": "3.63"}]
    assert body["taxes"] == [{"name": "VAT", "percent": "8.1", "inclusive": False, "amount": "2.05"}]
    assert (body["subtotal"], body["total"], body["balanceApplied"]) == ("29.00", "27.42", "-12.34")
    assert (body["amountDue"], body["balanceAfter"], body["complete"]) == ("15.08", "0.00", True)
    assert (body["issuedAt"], body["stripeAsOf"]) == ("2026-04-10T10:17:23Z", "2026-03-10T10:17:23Z")

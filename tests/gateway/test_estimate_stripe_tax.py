"""With Stripe Tax the estimate takes the rates of Stripe's latest preview, and says where it knows none."""

import random
from collections.abc import Awaitable, Callable
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any

import pytest

from helvetia.catalogue.plans import SubscriptionPlan
from helvetia.costs.estimate.model import TaxBasis
from helvetia.kernel.quantity import SOLD_UNITS, UsageMetric
from helvetia.stripe_gateway.client import StripeClientGateway
from helvetia.stripe_gateway.convert_automatic_tax import from_stripe_automatic_tax, named_rates
from helvetia.web.api.schemas.estimate import to_wire_estimate
from support import trials
from support.billing_house import BillingHouse, MovableClock
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

APRIL = datetime(2026, 4, 10, 10, 17, 23, tzinfo=UTC)
DAY_5 = START + timedelta(days=5)
SEED = 20260310


async def _tax_automatically(world: StripeWorld, subscriber: Subscriber, country: str) -> None:
    await world.v1.customers.update_async(subscriber.customer_id, {"address": {"country": country}})
    await world.v1.subscriptions.update_async(subscriber.subscription_id, {"automatic_tax": {"enabled": True}})


async def _swiss(world: StripeWorld, subscriber: Subscriber) -> None:
    await _tax_automatically(world, subscriber, "CH")


async def _untaxed_country(world: StripeWorld, subscriber: Subscriber) -> None:
    await _tax_automatically(world, subscriber, "US")


async def _reverse_charge(world: StripeWorld, subscriber: Subscriber) -> None:
    await _tax_automatically(world, subscriber, "DE")
    await world.v1.customers.update_async(subscriber.customer_id, {"tax_exempt": "reverse"})


async def _with_everything(world: StripeWorld, subscriber: Subscriber) -> None:
    await _tax_automatically(world, subscriber, "DE")
    rate = await world.v1.tax_rates.create_async({"display_name": "VAT", "percentage": 3, "inclusive": False})
    await world.v1.subscriptions.update_async(subscriber.subscription_id, {"default_tax_rates": [rate.id]})
    coupon = await world.v1.coupons.create_async({"duration": "forever", "percent_off": 12.5})
    await world.v1.subscriptions.update_async(subscriber.subscription_id, {"discounts": [{"coupon": coupon.id}]})
    for amount in (-450, 1250):
        item: Any = {"customer": subscriber.customer_id, "currency": "usd", "amount": amount}
        await world.v1.invoice_items.create_async(item)
    await world.v1.customers.balance_transactions.create_async(
        subscriber.customer_id, {"amount": -1234, "currency": "usd"}
    )


@pytest.mark.parametrize("setting", [_swiss, _untaxed_country, _reverse_charge, _with_everything])
async def test_estimate_with_stripe_tax_is_the_preview_and_becomes_the_invoice(
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
    await report(house, clock, subscriber.account_id)
    estimate = await read_estimate(house, subscriber.account_id)
    assert estimate.sums == before.sums
    assert estimate.is_complete
    assert any(line.added_tax_minor for line in estimate.lines) == (setting in {_swiss, _with_everything})
    await assert_is_stripes(gateway, subscriber, estimate)
    await world.advance_to(APRIL + timedelta(hours=3))
    invoice = (await world.invoices(subscriber.customer_id))[0]
    assert (invoice.total, invoice.amount_due) == (estimate.sums.total_minor, estimate.sums.amount_due_minor)
    assert [line.amount for line in invoice.lines.data] == [line.amount_minor for line in estimate.lines]


async def test_rates_told_before_any_usage_tax_the_usage_that_comes(
    house: BillingHouse, world: StripeWorld, clock: MovableClock, gateway: StripeClientGateway
) -> None:
    subscriber = await new_subscriber(house)
    await _swiss(world, subscriber)
    await read_estimate(house, subscriber.account_id)
    await use_everything(house, subscriber.account_id, random.Random(5))
    foretold = await house.estimates.estimate(subscriber.account_id)
    assert foretold.tax_basis is TaxBasis.STRIPE_TAX
    await report(house, clock, subscriber.account_id)
    await assert_is_stripes(gateway, subscriber, foretold)


async def test_customer_without_a_place_is_told_no_tax_and_why(
    house: BillingHouse, world: StripeWorld, clock: MovableClock
) -> None:
    subscriber = await new_subscriber(house)
    await _swiss(world, subscriber)
    await world.v1.customers.update_async(subscriber.customer_id, {"address": ""})
    await use_everything(house, subscriber.account_id, random.Random(6))
    estimate = await read_estimate(house, subscriber.account_id)
    assert (estimate.tax_basis, estimate.is_complete, estimate.sums.taxes_minor) == (TaxBasis.NOT_PLACED, False, ())
    answer = to_wire_estimate(estimate)
    assert (answer.tax_known, answer.tax_basis, answer.taxes) == (False, "not_placed", [])
    assert "address" in answer.tax_note
    assert {line.tax for line in answer.lines} == {None}
    await _swiss(world, subscriber)
    placed = to_wire_estimate(await read_estimate(house, subscriber.account_id))
    assert (placed.tax_known, placed.taxes[0].percent) == (True, Decimal("8.1"))


async def test_taxes_that_were_not_read_yet_are_not_called_zero(house: BillingHouse) -> None:
    subscriber = await new_subscriber(house)
    answer = to_wire_estimate(await house.estimates.estimate(subscriber.account_id))
    assert (answer.tax_known, answer.tax_basis, answer.complete) == (False, "not_read", False)
    assert {line.tax for line in answer.lines} == {None}


async def test_random_invoices_with_stripe_tax_are_estimated_as_stripe_previews_them(
    house: BillingHouse, world: StripeWorld, gateway: StripeClientGateway, clock: MovableClock
) -> None:
    count, luck = trials.choose(small=5, full=60), random.Random(SEED)
    subscribers = [await new_subscriber(house, plan) for plan in (SubscriptionPlan.STARTER, SubscriptionPlan.PRO)]
    await world.advance_to(DAY_5)
    for number in range(count):
        subscriber = luck.choice(subscribers)
        await _tax_automatically(world, subscriber, luck.choice(["AT", "CH", "DE", "ES", "GB", "US"]))
        await world.v1.customers.update_async(
            subscriber.customer_id, {"tax_exempt": luck.choice(["none", "none", "none", "exempt", "reverse"])}
        )
        if luck.random() < 0.3:
            item: Any = {"customer": subscriber.customer_id, "currency": "usd", "amount": luck.randrange(-900, 3000)}
            await world.v1.invoice_items.create_async(item)
        for metric in luck.sample(list(UsageMetric), luck.randrange(5)):
            quantity = luck.randrange(SOLD_UNITS[metric].base_per_unit * luck.choice((1, 50, 5000)))
            await house.add_closed_usage(subscriber.account_id, metric, quantity, DAY_5, incarnation=f"c:{number}")
        await report(house, clock, subscriber.account_id)
        await assert_is_stripes(gateway, subscriber, await read_estimate(house, subscriber.account_id))
    trials.record("estimates equal to Stripe's preview with Stripe Tax, line by line", count=count, seed=SEED)


def _line(**fields: object) -> dict[str, Any]:
    return {"amount": 100, "pricing": {"price_details": {"price": "price_fee"}}, "parent": None, "taxes": [], **fields}


def _tax(rate_id: str | None) -> dict[str, Any]:
    return {"amount": 8, "tax_behavior": "exclusive", "tax_rate_details": {"tax_rate": rate_id}}


@pytest.mark.parametrize(
    ("line", "told"),
    [
        (_line(), ()),
        (_line(amount=0), None),
        (_line(taxes=[_tax("txr_1")]), (Decimal("8.1"),)),
        (_line(taxes=[_tax("txr_1"), _tax("txr_2")]), (Decimal("8.1"), Decimal("1.25"))),
        (_line(taxes=[_tax("txr_flat")]), None),
        (_line(taxes=[_tax(None)]), None),
    ],
)
def test_line_tells_its_rates_or_that_it_tells_none(line: dict[str, Any], told: tuple[Decimal, ...] | None) -> None:
    rates: dict[str, Any] = {
        "txr_1": {"id": "txr_1", "percentage": 8.1, "effective_percentage": None, "rate_type": "percentage"},
        "txr_2": {"id": "txr_2", "percentage": 9, "effective_percentage": 1.25, "rate_type": "percentage"},
        "txr_flat": {"id": "txr_flat", "percentage": 0, "effective_percentage": None, "rate_type": "flat_amount"},
    }
    preview = {"automatic_tax": {"enabled": True, "status": "complete"}, "lines": {"data": [line]}}
    assert named_rates(preview) <= set(rates)
    found = dict(from_stripe_automatic_tax(preview, rates).rates)
    assert [rate.percent for rate in found.get("price_fee", ())] == list(told or ())
    assert ("price_fee" in found) == (told is not None)

"""Tax rates in the price and on top of it, automatic tax, and all of it together with discounts."""

from __future__ import annotations

import uuid
from typing import Any

import pytest
import stripe
from hypothesis import HealthCheck, Phase, given, seed, settings
from hypothesis import strategies as st

from sandbox.harness import Sandbox, World
from support.trials import choose, record

APR_1 = 1_775_001_600
HOUR = 3600
DAY = 86_400
MAY_1 = APR_1 + 30 * DAY
SEED = 20_261_028
SEQUENCES = choose(small=12, full=300)


def rate(world: World, percentage: float, *, inclusive: bool = False) -> str:
    params = {"display_name": "VAT", "percentage": percentage, "inclusive": inclusive}
    return world.client.v1.tax_rates.create(params).id


def sums(invoice: Any) -> tuple[int, ...]:
    return (invoice.subtotal, invoice.subtotal_excluding_tax, invoice.total_excluding_tax, invoice.total)


@pytest.fixture
def shop(world: World) -> tuple[World, str, str]:
    world.catalogue(fixed_minor=1999, amounts={"compute": "1"})
    clock = world.clock(APR_1)
    return world, clock, world.customer(clock)


def test_exclusive_tax_is_added_and_inclusive_tax_is_part_of_the_price(shop: Any) -> None:
    world, clock, customer = shop
    added, held = rate(world, 8.1), rate(world, 20, inclusive=True)
    subscription = world.subscribe(customer, default_tax_rates=[added])
    assert subscription.default_tax_rates[0].percentage == 8.1
    first = world.invoices(subscription.id)[0]
    assert sums(first) == (1999, 1999, 1999, 2161)
    (tax,) = first.total_taxes
    assert (tax.amount, tax.taxable_amount, tax.tax_behavior, tax.tax_rate_details.tax_rate) == (
        162,
        1999,
        "exclusive",
        added,
    )
    assert (first.amount_paid, first.default_tax_rates[0].id) == (2161, added)
    world.client.v1.subscriptions.update(subscription.id, {"default_tax_rates": [held]})
    world.use("compute", customer, "600", APR_1)
    shown = world.client.v1.invoices.create_preview({"subscription": subscription.id})
    world.advance(clock, MAY_1 + HOUR)
    second = world.invoices(subscription.id)[0]
    assert sums(second) == sums(shown) == (2599, 2599 - 333 - 100, 2166, 2599)
    assert [line.taxes[0].amount for line in second.lines.data] == [333, 100]
    assert second.total_taxes[0].taxable_amount == 2166


def test_rates_of_an_item_go_before_those_of_the_subscription(shop: Any) -> None:
    world, clock, customer = shop
    low, high = rate(world, 2.5), rate(world, 10)
    items = [{"price": world.prices["fixed"], "tax_rates": [low, high]}, {"price": world.prices["compute"]}]
    wish = {"customer": customer, "items": items, "default_tax_rates": [rate(world, 50)]}
    subscription = world.client.v1.subscriptions.create(wish)
    assert [one.id for one in subscription.items.data[0].tax_rates] == [low, high]
    world.use("compute", customer, "10", APR_1)
    world.advance(clock, APR_1 + 15 * DAY)
    item = {"id": subscription.items.data[0].id, "quantity": 2}
    world.client.v1.subscriptions.update(subscription.id, {"items": [item]})
    world.advance(clock, MAY_1 + HOUR)
    invoice = world.invoices(subscription.id)[0]
    assert [line.amount for line in invoice.lines.data] == [-1000, 1999, 3998, 10]
    assert [[tax.amount for tax in line.taxes] for line in invoice.lines.data] == [
        [-25, -100],
        [50, 200],
        [100, 400],
        [5],
    ]
    assert invoice.total == invoice.subtotal + sum(tax.amount for tax in invoice.total_taxes)


def test_tax_is_counted_on_what_a_discount_leaves(shop: Any) -> None:
    world, _clock, customer = shop
    half = world.client.v1.coupons.create({"percent_off": 50, "duration": "forever"}).id
    wish = {"discounts": [{"coupon": half}], "default_tax_rates": [rate(world, 10)]}
    invoice = world.invoices(world.subscribe(customer, **wish).id)[0]
    assert (invoice.subtotal, invoice.total_taxes[0].taxable_amount, invoice.total) == (1999, 999, 999 + 100)


@pytest.mark.parametrize(("exempt", "reason"), [("exempt", "customer_exempt"), ("reverse", "reverse_charge")])
def test_exempt_customer_is_not_taxed_and_told_why(shop: Any, exempt: str, reason: str) -> None:
    world, _clock, customer = shop
    world.client.v1.customers.update(customer, {"tax_exempt": exempt})
    invoice = world.invoices(world.subscribe(customer, default_tax_rates=[rate(world, 10)]).id)[0]
    assert (invoice.total, invoice.total_taxes[0].amount, invoice.total_taxes[0].taxability_reason) == (1999, 0, reason)


def test_manual_invoice_takes_rates_and_so_do_its_items(shop: Any) -> None:
    world, _clock, customer = shop
    v1 = world.client.v1
    own, general = rate(world, 5), rate(world, 10)
    item = v1.invoice_items.create({"customer": customer, "amount": 1000, "currency": "usd", "tax_rates": [own]})
    assert item.tax_rates[0].id == own
    v1.invoice_items.create({"customer": customer, "amount": 500, "currency": "usd"})
    wish = {"customer": customer, "pending_invoice_items_behavior": "include", "default_tax_rates": [general]}
    invoice = v1.invoices.create(wish)
    assert (invoice.total, len(invoice.total_taxes)) == (1000 + 50 + 500 + 50, 2)
    v1.invoice_items.update(item.id, {"tax_rates": ""})
    assert v1.invoices.retrieve(invoice.id).total == 1650
    paid = v1.invoices.pay(invoice.id)
    assert (paid.amount_paid, paid.status) == (1650, "paid")


def test_tax_rate_changes_its_name_but_not_its_percentage(world: World) -> None:
    v1 = world.client.v1
    made = rate(world, 7.7)
    assert v1.tax_rates.update(made, {"active": False, "display_name": "Old"}).active is False
    for bad in ({"percentage": 8}, {"tax_type": "wealth"}, {"inclusive": True}):
        with pytest.raises(stripe.InvalidRequestError):
            v1.tax_rates.update(made, bad)
    for bad in ({"display_name": "X", "inclusive": True}, {"display_name": "X", "inclusive": True, "percentage": 101}):
        with pytest.raises(stripe.InvalidRequestError):
            v1.tax_rates.create(bad)
    assert v1.tax_rates.list({"active": True}).data == []
    world.catalogue()
    with pytest.raises(stripe.InvalidRequestError) as archived:
        world.subscribe(world.customer(), default_tax_rates=[made])
    assert archived.value.param == "default_tax_rates[0]"
    assert world.event_types()[:2] == ["tax_rate.created", "tax_rate.updated"]


def test_automatic_tax_follows_the_country_of_the_customer(shop: Any) -> None:
    world, _clock, customer = shop
    v1 = world.client.v1
    with pytest.raises(stripe.InvalidRequestError) as nowhere:
        world.subscribe(customer, automatic_tax={"enabled": True})
    assert nowhere.value.code == "customer_tax_location_invalid"
    v1.customers.update(customer, {"address": {"country": "CH"}})
    subscription = world.subscribe(customer, automatic_tax={"enabled": True})
    invoice = world.invoices(subscription.id)[0]
    assert (invoice.automatic_tax.status, invoice.total) == ("complete", 1999 + 162)
    used = v1.tax_rates.retrieve(invoice.total_taxes[0].tax_rate_details.tax_rate)
    assert (used.country, used.percentage, used.active) == ("CH", 8.1, False)
    assert v1.invoices.create_preview({"subscription": subscription.id}).total == 1999 + 162
    v1.customers.update(customer, {"address": {"country": "US"}})
    shown = v1.invoices.create_preview({"subscription": subscription.id})
    assert (shown.total, shown.total_taxes[0].taxability_reason) == (1999, "not_collecting")


def test_invoice_of_a_customer_who_cannot_be_placed_is_finalized_without_tax(shop: Any) -> None:
    world, clock, customer = shop
    world.client.v1.customers.update(customer, {"address": {"country": "DE"}})
    subscription = world.subscribe(customer, automatic_tax={"enabled": True})
    world.client.v1.customers.update(customer, {"address": ""})
    world.advance(clock, MAY_1 + HOUR)
    invoice = world.invoices(subscription.id)[0]
    told = invoice.automatic_tax
    assert (told.enabled, told.disabled_reason) == (False, "finalization_requires_location_inputs")
    assert (invoice.total, invoice.status) == (1999, "paid")


STEP = st.tuples(
    st.integers(min_value=1, max_value=9 * DAY),
    st.sampled_from([500, 1999, 3333, 10_001]),
    st.integers(min_value=1, max_value=3),
    st.sampled_from(["create_prorations", "always_invoice"]),
    st.sampled_from(["none", "third", "amount", "both"]),
    st.sampled_from(["none", "added", "held", "mixed"]),
)


@given(steps=st.lists(STEP, min_size=1, max_size=4))
@seed(SEED)
@settings(
    max_examples=SEQUENCES,
    deadline=None,
    database=None,
    phases=[Phase.generate],
    suppress_health_check=list(HealthCheck),
)
def live_through(sandbox: Sandbox, steps: list[tuple[int, int, int, str, str, str]]) -> None:
    """Change plan, discounts and taxes at each step; every invoice must add up and be as previewed."""
    world = World(client=sandbox.client(f"sk_test_{uuid.uuid4().hex}"))
    world.catalogue(fixed_minor=2000, amounts={"compute": "0.7"})
    v1 = world.client.v1
    params = {"currency": "usd", "product": world.product, "recurring": {"interval": "month"}}
    prices = {minor: v1.prices.create({**params, "unit_amount": minor}).id for minor in {step[1] for step in steps}}
    third = {"coupon": v1.coupons.create({"percent_off": "33.33", "duration": "forever"}).id}
    amount = {"coupon": v1.coupons.create({"amount_off": 777, "currency": "usd", "duration": "forever"}).id}
    offs: dict[str, Any] = {"none": "", "third": [third], "amount": [amount], "both": [amount, third]}
    added, held = rate(world, 7.7), rate(world, 19, inclusive=True)
    rates: dict[str, Any] = {"none": "", "added": [added], "held": [held], "mixed": [held, added]}
    clock = world.clock(APR_1)
    customer = world.customer(clock)
    subscription = world.subscribe(customer)
    world.use("compute", customer, "1234.5", APR_1)
    now = APR_1
    for after, minor, quantity, behavior, off, tax in steps:
        if now + after >= MAY_1:
            break
        now += after
        world.advance(clock, now)
        v1.subscriptions.update(subscription.id, {"discounts": offs[off], "default_tax_rates": rates[tax]})
        item = {"id": subscription.items.data[0].id, "price": prices[minor], "quantity": quantity}
        wish = {"items": [item], "proration_behavior": behavior, "proration_date": now}
        shown = v1.invoices.create_preview({"subscription": subscription.id, "subscription_details": wish})
        changed = v1.subscriptions.update(subscription.id, wish)
        if behavior == "always_invoice" and shown.created == now:
            assert essence(shown) == essence(v1.invoices.retrieve(str(changed.latest_invoice)))
    following = v1.invoices.create_preview({"subscription": subscription.id})
    world.advance(clock, MAY_1 + HOUR)
    invoices = world.invoices(subscription.id)
    assert essence(following) == essence(invoices[0])
    for invoice in invoices:
        assert_adds_up(invoice)


def test_any_sequence_of_plans_coupons_and_taxes_adds_up_and_bills_as_previewed(sandbox: Sandbox) -> None:
    live_through(sandbox=sandbox)
    record("sandbox: any sequence of plans, coupons and taxes adds up, as previewed", count=SEQUENCES, seed=SEED)


def essence(invoice: Any) -> Any:
    """What a preview promises: each line with its discounts and taxes, and the sums."""
    lines = [
        (
            line.amount,
            line.period.start,
            line.period.end,
            [one.amount for one in line.discount_amounts],
            [(tax.amount, tax.taxable_amount, tax.tax_rate_details.tax_rate) for tax in line.taxes],
        )
        for line in invoice.lines.auto_paging_iter()
    ]
    return lines, sums(invoice), [tax.amount for tax in invoice.total_taxes], invoice.starting_balance


def assert_adds_up(invoice: Any) -> None:
    lines = list(invoice.lines.auto_paging_iter())
    off = sum(one.amount for line in lines for one in line.discount_amounts)
    taxes = [tax for line in lines for tax in line.taxes]
    added = sum(tax.amount for tax in taxes if tax.tax_behavior == "exclusive")
    assert invoice.subtotal == sum(line.amount for line in lines)
    assert invoice.total == invoice.subtotal - off + added
    assert off == sum(one.amount for one in invoice.total_discount_amounts)
    assert sum(tax.amount for tax in taxes) == sum(tax.amount for tax in invoice.total_taxes)
    assert invoice.total_excluding_tax == invoice.total - sum(tax.amount for tax in taxes)
    for line in lines:
        taken = [one.amount for one in line.discount_amounts]
        assert all(one >= 0 for one in taken)
        assert sum(taken) <= max(line.amount, 0)

"""Coupons, promotion codes and the discounts made of them: what they take off, for how long, and of what."""

from __future__ import annotations

from decimal import Decimal
from typing import Any

import pytest
import stripe

from sandbox.harness import World

APR_1 = 1_775_001_600
HOUR = 3600
DAY = 86_400
USD = {"currency": "usd"}
MAY_1, JUN_1, JUL_1 = APR_1 + 30 * DAY, APR_1 + 61 * DAY, APR_1 + 91 * DAY


def coupon(world: World, **terms: Any) -> str:
    return world.client.v1.coupons.create(terms).id


def off(invoice: Any) -> list[int]:
    return [sum(taken.amount for taken in line.discount_amounts) for line in invoice.lines.data]


@pytest.fixture
def shop(world: World) -> tuple[World, str, str]:
    world.catalogue(fixed_minor=3000, amounts={"compute": "1"})
    clock = world.clock(APR_1)
    return world, clock, world.customer(clock)


@pytest.mark.parametrize(
    ("terms", "expected"),
    [
        ({"percent_off": 25, "duration": "once"}, [2250, 3000, 3000, 3000]),
        ({"percent_off": Decimal("33.3"), "duration": "forever"}, [2001, 2001, 2001, 2001]),
        (
            {"amount_off": 500, "currency": "usd", "duration": "repeating", "duration_in_months": 2},
            [2500, 2500, 3000, 3000],
        ),
        ({**USD, "amount_off": 9000, "duration": "once"}, [0, 3000, 3000, 3000]),
    ],
)
def test_coupon_lowers_as_many_invoices_as_its_duration_says(shop: Any, terms: Any, expected: list[int]) -> None:
    world, clock, customer = shop
    subscription = world.subscribe(customer, discounts=[{"coupon": coupon(world, **terms)}])
    for at in (MAY_1, JUN_1, JUL_1):
        shown = world.client.v1.invoices.create_preview({"subscription": subscription.id})
        world.advance(clock, at + HOUR)
        invoice = world.invoices(subscription.id)[0]
        assert (shown.total, shown.subtotal, off(shown)) == (invoice.total, invoice.subtotal, off(invoice))
    invoices = world.invoices(subscription.id)[::-1]
    assert [invoice.total for invoice in invoices] == expected
    assert {invoice.subtotal for invoice in invoices} == {3000}
    assert [sum(taken.amount for taken in one.total_discount_amounts) for one in invoices] == [
        3000 - x for x in expected
    ]
    left = world.client.v1.subscriptions.retrieve(subscription.id).discounts
    assert len(left) == (1 if terms["duration"] == "forever" else 0)
    ended = world.event_types().count("customer.discount.deleted")
    assert (world.event_types().count("customer.discount.created"), ended) == (1, 1 - len(left))


def test_amount_is_spread_by_share_and_the_rest_goes_to_the_last(world: World) -> None:
    world.catalogue(fixed_minor=1000, amounts={"compute": "1"})
    params = {"currency": "usd", "product": world.product, "recurring": {"interval": "month"}}
    world.prices["second"] = world.client.v1.prices.create({**params, "unit_amount": 2000}).id
    name = coupon(world, amount_off=500, currency="usd", duration="once")
    subscription = world.subscribe(world.customer(world.clock(APR_1)), discounts=[{"coupon": name}])
    invoice = world.invoices(subscription.id)[0]
    assert (off(invoice), invoice.total) == ([166, 334], 2500)
    given = invoice.total_pretax_credit_amounts
    assert [(one.amount, one.type, one.discount) for one in given] == [(500, "discount", invoice.discounts[0])]


def test_discount_of_an_item_comes_first_and_of_its_products_only(shop: Any) -> None:
    world, _clock, customer = shop
    v1 = world.client.v1
    other = v1.products.create({"name": "Other"}).id
    params = {"currency": "usd", "product": other, "recurring": {"interval": "month"}, "unit_amount": 1000}
    half, ten = coupon(world, percent_off=50, duration="forever"), coupon(world, percent_off=10, duration="forever")
    only = coupon(world, amount_off=700, currency="usd", duration="forever", applies_to={"products": [other]})
    subscription = v1.subscriptions.create(
        {
            "customer": customer,
            "items": [
                {"price": world.prices["fixed"], "discounts": [{"coupon": half}]},
                {"price": v1.prices.create(params).id},
            ],
            "discounts": [{"coupon": ten}, {"coupon": only}],
        }
    )
    invoice = v1.invoices.retrieve(str(subscription.latest_invoice))
    assert (off(invoice), invoice.subtotal, invoice.total) == ([1500 + 150, 100 + 700], 2500, 1550)
    assert v1.coupons.retrieve(only, {"expand": ["applies_to"]}).applies_to.products == [other]
    shown = v1.subscriptions.retrieve(subscription.id, {"expand": ["discounts.source.coupon", "items.data.discounts"]})
    assert shown.discounts[0].source.coupon.percent_off == 10
    assert shown.items.data[0].discounts[0].subscription_item == shown.items.data[0].id


def test_change_of_plan_credits_what_was_paid_and_charges_with_the_discount(shop: Any) -> None:
    world, clock, customer = shop
    name = coupon(world, percent_off=50, duration="forever")
    subscription = world.subscribe(customer, discounts=[{"coupon": name}])
    world.advance(clock, APR_1 + 10 * DAY)
    params = {"currency": "usd", "product": world.product, "recurring": {"interval": "month"}, "unit_amount": 6000}
    item = {"id": subscription.items.data[0].id, "price": world.client.v1.prices.create(params).id}
    wish = {"items": [item], "proration_behavior": "always_invoice", "proration_date": APR_1 + 10 * DAY}
    shown = world.client.v1.invoices.create_preview({"subscription": subscription.id, "subscription_details": wish})
    changed = world.client.v1.subscriptions.update(subscription.id, wish)
    invoice = world.client.v1.invoices.retrieve(str(changed.latest_invoice))
    assert [line.amount for line in invoice.lines.data] == [-1000, 2000]
    assert (shown.total, invoice.total) == (1000, 1000)
    items = world.client.v1.invoice_items.list({"customer": customer}).data
    taken = [one.amount for item in items for one in item.proration_details.discount_amounts]
    assert (taken, {item.discountable for item in items}) == ([2000], {False})
    world.client.v1.subscriptions.update(subscription.id, {"items": [{**item, "price": world.prices["fixed"]}]})
    pending = world.client.v1.invoice_items.list({"customer": customer, "pending": True}).data
    assert sorted(item.amount for item in pending) == [-2000, 1000]


def test_discounts_of_a_subscription_can_be_replaced_kept_and_deleted(shop: Any) -> None:
    world, clock, customer = shop
    v1 = world.client.v1
    ten, fifth = coupon(world, percent_off=10, duration="forever"), coupon(world, percent_off=20, duration="forever")
    subscription = world.subscribe(customer, discounts=[{"coupon": ten}])
    first = str(subscription.discounts[0])
    both = v1.subscriptions.update(subscription.id, {"discounts": [{"discount": first}, {"coupon": fifth}]})
    assert (both.discounts[0], len(both.discounts), v1.coupons.retrieve(ten).times_redeemed) == (first, 2, 1)
    assert v1.invoices.create_preview({"subscription": subscription.id}).total == 3000 - 300 - 540
    once = {"subscription": subscription.id, "discounts": [{"coupon": fifth}]}
    assert v1.invoices.create_preview(once).total == 2400
    assert v1.coupons.retrieve(fifth).times_redeemed == 1
    removed = v1.subscriptions.delete_discount(subscription.id)
    assert (removed.object, removed.deleted) == ("discount", True)
    assert not v1.subscriptions.retrieve(subscription.id).discounts
    with pytest.raises(stripe.InvalidRequestError) as none:
        v1.subscriptions.delete_discount(subscription.id)
    assert none.value.http_status == 404
    world.advance(clock, MAY_1 + HOUR)
    assert world.invoices(subscription.id)[0].total == 3000
    v1.subscriptions.update(subscription.id, {"discounts": [{"coupon": ten}]})
    assert v1.subscriptions.update(subscription.id, {"discounts": ""}).discounts == []


def test_coupon_that_is_over_used_up_deleted_or_in_another_currency_is_refused(shop: Any) -> None:
    world, clock, customer = shop
    v1 = world.client.v1
    one = coupon(world, percent_off=10, duration="once", max_redemptions=1)
    late = coupon(world, percent_off=10, duration="once", redeem_by=APR_1 + DAY)
    euro = coupon(world, amount_off=100, currency="eur", duration="once")
    subscription = world.subscribe(customer, discounts=[{"coupon": one}])
    assert not v1.coupons.retrieve(one).valid
    world.advance(clock, APR_1 + 2 * DAY)
    gone = coupon(world, percent_off=10, duration="forever", id="GONE")
    v1.subscriptions.update(subscription.id, {"discounts": [{"coupon": gone}]})
    assert v1.coupons.delete(gone).deleted
    expected = {one: "coupon_expired", late: "coupon_expired", euro: None, gone: "resource_missing"}
    for name, code in expected.items():
        with pytest.raises(stripe.InvalidRequestError) as refused:
            v1.subscriptions.update(subscription.id, {"discounts": [{"coupon": name}]})
        assert (refused.value.code, refused.value.param) == (code, "discounts[0][coupon]")
    assert v1.invoices.create_preview({"subscription": subscription.id}).total == 2700


@pytest.mark.parametrize(
    "terms",
    [
        {"duration": "once"},
        {"percent_off": 10, "amount_off": 5, "currency": "usd"},
        {"amount_off": 5},
        {"percent_off": 0},
        {"percent_off": "100.5"},
        {"percent_off": 10, "duration": "repeating"},
        {"percent_off": 10, "duration": "once", "duration_in_months": 3},
        {"percent_off": 10, "duration": "weekly"},
        {"percent_off": "ten"},
        {"percent_off": 10, "applies_to": {"products": ["prod_missing"]}},
        {"percent_off": 10, "colour": "red"},
    ],
)
def test_terms_that_make_no_coupon_are_refused(world: World, terms: Any) -> None:
    with pytest.raises(stripe.InvalidRequestError) as refused:
        world.client.v1.coupons.create(terms)
    assert refused.value.http_status == 400


def test_coupon_has_a_name_that_changes_and_terms_that_do_not(world: World) -> None:
    v1 = world.client.v1
    made = v1.coupons.create({"id": "SPRING", "percent_off": Decimal("12.5"), "duration": "once", "name": "Spring"})
    assert (made.percent_off, made.valid, made.times_redeemed, "applies_to" in made) == (12.5, True, 0, False)
    assert v1.coupons.update("SPRING", {"name": "Summer", "metadata": {"a": "b"}}).name == "Summer"
    with pytest.raises(stripe.InvalidRequestError) as twice:
        v1.coupons.create({"id": "SPRING", "percent_off": 10})
    assert twice.value.code == "resource_already_exists"
    with pytest.raises(stripe.InvalidRequestError):
        v1.coupons.update("SPRING", {"percent_off": 50})
    assert [one.id for one in v1.coupons.list().data] == ["SPRING"]
    v1.coupons.delete("SPRING")
    assert v1.coupons.list().data == []
    assert world.event_types() == ["coupon.created", "coupon.updated", "coupon.deleted"]


def test_promotion_code_is_good_for_whom_and_what_it_says(shop: Any) -> None:
    world, _clock, customer = shop
    v1 = world.client.v1
    name = coupon(world, percent_off=50, duration="once")

    def code(**extra: Any) -> str:
        return v1.promotion_codes.create({"promotion": {"type": "coupon", "coupon": name}, **extra}).id

    least = {"minimum_amount": 5000, "minimum_amount_currency": "usd"}
    stranger = world.customer()
    refused = [code(customer=stranger), code(restrictions=least), code(active=False)]
    for one in refused:
        with pytest.raises(stripe.InvalidRequestError) as why:
            world.subscribe(customer, discounts=[{"promotion_code": one}])
        assert (why.value.code, why.value.param) == ("promotion_code_invalid", "discounts[0][promotion_code]")
    assert v1.subscriptions.list({"customer": customer}).data == []
    first = code(code="FIRST", restrictions={"first_time_transaction": True}, max_redemptions=5)
    subscription = world.subscribe(customer, discounts=[{"promotion_code": first}])
    assert world.invoices(subscription.id)[0].total == 1500
    used = v1.promotion_codes.retrieve(first, {"expand": ["promotion.coupon"]})
    assert (used.times_redeemed, used.promotion.coupon.times_redeemed, used.active) == (1, 1, True)
    with pytest.raises(stripe.InvalidRequestError, match="first purchases"):
        v1.subscriptions.update(subscription.id, {"discounts": [{"promotion_code": first}]})
    with pytest.raises(stripe.InvalidRequestError, match="already exists"):
        code(code="first")
    assert v1.promotion_codes.update(first, {"active": False}).active is False
    assert len(v1.promotion_codes.list({"active": True}).data) == 2
    assert [one.id for one in v1.promotion_codes.list({"code": "FIRST"}).data] == [first]


def test_manual_invoice_and_its_items_have_discounts_of_their_own(shop: Any) -> None:
    world, _clock, customer = shop
    v1 = world.client.v1
    tenth, dollar = coupon(world, percent_off=10), coupon(world, amount_off=100, currency="usd")
    item = {"customer": customer, "currency": "usd"}
    v1.invoice_items.create({**item, "amount": 1000, "discounts": [{"coupon": dollar}]})
    v1.invoice_items.create({**item, "amount": 2000, "discountable": False})
    wish = {"customer": customer, "pending_invoice_items_behavior": "include", "discounts": [{"coupon": tenth}]}
    invoice = v1.invoices.create(wish)
    assert (invoice.subtotal, invoice.total) == (2900, 2810)
    shown = v1.invoices.retrieve(invoice.id, {"expand": ["discounts"]})
    assert shown.discounts[0].invoice == invoice.id
    assert v1.invoices.update(invoice.id, {"discounts": ""}).total == 2900
    v1.invoices.finalize_invoice(invoice.id)
    with pytest.raises(stripe.InvalidRequestError) as frozen:
        v1.invoices.update(invoice.id, {"discounts": [{"coupon": tenth}]})
    assert frozen.value.code == "invoice_not_editable"


def test_customer_as_a_whole_has_no_discount_to_delete(shop: Any) -> None:
    world, _clock, customer = shop
    with pytest.raises(stripe.InvalidRequestError) as none:
        world.client.v1.customers.delete_discount(customer)
    assert none.value.http_status == 404


def test_only_billing_mode_left_cannot_be_migrated_to(shop: Any) -> None:
    world, _clock, customer = shop
    subscription = world.subscribe(customer)
    with pytest.raises(stripe.InvalidRequestError) as same:
        world.client.v1.subscriptions.migrate(subscription.id, {"billing_mode": {"type": "flexible"}})
    assert same.value.param == "billing_mode[type]"

"""Checkout with coupons, promotion codes and taxes: what the page shows is what is billed."""

from __future__ import annotations

from typing import Any

import pytest
import requests
import stripe

from sandbox.harness import World

CARD = {"cardNumber": "4242424242424242", "cardExpiry": "12 / 40", "cardCvc": "123", "billingName": "Ada"}
BUYER = {"email": "ada@example.com", **CARD}


@pytest.fixture
def shop(world: World) -> World:
    world.catalogue(fixed_minor=3000, amounts={"compute": "1"})
    return world


def open_session(world: World, **extra: Any) -> Any:
    lines = [{"price": world.prices["fixed"], "quantity": 1}, {"price": world.prices["compute"]}]
    wish = {"mode": "subscription", "line_items": lines, "success_url": "http://127.0.0.1:9/done"}
    return world.client.v1.checkout.sessions.create({**wish, **extra})


def submit(session: Any, **form: str) -> requests.Response:
    return requests.post(session.url, data=form, allow_redirects=False, timeout=20)


def billed(world: World, session: Any) -> Any:
    done = world.client.v1.checkout.sessions.retrieve(session.id)
    return done, world.client.v1.invoices.retrieve(done.invoice)


def test_session_with_coupon_and_rates_shows_what_it_bills(shop: World) -> None:
    v1 = shop.client.v1
    coupon = v1.coupons.create({"percent_off": 20, "duration": "forever"}).id
    tax = v1.tax_rates.create({"display_name": "VAT", "percentage": 7.7, "inclusive": False}).id
    lines = [{"price": shop.prices["fixed"], "quantity": 1, "tax_rates": [tax]}, {"price": shop.prices["compute"]}]
    session = open_session(shop, line_items=lines, discounts=[{"coupon": coupon}])
    assert (session.amount_subtotal, session.amount_total) == (3000, 2400 + 185)
    assert session.total_details.to_dict() == {"amount_discount": 600, "amount_shipping": 0, "amount_tax": 185}
    item = v1.checkout.sessions.line_items.list(session.id).data[0]
    assert (item.amount_subtotal, item.amount_discount, item.amount_tax, item.amount_total) == (3000, 600, 185, 2585)
    assert v1.coupons.retrieve(coupon).times_redeemed == 0
    assert submit(session, **BUYER).status_code == 303
    done, invoice = billed(shop, session)
    assert (invoice.total, invoice.amount_paid, done.amount_total) == (2585, 2585, 2585)
    subscription = v1.subscriptions.retrieve(done.subscription, {"expand": ["discounts"]})
    assert subscription.discounts[0].checkout_session == session.id
    assert v1.coupons.retrieve(coupon).times_redeemed == 1


def test_typed_code_lowers_the_price_and_a_wrong_one_says_so(shop: World) -> None:
    v1 = shop.client.v1
    coupon = v1.coupons.create({"amount_off": 1000, "currency": "usd", "duration": "once"}).id
    v1.promotion_codes.create({"promotion": {"type": "coupon", "coupon": coupon}, "code": "SPRING"})
    session = open_session(shop, allow_promotion_codes=True)
    wrong = submit(session, act="code", promotionCode="AUTUMN")
    assert (wrong.status_code, "This code is not valid." in wrong.text) == (422, True)
    right = submit(session, act="code", promotionCode="spring")
    assert (right.status_code, "$20.00" in right.text) == (200, True)
    assert submit(session, **BUYER).status_code == 303
    done, invoice = billed(shop, session)
    assert (done.amount_total, invoice.total, invoice.amount_paid) == (2000, 2000, 2000)
    assert (done.discounts[0].coupon, bool(done.discounts[0].promotion_code)) == (None, True)


def test_code_on_a_checkout_that_takes_none_changes_nothing(shop: World) -> None:
    session = open_session(shop)
    assert submit(session, act="code", promotionCode="X").status_code == 422
    with pytest.raises(stripe.InvalidRequestError) as both:
        open_session(shop, allow_promotion_codes=True, discounts=[{"coupon": "x"}])
    assert both.value.code == "parameters_exclusive"
    with pytest.raises(stripe.InvalidRequestError) as unknown:
        open_session(shop, discounts=[{"coupon": "NONE"}])
    assert unknown.value.param == "discounts[0][coupon]"


def test_automatic_tax_asks_for_the_country_and_keeps_it(shop: World) -> None:
    v1 = shop.client.v1
    session = open_session(shop, automatic_tax={"enabled": True})
    assert (session.automatic_tax.status, session.amount_total) == ("requires_location_inputs", 3000)
    assert submit(session, **BUYER).status_code == 422
    assert submit(session, act="country", country="nowhere").status_code == 422
    assert "$32.43" in submit(session, act="country", country="ch").text
    assert submit(session, **BUYER).status_code == 303
    done, invoice = billed(shop, session)
    assert (done.amount_total, invoice.total, invoice.automatic_tax.status) == (3243, 3243, "complete")
    assert v1.customers.retrieve(done.customer).address.country == "CH"
    located = v1.customers.create({"address": {"country": "DE"}}).id
    assert open_session(shop, customer=located, automatic_tax={"enabled": True}).amount_total == 3570


def test_one_time_sale_takes_a_coupon_too(shop: World) -> None:
    v1 = shop.client.v1
    coupon = v1.coupons.create({"percent_off": 50}).id
    price = v1.prices.create({"currency": "usd", "product": shop.product, "unit_amount": 1001}).id
    lines = [{"price": price, "quantity": 1}]
    session = open_session(shop, mode="payment", line_items=lines, discounts=[{"coupon": coupon}])
    assert session.amount_total == 500
    assert submit(session, **BUYER).status_code == 303
    done = v1.checkout.sessions.retrieve(session.id)
    assert v1.payment_intents.retrieve(done.payment_intent).amount_received == 500
    assert v1.coupons.retrieve(coupon).times_redeemed == 1

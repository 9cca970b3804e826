"""Subscriptions whose invoices are sent: nothing is charged by itself, and what is not paid in time is overdue."""

from __future__ import annotations

from typing import Any

import pytest
import stripe

from sandbox.harness import World

APR_1 = 1_775_001_600
HOUR = 3600
DAY = 86_400
MAY_1 = APR_1 + 30 * DAY
SENT = {"collection_method": "send_invoice", "days_until_due": 14}


@pytest.fixture
def live(world: World) -> tuple[World, str, str, stripe.Subscription]:
    world.catalogue(fixed_minor=3000, amounts={"compute": "1"})
    clock = world.clock(APR_1)
    customer = world.customer(clock, card=None)
    return world, clock, customer, world.subscribe(customer, **SENT)


def test_first_invoice_is_sent_after_an_hour_and_paid_by_hand(live: Any) -> None:
    world, clock, customer, subscription = live
    assert (subscription.status, subscription.days_until_due, subscription.pending_setup_intent) == ("active", 14, None)
    (draft,) = world.invoices(subscription.id)
    assert (draft.status, draft.next_payment_attempt) == ("draft", None)
    world.advance(clock, APR_1 + 2 * HOUR)
    (sent,) = world.invoices(subscription.id)
    assert (sent.status, sent.due_date, sent.attempt_count) == ("open", APR_1 + HOUR + 14 * DAY, 0)
    assert {"invoice.finalized", "invoice.sent"} <= set(world.event_types())
    method = world.card(customer, "pm_card_visa")
    assert world.client.v1.invoices.pay(sent.id, {"payment_method": method}).status == "paid"
    world.advance(clock, APR_1 + 20 * DAY)
    assert "invoice.overdue" not in world.event_types()
    assert world.client.v1.subscriptions.retrieve(subscription.id).status == "active"


def test_invoice_not_paid_in_time_is_overdue_until_it_is_paid(live: Any) -> None:
    world, clock, customer, subscription = live
    world.advance(clock, APR_1 + 15 * DAY)
    late = world.client.v1.subscriptions.retrieve(subscription.id)
    assert (late.status, world.event_types().count("invoice.overdue")) == ("past_due", 1)
    failing = world.card(customer, "pm_card_chargeCustomerFail")
    with pytest.raises(stripe.CardError):
        world.client.v1.invoices.pay(str(late.latest_invoice), {"payment_method": failing})
    assert world.client.v1.invoices.retrieve(str(late.latest_invoice)).next_payment_attempt is None
    world.client.v1.invoices.pay(str(late.latest_invoice), {"paid_out_of_band": True})
    assert world.client.v1.subscriptions.retrieve(subscription.id).status == "active"


def test_renewal_is_sent_with_its_usage_and_can_be_given_up(live: Any) -> None:
    world, clock, customer, subscription = live
    world.use("compute", customer, "50", APR_1)
    world.advance(clock, MAY_1 + 2 * HOUR)
    renewal = world.invoices(subscription.id)[0]
    assert (renewal.total, renewal.status, renewal.due_date) == (3050, "open", MAY_1 + HOUR + 14 * DAY)
    given_up = world.client.v1.invoices.mark_uncollectible(renewal.id)
    assert given_up.status == "uncollectible"
    assert world.client.v1.invoices.send_invoice(world.invoices(subscription.id)[1].id).status == "open"
    world.advance(clock, MAY_1 + 20 * DAY)
    assert world.event_types().count("invoice.overdue") == 1


def test_change_billed_at_once_is_sent_too(live: Any) -> None:
    world, _clock, _customer, subscription = live
    item = {"id": subscription.items.data[0].id, "quantity": 2}
    wish = {"items": [item], "proration_behavior": "always_invoice"}
    changed = world.client.v1.subscriptions.update(subscription.id, wish)
    invoice = world.client.v1.invoices.retrieve(str(changed.latest_invoice))
    assert (invoice.total, invoice.status, changed.status) == (3000, "open", "active")
    assert "invoice.sent" in world.event_types()


def test_way_of_collecting_can_change_and_must_make_sense(live: Any) -> None:
    world, clock, customer, subscription = live
    subscriptions = world.client.v1.subscriptions
    world.card(customer, "pm_card_visa")
    charged = subscriptions.update(subscription.id, {"collection_method": "charge_automatically"})
    assert (charged.collection_method, charged.days_until_due) == ("charge_automatically", None)
    world.advance(clock, MAY_1 + 2 * HOUR)
    assert world.invoices(subscription.id)[0].status == "paid"
    refused = ({"collection_method": "send_invoice"}, {"days_until_due": 3}, {"collection_method": "by_pigeon"})
    for bad in refused:
        with pytest.raises(stripe.InvalidRequestError) as why:
            subscriptions.update(subscription.id, bad)
        assert why.value.http_status == 400

"""What is told ahead: the invoice of the next renewal, and an invoice that will be due."""

from __future__ import annotations

from typing import Any

import pytest

from sandbox.harness import DAY, MONTH_START, Http, World

FEB_1 = MONTH_START + 31 * DAY
MAR_1 = FEB_1 + 28 * DAY
SENT = {"collection_method": "send_invoice", "days_until_due": 14}


def told(world: World, kind: str = "invoice.upcoming") -> list[dict[str, Any]]:
    """The objects of all events of a kind, oldest first, as they went over the wire."""
    events = world.client.v1.events.list({"type": kind, "limit": 100}).data
    return [event.to_dict(recursive=True, for_json=True)["data"]["object"] for event in events][::-1]


@pytest.fixture
def live(world: World) -> tuple[World, str, str, str]:
    world.catalogue(fixed_minor=3000, amounts={"compute": "1"})
    clock = world.clock()
    customer = world.customer(clock)
    return world, clock, customer, world.subscribe(customer).id


def test_renewal_is_told_seven_days_ahead_with_the_preview(live: Any) -> None:
    world, clock, customer, subscription = live
    world.use("compute", customer, "50", MONTH_START)
    world.advance(clock, FEB_1 - 7 * DAY - 1)
    assert told(world) == []
    world.advance(clock, FEB_1 - 7 * DAY)
    (invoice,) = told(world)
    assert "id" not in invoice
    assert (invoice["billing_reason"], invoice["status"], invoice["number"]) == ("upcoming", "draft", None)
    assert (invoice["total"], invoice["next_payment_attempt"]) == (3050, FEB_1 + 3600)
    assert [line["amount"] for line in invoice["lines"]["data"]] == [3000, 50]
    assert invoice["parent"]["subscription_details"]["subscription"] == subscription
    assert len(world.invoices(subscription)) == 1


def test_each_renewal_is_told_once_however_often_the_subscription_changes(live: Any) -> None:
    world, clock, _customer, subscription = live
    world.advance(clock, FEB_1 - 6 * DAY)
    for at_end in (True, False):
        world.client.v1.subscriptions.update(subscription, {"cancel_at_period_end": at_end})
    world.advance(clock, FEB_1)
    assert len(told(world)) == 1
    world.advance(clock, MAR_1)
    assert [invoice["period_end"] for invoice in told(world)] == [FEB_1, MAR_1]


def test_end_that_bills_nothing_is_not_told(live: Any) -> None:
    world, clock, _customer, subscription = live
    world.client.v1.subscriptions.update(subscription, {"cancel_at_period_end": True})
    world.advance(clock, MAR_1)
    assert told(world) == []


def test_end_that_bills_usage_is_told(live: Any) -> None:
    world, clock, customer, subscription = live
    world.use("compute", customer, "70", MONTH_START)
    world.client.v1.subscriptions.update(subscription, {"cancel_at_period_end": True})
    world.advance(clock, MAR_1)
    assert [invoice["total"] for invoice in told(world)] == [70]


def test_canceled_and_paused_subscriptions_are_not_told_of(live: Any) -> None:
    world, clock, customer, subscription = live
    other = world.client.v1.subscriptions.create({"customer": customer, "items": [{"price": world.prices["fixed"]}]})
    world.client.v1.subscriptions.cancel(subscription)
    pause = {"type": "subscription", "bill_for": {"unused_time_from": {"type": "none"}}}
    world.client.v1.subscriptions.pause(other.id, pause)
    world.advance(clock, FEB_1)
    assert told(world) == []


def test_days_are_a_setting_and_zero_is_never(world: World, http: Http) -> None:
    answer = http.post("/_sandbox/notices", {"upcoming_days": "3"}).json()
    assert answer == {"object": "sandbox.notices", "upcoming_days": 3, "will_be_due_days": 3}
    assert http.get("/_sandbox/notices").json() == answer
    assert http.post("/_sandbox/notices", {"upcoming_days": "61"}).status_code == 400
    world.catalogue(amounts={})
    clock = world.clock()
    world.subscribe(world.customer(clock))
    world.advance(clock, FEB_1 - 3 * DAY - 1)
    assert told(world) == []
    http.post("/_sandbox/notices", {"upcoming_days": "0"})
    world.advance(clock, FEB_1)
    assert len(told(world)) == 1
    world.advance(clock, MAR_1)
    assert len(told(world)) == 1


def test_accounts_own_clock_drives_it_too(world: World, http: Http) -> None:
    world.catalogue(amounts={})
    subscription = world.subscribe(world.customer())
    end_at = subscription["items"].data[0].current_period_end
    ahead = end_at - 7 * DAY - http.get("/_sandbox/clock").json()["now"]
    http.post("/_sandbox/clock/advance", {"seconds": ahead - 60})
    assert told(world) == []
    http.post("/_sandbox/clock/advance", {"seconds": 120})
    (invoice,) = told(world)
    assert (invoice["total"], invoice["period_end"]) == (2900, end_at)


def test_period_shorter_than_the_days_is_not_told(world: World) -> None:
    product = world.client.v1.products.create({"name": "Daily"}).id
    shape = {"currency": "usd", "product": product, "unit_amount": 500, "recurring": {"interval": "day"}}
    price = world.client.v1.prices.create(shape).id
    clock = world.clock()
    world.client.v1.subscriptions.create({"customer": world.customer(clock), "items": [{"price": price}]})
    world.advance(clock, MONTH_START + 2 * DAY)
    assert told(world) == []


def test_open_invoice_is_told_before_it_is_due_and_a_paid_one_is_not(world: World) -> None:
    world.catalogue(amounts={})
    clock = world.clock()
    first, second = (world.subscribe(world.customer(clock, card=None), **SENT).id for _ in range(2))
    world.advance(clock, MONTH_START + 7200)
    paid = world.client.v1.invoices.pay(world.invoices(second)[0].id, {"paid_out_of_band": True})
    assert paid.status == "paid"
    world.advance(clock, paid.due_date - 3 * DAY - 1)
    assert told(world, "invoice.will_be_due") == []
    world.advance(clock, paid.due_date + DAY)
    (due,) = told(world, "invoice.will_be_due")
    assert (due["id"], due["status"]) == (world.invoices(first)[0].id, "open")
    assert len(told(world, "invoice.overdue")) == 1

"""What an account does about failed payments, and the acts on an invoice beside paying."""

from __future__ import annotations

from typing import Any

import pytest
import stripe

from sandbox.harness import Http, World

JAN_1 = 1_767_225_600
FEB_1 = 1_769_904_000
MAR_1 = 1_772_323_200
HOUR = 3600
DAY = 86_400


@pytest.fixture
def failing(world: World) -> tuple[World, str, str, str]:
    """An active subscription whose card will fail at every renewal."""
    world.catalogue()
    clock = world.clock(JAN_1)
    customer = world.customer(clock)
    subscription = world.subscribe(customer)
    world.card(customer, "pm_card_chargeCustomerFail")
    return world, clock, customer, subscription.id


def status(world: World, subscription: str) -> str:
    return world.client.v1.subscriptions.retrieve(subscription).status


def test_retry_days_and_outcomes_are_settable(failing: Any, http: Http) -> None:
    world, clock, _customer, subscription = failing
    sent = {"retry_days[0]": 2, "retry_days[1]": 4, "outcome": "cancel", "invoice_outcome": "uncollectible"}
    answer = http.post("/_sandbox/dunning", sent).json()
    assert (answer["retry_days"], answer["outcome"], answer["invoice_outcome"]) == ([2, 4], "cancel", "uncollectible")
    assert http.get("/_sandbox/dunning").json() == answer
    world.advance(clock, FEB_1 + HOUR)
    assert world.invoices(subscription)[0].next_payment_attempt == FEB_1 + HOUR + 2 * DAY
    world.advance(clock, FEB_1 + HOUR + 4 * DAY)
    invoice = world.invoices(subscription)[0]
    assert (invoice.status, invoice.attempt_count) == ("uncollectible", 3)
    assert invoice.status_details.uncollectible.reason == "max_payment_attempts"
    assert status(world, subscription) == "canceled"
    ended = world.client.v1.subscriptions.retrieve(subscription)
    assert ended.cancellation_details.reason == "payment_failed"


def test_unpaid_is_paid_and_active_again(failing: Any) -> None:
    world, clock, customer, subscription = failing
    world.advance(clock, FEB_1 + HOUR + 7 * DAY)
    assert status(world, subscription) == "unpaid"
    world.advance(clock, MAR_1 + DAY)
    draft, owed = world.invoices(subscription)[:2]
    assert (draft.status, draft.auto_advance, owed.status) == ("draft", False, "open")
    world.card(customer, "pm_card_visa")
    world.client.v1.invoices.pay(owed.id)
    assert status(world, subscription) == "unpaid"
    assert world.client.v1.invoices.pay(draft.id).status == "paid"
    assert status(world, subscription) == "active"


def test_uncollectible_invoice_can_still_be_paid(failing: Any) -> None:
    world, clock, customer, subscription = failing
    world.advance(clock, FEB_1 + HOUR)
    invoices = world.client.v1.invoices
    owed = world.invoices(subscription)[0].id
    given_up = invoices.mark_uncollectible(owed)
    assert (given_up.status, given_up.next_payment_attempt) == ("uncollectible", None)
    assert given_up.status_transitions.marked_uncollectible_at == FEB_1 + HOUR
    with pytest.raises(stripe.InvalidRequestError, match="isn't open"):
        invoices.mark_uncollectible(owed)
    world.card(customer, "pm_card_visa")
    assert invoices.pay(owed).status == "paid"
    assert status(world, subscription) == "active"
    assert "invoice.marked_uncollectible" in world.event_types()


def test_manual_invoice_from_draft_to_paid(world: World) -> None:
    v1 = world.client.v1
    customer = world.customer()
    v1.invoice_items.create({"customer": customer, "amount": 1200, "currency": "usd"})
    draft = v1.invoices.create({"customer": customer, "pending_invoice_items_behavior": "include"})
    assert (draft.status, draft.total, draft.parent, draft.billing_reason) == ("draft", 1200, None, "manual")
    later = v1.invoice_items.create({"customer": customer, "amount": 300, "currency": "usd", "invoice": draft.id})
    assert later.invoice == draft.id
    assert v1.invoices.retrieve(draft.id).total == 1500
    sent = v1.invoices.send_invoice(draft.id)
    assert sent.status == "open"
    assert v1.invoices.pay(draft.id).amount_paid == 1500
    assert "invoice.sent" in world.event_types()


def test_deleted_draft_makes_its_items_pending_again(world: World) -> None:
    v1 = world.client.v1
    customer = world.customer()
    v1.invoice_items.create({"customer": customer, "amount": 1200, "currency": "usd"})
    draft = v1.invoices.create({"customer": customer, "pending_invoice_items_behavior": "include"})
    assert v1.invoices.delete(draft.id).deleted is True
    assert [item.invoice for item in v1.invoice_items.list({"customer": customer}).data] == [None]
    with pytest.raises(stripe.InvalidRequestError):
        v1.invoices.retrieve(draft.id)


def test_first_payment_with_three_d_secure_never_confirmed_expires(world: World) -> None:
    world.catalogue()
    clock = world.clock(JAN_1)
    customer = world.customer(clock, card="pm_card_threeDSecure2Required")
    subscription = world.subscribe(customer)
    assert subscription.status == "incomplete"
    world.advance(clock, JAN_1 + 23 * HOUR - 1)
    assert status(world, subscription.id) == "incomplete"
    world.advance(clock, JAN_1 + 23 * HOUR)
    assert status(world, subscription.id) == "incomplete_expired"
    (invoice,) = world.invoices(subscription.id)
    assert invoice.status == "void"

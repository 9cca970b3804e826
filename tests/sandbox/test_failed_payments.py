"""Declines: at creation, at renewal, over the retry schedule, and by hand."""

from __future__ import annotations

from typing import Any

import pytest
import stripe

from sandbox.harness import Http, World

JAN_1 = 1_767_225_600
FEB_1 = 1_769_904_000
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


def test_failed_renewal_makes_the_subscription_past_due(failing: Any) -> None:
    world, clock, customer, subscription = failing
    world.advance(clock, FEB_1 + HOUR)
    invoice = world.invoices(subscription)[0]
    assert status(world, subscription) == "past_due"
    assert (invoice.status, invoice.attempt_count, invoice.attempted) == ("open", 1, True)
    assert invoice.next_payment_attempt == FEB_1 + HOUR + DAY
    assert world.client.v1.customers.retrieve(customer).delinquent is True
    types = world.event_types()
    assert {"charge.failed", "payment_intent.payment_failed", "invoice.payment_failed"} <= set(types)
    payment = world.client.v1.invoice_payments.list({"invoice": invoice.id}).data[0]
    intent = world.client.v1.payment_intents.retrieve(payment.payment.payment_intent)
    assert (intent.status, intent.last_payment_error.code) == ("requires_payment_method", "card_declined")


def test_retry_after_a_better_card_makes_it_active_again(failing: Any) -> None:
    world, clock, customer, subscription = failing
    world.advance(clock, FEB_1 + HOUR)
    world.card(customer, "pm_card_visa")
    assert status(world, subscription) == "past_due"
    world.advance(clock, FEB_1 + HOUR + DAY)
    assert status(world, subscription) == "active"
    invoice = world.invoices(subscription)[0]
    assert (invoice.status, invoice.attempt_count) == ("paid", 2)
    assert world.client.v1.customers.retrieve(customer).delinquent is False


def test_paying_by_hand_makes_it_active_at_once(failing: Any) -> None:
    world, clock, customer, subscription = failing
    world.advance(clock, FEB_1 + HOUR)
    invoice = world.invoices(subscription)[0]
    with pytest.raises(stripe.CardError) as declined:
        world.client.v1.invoices.pay(invoice.id)
    assert (declined.value.http_status, declined.value.code) == (402, "card_declined")
    assert declined.value.error.decline_code == "generic_decline"
    world.card(customer, "pm_card_visa")
    paid = world.client.v1.invoices.pay(invoice.id)
    assert (paid.status, paid.attempt_count) == ("paid", 1)
    assert status(world, subscription) == "active"
    with pytest.raises(stripe.InvalidRequestError, match="already paid"):
        world.client.v1.invoices.pay(invoice.id)


def test_declined_pay_by_hand_is_recorded(failing: Any) -> None:
    world, clock, _customer, subscription = failing
    world.advance(clock, FEB_1 + HOUR)
    before = len(world.client.v1.charges.list({"limit": 100}).data)
    with pytest.raises(stripe.CardError):
        world.client.v1.invoices.pay(world.invoices(subscription)[0].id)
    assert len(world.client.v1.charges.list({"limit": 100}).data) == before + 1


@pytest.mark.parametrize(("outcome", "expected"), [("unpaid", "unpaid"), ("cancel", "canceled"), ("past_due",) * 2])
def test_exhausted_retries_lead_to_the_set_outcome(failing: Any, http: Http, outcome: str, expected: Any) -> None:
    world, clock, _customer, subscription = failing
    assert http.post("/_sandbox/dunning", {"outcome": outcome}).status_code == 200
    world.advance(clock, FEB_1 + HOUR + 7 * DAY - 1)
    assert status(world, subscription) == "past_due"
    world.advance(clock, FEB_1 + HOUR + 7 * DAY)
    assert status(world, subscription) == expected
    invoice = world.invoices(subscription)[0]
    assert (invoice.status, invoice.attempt_count, invoice.next_payment_attempt) == ("open", 5, None)


def test_unpaid_subscription_gets_drafts_that_wait(failing: Any) -> None:
    world, clock, _customer, subscription = failing
    world.advance(clock, FEB_1 + 10 * DAY)
    world.advance(clock, FEB_1 + 29 * DAY)
    draft = world.invoices(subscription)[0]
    assert (draft.status, draft.auto_advance, draft.automatically_finalizes_at) == ("draft", False, None)


def test_decline_at_creation_leaves_it_incomplete_then_expired(world: World) -> None:
    world.catalogue()
    clock = world.clock(JAN_1)
    customer = world.customer(clock, card="pm_card_chargeCustomerFail")
    subscription = world.subscribe(customer)
    assert subscription.status == "incomplete"
    (invoice,) = world.invoices(subscription.id)
    assert (invoice.status, invoice.attempt_count, invoice.next_payment_attempt) == ("open", 1, None)
    world.advance(clock, JAN_1 + 23 * HOUR)
    assert status(world, subscription.id) == "incomplete_expired"
    assert world.invoices(subscription.id)[0].status == "void"
    assert "invoice.voided" in world.event_types()


def test_incomplete_subscription_becomes_active_when_paid(world: World) -> None:
    world.catalogue()
    customer = world.customer(card="pm_card_chargeCustomerFail")
    subscription = world.subscribe(customer)
    world.card(customer, "pm_card_visa")
    world.client.v1.invoices.pay(subscription.latest_invoice)
    assert status(world, subscription.id) == "active"


def test_default_incomplete_never_charges(world: World) -> None:
    world.catalogue()
    customer = world.customer(card=None)
    subscription = world.subscribe(
        customer, payment_behavior="default_incomplete", expand=["latest_invoice.confirmation_secret"]
    )
    assert subscription.status == "incomplete"
    assert subscription.latest_invoice.attempt_count == 0
    assert subscription.latest_invoice.confirmation_secret.client_secret.startswith("pi_")
    assert not world.client.v1.charges.list().data


def test_error_if_incomplete_saves_nothing(world: World) -> None:
    world.catalogue()
    customer = world.customer(card="pm_card_chargeCustomerFail")
    with pytest.raises(stripe.CardError):
        world.subscribe(customer, payment_behavior="error_if_incomplete")
    assert not world.client.v1.subscriptions.list({"status": "all"}).data
    assert not world.client.v1.invoices.list().data
    assert "invoice.created" not in world.event_types()


def test_creation_without_any_card_is_refused(world: World) -> None:
    world.catalogue()
    customer = world.customer(card=None)
    with pytest.raises(stripe.InvalidRequestError) as refused:
        world.subscribe(customer)
    assert refused.value.code == "resource_missing"
    assert not world.client.v1.subscriptions.list({"status": "all"}).data


def test_authentication_needed_at_renewal_asks_for_action(world: World) -> None:
    world.catalogue()
    clock = world.clock(JAN_1)
    customer = world.customer(clock)
    subscription = world.subscribe(customer)
    world.card(customer, "pm_card_threeDSecure2Required")
    world.advance(clock, FEB_1 + HOUR)
    assert status(world, subscription.id) == "past_due"
    assert {"invoice.payment_action_required", "payment_intent.requires_action"} <= set(world.event_types())


@pytest.mark.parametrize(
    ("card", "code", "decline"),
    [
        ("pm_card_chargeDeclined", "card_declined", "generic_decline"),
        ("pm_card_visa_chargeDeclined", "card_declined", "generic_decline"),
        ("pm_card_chargeDeclinedInsufficientFunds", "card_declined", "insufficient_funds"),
        ("pm_card_chargeDeclinedExpiredCard", "expired_card", "expired_card"),
        ("pm_card_chargeDeclinedIncorrectCvc", "incorrect_cvc", "incorrect_cvc"),
        ("pm_card_chargeDeclinedProcessingError", "processing_error", "processing_error"),
    ],
)
def test_declining_card_is_refused_at_attach(world: World, card: str, code: str | None, decline: str) -> None:
    customer = world.customer(card=None)
    with pytest.raises(stripe.CardError) as refused:
        world.client.v1.payment_methods.attach(card, {"customer": customer})
    assert (refused.value.code, refused.value.error.decline_code) == (code, decline)
    assert not world.client.v1.customers.payment_methods.list(customer).data


def test_detached_card_is_no_default_any_more(world: World) -> None:
    customer = world.customer()
    method = world.client.v1.customers.payment_methods.list(customer).data[0].id
    detached = world.client.v1.payment_methods.detach(method)
    assert detached.customer is None
    assert world.client.v1.customers.retrieve(customer).invoice_settings.default_payment_method is None
    event = world.client.v1.events.list({"type": "payment_method.detached"}).data[0]
    assert event.data.previous_attributes["customer"] == customer

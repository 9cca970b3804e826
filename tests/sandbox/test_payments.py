"""Payments and set-ups by intent, refunds, balance transactions and disputes."""

from __future__ import annotations

import pytest
import stripe

from sandbox.harness import Http, World

PAY = {"amount": 1500, "currency": "usd", "confirm": True}


def test_confirmed_payment_succeeds_with_charge_and_balance_transaction(world: World) -> None:
    v1 = world.client.v1
    intent = v1.payment_intents.create({**PAY, "payment_method": "pm_card_visa", "expand": ["latest_charge"]})
    assert (intent.status, intent.amount_received) == ("succeeded", 1500)
    moved = v1.balance_transactions.retrieve(intent.latest_charge.balance_transaction)
    assert (moved.amount, moved.fee, moved.net, moved.source) == (1500, 74, 1426, intent.latest_charge.id)
    with pytest.raises(stripe.InvalidRequestError) as refused:
        v1.payment_intents.confirm(intent.id)
    assert refused.value.code == "payment_intent_unexpected_state"


def test_declined_payment_is_recorded_on_its_intent(world: World) -> None:
    v1 = world.client.v1
    with pytest.raises(stripe.CardError) as declined:
        v1.payment_intents.create({**PAY, "payment_method": "pm_card_chargeDeclined"})
    shown = declined.value.error.payment_intent
    kept = v1.payment_intents.retrieve(shown.id)
    assert (kept.status, kept.last_payment_error.decline_code) == ("requires_payment_method", "generic_decline")
    paid = v1.payment_intents.confirm(kept.id, {"payment_method": "pm_card_visa"})
    assert paid.status == "succeeded"


def test_authentication_waits_on_session_and_declines_off_session(world: World) -> None:
    v1 = world.client.v1
    card = {"payment_method": "pm_card_threeDSecure2Required"}
    waiting = v1.payment_intents.create({**PAY, **card})
    assert (waiting.status, waiting.next_action.type) == ("requires_action", "use_stripe_sdk")
    canceled = v1.payment_intents.cancel(waiting.id, {"cancellation_reason": "abandoned"})
    assert (canceled.status, canceled.cancellation_reason) == ("canceled", "abandoned")
    with pytest.raises(stripe.CardError) as declined:
        v1.payment_intents.create({**PAY, **card, "off_session": True})
    assert declined.value.code == "authentication_required"


def test_removed_parameter_is_refused_by_name(http: Http) -> None:
    for path in ("/v1/payment_intents", "/v1/setup_intents"):
        sent = {"payment_method_types[0]": "card"} | ({"amount": 100, "currency": "usd"} if "payment" in path else {})
        answer = http.post(path, sent)
        assert answer.json()["error"]["code"] == "payment_method_types_no_longer_supported"


def test_set_up_attaches_the_method_for_later(world: World) -> None:
    v1 = world.client.v1
    customer = world.customer(card=None)
    intent = v1.setup_intents.create({"customer": customer})
    assert (intent.status, intent.usage) == ("requires_payment_method", "off_session")
    done = v1.setup_intents.confirm(intent.id, {"payment_method": "pm_card_visa"})
    assert done.status == "succeeded"
    assert [one.id for one in v1.customers.payment_methods.list(customer).data] == [done.payment_method]
    waiting = v1.setup_intents.create(
        {"customer": customer, "confirm": True, "payment_method": "pm_card_authenticationRequired"}
    )
    assert waiting.status == "requires_action"
    assert v1.setup_intents.cancel(waiting.id).status == "canceled"
    assert len(v1.setup_intents.list({"customer": customer}).data) == 2


def test_refund_gives_back_in_parts_and_leaves_the_invoice_paid(world: World) -> None:
    world.catalogue(fixed_minor=2000)
    customer = world.customer()
    subscription = world.subscribe(customer)
    v1 = world.client.v1
    charge = v1.charges.list({"customer": customer}).data[0]
    first = v1.refunds.create({"charge": charge.id, "amount": 500, "reason": "requested_by_customer"})
    assert (first.status, first.amount, first.payment_intent) == ("succeeded", 500, charge.payment_intent)
    assert v1.charges.retrieve(charge.id).amount_refunded == 500
    rest = v1.refunds.create({"payment_intent": charge.payment_intent})
    assert rest.amount == 1500
    assert v1.charges.retrieve(charge.id).refunded is True
    with pytest.raises(stripe.InvalidRequestError) as refused:
        v1.refunds.create({"charge": charge.id})
    assert refused.value.code == "charge_already_refunded"
    assert world.invoices(subscription.id)[0].status == "paid"
    assert world.event_types().count("charge.refunded") == 2


def test_card_of_a_disputing_payer_is_charged_then_disputed(world: World) -> None:
    v1 = world.client.v1
    intent = v1.payment_intents.create({**PAY, "payment_method": "pm_card_createDispute"})
    assert intent.status == "succeeded"
    (dispute,) = v1.disputes.list({"payment_intent": intent.id}).data
    assert (dispute.charge, dispute.reason, dispute.status) == (intent.latest_charge, "fraudulent", "needs_response")
    assert v1.charges.retrieve(intent.latest_charge).disputed is True
    assert "charge.dispute.created" in world.event_types()


def test_payment_method_from_a_token_is_attached_later(world: World) -> None:
    v1 = world.client.v1
    method = v1.payment_methods.create({"type": "card", "card": {"token": "tok_visa"}})
    assert (method.customer, method.card.last4) == (None, "4242")
    customer = world.customer(card=None)
    assert v1.payment_methods.attach(method.id, {"customer": customer}).customer == customer
    v1.payment_methods.detach(method.id)
    with pytest.raises(stripe.InvalidRequestError):
        v1.payment_methods.attach(method.id, {"customer": customer})

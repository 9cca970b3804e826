"""What is told when money comes back or is fought over, and when a card is set up: the events and their fields."""

from __future__ import annotations

from typing import Any

import pytest
import stripe

from sandbox.harness import World

PAY = {"amount": 1500, "currency": "usd", "confirm": True}


def told(world: World, kind: str) -> list[dict[str, Any]]:
    """The data of all events of a kind, oldest first, as they went over the wire."""
    events = world.client.v1.events.list({"type": kind, "limit": 100}).data
    return [event.to_dict(recursive=True, for_json=True)["data"] for event in events][::-1]


def test_each_partial_refund_tells_what_is_given_back_so_far(world: World) -> None:
    v1 = world.client.v1
    intent = v1.payment_intents.create({**PAY, "payment_method": "pm_card_visa"})
    parts = [v1.refunds.create({"payment_intent": intent.id, "amount": part}).id for part in (400, 600)]
    parts.append(v1.refunds.create({"charge": str(intent.latest_charge)}).id)
    assert [refund["object"]["id"] for refund in told(world, "refund.created")] == parts
    charges = told(world, "charge.refunded")
    assert [(one["object"]["amount_refunded"], one["object"]["refunded"]) for one in charges] == [
        (400, False),
        (1000, False),
        (1500, True),
    ]
    assert [one["previous_attributes"]["amount_refunded"] for one in charges] == [0, 400, 1000]
    moved = v1.balance_transactions.list({"type": "refund"}).data
    assert sorted(one.amount for one in moved) == [-600, -500, -400]


def test_dispute_carries_the_charge_and_its_state(world: World) -> None:
    v1 = world.client.v1
    intent = v1.payment_intents.create({**PAY, "payment_method": "pm_card_createDispute"})
    (dispute,) = (one["object"] for one in told(world, "charge.dispute.created"))
    assert (dispute["amount"], dispute["currency"], dispute["charge"]) == (1500, "usd", intent.latest_charge)
    assert (dispute["payment_intent"], dispute["status"]) == (intent.id, "needs_response")
    assert {"evidence", "evidence_details", "is_charge_refundable", "balance_transactions", "reason"} <= dispute.keys()
    kinds = world.event_types()
    assert kinds.index("charge.succeeded") < kinds.index("charge.dispute.created")
    assert told(world, "charge.updated")[-1]["previous_attributes"] == {"disputed": False}


def test_set_up_tells_of_each_step(world: World) -> None:
    v1, customer = world.client.v1, world.customer(card=None)
    intents = v1.setup_intents
    good = intents.create({"customer": customer, "confirm": True, "payment_method": "pm_card_visa"})
    asking = {"customer": customer, "confirm": True, "payment_method": "pm_card_authenticationRequired"}
    waiting = intents.create(asking)
    intents.cancel(waiting.id)
    with pytest.raises(stripe.CardError):
        intents.create({"customer": customer, "confirm": True, "payment_method": "pm_card_chargeDeclined"})
    (done,) = (one["object"] for one in told(world, "setup_intent.succeeded"))
    assert (done["id"], done["payment_method"], done["customer"]) == (good.id, good.payment_method, customer)
    (step,) = (one["object"] for one in told(world, "setup_intent.requires_action"))
    assert (step["id"], step["next_action"]["type"]) == (waiting.id, "use_stripe_sdk")
    assert [one["object"]["id"] for one in told(world, "setup_intent.canceled")] == [waiting.id]
    (failed,) = (one["object"] for one in told(world, "setup_intent.setup_failed"))
    assert failed["last_setup_error"]["decline_code"] == "generic_decline"
    assert len(told(world, "setup_intent.created")) == 3

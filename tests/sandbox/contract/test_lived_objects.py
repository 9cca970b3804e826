"""What only a life shows: objects after renewals, declines, changes and ends, as their events carry them."""

from __future__ import annotations

from typing import Any

from sandbox.contract import sdk_types
from sandbox.contract.checker import Place, deviations
from sandbox.contract.stage import Stage

JAN_1 = 1_767_225_600
FEB_1 = 1_769_904_000
MAR_1 = 1_772_323_200
# Stripe says so of this event, although its SDK declares the id of every invoice.
TOLD_WITHOUT_ID = "invoice.upcoming invoice.id: is missing"


def live(stage: Stage) -> None:
    """A renewal that is paid, an upgrade, a renewal that fails, a schedule, a cancellation."""
    v1 = stage.v1
    clock = stage.new_clock(JAN_1)
    customer = stage.new_customer(test_clock=clock)
    subscription = stage.new_subscription(customer)
    stage.advance(clock, FEB_1 + 3 * 3600)
    item = subscription.items.data[0].id
    v1.subscriptions.update(subscription.id, {"items": [{"id": item, "quantity": 3}]})
    failing = stage.new_card(customer, "pm_card_chargeCustomerFail")
    v1.customers.update(customer, {"invoice_settings": {"default_payment_method": failing}})
    stage.advance(clock, MAR_1 + 3 * 3600)
    schedule = v1.subscription_schedules.create({"from_subscription": subscription.id})
    v1.subscription_schedules.release(schedule.id)
    v1.subscriptions.update(subscription.id, {"cancel_at_period_end": True})
    v1.subscriptions.cancel(subscription.id, {"invoice_now": True, "prorate": True})


def refusals_of(event: Any) -> list[str]:
    """How the object of an event differs from its class, without what changed by the way of being old."""
    shown = event.to_dict(recursive=True, for_json=True)["data"]["object"]
    declared = sdk_types.class_of(shown["object"])
    assert declared is not None
    return list(deviations(shown, declared, Place(f"{event.type} {shown['object']}")))


def test_objects_of_a_whole_life_are_what_the_sdk_declares(stage: Stage) -> None:
    live(stage)
    events = list(stage.v1.events.list({"limit": 100}).auto_paging_iter())
    kinds = {event.type for event in events}
    assert {"invoice.payment_failed", "invoice.paid", "customer.subscription.deleted", "charge.failed"} <= kinds
    found = {line for event in events for line in refusals_of(event)}
    assert sorted(found) == [TOLD_WITHOUT_ID]

"""Subscriptions in each of their states, their items and schedules."""

from __future__ import annotations

from typing import Any

from sandbox.contract.case import case
from sandbox.contract.stage import Stage


def _wanted(stage: Stage, **params: Any) -> tuple[dict[str, Any]]:
    customer = params.pop("customer", None) or stage.new_customer()
    items = [{"price": stage.price}, {"price": stage.metered_price}]
    return ({"customer": customer, "items": items, **params},)


def _fixed_item(stage: Stage) -> Any:
    return stage.new_subscription().items.data[0]


def _canceled(stage: Stage) -> tuple[dict[str, Any]]:
    subscription = stage.new_subscription()
    stage.v1.subscriptions.cancel(subscription.id, {"invoice_now": True})
    return ({"customer": subscription.customer, "status": "canceled"},)


def _upgraded(stage: Stage) -> tuple[str, dict[str, Any]]:
    subscription = stage.new_subscription()
    items = [{"id": subscription.items.data[0].id, "price": stage.new_price(4900)}]
    params = {"items": items, "proration_behavior": "always_invoice", "expand": ["latest_invoice"]}
    return subscription.id, params


def _pending(stage: Stage) -> tuple[str, dict[str, Any]]:
    subscription = stage.new_subscription()
    card = stage.new_card(subscription.customer, "pm_card_chargeCustomerFail")
    stage.v1.subscriptions.update(subscription.id, {"default_payment_method": card})
    items = [{"id": subscription.items.data[0].id, "price": stage.new_price(9900)}]
    behaviour = {"proration_behavior": "always_invoice", "payment_behavior": "pending_if_incomplete"}
    return subscription.id, {"items": items, **behaviour}


_PAUSE = {
    "type": "subscription",
    "bill_for": {"outstanding_usage_through": {"type": "now"}, "unused_time_from": {"type": "now"}},
    "invoicing_behavior": "invoice",
}


def _paused(stage: Stage) -> str:
    return stage.v1.subscriptions.pause(stage.new_subscription().id, _PAUSE).id


_CREATED = (
    case("POST /v1/subscriptions", "v1.subscriptions.create", _wanted, "active"),
    case("POST /v1/subscriptions", "v1.subscriptions.create", lambda s: _wanted(s, trial_period_days=7), "trialing"),
    case(
        "POST /v1/subscriptions",
        "v1.subscriptions.create",
        lambda s: _wanted(s, customer=s.new_customer(None), payment_behavior="default_incomplete"),
        "incomplete",
    ),
    case(
        "POST /v1/subscriptions",
        "v1.subscriptions.create",
        lambda s: _wanted(
            s,
            description="d",
            metadata={"a": "1"},
            payment_settings={"save_default_payment_method": "on_subscription"},
            billing_mode={"type": "flexible", "flexible": {"proration_discounts": "included"}},
            expand=[
                "latest_invoice.payments",
                "latest_invoice.confirmation_secret",
                "customer",
                "pending_setup_intent",
            ],
        ),
        "expanded",
    ),
)
_LIVING = (
    case("GET /v1/subscriptions", "v1.subscriptions.list", lambda s: ({"customer": s.subscription.customer},)),
    case("GET /v1/subscriptions", "v1.subscriptions.list", _canceled, "canceled"),
    case("GET /v1/subscriptions/*", "v1.subscriptions.retrieve", lambda s: (s.subscription.id,)),
    case(
        "POST /v1/subscriptions/*",
        "v1.subscriptions.update",
        lambda s: (s.new_subscription().id, {"cancel_at_period_end": True, "metadata": {"a": "1"}}),
        "cancel at the end",
    ),
    case("POST /v1/subscriptions/*", "v1.subscriptions.update", _upgraded, "upgrade"),
    case("POST /v1/subscriptions/*", "v1.subscriptions.update", _pending, "pending"),
    case(
        "POST /v1/subscriptions/*",
        "v1.subscriptions.update",
        lambda s: (s.new_subscription().id, {"pause_collection": {"behavior": "void"}}),
        "collection paused",
    ),
    case(
        "POST /v1/subscriptions/*/pause",
        "v1.subscriptions.pause",
        lambda s: (s.new_subscription().id, _PAUSE),
    ),
    case("POST /v1/subscriptions/*/resume", "v1.subscriptions.resume", lambda s: (_paused(s), {})),
    case(
        "DELETE /v1/subscriptions/*",
        "v1.subscriptions.cancel",
        lambda s: (s.new_subscription().id, {"cancellation_details": {"comment": "c", "feedback": "unused"}}),
    ),
)


_ITEMS = (
    case(
        "POST /v1/subscription_items",
        "v1.subscription_items.create",
        lambda s: ({"subscription": s.new_subscription().id, "price": s.new_price(300), "quantity": 2},),
    ),
    case("GET /v1/subscription_items", "v1.subscription_items.list", lambda s: ({"subscription": s.subscription.id},)),
    case(
        "GET /v1/subscription_items/*",
        "v1.subscription_items.retrieve",
        lambda s: (s.subscription.items.data[1].id,),
    ),
    case(
        "POST /v1/subscription_items/*",
        "v1.subscription_items.update",
        lambda s: (_fixed_item(s).id, {"quantity": 3, "metadata": {"a": "1"}}),
    ),
    case("DELETE /v1/subscription_items/*", "v1.subscription_items.delete", lambda s: (_fixed_item(s).id,)),
)


def _two_phases(stage: Stage) -> tuple[str, dict[str, Any]]:
    schedule = stage.new_schedule()
    running = schedule.phases[0]
    kept = [{"price": stage.price, "quantity": 1}, {"price": stage.metered_price}]
    later = {"items": [{"price": stage.new_price(900)}], "duration": {"interval": "month", "interval_count": 1}}
    first = {"items": kept, "start_date": running.start_date, "end_date": running.end_date}
    phases = [first, later | {"proration_behavior": "none"}]
    return schedule.id, {"phases": phases, "end_behavior": "release", "metadata": {"a": "1"}}


_SCHEDULES = (
    case(
        "POST /v1/subscription_schedules",
        "v1.subscription_schedules.create",
        lambda s: ({"from_subscription": s.new_subscription().id, "expand": ["subscription"]},),
    ),
    case("GET /v1/subscription_schedules", "v1.subscription_schedules.list", lambda s: (s.new_schedule() and {},)),
    case(
        "GET /v1/subscription_schedules/*",
        "v1.subscription_schedules.retrieve",
        lambda s: (s.new_schedule().id,),
    ),
    case("POST /v1/subscription_schedules/*", "v1.subscription_schedules.update", _two_phases),
    case(
        "POST /v1/subscription_schedules/*/release",
        "v1.subscription_schedules.release",
        lambda s: (s.new_schedule().id, {"preserve_cancel_date": True}),
    ),
    case(
        "POST /v1/subscription_schedules/*/cancel",
        "v1.subscription_schedules.cancel",
        lambda s: (s.new_schedule().id, {"invoice_now": False}),
    ),
)
CASES = (*_CREATED, *_LIVING, *_ITEMS, *_SCHEDULES)

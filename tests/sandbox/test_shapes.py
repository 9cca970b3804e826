"""Every object carries what the SDK's own classes call required, and the nullable fields callers rely on."""

from __future__ import annotations

import types
import typing
from typing import Any, get_args, get_origin

import pytest
import stripe

from sandbox.harness import World

JAN_1 = 1_767_225_600
FEB_1 = 1_769_904_000

NULLABLE = {
    "customer": "address currency default_source delinquent description email name phone shipping discount balance"
    " invoice_prefix invoice_settings metadata next_invoice_sequence preferred_locales tax_exempt test_clock"
    " customer_account",
    "price": "custom_unit_amount lookup_key nickname recurring tax_behavior tiers_mode transform_quantity unit_amount"
    " unit_amount_decimal",
    "subscription": "application application_fee_percent billing_cycle_anchor_config billing_thresholds cancel_at"
    " canceled_at cancellation_details customer_account days_until_due default_payment_method default_source"
    " default_tax_rates description ended_at latest_invoice next_pending_invoice_item_invoice on_behalf_of"
    " pause_collection payment_settings pending_invoice_item_interval pending_setup_intent pending_update schedule"
    " test_clock transfer_data trial_end trial_settings trial_start managed_payments status_details",
    "subscription_item": "billing_thresholds tax_rates current_trial plan",
    "invoice": "number status billing_reason effective_at due_date subtotal_excluding_tax total_excluding_tax"
    " total_taxes total_discount_amounts total_pretax_credit_amounts ending_balance next_payment_attempt"
    " automatically_finalizes_at hosted_invoice_url invoice_pdf receipt_number description footer customer_email"
    " customer_name customer_address customer_tax_ids customer_tax_exempt default_payment_method parent"
    " last_finalization_error status_details test_clock",
    "line_item": "description quantity quantity_decimal pricing parent taxes discount_amounts pretax_credit_amounts"
    " invoice subscription",
    "invoice_payment": "amount_paid",
    "payment_intent": "amount amount_received amount_capturable currency client_secret customer payment_method"
    " latest_charge last_payment_error next_action capture_method confirmation_method payment_method_types"
    " payment_method_options metadata setup_future_usage canceled_at cancellation_reason payment_details",
    "charge": "failure_code failure_message outcome payment_intent payment_method payment_method_details receipt_url"
    " customer balance_transaction",
    "customer_balance_transaction": "description invoice credit_note metadata",
    "invoiceitem": "parent pricing proration_details invoice net_amount tax_rates test_clock description discounts",
    "subscription_schedule": "current_phase subscription released_subscription canceled_at completed_at released_at"
    " metadata test_clock",
    "payment_method": "customer metadata card allow_redisplay",
    "event": "api_version request",
    "webhook_endpoint": "api_version application description",
    "test_helpers.test_clock": "name",
    "account": "country default_currency email charges_enabled payouts_enabled details_submitted settings type",
}
FORBIDDEN = {
    "subscription": "current_period_start current_period_end plan quantity",
    "invoice": "subscription payment_intent charge paid tax",
    "line_item": "price plan proration subscription_item",
    "subscription_item": "livemode",
    "balance_transaction": "livemode",
    "refund": "livemode",
}


def is_optional(hint: Any) -> bool:
    return get_origin(hint) in {typing.Union, types.UnionType} and type(None) in get_args(hint)


def missing_fields(shown: Any, where: str) -> list[str]:
    """Walk an answer beside the SDK's classes and return what is required there and absent here."""
    if not isinstance(shown, stripe.StripeObject):
        return []
    cls = type(shown)
    found = []
    for name, hint in cls.__annotations__.items():
        text = str(hint)
        if name.startswith("_") or "ClassVar" in text or text.startswith(("Optional[", "typing.Optional[")):
            continue
        if not is_optional(hint) and name not in shown:
            found.append(f"{where}.{name}")
    for name in shown.to_dict(recursive=False):
        value = shown[name]
        children = value if isinstance(value, list) else [value]
        for child in children:
            found += missing_fields(child, f"{where}.{name}")
    return found


@pytest.fixture
def objects(world: World) -> dict[str, Any]:
    """One of each object, after a renewal with a failed and a paid attempt."""
    v1 = world.client.v1
    world.catalogue()
    clock = world.clock(JAN_1)
    customer = world.customer(clock)
    subscription = world.subscribe(customer)
    world.advance(clock, FEB_1 + 3600)
    invoice = v1.invoices.list({"status": "paid"}).data[0]
    v1.customers.balance_transactions.create(customer, {"amount": -1, "currency": "usd"})
    item = {"id": subscription.items.data[0].id, "quantity": 2}
    v1.subscriptions.update(subscription.id, {"items": [item]})
    endpoint = v1.webhook_endpoints.create({"url": "http://127.0.0.1:9/x", "enabled_events": ["never.sent"]})
    return {
        "account": v1.accounts.retrieve_current(),
        "billing.meter": v1.billing.meters.list().data[0],
        "charge": v1.charges.list().data[0],
        "customer": v1.customers.retrieve(customer),
        "customer_balance_transaction": v1.customers.balance_transactions.list(customer).data[0],
        "balance_transaction": v1.balance_transactions.list().data[0],
        "invoiceitem": v1.invoice_items.list({"customer": customer}).data[0],
        "subscription_schedule": v1.subscription_schedules.create({"from_subscription": subscription.id}),
        "event": v1.events.list({"type": "invoice.paid"}).data[0],
        "invoice": invoice,
        "invoice_payment": v1.invoice_payments.list({"invoice": invoice.id}).data[0],
        "line_item": v1.invoices.line_items.list(invoice.id).data[0],
        "payment_intent": v1.payment_intents.list().data[0],
        "payment_method": v1.customers.payment_methods.list(customer).data[0],
        "price": v1.prices.list().data[0],
        "product": v1.products.list().data[0],
        "subscription": v1.subscriptions.retrieve(subscription.id),
        "subscription_item": v1.subscription_items.list({"subscription": subscription.id}).data[0],
        "test_helpers.test_clock": v1.test_helpers.test_clocks.retrieve(clock),
        "webhook_endpoint": v1.webhook_endpoints.retrieve(endpoint.id),
    }


def test_every_object_carries_what_the_sdk_requires(objects: dict[str, Any]) -> None:
    missing = [name for kind, shown in objects.items() for name in missing_fields(shown, kind)]
    assert missing == []


def test_every_object_carries_its_nullable_fields_and_no_old_ones(objects: dict[str, Any]) -> None:
    absent = {
        kind: [name for name in NULLABLE.get(kind, "").split() if name not in shown] for kind, shown in objects.items()
    }
    assert {kind: names for kind, names in absent.items() if names} == {}
    old = {kind: [name for name in FORBIDDEN.get(kind, "").split() if name in shown] for kind, shown in objects.items()}
    assert {kind: names for kind, names in old.items() if names} == {}


def test_every_object_names_its_kind_and_hides_private_notes(objects: dict[str, Any]) -> None:
    for kind, shown in objects.items():
        assert shown.object == kind
        assert not [name for name in shown.to_dict() if name.startswith("_")]


def test_meter_event_answer_has_its_seven_fields(world: World) -> None:
    world.catalogue()
    customer = world.customer(card=None)
    payload = {"stripe_customer_id": customer, "value": "1.5"}
    event = world.client.v1.billing.meter_events.create({"event_name": "compute", "payload": payload})
    names = {"object", "created", "event_name", "identifier", "livemode", "payload", "timestamp"}
    assert set(event.to_dict()) == names

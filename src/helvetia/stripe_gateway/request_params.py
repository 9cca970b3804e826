"""Ours → what the SDK is asked: the parameters of each creating request, and their idempotency keys."""

import hashlib
import json
from collections.abc import Sequence
from dataclasses import replace

from stripe.params import (
    CustomerCreateParams,
    PriceCreateParams,
    PriceCreateParamsRecurring,
    ProductCreateParams,
    SubscriptionCreateParams,
    SubscriptionCreateParamsItem,
)
from stripe.params.billing import MeterCreateParams, MeterEventCreateParams

from helvetia.catalogue.plans import SubscriptionPlan
from helvetia.kernel.clock import to_unix_s
from helvetia.stripe_gateway.model import Invoice, InvoiceLine, MeterEvent, NewCustomer, NewPrice, NewSubscription

CUSTOMER_KEY = "stripe_customer_id"
VALUE_KEY = "value"


def of_new_customer(new: NewCustomer) -> tuple[CustomerCreateParams, str]:
    """The key holds the account and a digest of the rest: a renamed account is a new request, not a mismatch."""
    metadata = {"account_id": str(new.account_id)}
    if new.replaces is not None:
        metadata["replaces"] = new.replaces
    wanted: CustomerCreateParams = {"name": new.name, "metadata": metadata}
    if new.email is not None:
        wanted["email"] = new.email
    if new.test_clock is not None:
        wanted["test_clock"] = new.test_clock
    digest = hashlib.sha256(json.dumps(wanted, sort_keys=True).encode()).hexdigest()[:16]
    return wanted, f"customer:{new.account_id}:{digest}"


def of_new_subscription(new: NewSubscription) -> SubscriptionCreateParams:
    """Paid at once or nothing is made (error_if_incomplete); a metered item must not carry a quantity."""
    items: list[SubscriptionCreateParamsItem] = [{"price": new.fixed_price_id, "quantity": 1}]
    items += [{"price": price_id} for price_id in new.metered_price_ids]
    return {
        "customer": new.customer_id,
        "items": items,
        "billing_mode": {"type": "flexible"},
        "collection_method": "charge_automatically",
        "payment_behavior": "error_if_incomplete",
        "off_session": False,
        "metadata": {"account_id": str(new.account_id), "plan": new.plan.value},
    }


def of_meter_event(event: MeterEvent) -> MeterEventCreateParams:
    """The payload holds strings only; a plain decimal, never an exponent."""
    return {
        "event_name": event.event_name,
        "identifier": event.identifier,
        "timestamp": to_unix_s(event.occurred_at),
        "payload": {CUSTOMER_KEY: event.customer_id, VALUE_KEY: format(event.value, "f")},
    }


def of_new_meter(title: str, event_name: str) -> MeterCreateParams:
    """Raw and summed: with a time window, the two pieces of a boundary hour would overwrite each other."""
    return {
        "display_name": title,
        "event_name": event_name,
        "default_aggregation": {"formula": "sum"},
        "customer_mapping": {"type": "by_id", "event_payload_key": CUSTOMER_KEY},
        "value_settings": {"event_payload_key": VALUE_KEY},
    }


def of_new_product(name: str, plan: SubscriptionPlan | None) -> ProductCreateParams:
    return {"name": name, "metadata": {} if plan is None else {"plan": plan.value}}


def of_new_price(new: NewPrice) -> PriceCreateParams:
    """A new price of a known lookup key takes the key over: prices never change, they are replaced."""
    recurring: PriceCreateParamsRecurring = {"interval": "month", "usage_type": "licensed"}
    if new.meter_id is not None:
        recurring = {"interval": "month", "usage_type": "metered", "meter": new.meter_id}
    return {
        "product": new.product_id,
        "currency": new.currency,
        "unit_amount_decimal": new.unit_price_minor,
        "billing_scheme": "per_unit",
        "recurring": recurring,
        "lookup_key": new.lookup_key,
        "transfer_lookup_key": True,
        "nickname": new.nickname,
        "metadata": {} if new.plan is None else {"plan": new.plan.value},
    }


def with_lines(invoice: Invoice, lines: Sequence[InvoiceLine]) -> Invoice:
    """The same invoice with all its lines."""
    return replace(invoice, lines=tuple(lines), has_more_lines=False)

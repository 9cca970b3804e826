"""Stripe's JSON in our words: missing fields, expanded ids, open enums, exact decimals; and its errors."""

from datetime import UTC, datetime
from decimal import Decimal
from typing import Any

import pytest
import stripe

from helvetia.kernel.identity import new_account_id
from helvetia.stripe_gateway.convert_customer import from_stripe_customer
from helvetia.stripe_gateway.convert_invoice import from_stripe_invoice, from_stripe_invoice_line
from helvetia.stripe_gateway.convert_meter import from_stripe_meter, from_stripe_meter_summary
from helvetia.stripe_gateway.convert_price import from_stripe_price
from helvetia.stripe_gateway.convert_subscription import from_stripe_subscription
from helvetia.stripe_gateway.errors import (
    AlreadyUsedIdentifier,
    CardDeclined,
    MeterEventAhead,
    MeterEventOutOfTime,
    StripeNotAuthorized,
    StripeObjectMissing,
    StripeRateLimited,
    StripeRefused,
    StripeUnavailable,
)
from helvetia.stripe_gateway.model import MeterEvent, NewCustomer
from helvetia.stripe_gateway.request_params import of_meter_event, of_new_customer
from helvetia.stripe_gateway.transport import to_our_error

ITEM = {
    "id": "si_1",
    "current_period_start": 1_773_137_843,
    "current_period_end": 1_775_816_243,
    "price": {
        "id": "price_1",
        "product": {"id": "prod_1", "metadata": {"plan": "PRO"}},
        "unit_amount_decimal": "2900",
        "recurring": {"usage_type": "licensed"},
    },
    "quantity": 1,
}
METERED = {
    **{key: value for key, value in ITEM.items() if key != "quantity"},
    "id": "si_2",
    "price": {
        "id": "price_2",
        "product": "prod_2",
        "recurring": {"usage_type": "metered"},
        "unit_amount_decimal": None,
    },
}
SUBSCRIPTION = {
    "id": "sub_1",
    "object": "subscription",
    "customer": "cus_1",
    "status": "a_word_of_tomorrow",
    "currency": "usd",
    "created": 1_773_137_843,
    "start_date": 1_773_137_843,
    "items": {"data": [ITEM, METERED]},
}


def test_sparse_subscription_is_read_with_its_unknown_status() -> None:
    read = from_stripe_subscription(SUBSCRIPTION)
    assert (read.status, read.cancel_at, read.ended_at, read.latest_invoice_id) == (
        "a_word_of_tomorrow",
        None,
        None,
        None,
    )
    fixed, metered = read.items
    assert (fixed.product_id, fixed.plan_hint, fixed.is_metered, fixed.unit_price_minor) == (
        "prod_1",
        "PRO",
        False,
        Decimal(2900),
    )
    assert (metered.quantity, metered.is_metered, metered.unit_price_minor) == (0, True, None)
    assert fixed.period.starts_at == datetime(2026, 3, 10, 10, 17, 23, tzinfo=UTC)


def test_invoice_finds_its_subscription_in_the_parent() -> None:
    raw: dict[str, Any] = {
        "id": "in_1",
        "object": "invoice",
        "currency": "usd",
        "subtotal": 5,
        "total": 5,
        "amount_due": 5,
        "amount_paid": 0,
        "amount_remaining": 5,
        "attempt_count": 0,
        "period_start": 10,
        "period_end": 10,
        "created": 10,
    }
    assert from_stripe_invoice(raw).subscription_id is None
    raw["parent"] = {"subscription_details": {"subscription": {"id": "sub_9"}}}
    raw["status_transitions"] = {"paid_at": 20, "finalized_at": None}
    read = from_stripe_invoice(raw)
    assert (read.subscription_id, read.status, read.finalized_at, read.lines) == ("sub_9", "draft", None, ())
    assert read.paid_at == datetime(1970, 1, 1, 0, 0, 20, tzinfo=UTC)


def test_line_takes_the_whole_quantity_and_knows_prorations() -> None:
    line: dict[str, Any] = {
        "id": "il_1",
        "amount": 3,
        "quantity": 1,
        "quantity_decimal": "1.499999",
        "period": {"start": 1, "end": 2},
        "pricing": {"price_details": {"price": "price_1", "product": "prod_1"}, "unit_amount_decimal": "2.3"},
        "parent": {"subscription_item_details": {"proration": True}},
    }
    read = from_stripe_invoice_line(line)
    assert (read.quantity, read.unit_price_minor, read.is_proration) == (Decimal("1.499999"), Decimal("2.3"), True)
    plain = from_stripe_invoice_line({"id": "il_2", "amount": 0, "period": {"start": 1, "end": 1}})
    assert (plain.quantity, plain.is_proration, plain.price_id) == (None, False, None)


def test_deleted_customer_is_a_stub() -> None:
    read = from_stripe_customer({"id": "cus_1", "object": "customer", "deleted": True})
    assert (read.is_deleted, read.account_id, read.default_payment_method_id) == (True, None, None)


def test_price_and_meter_keep_what_verification_asks_for() -> None:
    price = from_stripe_price(
        {
            "id": "price_1",
            "object": "price",
            "product": "prod_1",
            "currency": "usd",
            "active": True,
            "billing_scheme": "per_unit",
            "unit_amount_decimal": "0.5",
            "transform_quantity": {"divide_by": 10, "round": "up"},
            "recurring": {"interval": "month", "interval_count": 1, "usage_type": "metered", "meter": "mtr_1"},
        }
    )
    assert (price.unit_price_minor, price.transforms_quantity, price.meter_id) == (Decimal("0.5"), True, "mtr_1")
    meter = from_stripe_meter(
        {
            "id": "mtr_1",
            "object": "billing.meter",
            "event_name": "e",
            "status": "inactive",
            "default_aggregation": {"formula": "last"},
        }
    )
    assert (meter.is_active, meter.formula, meter.customer_key, meter.value_key) == (
        False,
        "last",
        "stripe_customer_id",
        "value",
    )


def test_summary_is_freed_of_binary_noise() -> None:
    raw = {"start_time": 0, "end_time": 60, "aggregated_value": Decimal("0.30000000000000004")}
    assert from_stripe_meter_summary(raw).value == Decimal("0.300000")


def test_event_value_is_a_plain_string() -> None:
    event = MeterEvent(
        event_name="e",
        customer_id="cus_1",
        value=Decimal("1E-6"),
        identifier="i",
        occurred_at=datetime(2026, 3, 10, tzinfo=UTC),
    )
    assert of_meter_event(event)["payload"] == {"stripe_customer_id": "cus_1", "value": "0.000001"}


def test_customer_key_names_account_and_content_and_no_person() -> None:
    account_id = new_account_id()
    _, key = of_new_customer(NewCustomer(account_id=account_id, name="Ada", email="ada@example.com"))
    _, same = of_new_customer(NewCustomer(account_id=account_id, name="Ada", email="ada@example.com"))
    _, renamed = of_new_customer(NewCustomer(account_id=account_id, name="Ada L.", email="ada@example.com"))
    assert key == same != renamed
    assert "ada" not in key.lower().replace(str(account_id), "")


@pytest.mark.parametrize(
    ("error", "expected"),
    [
        (stripe.APIConnectionError("away"), StripeUnavailable),
        (stripe.APIError("broken", http_status=500), StripeUnavailable),
        (stripe.APIError("in flight", http_status=409), StripeUnavailable),
        (stripe.RateLimitError("slow", http_status=429), StripeRateLimited),
        (stripe.AuthenticationError("key sk_test_secret", http_status=401), StripeNotAuthorized),
        (stripe.PermissionError("no", http_status=403), StripeNotAuthorized),
        (stripe.CardError("declined", "p", "card_declined", http_status=402), CardDeclined),
        (stripe.InvalidRequestError("No such price", "p", "resource_missing", http_status=400), StripeObjectMissing),
        (stripe.InvalidRequestError("Unrecognized", None, None, http_status=404), StripeObjectMissing),
        (stripe.InvalidRequestError("Unknown parameter", "p", "parameter_unknown", http_status=400), StripeRefused),
        (
            stripe.InvalidRequestError("An event already exists with identifier x.", "identifier", http_status=400),
            AlreadyUsedIdentifier,
        ),
        (
            stripe.InvalidRequestError("ahead", "timestamp", "timestamp_in_future", http_status=400),
            MeterEventAhead,
        ),
        (
            stripe.InvalidRequestError("old", "timestamp", "timestamp_too_far_in_past", http_status=400),
            MeterEventOutOfTime,
        ),
        (stripe.IdempotencyError("other parameters", http_status=400), StripeRefused),
    ],
)
def test_each_sdk_error_has_our_word(error: stripe.StripeError, expected: type[Exception]) -> None:
    ours = to_our_error(error)
    assert type(ours) is expected
    assert "sk_test_secret" not in ours.detail


def test_another_object_than_asked_for_is_no_answer() -> None:
    with pytest.raises(StripeUnavailable) as refused:
        from_stripe_customer({"id": "ba_1", "object": "balance"})
    assert refused.value.figures == {"expected": "customer", "found": "balance"}

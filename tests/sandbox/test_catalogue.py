"""Products, prices and meters."""

from __future__ import annotations

from decimal import Decimal
from typing import Any

import pytest
import stripe


@pytest.fixture
def v1(client: stripe.StripeClient) -> Any:
    return client.v1


@pytest.fixture
def product(v1: Any) -> str:
    return v1.products.create({"name": "P"}).id


@pytest.fixture
def meter(v1: Any) -> Any:
    return v1.billing.meters.create(
        {"display_name": "Compute", "event_name": "compute", "default_aggregation": {"formula": "sum"}}
    )


def metered(product: str, meter: str, **extra: Any) -> dict[str, Any]:
    recurring = {"interval": "month", "usage_type": "metered", "meter": meter}
    return {"currency": "usd", "product": product, "recurring": recurring, **extra}


@pytest.mark.parametrize(
    ("sent", "whole", "exact"), [("2.3", None, "2.3"), ("5", 5, "5"), ("5.0", 5, "5"), ("0.000000000001", None, None)]
)
def test_decimal_amount_keeps_its_places(
    v1: Any, product: str, meter: Any, sent: str, whole: int | None, exact: str | None
) -> None:
    price = v1.prices.create(metered(product, meter.id, unit_amount_decimal=sent))
    assert (price.unit_amount, price.unit_amount_decimal) == (whole, Decimal(exact or sent))
    assert price.recurring.meter == meter.id


@pytest.mark.parametrize("amount", ["0.0000000000001", "1e3", "-1", "abc"])
def test_bad_decimal_amount_is_refused(v1: Any, product: str, meter: Any, amount: str) -> None:
    with pytest.raises(stripe.InvalidRequestError):
        v1.prices.create(metered(product, meter.id, unit_amount_decimal=amount))


def test_metered_price_needs_an_active_meter(v1: Any, product: str, meter: Any) -> None:
    with pytest.raises(stripe.InvalidRequestError) as none:
        v1.prices.create(
            {
                "currency": "usd",
                "product": product,
                "unit_amount": 1,
                "recurring": {"interval": "month", "usage_type": "metered"},
            }
        )
    assert none.value.param == "recurring[meter]"
    v1.billing.meters.deactivate(meter.id)
    with pytest.raises(stripe.InvalidRequestError):
        v1.prices.create(metered(product, meter.id, unit_amount=1))


def test_lookup_key_belongs_to_one_price_until_transferred(v1: Any, product: str) -> None:
    params = {"currency": "usd", "product": product, "unit_amount": 1, "lookup_key": "pro"}
    first = v1.prices.create(params)
    with pytest.raises(stripe.InvalidRequestError):
        v1.prices.create(params)
    second = v1.prices.create({**params, "transfer_lookup_key": True})
    assert v1.prices.retrieve(first.id).lookup_key is None
    assert [price.id for price in v1.prices.list({"lookup_keys": ["pro", "none"]}).data] == [second.id]


def test_price_lists_filter(v1: Any, product: str, meter: Any) -> None:
    fixed = v1.prices.create(
        {"currency": "usd", "product": product, "unit_amount": 1, "recurring": {"interval": "month"}}
    )
    used = v1.prices.create(metered(product, meter.id, unit_amount=1))
    v1.prices.update(fixed.id, {"active": False})
    assert [price.id for price in v1.prices.list({"active": True}).data] == [used.id]
    assert [price.id for price in v1.prices.list({"recurring": {"meter": meter.id}}).data] == [used.id]
    assert [price.id for price in v1.prices.list({"recurring": {"usage_type": "licensed"}}).data] == [fixed.id]


def test_product_with_prices_cannot_be_deleted(v1: Any, product: str) -> None:
    free = v1.products.create({"name": "Free", "id": "free"})
    assert v1.products.delete(free.id).deleted is True
    v1.prices.create({"currency": "usd", "product": product, "unit_amount": 1})
    with pytest.raises(stripe.InvalidRequestError):
        v1.products.delete(product)


def test_one_active_meter_per_event_name(v1: Any, meter: Any) -> None:
    params = {"display_name": "X", "event_name": "compute", "default_aggregation": {"formula": "sum"}}
    with pytest.raises(stripe.InvalidRequestError):
        v1.billing.meters.create(params)
    off = v1.billing.meters.deactivate(meter.id)
    assert off.status == "inactive"
    assert off.status_transitions.deactivated_at is not None
    second = v1.billing.meters.create(params)
    with pytest.raises(stripe.InvalidRequestError):
        v1.billing.meters.reactivate(meter.id)
    v1.billing.meters.deactivate(second.id)
    assert v1.billing.meters.reactivate(meter.id).status == "active"
    assert [found.id for found in v1.billing.meters.list({"status": "active"}).data] == [meter.id]
    assert v1.billing.meters.update(meter.id, {"display_name": "New"}).display_name == "New"


def test_meter_formula_is_checked(v1: Any) -> None:
    with pytest.raises(stripe.InvalidRequestError, match="must be one of count, last, or sum"):
        v1.billing.meters.create({"display_name": "X", "event_name": "x", "default_aggregation": {"formula": "max"}})

"""Stripe's price and product → ours."""

from helvetia.stripe_gateway.fields import Json, read_decimal, read_id, read_own_id, read_path
from helvetia.stripe_gateway.model import Price, Product


def from_stripe_price(raw: Json) -> Price:
    return Price(
        price_id=read_own_id(raw, "price"),
        product_id=read_id(raw["product"]) or "",
        currency=raw["currency"],
        is_active=bool(raw["active"]),
        billing_scheme=raw["billing_scheme"],
        interval=read_path(raw, "recurring", "interval"),
        interval_count=read_path(raw, "recurring", "interval_count"),
        usage_type=read_path(raw, "recurring", "usage_type"),
        meter_id=read_id(read_path(raw, "recurring", "meter")),
        unit_price_minor=read_decimal(raw.get("unit_amount_decimal")),
        transforms_quantity=raw.get("transform_quantity") is not None,
        lookup_key=raw.get("lookup_key"),
        plan_hint=read_path(raw, "metadata", "plan"),
    )


def from_stripe_product(raw: Json) -> Product:
    return Product(
        product_id=read_own_id(raw, "product"),
        name=raw.get("name") or "",
        is_active=bool(raw.get("active")),
        plan_hint=read_path(raw, "metadata", "plan"),
    )

"""Stripe's discounts, tax rates, waiting items and previews → ours.

A discount must come expanded with its coupon; a percentage is a JSON number, read as an exact decimal.
"""

from collections.abc import Iterable, Sequence
from decimal import Decimal

from helvetia.kernel.clock import from_unix_s
from helvetia.stripe_gateway.fields import Json, read_decimal, read_id, read_instant, read_path
from helvetia.stripe_gateway.upcoming import Discount, PreviewInvoice, PreviewLine, TaxRate, UpcomingItem, WaitingItem


def from_stripe_discounts(raw: Sequence[Json]) -> tuple[Discount, ...]:
    return tuple(from_stripe_discount(one) for one in raw)


def from_stripe_discount(raw: Json) -> Discount:
    coupon = read_path(raw, "source", "coupon") or {}
    limited = read_path(coupon, "applies_to", "products")
    return Discount(
        discount_id=raw["id"],
        title=coupon.get("name"),
        percent=read_decimal(coupon.get("percent_off")),
        amount_minor=coupon.get("amount_off"),
        currency=coupon.get("currency"),
        ends_at=read_instant(raw.get("end")),
        product_ids=None if limited is None else tuple(limited),
    )


def from_stripe_tax_rates(raw: Sequence[Json] | None) -> tuple[TaxRate, ...]:
    return tuple(from_stripe_tax_rate(one) for one in raw or ())


def from_stripe_tax_rate(raw: Json) -> TaxRate:
    return TaxRate(
        rate_id=raw["id"],
        title=raw.get("display_name"),
        percent=read_decimal(raw.get("percentage")) or Decimal(0),
        is_inclusive=bool(raw.get("inclusive")),
    )


def from_stripe_upcoming_item(raw: Json) -> UpcomingItem:
    """An item of a subscription, its discounts expanded."""
    price = raw["price"]
    is_metered = read_path(price, "recurring", "usage_type") == "metered"
    return UpcomingItem(
        price_id=price["id"],
        product_id=read_id(price["product"]) or "",
        fee_minor=None if is_metered else fee_of(price, raw.get("quantity") or 0),
        discounts=from_stripe_discounts(raw.get("discounts") or ()),
        tax_rates=from_stripe_tax_rates(raw.get("tax_rates")),
    )


def fee_of(price: Json, quantity: int) -> int:
    """What a licensed price comes to; ours are in whole minor units."""
    return int((read_decimal(price.get("unit_amount_decimal")) or 0) * quantity)


def from_stripe_waiting_item(raw: Json) -> WaitingItem:
    """An invoice item, its discounts expanded."""
    return WaitingItem(
        item_id=raw["id"],
        subscription_id=read_id(read_path(raw, "parent", "subscription_details", "subscription")),
        product_id=read_id(read_path(raw, "pricing", "price_details", "product")),
        description=raw.get("description"),
        amount_minor=raw["amount"],
        currency=raw["currency"],
        is_discountable=bool(raw["discountable"]),
        discounts=from_stripe_discounts(raw.get("discounts") or ()),
        tax_rates=from_stripe_tax_rates(raw.get("tax_rates")),
        starts_at=from_unix_s(raw["period"]["start"]),
        ends_at=from_unix_s(raw["period"]["end"]),
    )


def from_stripe_preview(raw: Json) -> PreviewInvoice:
    lines = raw["lines"]
    return PreviewInvoice(
        lines=tuple(_preview_line(line) for line in lines["data"]),
        has_more_lines=bool(lines.get("has_more")),
        total_minor=raw["total"],
        amount_due_minor=raw["amount_due"],
    )


def _preview_line(raw: Json) -> PreviewLine:
    decimal = raw.get("quantity_decimal")
    return PreviewLine(
        price_id=read_id(read_path(raw, "pricing", "price_details", "price")),
        quantity=read_decimal(raw.get("quantity") if decimal is None else decimal),
        amount_minor=raw["amount"],
        discount_minor=_sum(raw.get("discount_amounts")),
        tax_minor=_sum(one for one in raw.get("taxes") or () if one["tax_behavior"] == "exclusive"),
    )


def _sum(amounts: Iterable[Json] | None) -> int:
    return sum(int(one["amount"]) for one in amounts or ())

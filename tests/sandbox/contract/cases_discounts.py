"""Coupons, promotion codes, discounts and tax rates."""

from __future__ import annotations

from typing import Any

from sandbox.contract.case import case
from sandbox.contract.stage import Stage


def _coupon(stage: Stage, **terms: Any) -> str:
    return stage.v1.coupons.create({"percent_off": 25, "duration": "forever", **terms}).id


def _code(stage: Stage, **extra: Any) -> str:
    return stage.v1.promotion_codes.create({"promotion": {"type": "coupon", "coupon": _coupon(stage)}, **extra}).id


def _rate(stage: Stage) -> str:
    return stage.v1.tax_rates.create({"display_name": "VAT", "percentage": 7.7, "inclusive": False}).id


def _full_coupon(stage: Stage) -> dict[str, Any]:
    limits = {"applies_to": {"products": [stage.product]}, "max_redemptions": 5, "redeem_by": 4_000_000_000}
    months = {"duration": "repeating", "duration_in_months": 3}
    return {"amount_off": 500, "currency": "usd", "name": "Five", "metadata": {"a": "1"}, **months, **limits}


def _full_code(stage: Stage) -> dict[str, Any]:
    least = {"first_time_transaction": True, "minimum_amount": 100, "minimum_amount_currency": "usd"}
    promotion = {"type": "coupon", "coupon": _coupon(stage)}
    return {"promotion": promotion, "customer": stage.customer, "restrictions": least, "max_redemptions": 2}


def _discounted(stage: Stage) -> Any:
    return stage.new_subscription(discounts=[{"coupon": _coupon(stage)}], default_tax_rates=[_rate(stage)])


CASES = (
    case("POST /v1/coupons", "v1.coupons.create", lambda _: ({"percent_off": 25},), "bare"),
    case("POST /v1/coupons", "v1.coupons.create", lambda s: ({**_full_coupon(s), "expand": ["applies_to"]},), "full"),
    case("GET /v1/coupons", "v1.coupons.list", lambda s: (_coupon(s) and {"limit": 3},)),
    case("GET /v1/coupons/*", "v1.coupons.retrieve", lambda s: (_coupon(s),)),
    case("POST /v1/coupons/*", "v1.coupons.update", lambda s: (_coupon(s), {"name": "N", "metadata": {"a": "1"}})),
    case("DELETE /v1/coupons/*", "v1.coupons.delete", lambda s: (_coupon(s),)),
    case("POST /v1/promotion_codes", "v1.promotion_codes.create", lambda s: (_full_code(s),)),
    case("GET /v1/promotion_codes", "v1.promotion_codes.list", lambda s: (_code(s) and {"active": True, "limit": 3},)),
    case("GET /v1/promotion_codes/*", "v1.promotion_codes.retrieve", lambda s: (_code(s),)),
    case("POST /v1/promotion_codes/*", "v1.promotion_codes.update", lambda s: (_code(s), {"active": False})),
    case(
        "DELETE /v1/subscriptions/*/discount",
        "v1.subscriptions.delete_discount",
        lambda s: (_discounted(s).id,),
    ),
    case(
        "GET /v1/subscriptions/*",
        "v1.subscriptions.retrieve",
        lambda s: (_discounted(s).id, {"expand": ["discounts.promotion_code", "latest_invoice.discounts"]}),
        "discounted",
    ),
    case(
        "GET /v1/invoices/*/lines",
        "v1.invoices.line_items.list",
        lambda s: (_discounted(s).latest_invoice, {"expand": ["data.discounts"]}),
        "discounted",
    ),
    case(
        "POST /v1/invoices/create_preview",
        "v1.invoices.create_preview",
        lambda s: ({"subscription": _discounted(s).id, "discounts": [{"coupon": _coupon(s)}]},),
        "discounted",
    ),
    case(
        "POST /v1/tax_rates",
        "v1.tax_rates.create",
        lambda _: ({"display_name": "VAT", "percentage": 8.1, "inclusive": True, "country": "CH", "tax_type": "vat"},),
    ),
    case("GET /v1/tax_rates", "v1.tax_rates.list", lambda s: (_rate(s) and {"limit": 3},)),
    case("GET /v1/tax_rates/*", "v1.tax_rates.retrieve", lambda s: (_rate(s),)),
    case("POST /v1/tax_rates/*", "v1.tax_rates.update", lambda s: (_rate(s), {"active": False})),
)

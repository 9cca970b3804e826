"""Subscription items → invoice lines.

Stripe: a licensed line bills in advance, a metered line in arrears; a negative total bills as 0; ``quantity`` is
truncated, ``quantity_decimal`` exact; amounts are rounded half up, each line on its own.
"""

from __future__ import annotations

from decimal import Decimal

from stripe_sandbox.context import Context
from stripe_sandbox.documents import Doc, new_id
from stripe_sandbox.engine import usage
from stripe_sandbox.engine.amounts import line_amount, plain, truncate

_MINOR = Decimal(100)


def is_metered(price: Doc) -> bool:
    """Return whether a price is billed by usage."""
    return bool(price["recurring"] and price["recurring"]["usage_type"] == "metered")


def licensed_line(ctx: Context, item: Doc, price: Doc) -> Doc:
    """Return the line that bills the item's current period in advance."""
    return _line(
        ctx, item, price, Decimal(item["quantity"]), (item["current_period_start"], item["current_period_end"])
    )


def metered_line(ctx: Context, item: Doc, price: Doc, period: tuple[int, int], *, free: bool = False) -> Doc:
    """Return the line that bills a closed period's usage; a ``free`` one bills nothing, now and when read again."""
    quantity = Decimal(0) if free else measured(ctx, item["_customer"], price, period)
    line = _line(ctx, item, price, quantity, period)
    return line | {"_free": True} if free else line


def usage_period(item: Doc, until_s: int) -> tuple[int, int]:
    """Return the span whose usage an item bills: its period, or from where its price came into force."""
    return max(item["current_period_start"], item.get("_used_from", 0)), until_s


def measured(ctx: Context, customer: str, price: Doc, period: tuple[int, int]) -> Decimal:
    """Return the billable quantity of a period: never below 0."""
    return max(usage.total(ctx, price["recurring"]["meter"], customer, *period), Decimal(0))


def requantify(line: Doc, quantity: Decimal, description: str) -> Doc:
    """Return a line with another quantity and the amount that follows from it."""
    amount = line_amount(quantity, line["pricing"]["unit_amount_decimal"])
    return line | {
        "amount": amount,
        "subtotal": amount,
        "quantity": truncate(quantity),
        "quantity_decimal": plain(quantity),
        "description": description,
    }


def describe(ctx: Context, price: Doc, quantity: Decimal) -> str:
    """Return the text of a line, such as ``1 × PRO (at $49.00 / month)``."""
    product = ctx.find("product", price["product"]) or {}
    unit = Decimal(price["unit_amount_decimal"]) / _MINOR
    shown = f"{unit:.2f}" if price["unit_amount"] is not None else plain(unit)
    money = f"${shown}" if price["currency"] == "usd" else f"{shown} {price['currency'].upper()}"
    return f"{truncate(quantity)} × {product.get('name', '')} (at {money} / {price['recurring']['interval']})"


def _line(ctx: Context, item: Doc, price: Doc, quantity: Decimal, period: tuple[int, int]) -> Doc:
    line: Doc = {
        "id": new_id("il"),
        "object": "line_item",
        "currency": price["currency"],
        "discount_amounts": [],
        "discountable": True,
        "discounts": list(item["discounts"]),
        "invoice": None,
        "livemode": False,
        "metadata": dict(item["metadata"]),
        "parent": {
            "type": "subscription_item_details",
            "invoice_item_details": None,
            "subscription_item_details": {
                "invoice_item": None,
                "proration": False,
                "proration_details": {"credited_items": None},
                "subscription": item["subscription"],
                "subscription_item": item["id"],
            },
        },
        "period": {"start": period[0], "end": period[1]},
        "pretax_credit_amounts": [],
        "pricing": {
            "type": "price_details",
            "price_details": {"price": price["id"], "product": price["product"]},
            "unit_amount_decimal": price["unit_amount_decimal"],
        },
        "subscription": item["subscription"],
        "taxes": [],
        "_tax_rates": list(item["tax_rates"]),
    }
    return requantify(line, quantity, describe(ctx, price, quantity))

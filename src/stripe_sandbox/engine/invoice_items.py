"""Pending amounts that wait for an invoice, and the line each becomes.

Stripe: prorations and manual charges are ``invoiceitem`` objects; the next invoice takes the pending ones, newest
first and, of one instant, credits before debits.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from decimal import Decimal

from stripe_sandbox.context import Context
from stripe_sandbox.documents import Doc, new_id
from stripe_sandbox.engine.amounts import plain, truncate
from stripe_sandbox.store import Page

KIND = "invoiceitem"
_WAITING = ("customer=?", "json_extract(body,'$.invoice') IS NULL", "json_extract(body,'$.deleted') IS NULL")


@dataclass(frozen=True, slots=True, kw_only=True)
class Charge:
    """What an invoice item charges (or credits, below 0), in minor units."""

    amount: int
    currency: str
    description: str | None
    period: tuple[int, int]
    quantity: Decimal = Decimal(1)
    price: Doc | None = None
    item: Doc | None = None
    subscription: str | None = None
    proration: bool = False
    credited: Doc | None = None
    unit_amount_decimal: str | None = None
    discountable: bool = True
    discount_amounts: list[Doc] = field(default_factory=list)
    tax_rates: list[str] | None = None


def new_invoice_item(customer: Doc, charge: Charge, at_s: int) -> Doc:
    """Return a new pending invoice item document."""
    return {
        "id": new_id("ii"),
        "object": KIND,
        "amount": charge.amount,
        "currency": charge.currency,
        "customer": customer["id"],
        "customer_account": None,
        "date": at_s,
        "description": charge.description,
        "discountable": charge.discountable and not charge.proration,
        "discounts": [],
        "frozen_fields": None,
        "invoice": None,
        "invoicing_rules": None,
        "livemode": False,
        "metadata": dict(charge.item["metadata"]) if charge.item else {},
        "net_amount": charge.amount,
        "parent": _parent(charge),
        "period": {"start": charge.period[0], "end": charge.period[1]},
        "pricing": _pricing(charge),
        "proration": charge.proration,
        "proration_details": _proration(charge),
        "quantity": truncate(charge.quantity),
        "quantity_decimal": plain(charge.quantity),
        "tax_rates": _rates(charge),
        "test_clock": customer["test_clock"],
    }


def _proration(charge: Charge) -> Doc | None:
    if not charge.proration:
        return None
    return {"credited_items": charge.credited, "discount_amounts": charge.discount_amounts}


def _rates(charge: Charge) -> list[str]:
    if charge.tax_rates is not None:
        return charge.tax_rates
    return list(charge.item["tax_rates"]) if charge.item else []


def _parent(charge: Charge) -> Doc | None:
    subscription = charge.item["subscription"] if charge.item else charge.subscription
    if subscription is None:
        return None
    details = {"subscription": subscription, "subscription_item": charge.item["id"] if charge.item else None}
    return {"type": "subscription_details", "subscription_details": details}


def _pricing(charge: Charge) -> Doc | None:
    if charge.price is None:
        if charge.unit_amount_decimal is None:
            return None
        return {"type": "price_details", "unit_amount_decimal": charge.unit_amount_decimal}
    return {
        "type": "price_details",
        "price_details": {"price": charge.price["id"], "product": charge.price["product"]},
        "unit_amount_decimal": charge.price["unit_amount_decimal"],
    }


def subscription_of(item: Doc) -> str | None:
    """Return the subscription an invoice item belongs to."""
    found: str | None = ((item["parent"] or {}).get("subscription_details") or {}).get("subscription")
    return found


def waiting(ctx: Context, customer_id: str, subscription: str | None, *, own_only: bool = False) -> list[Doc]:
    """Return what the next invoice of a subscription takes; ``own_only`` leaves the customer's other items out."""
    page = Page(kind=KIND, conditions=_WAITING, arguments=(customer_id,), oldest_first=True)
    owners = {subscription} if own_only else {subscription, None}
    found = [item for item in ctx.select(page) if subscription_of(item) in owners]
    return sorted(found, key=lambda item: -int(item["date"]))


def take(ctx: Context, invoice: Doc, items: list[Doc]) -> list[Doc]:
    """Attach pending items to a draft and return their lines."""
    found = []
    for item in items:
        line = _line(item, invoice["id"])
        ctx.write(item | {"invoice": invoice["id"], "_line": line["id"]})
        found.append(line)
    return found


def let_go(ctx: Context, invoice_id: str) -> None:
    """Make the items of a deleted draft pending again."""
    condition = "json_extract(body,'$.invoice')=?"
    for item in ctx.select(Page(kind=KIND, conditions=(condition,), arguments=(invoice_id,))):
        ctx.write(item | {"invoice": None})


def _line(item: Doc, invoice_id: str) -> Doc:
    return {
        "id": new_id("il"),
        "object": "line_item",
        "amount": item["amount"],
        "currency": item["currency"],
        "description": item["description"],
        "discount_amounts": [],
        "discountable": item["discountable"],
        "discounts": list(item["discounts"]),
        "invoice": invoice_id,
        "livemode": False,
        "metadata": dict(item["metadata"]),
        "parent": _line_parent(item),
        "period": dict(item["period"]),
        "pretax_credit_amounts": [],
        "pricing": item["pricing"],
        "quantity": item["quantity"],
        "quantity_decimal": item["quantity_decimal"],
        "subscription": subscription_of(item),
        "subtotal": item["amount"],
        "taxes": [],
        "_tax_rates": list(item["tax_rates"]),
    }


def _line_parent(item: Doc) -> Doc:
    credited = ((item["proration_details"] or {}).get("credited_items") or {}).get("invoice_line_item_details")
    shared = {
        "invoice_item": item["id"],
        "proration": item["proration"],
        "proration_details": {"credited_items": credited},
        "subscription": subscription_of(item),
    }
    owner = ((item["parent"] or {}).get("subscription_details") or {}).get("subscription_item")
    if owner is None:
        return {"type": "invoice_item_details", "invoice_item_details": shared, "subscription_item_details": None}
    details = shared | {"subscription_item": owner}
    return {"type": "subscription_item_details", "invoice_item_details": None, "subscription_item_details": details}

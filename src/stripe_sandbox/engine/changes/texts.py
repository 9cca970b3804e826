"""The words of proration lines, and which earlier lines a credit gives back."""

from __future__ import annotations

from datetime import UTC, datetime

from stripe_sandbox.context import Context
from stripe_sandbox.documents import Doc


def unused(ctx: Context, item: Doc, price: Doc, at_s: int) -> str:
    """Return the text of a credit."""
    return f"Unused time on {_name(ctx, item, price)} after {_day(at_s)}"


def remaining(ctx: Context, item: Doc, price: Doc, at_s: int) -> str:
    """Return the text of a charge."""
    return f"Remaining time on {_name(ctx, item, price)} after {_day(at_s)}"


def _name(ctx: Context, item: Doc, price: Doc) -> str:
    product = ctx.find("product", price["product"]) or {}
    name = str(product.get("name", ""))
    return name if item["quantity"] == 1 else f"{item['quantity']} × {name}"


def _day(at_s: int) -> str:
    return f"{datetime.fromtimestamp(at_s, UTC):%d %b %Y}"


def credited(ctx: Context, subscription_id: str, source: str) -> Doc | None:
    """Return the reference to the invoice line, or the invoice item still pending, that a credit gives back."""
    if source.startswith("ii_"):
        return _credited_item(ctx, source)
    for invoice in reversed(ctx.children("invoice", subscription_id)):
        if any(line["id"] == source for line in invoice["_lines"]):
            return _lines_of(invoice["id"], source)
    return None


def _credited_item(ctx: Context, source: str) -> Doc | None:
    item = ctx.find("invoiceitem", source)
    if item is None:
        return None
    if item["invoice"] is not None:
        return _lines_of(item["invoice"], item["_line"])
    return {"type": "invoice_item", "invoice_item": source, "invoice_line_item_details": None}


def _lines_of(invoice: str, line: str) -> Doc:
    details = {"invoice": invoice, "invoice_line_items": [line]}
    return {"type": "invoice_line_items", "invoice_item": None, "invoice_line_item_details": details}

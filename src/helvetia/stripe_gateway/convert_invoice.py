"""Stripe's invoice and its lines → ours.

Status `paid` is the only sign of payment, and the subscription stands in `parent`.
"""

from helvetia.kernel.clock import from_unix_s
from helvetia.stripe_gateway.fields import Json, read_decimal, read_id, read_instant, read_own_id, read_path
from helvetia.stripe_gateway.model import Invoice, InvoiceLine


def from_stripe_invoice(raw: Json) -> Invoice:
    lines = raw.get("lines") or {"data": [], "has_more": False}
    return Invoice(
        invoice_id=read_own_id(raw, "invoice"),
        customer_id=read_id(raw.get("customer")),
        subscription_id=read_id(read_path(raw, "parent", "subscription_details", "subscription")),
        number=raw.get("number"),
        status=raw.get("status") or "draft",
        billing_reason=raw.get("billing_reason"),
        currency=raw["currency"],
        subtotal_minor=raw["subtotal"],
        total_minor=raw["total"],
        amount_due_minor=raw["amount_due"],
        amount_paid_minor=raw["amount_paid"],
        amount_remaining_minor=raw["amount_remaining"],
        attempt_count=raw["attempt_count"],
        next_payment_attempt_at=read_instant(raw.get("next_payment_attempt")),
        starts_at=from_unix_s(raw["period_start"]),
        ends_at=from_unix_s(raw["period_end"]),
        issued_at=from_unix_s(raw["created"]),
        finalized_at=read_instant(read_path(raw, "status_transitions", "finalized_at")),
        paid_at=read_instant(read_path(raw, "status_transitions", "paid_at")),
        lines=tuple(from_stripe_invoice_line(line) for line in lines["data"]),
        has_more_lines=bool(lines.get("has_more")),
        hosted_url=raw.get("hosted_invoice_url"),
        pdf_url=raw.get("invoice_pdf"),
        payment_intent_ids=_payment_intent_ids(raw),
        advances_itself=bool(raw.get("auto_advance", True)),
        credited_before_minor=raw.get("pre_payment_credit_notes_amount") or 0,
        credited_after_minor=raw.get("post_payment_credit_notes_amount") or 0,
    )


def _payment_intent_ids(raw: Json) -> tuple[str, ...]:
    """Present only where the invoice was read with its payments."""
    payments = read_path(raw, "payments", "data") or []
    found = (read_id(read_path(payment, "payment", "payment_intent")) for payment in payments)
    return tuple(one for one in found if one is not None)


def from_stripe_invoice_line(raw: Json) -> InvoiceLine:
    """`quantity` is truncated to whole numbers by Stripe; `quantity_decimal` is the whole truth."""
    decimal = raw.get("quantity_decimal")
    parent = raw.get("parent") or {}
    return InvoiceLine(
        line_id=raw["id"],
        price_id=read_id(read_path(raw, "pricing", "price_details", "price")),
        product_id=read_id(read_path(raw, "pricing", "price_details", "product")),
        description=raw.get("description"),
        quantity=read_decimal(raw.get("quantity") if decimal is None else decimal),
        unit_price_minor=read_decimal(read_path(raw, "pricing", "unit_amount_decimal")),
        amount_minor=raw["amount"],
        is_proration=any(
            read_path(parent, kind, "proration") is True
            for kind in ("subscription_item_details", "invoice_item_details")
        ),
        starts_at=from_unix_s(raw["period"]["start"]),
        ends_at=from_unix_s(raw["period"]["end"]),
    )

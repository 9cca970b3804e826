"""Lines → a draft invoice of a subscription, and the figures that follow from its lines."""

from __future__ import annotations

from dataclasses import dataclass, field

from stripe_sandbox.context import Context
from stripe_sandbox.documents import Doc, new_id
from stripe_sandbox.engine import invoice_items

_ZERO_AT_FIRST = (
    "amount_due",
    "amount_overpaid",
    "amount_paid",
    "amount_paid_off_stripe",
    "amount_remaining",
    "amount_shipping",
    "attempt_count",
    "post_payment_credit_notes_amount",
    "pre_payment_credit_notes_amount",
)
_NULL_AT_FIRST = (
    "account_name",
    "account_tax_ids",
    "application",
    "automatically_finalizes_at",
    "custom_fields",
    "default_payment_method",
    "default_source",
    "due_date",
    "effective_at",
    "ending_balance",
    "footer",
    "from_invoice",
    "hosted_invoice_url",
    "invoice_pdf",
    "last_finalization_error",
    "latest_revision",
    "next_payment_attempt",
    "number",
    "on_behalf_of",
    "receipt_number",
    "rendering",
    "shipping_cost",
    "shipping_details",
    "statement_descriptor",
    "webhooks_delivered_at",
)
_UNSET: Doc = {
    **dict.fromkeys(_ZERO_AT_FIRST, 0),
    **dict.fromkeys(_NULL_AT_FIRST),
    "account_country": "US",
    "attempted": False,
    "auto_advance": True,
    "livemode": False,
    "status": "draft",
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Plan:
    """What a new invoice is for: pending invoice items first, then lines."""

    reason: str
    created_at: int
    period: tuple[int, int]
    lines: list[Doc]
    items: list[Doc] = field(default_factory=list)


def new_draft(ctx: Context, subscription: Doc, plan: Plan) -> Doc:
    """Store a draft invoice of the subscription, tell of it, and return its document."""
    customer = ctx.get("customer", subscription["customer"])
    own = {
        "collection_method": subscription["collection_method"],
        "currency": subscription["currency"],
        "parent": _parent(subscription),
    }
    return _store(ctx, customer, plan, own)


def manual_draft(ctx: Context, customer: Doc, plan: Plan, chosen: Doc, subscription: Doc | None) -> Doc:
    """Store a draft invoice that somebody asked for, with or without a subscription."""
    parent = _parent(subscription) if subscription else None
    return _store(ctx, customer, plan, chosen | {"parent": parent})


def _store(ctx: Context, customer: Doc, plan: Plan, own: Doc) -> Doc:
    empty = _empty(ctx, own["currency"], plan) | _of_customer(customer) | {"description": None}
    invoice = empty | own | {"test_clock": customer["test_clock"]}
    taken = invoice_items.take(ctx, invoice, plan.items)
    invoice["_lines"] = taken + [line | {"invoice": invoice["id"]} for line in plan.lines]
    total_up(ctx, invoice)
    ctx.add(invoice, "invoice.created")
    return invoice


def _parent(subscription: Doc) -> Doc:
    return {
        "type": "subscription_details",
        "quote_details": None,
        "subscription_details": {
            "metadata": dict(subscription["metadata"]),
            "subscription": subscription["id"],
        },
    }


def total_up(_ctx: Context, invoice: Doc) -> None:
    """Set the sums of a draft from its lines. Stripe: on drafts amount_due mirrors the total."""
    total = sum(line["amount"] for line in invoice["_lines"])
    for name in ("subtotal", "subtotal_excluding_tax", "total", "total_excluding_tax"):
        invoice[name] = total
    invoice["amount_due"] = invoice["amount_remaining"] = max(total, 0)


def subscription_id(invoice: Doc) -> str | None:
    """Return the subscription an invoice belongs to."""
    details = (invoice["parent"] or {}).get("subscription_details") or {}
    found: str | None = details.get("subscription")
    return found


def _of_customer(customer: Doc) -> Doc:
    return {
        "customer": customer["id"],
        "customer_account": None,
        "customer_address": customer["address"],
        "customer_email": customer["email"],
        "customer_name": customer["name"],
        "customer_phone": customer["phone"],
        "customer_shipping": customer["shipping"],
        "customer_tax_exempt": customer["tax_exempt"],
        "customer_tax_ids": [],
        "starting_balance": customer["balance"],
    }


def _empty(ctx: Context, currency: str, plan: Plan) -> Doc:
    return {
        **_UNSET,
        "id": new_id("in"),
        "object": "invoice",
        "automatic_tax": {
            "disabled_reason": None,
            "enabled": False,
            "liability": None,
            "provider": None,
            "status": None,
        },
        "billing_reason": plan.reason,
        "created": plan.created_at,
        "currency": currency,
        "default_tax_rates": [],
        "discounts": [],
        "issuer": {"type": "self"},
        "metadata": {},
        "payment_settings": {"default_mandate": None, "payment_method_options": None, "payment_method_types": None},
        "period_end": plan.period[1],
        "period_start": plan.period[0],
        "status_transitions": {
            "finalized_at": None,
            "marked_uncollectible_at": None,
            "paid_at": None,
            "voided_at": None,
        },
        "total_discount_amounts": [],
        "total_pretax_credit_amounts": [],
        "total_taxes": [],
        "_account": ctx.account,
    }

"""Lines → a draft invoice of a subscription, and the figures that follow from its lines."""

from __future__ import annotations

from dataclasses import dataclass, field

from stripe_sandbox.context import Context
from stripe_sandbox.documents import Doc, new_id
from stripe_sandbox.engine import discounts, invoice_items, reckon, tax_ids, taxes
from stripe_sandbox.engine.changes.prorate import DEBITS

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
        "default_tax_rates": list(subscription["default_tax_rates"]),
        "discounts": discounts.running(ctx, subscription["discounts"], plan.created_at),
        "parent": _parent(subscription),
        "_days_until_due": subscription["days_until_due"],
        "automatic_tax": taxes.automatic(enabled=subscription["automatic_tax"]["enabled"], customer=customer),
    }
    invoice = _store(ctx, customer, plan, own)
    discounts.use_up(ctx, subscription, invoice)
    return invoice


def manual_draft(ctx: Context, customer: Doc, plan: Plan, chosen: Doc, subscription: Doc | None) -> Doc:
    """Store a draft invoice that somebody asked for, with or without a subscription."""
    inherited: Doc = {"parent": None}
    if subscription:
        ids = discounts.running(ctx, subscription["discounts"], plan.created_at)
        rates = list(subscription["default_tax_rates"])
        inherited = {"parent": _parent(subscription), "discounts": ids, "default_tax_rates": rates}
    invoice = _store(ctx, customer, plan, inherited | chosen)
    if subscription:
        discounts.use_up(ctx, subscription, invoice)
        ctx.write(subscription)
    return invoice


def _store(ctx: Context, customer: Doc, plan: Plan, own: Doc) -> Doc:
    empty = _empty(ctx, own["currency"], plan) | _of_customer(ctx, customer) | {"description": None}
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


def total_up(ctx: Context, invoice: Doc) -> None:
    """Set discounts, taxes and sums of a draft from its lines. Stripe: on drafts amount_due mirrors the total."""
    currency, at_s = invoice["currency"], invoice["created"]
    whole = discounts.offs(ctx, invoice["discounts"], currency, at_s)
    lines = reckon.discount(
        invoice["_lines"], lambda line: discounts.offs(ctx, line["discounts"], currency, at_s), whole
    )
    lines = [reckon.tax(line, taxes.of_line(ctx, invoice, line)) for line in lines]
    invoice |= reckon.totals(lines) | {"_lines": lines}
    taken = reckon.sum_discounts(lines, [off.id for off in whole])
    invoice["total_discount_amounts"], invoice["total_pretax_credit_amounts"] = taken, reckon.pretax(taken)
    invoice["amount_due"] = invoice["amount_remaining"] = max(invoice["total"], 0)
    for line in lines:
        if any(one["amount"] for one in line["discount_amounts"]):
            _note_net(ctx, line)


def _note_net(ctx: Context, line: Doc) -> None:
    """Let what was debited for an item be what it cost with its discounts: credits are measured by it."""
    details = (line["parent"] or {}).get("subscription_item_details") or {}
    item = ctx.find("subscription_item", details["subscription_item"]) if details else None
    if item is not None and DEBITS in item:
        ctx.write(item | {DEBITS: with_nets(item[DEBITS], [line])})


def with_nets(notes: list[Doc], lines: list[Doc]) -> list[Doc]:
    """Return notes of debits with what their lines cost with discounts."""
    nets = {line["id"]: reckon.net(line) for line in lines}
    return [note | {"amount": nets.get(note["source"], note["amount"])} for note in notes]


def subscription_id(invoice: Doc) -> str | None:
    """Return the subscription an invoice belongs to."""
    details = (invoice["parent"] or {}).get("subscription_details") or {}
    found: str | None = details.get("subscription")
    return found


def _of_customer(ctx: Context, customer: Doc) -> Doc:
    return {
        "customer": customer["id"],
        "customer_account": None,
        "customer_address": customer["address"],
        "customer_email": customer["email"],
        "customer_name": customer["name"],
        "customer_phone": customer["phone"],
        "customer_shipping": customer["shipping"],
        "customer_tax_exempt": customer["tax_exempt"],
        "customer_tax_ids": tax_ids.on_invoice(ctx, customer["id"]),
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

"""Draft invoice → open (or paid) invoice.

Stripe: usage is read again for renewal invoices, the customer's balance is applied, the number is given, amounts are
frozen, a PaymentIntent and an invoice payment come to be; nothing due means paid in the same step, and an amount
below the smallest charge is carried over to the customer's balance.
"""

from __future__ import annotations

from decimal import Decimal

from stripe_sandbox.clock import DAY_S
from stripe_sandbox.context import Context
from stripe_sandbox.documents import Doc, random_text
from stripe_sandbox.engine import balance, lines, notices, sending, settle, tax_ids, timers
from stripe_sandbox.engine.draft import total_up
from stripe_sandbox.engine.intents import new_intent
from stripe_sandbox.wire.errors import BadRequest

GRACE_S = 3600
_TOKEN_LENGTH = 32
SMALLEST_CHARGE_MINOR = 50
_REREAD = frozenset({"subscription_cycle"})


def await_finalization(ctx: Context, invoice: Doc) -> None:
    """Let a renewal draft lie for the grace period."""
    due_at = invoice["created"] + GRACE_S
    invoice["automatically_finalizes_at"] = due_at
    if invoice["collection_method"] == "charge_automatically":
        invoice["next_payment_attempt"] = due_at
    ctx.write(invoice)
    timers.arm(ctx, invoice, "finalize", due_at)


def finalize(ctx: Context, invoice_id: str) -> Doc:
    """Finalize a draft and return the invoice document; payment is attempted by the caller."""
    invoice = ctx.get("invoice", invoice_id)
    if invoice["status"] != "draft":
        message = "This invoice is already finalized, you can't re-finalize a non-draft invoice."
        raise BadRequest(message, code="invoice_not_editable")
    timers.disarm(ctx, invoice_id, "finalize")
    if invoice["billing_reason"] in _REREAD:
        _reread_usage(ctx, invoice)
    _settle_place(invoice)
    now_s = ctx.now(invoice["test_clock"])
    invoice["automatically_finalizes_at"] = None
    invoice["status"] = "open"
    invoice["customer_tax_ids"] = tax_ids.on_invoice(ctx, invoice["customer"])
    invoice["effective_at"] = now_s
    if invoice["collection_method"] == "send_invoice":
        invoice["due_date"] = now_s + (invoice.get("_days_until_due") or 0) * DAY_S
    invoice["status_transitions"]["finalized_at"] = now_s
    _number(ctx, invoice)
    invoice["_token"] = random_text(_TOKEN_LENGTH)
    balance.apply_to_invoice(ctx, invoice, smallest_charge=SMALLEST_CHARGE_MINOR)
    if invoice["amount_due"] > 0:
        new_intent(ctx, invoice)
    ctx.write(invoice)
    ctx.emit("invoice.finalized", ctx.shown(invoice))
    if invoice["due_date"] is not None and invoice["amount_due"]:
        timers.arm(ctx, invoice, sending.TIMER, invoice["due_date"])
        notices.expect_due_date(ctx, invoice)
    if invoice["amount_due"] == 0:
        settle.paid_without_charge(ctx, invoice)
    return invoice


def _settle_place(invoice: Doc) -> None:
    """Stripe: an invoice whose customer cannot be placed is finalized without automatic tax, and says so."""
    tax = invoice["automatic_tax"]
    if tax["enabled"] and tax["status"] == "requires_location_inputs":
        reason = "finalization_requires_location_inputs"
        invoice["automatic_tax"] = tax | {"enabled": False, "disabled_reason": reason, "liability": None}


def _reread_usage(ctx: Context, invoice: Doc) -> None:
    """Usage that arrived while the invoice was a draft is billed."""
    fresh = [_reread(ctx, invoice["customer"], line) for line in invoice["_lines"]]
    if fresh != invoice["_lines"]:
        invoice["_lines"] = fresh
        total_up(ctx, invoice)
        ctx.update(invoice, "invoice.updated")


def _reread(ctx: Context, customer: str, line: Doc) -> Doc:
    price_id = ((line["pricing"] or {}).get("price_details") or {}).get("price")
    price = ctx.find("price", price_id) if price_id else None
    if price is None or "_free" in line or not lines.is_metered(price):
        return line
    period = (line["period"]["start"], line["period"]["end"])
    quantity = lines.measured(ctx, customer, price, period)
    if quantity == Decimal(line["quantity_decimal"]):
        return line
    return lines.requantify(line, quantity, lines.describe(ctx, price, quantity))


def _number(ctx: Context, invoice: Doc) -> None:
    customer = ctx.get("customer", invoice["customer"])
    sequence = customer["next_invoice_sequence"]
    invoice["number"] = f"{customer['invoice_prefix']}-{sequence:04d}"
    customer["next_invoice_sequence"] = sequence + 1
    ctx.write(customer)

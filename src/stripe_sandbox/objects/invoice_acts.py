"""Invoices made by hand, and what can be done to one beside paying: delete, send, give up.

Stripe: a manual invoice takes the customer's pending items (unless told to leave them), advances by itself only if
asked, and as a draft without subscription can be deleted.
"""

from __future__ import annotations

from stripe_sandbox.context import Context
from stripe_sandbox.documents import Call, Doc, Params, deleted_stub
from stripe_sandbox.engine import discounts, invoice_items, settle, taxes
from stripe_sandbox.engine.draft import Plan, manual_draft, subscription_id
from stripe_sandbox.engine.finalize import await_finalization, finalize
from stripe_sandbox.objects.discount import DISCOUNTS
from stripe_sandbox.objects.subscription_params import AUTOMATIC_TAX
from stripe_sandbox.objects.tax_rate import RATES
from stripe_sandbox.wire.errors import BadRequest, missing_param
from stripe_sandbox.wire.routing import Endpoint
from stripe_sandbox.wire.schema import Boolean, Choice, Integer, Metadata, Text, table

_MAX_DAYS = 3650
CREATE = table(
    {
        "auto_advance": Boolean(),
        "automatic_tax": AUTOMATIC_TAX,
        "collection_method": Choice(words=("charge_automatically", "send_invoice")),
        "currency": Text(pattern=r"[A-Za-z]{3}"),
        "customer": Text(),
        "days_until_due": Integer(minimum=0, maximum=_MAX_DAYS),
        "default_payment_method": Text(),
        "description": Text(clearable=True),
        "default_tax_rates": RATES,
        "discounts": DISCOUNTS,
        "footer": Text(clearable=True),
        "metadata": Metadata(),
        "pending_invoice_items_behavior": Choice(words=("exclude", "include")),
        "subscription": Text(),
    }
)


def _create(call: Call) -> Doc:
    ctx, sent = call.ctx, call.params
    if "customer" not in sent:
        raise missing_param("customer")
    customer = ctx.get("customer", sent["customer"], "customer")
    subscription = ctx.get("subscription", sent["subscription"], "subscription") if "subscription" in sent else None
    now_s = ctx.now(customer["test_clock"])
    plan = Plan(reason="manual", created_at=now_s, period=(now_s, now_s), lines=[], items=_items(ctx, sent))
    invoice = manual_draft(ctx, customer, plan, _chosen(customer, sent) | money_of(ctx, customer, sent), subscription)
    tie_discounts(ctx, invoice)
    if invoice["auto_advance"]:
        await_finalization(ctx, invoice)
    return ctx.shown(ctx.get("invoice", invoice["id"]))


def money_of(ctx: Context, customer: Doc, sent: Params, old: Doc | None = None) -> Doc:
    """Return the discounts and taxes a caller gives an invoice; ``old`` is the invoice as it was."""
    found: Doc = {}
    if "default_tax_rates" in sent:
        found["default_tax_rates"] = taxes.check_rates(ctx, sent["default_tax_rates"], "default_tax_rates")
    if "automatic_tax" in sent:
        enabled = sent["automatic_tax"]["enabled"]
        found["automatic_tax"] = taxes.automatic(enabled=enabled, customer=customer)
    if "discounts" in sent:
        currency = (old or sent).get("currency") or customer["currency"] or "usd"
        holder = discounts.Holder(
            customer=customer["id"], currency=currency.lower(), at_s=ctx.now(customer["test_clock"])
        )
        kept = list((old or {}).get("discounts") or [])
        found["discounts"] = discounts.redeem_all(ctx, sent["discounts"], holder, kept, "discounts")
    return found


def tie_discounts(ctx: Context, invoice: Doc) -> None:
    """Let the discounts redeemed for an invoice say so."""
    for discount_id in invoice["discounts"]:
        kept = ctx.get(discounts.KIND, discount_id)
        if kept["subscription"] is None and kept["invoice"] is None:
            ctx.write(kept | {"invoice": invoice["id"]})


def _items(ctx: Context, sent: Params) -> list[Doc]:
    if sent.get("pending_invoice_items_behavior", "exclude") == "exclude" and "subscription" not in sent:
        return []
    return invoice_items.waiting(ctx, sent["customer"], sent.get("subscription"), own_only="subscription" in sent)


def _chosen(customer: Doc, sent: Params) -> Doc:
    method = sent.get("collection_method", "charge_automatically")
    if (method == "send_invoice") != ("days_until_due" in sent):
        raise BadRequest("days_until_due goes with collection_method=send_invoice.", param="days_until_due")
    named = ("default_payment_method", "description", "footer")
    chosen: Doc = {name: sent[name] for name in named if name in sent}
    currency: str = sent.get("currency") or customer["currency"] or "usd"
    return chosen | {
        "auto_advance": sent.get("auto_advance", False),
        "collection_method": method,
        "currency": currency.lower(),
        "metadata": sent.get("metadata") or {},
        "_days_until_due": sent.get("days_until_due"),
    }


def _delete(call: Call) -> Doc:
    ctx = call.ctx
    invoice = ctx.get("invoice", call.ids[0])
    if invoice["status"] != "draft" or subscription_id(invoice):
        raise BadRequest("You can only delete draft invoices.", code="invoice_not_editable")
    invoice_items.let_go(ctx, invoice["id"])
    ctx.emit("invoice.deleted", ctx.shown(invoice))
    ctx.store.remove(ctx.account, invoice["id"])
    return deleted_stub(invoice)


def _mark_uncollectible(call: Call) -> Doc:
    invoice = call.ctx.get("invoice", call.ids[0])
    if invoice["status"] != "open":
        raise BadRequest("You can only pass in open invoices. This invoice isn't open.", code="invoice_not_open")
    return settle.mark_uncollectible(call.ctx, invoice, "user_forgiven")


def _send(call: Call) -> Doc:
    """Stripe: in test mode nothing is mailed; a draft is finalized first."""
    ctx = call.ctx
    invoice = ctx.get("invoice", call.ids[0])
    if invoice["status"] == "draft":
        invoice = finalize(ctx, invoice["id"])
    if invoice["status"] not in {"open", "paid"}:
        raise BadRequest("Only an open or paid invoice can be sent.", code="invoice_not_open")
    shown = ctx.shown(invoice)
    ctx.emit("invoice.sent", shown)
    return shown


ENDPOINTS = (
    Endpoint("POST", "/v1/invoices", CREATE, _create),
    Endpoint("DELETE", "/v1/invoices/*", table(), _delete),
    Endpoint("POST", "/v1/invoices/*/mark_uncollectible", table(), _mark_uncollectible),
    Endpoint("POST", "/v1/invoices/*/send", table(), _send),
)

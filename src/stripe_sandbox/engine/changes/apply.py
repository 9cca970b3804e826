"""A change worked out → items, pending invoice items, and where it bills now an invoice that is paid.

Stripe: ``create_prorations`` leaves the amounts for the next invoice, ``always_invoice`` and a new billing cycle bill
them at once. ``pending_if_incomplete`` changes the items only once that invoice is paid; ``error_if_incomplete``
saves nothing on a decline; ``default_incomplete`` never charges in the call.
"""

from __future__ import annotations

from stripe_sandbox.context import Context
from stripe_sandbox.documents import Doc
from stripe_sandbox.engine import discounts, invoice_items, sending, settle
from stripe_sandbox.engine.changes import pending
from stripe_sandbox.engine.changes.plan import Change, Request, plan
from stripe_sandbox.engine.changes.prorate import DEBITS
from stripe_sandbox.engine.collect import Attempt, collect
from stripe_sandbox.engine.draft import Plan, new_draft, with_nets
from stripe_sandbox.engine.finalize import finalize
from stripe_sandbox.engine.renew import items_of
from stripe_sandbox.wire.errors import StripeError


def carry_out(ctx: Context, subscription: Doc, request: Request) -> Doc | None:
    """Change a subscription's items and return the invoice this made, if it made one."""
    return carry_out_change(ctx, subscription, request, plan(ctx, subscription, request))


def carry_out_change(ctx: Context, subscription: Doc, request: Request, change: Change) -> Doc | None:
    """Write a change that was worked out."""
    started_at = min(item["current_period_start"] for item in items_of(ctx, subscription["id"]))
    pending.discard(ctx, subscription)
    bills_now = subscription["status"] != "paused" and (
        change.anchor is not None or request.behavior == "always_invoice"
    )
    waits = bills_now and request.payment == "pending_if_incomplete" and not request.until_draft
    if not waits:
        apply_change(ctx, subscription, change)
    for item in change.prorations:
        ctx.add(item, "invoiceitem.created")
    invoice = draft_now(ctx, subscription, change, started_at) if bills_now else None
    if invoice is not None and not request.until_draft:
        settle_now(ctx, invoice, request, change if waits else None)
    elif waits:
        apply_change(ctx, subscription, change)
    return invoice


def apply_change(ctx: Context, subscription: Doc, change: Change) -> None:
    """Write the items as they are from now on."""
    for item in change.removed:
        ctx.store.remove(ctx.account, item["id"])
    for item in change.items:
        ctx.write(item)
    if change.anchor is not None:
        fields: Doc = {"billing_cycle_anchor": change.anchor}
        if subscription["status"] == "trialing":
            fields |= {"status": "active", "trial_end": change.anchor}
        subscription |= fields
        ctx.write(ctx.get("subscription", subscription["id"]) | fields)


def draft_now(ctx: Context, subscription: Doc, change: Change, started_at: int) -> Doc | None:
    """Return a draft of what is pending and of a change's lines, or None when there is nothing of it."""
    now_s = ctx.now(subscription["test_clock"])
    waiting = invoice_items.waiting(ctx, subscription["customer"], subscription["id"], own_only=True)
    if not waiting and not change.lines:
        return None
    plan_ = Plan(
        reason="subscription_update",
        created_at=now_s,
        period=(started_at, now_s),
        lines=change.lines,
        items=waiting,
    )
    invoice = new_draft(ctx, subscription, plan_)
    for item in change.items:
        _follow(ctx, item, invoice)
    subscription["latest_invoice"] = invoice["id"]
    ctx.write(ctx.get("subscription", subscription["id"]) | {"latest_invoice": invoice["id"]})
    return invoice


def _follow(ctx: Context, item: Doc, invoice: Doc) -> None:
    """Bring an item that is still to be written up to date with the invoice that bills it."""
    if DEBITS in item:
        item[DEBITS] = with_nets(item[DEBITS], invoice["_lines"])
    item["discounts"] = discounts.unused(ctx, item["discounts"])


def settle_now(ctx: Context, invoice: Doc, request: Request, waiting: Change | None) -> None:
    """Finalize and charge; ``waiting`` is the change that takes hold only when the invoice is paid."""
    subscription = ctx.get("subscription", invoice["parent"]["subscription_details"]["subscription"])
    if subscription["status"] == "unpaid":
        ctx.write(invoice | {"auto_advance": False})
        return
    if waiting is not None:
        ctx.write(invoice | {"_holds_update": True})
    invoice = finalize(ctx, invoice["id"])
    if invoice["status"] == "open":
        _charge(ctx, subscription, invoice, request)
    if waiting is None:
        return
    if ctx.get("invoice", invoice["id"])["status"] == "paid":
        apply_change(ctx, subscription, waiting)
    else:
        pending.hold(ctx, subscription["id"], waiting, invoice)


def _charge(ctx: Context, subscription: Doc, invoice: Doc, request: Request) -> None:
    if request.payment == "default_incomplete":
        if subscription["status"] == "active":
            settle.set_status(ctx, subscription, "past_due")
        return
    if invoice["collection_method"] == "send_invoice":
        sending.tell(ctx, invoice)
        return
    refusal = collect(ctx, invoice, Attempt())
    if refusal is not None and request.payment == "error_if_incomplete":
        raise renamed(refusal)


def renamed(refusal: StripeError) -> StripeError:
    """Return a refused payment as ``error_if_incomplete`` words it."""
    if refusal.code == "authentication_required":
        refusal.code = "subscription_payment_intent_requires_action"
    return refusal

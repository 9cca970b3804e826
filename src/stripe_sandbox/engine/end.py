"""The end of a subscription: at its planned time, or now.

Stripe: at the planned time a last invoice bills the usage and what is pending. Now: with ``invoice_now`` usage and
pending prorations are billed at once, without it the usage of the running period is discarded; ``prorate`` credits
unused time. A last draft that only credits is marked uncollectible.
"""

from __future__ import annotations

from dataclasses import dataclass
from decimal import Decimal

from stripe_sandbox.context import Context
from stripe_sandbox.documents import Doc
from stripe_sandbox.engine import invoice_items, lines, sending, settle, timers
from stripe_sandbox.engine.collect import Attempt, collect
from stripe_sandbox.engine.draft import Plan, new_draft
from stripe_sandbox.engine.finalize import await_finalization, finalize
from stripe_sandbox.engine.renew import items_of

ASKED = "cancellation_requested"


@dataclass(frozen=True, slots=True, kw_only=True)
class Ending:
    """How a subscription is ended now."""

    invoice_now: bool = False
    prorate: bool = False
    until_draft: bool = False


def end_at_boundary(ctx: Context, subscription: Doc, at_s: int) -> Doc:
    """End a subscription at its planned time; its last invoice is finalized as a renewal is."""
    from stripe_sandbox.engine.changes import pending

    pending.discard(ctx, subscription)
    invoice = final_invoice(ctx, subscription, at_s, reason="subscription_cycle")
    if invoice is not None:
        subscription = _with_latest(ctx, subscription, invoice)
        await_finalization(ctx, invoice)
    return settle.mark_canceled(ctx, subscription, at_s, reason=ASKED)


def end_now(ctx: Context, subscription: Doc, ending: Ending) -> Doc:
    """End a subscription now and return it as shown (in a rehearsal: the draft of its last invoice, if any)."""
    from stripe_sandbox.engine.changes import pending

    pending.discard(ctx, subscription)
    now_s = ctx.now(subscription["test_clock"])
    if ending.prorate:
        _credit_unused(ctx, subscription, now_s)
    if ending.invoice_now:
        invoice = final_invoice(ctx, subscription, now_s, reason="subscription_update")
        if invoice is not None:
            subscription = _with_latest(ctx, subscription, invoice)
            if ending.until_draft:
                return invoice
            _charge_last(ctx, invoice)
    current = ctx.get("subscription", subscription["id"])
    return settle.mark_canceled(ctx, current, now_s, reason=ASKED)


def _with_latest(ctx: Context, subscription: Doc, invoice: Doc) -> Doc:
    changed = ctx.get("subscription", subscription["id"]) | {"latest_invoice": invoice["id"]}
    ctx.write(changed)
    return changed


def _credit_unused(ctx: Context, subscription: Doc, now_s: int) -> None:
    from stripe_sandbox.engine.changes.plan import Request, plan_swaps
    from stripe_sandbox.engine.changes.wanted import Swap

    priced = [(item, ctx.get("price", item["price"])) for item in items_of(ctx, subscription["id"])]
    swaps = [Swap(old=item, new=None) for item, price in priced if not lines.is_metered(price)]
    for item in plan_swaps(ctx, subscription, Request(items=[], at_s=now_s), swaps).prorations:
        ctx.add(item, "invoiceitem.created")


def _charge_last(ctx: Context, invoice: Doc) -> None:
    if invoice["total"] < 0 and all(line["amount"] <= 0 for line in invoice["_lines"]):
        settle.mark_uncollectible(ctx, invoice, "subscription_canceled")
        return
    invoice = finalize(ctx, invoice["id"])
    if invoice["collection_method"] == "charge_automatically":
        collect(ctx, invoice, Attempt())
    else:
        sending.tell(ctx, invoice)


def final_invoice(ctx: Context, subscription: Doc, at_s: int, *, reason: str) -> Doc | None:
    """Return a draft of the running period's usage and of what is pending, or None when there is nothing of it."""
    billed = []
    free = subscription["status"] in {"paused", "trialing"}
    items = items_of(ctx, subscription["id"])
    for item in items:
        price = ctx.get("price", item["price"])
        if lines.is_metered(price):
            billed.append(lines.metered_line(ctx, item, price, lines.usage_period(item, at_s), free=free))
    waiting = invoice_items.waiting(ctx, subscription["customer"], subscription["id"], own_only=True)
    if not waiting and not any(Decimal(line["quantity_decimal"]) for line in billed):
        return None
    start_at = min([at_s, *(item["current_period_start"] for item in items)])
    plan = Plan(reason=reason, created_at=at_s, period=(start_at, at_s), lines=billed, items=waiting)
    timers.disarm(ctx, subscription["id"])
    return new_draft(ctx, subscription, plan)

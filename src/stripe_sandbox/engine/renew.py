"""A subscription's boundary: its periods roll and its renewal is invoiced, or it ends.

Stripe: item periods roll first, then a draft invoice is created at the boundary: fixed lines for the new period,
metered lines for the closed one (also those with nothing used). A subscription whose ``cancel_at`` has come ends with
a last invoice for its usage.
"""

from __future__ import annotations

from decimal import Decimal

from stripe_sandbox.context import Context
from stripe_sandbox.documents import Doc
from stripe_sandbox.engine import lines, settle, timers
from stripe_sandbox.engine.collect import Attempt, collect
from stripe_sandbox.engine.draft import Plan, new_draft
from stripe_sandbox.engine.finalize import await_finalization, finalize
from stripe_sandbox.engine.periods import next_boundary

ENDED = frozenset({"canceled", "incomplete_expired"})


def arm_boundary(ctx: Context, subscription: Doc) -> None:
    """Set the timer to the next instant at which something is to happen to the subscription's periods."""
    end_at = min(item["current_period_end"] for item in items_of(ctx, subscription["id"]))
    cancel_at = subscription["cancel_at"]
    timers.arm(ctx, subscription, "boundary", end_at if cancel_at is None else min(end_at, cancel_at))


def items_of(ctx: Context, subscription_id: str) -> list[Doc]:
    """Return the items of a subscription in their order."""
    return ctx.children("subscription_item", subscription_id)


def cross_boundary(ctx: Context, subscription_id: str) -> None:
    """Roll, or end, a subscription whose boundary has come."""
    subscription = ctx.get("subscription", subscription_id)
    items = items_of(ctx, subscription_id)
    if subscription["status"] in ENDED:
        return
    cancel_at = subscription["cancel_at"]
    boundary_at = min(item["current_period_end"] for item in items)
    if cancel_at is not None and cancel_at <= boundary_at:
        end(ctx, subscription, cancel_at, bill_usage=True)
        return
    before = ctx.shown(subscription)
    closed = (items[0]["current_period_start"], boundary_at)
    for item in items:
        _roll(ctx, item, subscription["billing_cycle_anchor"], boundary_at)
    plan = Plan(
        reason="subscription_cycle",
        created_at=boundary_at,
        period=closed,
        lines=[_renewal_line(ctx, item, closed) for item in items],
    )
    invoice = new_draft(ctx, subscription, plan)
    subscription["latest_invoice"] = invoice["id"]
    _schedule(ctx, subscription, invoice)
    ctx.update(subscription, settle.SUBSCRIPTION_UPDATED, before)
    arm_boundary(ctx, subscription)


def _roll(ctx: Context, item: Doc, anchor_at: int, boundary_at: int) -> None:
    recurring = ctx.get("price", item["price"])["recurring"]
    item["current_period_start"] = boundary_at
    item["current_period_end"] = next_boundary(
        anchor_at, recurring["interval"], recurring["interval_count"], boundary_at
    )
    ctx.write(item)


def _renewal_line(ctx: Context, item: Doc, closed: tuple[int, int]) -> Doc:
    price = ctx.get("price", item["price"])
    if lines.is_metered(price):
        return lines.metered_line(ctx, item, price, closed)
    return lines.licensed_line(ctx, item, price)


def _schedule(ctx: Context, subscription: Doc, invoice: Doc) -> None:
    """Stripe: invoices of an unpaid subscription stay drafts that do not advance."""
    if subscription["status"] == "unpaid":
        invoice["auto_advance"] = False
        ctx.write(invoice)
    else:
        await_finalization(ctx, invoice)


def end(ctx: Context, subscription: Doc, at_s: int, *, bill_usage: bool, at_once: bool = False) -> Doc:
    """End a subscription, billing its usage first if asked; ``at_once`` finalizes and charges in the same step."""
    if bill_usage:
        invoice = _final_invoice(ctx, subscription, at_s, at_once=at_once)
        if invoice is not None:
            subscription = ctx.get("subscription", subscription["id"]) | {"latest_invoice": invoice["id"]}
            ctx.write(subscription)
            if at_once:
                collect(ctx, finalize(ctx, invoice["id"]), Attempt())
            else:
                await_finalization(ctx, invoice)
    current = ctx.get("subscription", subscription["id"])
    return settle.mark_canceled(ctx, current, at_s, reason="cancellation_requested")


def _final_invoice(ctx: Context, subscription: Doc, at_s: int, *, at_once: bool) -> Doc | None:
    """Return a draft of the metered lines of the running period, or None when nothing was used."""
    billed = []
    start_at = at_s
    for item in items_of(ctx, subscription["id"]):
        price = ctx.get("price", item["price"])
        start_at = min(start_at, item["current_period_start"])
        if lines.is_metered(price):
            billed.append(lines.metered_line(ctx, item, price, (item["current_period_start"], at_s)))
    if not any(Decimal(line["quantity_decimal"]) for line in billed):
        return None
    reason = "subscription_update" if at_once else "subscription_cycle"
    return new_draft(ctx, subscription, Plan(reason=reason, created_at=at_s, period=(start_at, at_s), lines=billed))

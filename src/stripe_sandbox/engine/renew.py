"""A subscription's boundary: its periods roll and its renewal is invoiced, or it ends.

Stripe: item periods roll first, then a draft invoice is created at the boundary: pending invoice items, fixed lines
for the new period, metered lines for the closed one (also those with nothing used). A scheduled phase that begins at
the boundary brings its items in before. A subscription whose ``cancel_at`` has come ends with a last invoice for its
usage.
"""

from __future__ import annotations

from stripe_sandbox.context import Context
from stripe_sandbox.documents import Doc
from stripe_sandbox.engine import invoice_items, lines, notices, pausing, settle, timers, trials
from stripe_sandbox.engine.changes.prorate import DEBITS, debit
from stripe_sandbox.engine.draft import Plan, new_draft
from stripe_sandbox.engine.finalize import await_finalization
from stripe_sandbox.engine.periods import next_boundary

ENDED = frozenset({"canceled", "incomplete_expired"})


def arm_boundary(ctx: Context, subscription: Doc) -> None:
    """Set the timer to the next instant at which something is to happen to the subscription's periods."""
    cancel_at = subscription["cancel_at"]
    if subscription["status"] == "paused":
        timers.disarm(ctx, subscription["id"], notices.UPCOMING_TIMER)
        if cancel_at is not None:
            timers.arm(ctx, subscription, "boundary", cancel_at)
        return
    due_at = next_boundary_of(ctx, subscription)
    timers.arm(ctx, subscription, "boundary", due_at)
    notices.expect_renewal(ctx, subscription, due_at)


def next_boundary_of(ctx: Context, subscription: Doc) -> int:
    """Return when the running period ends, or the subscription if that is sooner."""
    end_at = min(int(item["current_period_end"]) for item in items_of(ctx, subscription["id"]))
    cancel_at = subscription["cancel_at"]
    return end_at if cancel_at is None else min(end_at, int(cancel_at))


def items_of(ctx: Context, subscription_id: str) -> list[Doc]:
    """Return the items of a subscription in their order."""
    return ctx.children("subscription_item", subscription_id)


def cross_boundary(ctx: Context, subscription_id: str) -> None:
    """Roll, or end, a subscription whose boundary has come."""
    from stripe_sandbox.engine.end import end_at_boundary

    subscription = ctx.get("subscription", subscription_id)
    if subscription["status"] in ENDED:
        return
    cancel_at = subscription["cancel_at"]
    if subscription["status"] == "paused":
        if cancel_at is not None:
            settle.mark_canceled(ctx, subscription, cancel_at, reason="cancellation_requested")
        return
    boundary_at = min(item["current_period_end"] for item in items_of(ctx, subscription_id))
    if cancel_at is not None and cancel_at <= boundary_at:
        end_at_boundary(ctx, subscription, cancel_at)
        return
    if trials.stops_at_end(ctx, subscription, boundary_at):
        return
    invoice = renew(ctx, subscription, boundary_at)
    _schedule(ctx, ctx.get("subscription", subscription_id), invoice)


def renew(ctx: Context, subscription: Doc, boundary_at: int) -> Doc:
    """Roll what is due at a boundary and return the draft of the renewal."""
    from stripe_sandbox.engine import schedules
    from stripe_sandbox.engine.changes import pending

    pending.discard(ctx, subscription)
    before = ctx.shown(subscription)
    due = [item for item in items_of(ctx, subscription["id"]) if item["current_period_end"] == boundary_at]
    closed = (min(item["current_period_start"] for item in due), boundary_at)
    usage = _usage_lines(ctx, subscription, due, boundary_at)
    schedules.enter_at_boundary(ctx, subscription, boundary_at)
    if subscription["status"] == "trialing":
        subscription["status"] = "active"
    rolled = _roll_all(ctx, subscription, boundary_at)
    own = [usage.pop(item["id"], None) or _fixed_line(ctx, item) for item in rolled]
    plan = Plan(
        reason="subscription_cycle",
        created_at=boundary_at,
        period=closed,
        lines=[line for line in [*own, *usage.values()] if line is not None],
        items=invoice_items.waiting(ctx, subscription["customer"], subscription["id"]),
    )
    ctx.write(subscription)
    invoice = new_draft(ctx, subscription, plan)
    subscription["latest_invoice"] = invoice["id"]
    ctx.update(subscription, settle.SUBSCRIPTION_UPDATED, before)
    arm_boundary(ctx, subscription)
    return invoice


def _usage_lines(ctx: Context, subscription: Doc, due: list[Doc], boundary_at: int) -> dict[str, Doc]:
    """Return the line of each metered item; usage during a trial is free."""
    priced = [(item, ctx.get("price", item["price"])) for item in due]
    free = subscription["status"] == "trialing"
    return {
        item["id"]: lines.metered_line(ctx, item, price, lines.usage_period(item, boundary_at), free=free)
        for item, price in priced
        if lines.is_metered(price)
    }


def _roll_all(ctx: Context, subscription: Doc, boundary_at: int) -> list[Doc]:
    items = [item for item in items_of(ctx, subscription["id"]) if item["current_period_end"] <= boundary_at]
    for item in items:
        _roll(ctx, item, subscription["billing_cycle_anchor"], boundary_at)
    return items


def _roll(ctx: Context, item: Doc, anchor_at: int, boundary_at: int) -> None:
    recurring = ctx.get("price", item["price"])["recurring"]
    item.pop("_used_from", None)
    item["current_period_start"] = boundary_at
    item["current_period_end"] = next_boundary(
        anchor_at, recurring["interval"], recurring["interval_count"], boundary_at
    )
    ctx.write(item)


def _fixed_line(ctx: Context, item: Doc) -> Doc | None:
    """Return the line of a licensed item's new period; a metered item that is new has none."""
    price = ctx.get("price", item["price"])
    if lines.is_metered(price):
        return None
    line = lines.licensed_line(ctx, item, price)
    note_debit(ctx, item, line)
    return line


def note_debit(ctx: Context, item: Doc, line: Doc) -> None:
    """Remember on an item what was debited for its period; credits are measured by it."""
    span = (line["period"]["start"], line["period"]["end"])
    ctx.write(item | {DEBITS: [debit(line["amount"], span, line["id"])]})


def _schedule(ctx: Context, subscription: Doc, invoice: Doc) -> None:
    """Stripe: invoices of an unpaid subscription stay drafts that do not advance."""
    if subscription["status"] == "unpaid":
        invoice["auto_advance"] = False
        ctx.write(invoice)
    elif not pausing.keeps_back(ctx, subscription, invoice):
        await_finalization(ctx, invoice)

"""The end of a standstill: a new period now, or the one that is running by the old anchor.

Stripe: with the anchor now the whole new period is invoiced; with it unchanged the rest of the running period is
prorated. A resumption that is invoiced takes hold when its invoice is paid (or given up); an attempt that fails makes
the subscription past_due, unless it was to wait for success. An invoice that nobody pays is voided after 23 hours.
"""

from __future__ import annotations

from dataclasses import dataclass

from stripe_sandbox.clock import HOUR_S
from stripe_sandbox.context import Context
from stripe_sandbox.documents import Doc
from stripe_sandbox.engine import lines, settle, timers
from stripe_sandbox.engine.changes import apply
from stripe_sandbox.engine.changes.plan import Change, Request, plan_swaps, rest_of_period
from stripe_sandbox.engine.changes.wanted import Swap
from stripe_sandbox.engine.collect import Attempt, collect
from stripe_sandbox.engine.finalize import finalize
from stripe_sandbox.engine.periods import boundary, next_boundary
from stripe_sandbox.engine.renew import arm_boundary, items_of
from stripe_sandbox.wire.errors import BadRequest

LIFE_S = 23 * HOUR_S
TIMER = "expire_resumption"
NOTE = "_resuming"
ON_SUCCESS = "resume_on_payment_success"


@dataclass(frozen=True, slots=True, kw_only=True)
class Wish:
    """How a subscription is resumed; ``at_s`` is the moment from which money is counted."""

    anchor: str = "now"
    behavior: str = "create_prorations"
    payment: str = "resume_on_payment_attempt"
    at_s: int | None = None
    until_draft: bool = False


def resume(ctx: Context, subscription: Doc, wish: Wish) -> Doc | None:
    """Resume a paused subscription; return the invoice this made, if it made one."""
    if subscription["status"] != "paused":
        message = f"You can only resume a paused subscription; this one is {subscription['status']}."
        raise BadRequest(message, code="status_transition_invalid")
    _give_up(ctx, subscription)
    change = _new_cycle(ctx, subscription) if wish.anchor == "now" else _running_cycle(ctx, subscription, wish)
    for item in change.prorations:
        ctx.add(item, "invoiceitem.created")
    started_at = min(item["current_period_start"] for item in items_of(ctx, subscription["id"]))
    invoice = None
    if wish.anchor == "now" or wish.behavior == "always_invoice":
        invoice = apply.draft_now(ctx, subscription, change, started_at)
    if invoice is None:
        apply.apply_change(ctx, subscription, change)
        _go_on(ctx, subscription["id"], "active")
    elif not wish.until_draft:
        _await_payment(ctx, subscription["id"], invoice, change, wish)
    return invoice


def _new_cycle(ctx: Context, subscription: Doc) -> Change:
    now_s = ctx.now(subscription["test_clock"])
    swaps = [Swap(old=item, new=item) for item in items_of(ctx, subscription["id"])]
    return plan_swaps(ctx, subscription, Request(items=[], behavior="none", at_s=now_s, resets=True), swaps)


def _running_cycle(ctx: Context, subscription: Doc, wish: Wish) -> Change:
    now_s = ctx.now(subscription["test_clock"])
    at_s = now_s if wish.at_s is None else wish.at_s
    change = Change(items=[], removed=[])
    for item in items_of(ctx, subscription["id"]):
        price = ctx.get("price", item["price"])
        start_at, end_at = _around(subscription["billing_cycle_anchor"], item, price, now_s)
        if not start_at <= at_s < end_at:
            raise BadRequest("proration_date must lie within the running period.", param="proration_date")
        moved = item | {"current_period_start": start_at, "current_period_end": end_at}
        if lines.is_metered(price):
            change.items.append(moved | {"_used_from": now_s})
            continue
        rest, made = rest_of_period(ctx, subscription, moved, at_s, prorates=wish.behavior != "none")
        change.items.append(rest)
        change.prorations += made
    return change


def _around(anchor_at: int, item: Doc, price: Doc, now_s: int) -> tuple[int, int]:
    """Return the period that surrounds an instant by an anchor; an item still in its period keeps it."""
    if item["current_period_start"] <= now_s < item["current_period_end"]:
        return item["current_period_start"], item["current_period_end"]
    interval, count = price["recurring"]["interval"], price["recurring"]["interval_count"]
    end_at = next_boundary(anchor_at, interval, count, now_s)
    index = 0
    while boundary(anchor_at, interval, count, index + 1) < end_at:
        index += 1
    return boundary(anchor_at, interval, count, index), end_at


def _await_payment(ctx: Context, subscription_id: str, invoice: Doc, change: Change, wish: Wish) -> None:
    note = {"invoice": invoice["id"], "change": change.packed(), "on_success": wish.payment == ON_SUCCESS}
    ctx.write(ctx.get("subscription", subscription_id) | {NOTE: note})
    invoice["auto_advance"] = wish.payment == ON_SUCCESS
    ctx.write(invoice)
    invoice = finalize(ctx, invoice["id"])
    if invoice["status"] != "open":
        return
    subscription = ctx.get("subscription", subscription_id)
    timers.arm(ctx, subscription, TIMER, ctx.now(subscription["test_clock"]) + LIFE_S)
    if wish.payment == ON_SUCCESS:
        collect(ctx, invoice, Attempt())


def waits_for(subscription: Doc | None, invoice: Doc) -> bool:
    """Return whether a subscription goes on once this invoice is paid."""
    if subscription is None or subscription["status"] != "paused":
        return False
    return bool((subscription.get(NOTE) or {}).get("invoice") == invoice["id"])


def settled(ctx: Context, invoice: Doc, *, paid: bool) -> None:
    """Resume because the invoice was paid or given up; after a failed attempt only if that is what counts."""
    subscription = settle.owner(ctx, invoice)
    if subscription is None or not waits_for(subscription, invoice):
        return
    if not paid and subscription[NOTE]["on_success"] and invoice["status"] == "open":
        return
    change = Change(**subscription[NOTE]["change"])
    _forget(ctx, subscription)
    apply.apply_change(ctx, subscription, change)
    _go_on(ctx, subscription["id"], "active" if paid else "past_due")


def _go_on(ctx: Context, subscription_id: str, status: str) -> None:
    subscription = ctx.get("subscription", subscription_id)
    shown = ctx.update(subscription | {"status": status, "status_details": None}, settle.SUBSCRIPTION_UPDATED)
    arm_boundary(ctx, ctx.get("subscription", subscription_id))
    ctx.emit("customer.subscription.resumed", shown)


def _forget(ctx: Context, subscription: Doc) -> None:
    subscription.pop(NOTE, None)
    ctx.write(subscription)
    timers.disarm(ctx, subscription["id"], TIMER)


def _give_up(ctx: Context, subscription: Doc) -> None:
    """Void the invoice of an earlier resumption that was never paid."""
    note = subscription.get(NOTE)
    if note:
        _forget(ctx, subscription)
        invoice = ctx.get("invoice", note["invoice"])
        if invoice["status"] == "open":
            settle.void(ctx, invoice)


def forget_if_voided(ctx: Context, invoice: Doc) -> None:
    """Stay paused because somebody voided the invoice of the resumption."""
    subscription = settle.owner(ctx, invoice)
    if subscription is not None and waits_for(subscription, invoice):
        _forget(ctx, subscription)


def expire(ctx: Context, subscription_id: str) -> None:
    """Stay paused because nobody paid in time."""
    _give_up(ctx, ctx.get("subscription", subscription_id))

"""Updates that wait for their payment: held, applied, expired or given up.

Stripe: a pending update lives 23 hours, or until the period or the trial ends; its expiry voids the invoice; a
renewal, another change of the items or a schedule's next phase gives it up.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from stripe_sandbox.clock import HOUR_S
from stripe_sandbox.context import Context
from stripe_sandbox.documents import Doc
from stripe_sandbox.engine import settle, timers

if TYPE_CHECKING:
    from stripe_sandbox.engine.changes.plan import Change

LIFE_S = 23 * HOUR_S
TIMER = "expire_update"


def hold(ctx: Context, subscription_id: str, change: Change, invoice: Doc) -> None:
    """Keep a change until its invoice is paid."""
    subscription = ctx.get("subscription", subscription_id)
    now_s = ctx.now(subscription["test_clock"])
    ends = [item["current_period_end"] for item in ctx.children("subscription_item", subscription_id)]
    expires_at = min([now_s + LIFE_S, *ends, *([subscription["trial_end"]] if subscription["trial_end"] else [])])
    shown = {
        "billing_cycle_anchor": change.anchor,
        **dict.fromkeys(("cancel_at_period_end", "discount", "discounts", "metadata")),
        "expires_at": max(expires_at, now_s),
        "subscription_items": [ctx.shown(item) for item in change.items],
        "trial_end": None,
        "trial_from_plan": None,
    }
    held = {"invoice": invoice["id"], "change": change.packed()}
    subscription |= {"pending_update": shown, "_held": held}
    ctx.write(subscription)
    timers.arm(ctx, subscription, TIMER, shown["expires_at"])


def apply_if_paid(ctx: Context, invoice: Doc) -> None:
    """Let a held change take hold because its invoice was paid."""
    from stripe_sandbox.engine.changes.apply import apply_change
    from stripe_sandbox.engine.changes.plan import Change
    from stripe_sandbox.engine.renew import arm_boundary

    subscription = settle.owner(ctx, invoice)
    held = (subscription or {}).get("_held")
    if subscription is None or not held or held["invoice"] != invoice["id"]:
        return
    before = ctx.shown(subscription)
    _clear(ctx, subscription)
    apply_change(ctx, subscription, Change(**held["change"]))
    current = ctx.get("subscription", subscription["id"])
    arm_boundary(ctx, current)
    shown = ctx.update(current, settle.SUBSCRIPTION_UPDATED, before)
    ctx.emit("customer.subscription.pending_update_applied", shown)


def expire(ctx: Context, subscription_id: str) -> None:
    """Give up a held change whose time is over."""
    subscription = ctx.get("subscription", subscription_id)
    if subscription.get("_held"):
        discard(ctx, subscription)
        ctx.emit("customer.subscription.pending_update_expired", ctx.shown(subscription))


def discard(ctx: Context, subscription: Doc) -> None:
    """Give up a held change and void its invoice; the document passed in is brought up to date."""
    held = subscription.get("_held")
    if not held:
        return
    before = ctx.shown(ctx.get("subscription", subscription["id"]))
    _clear(ctx, subscription)
    invoice = ctx.get("invoice", held["invoice"])
    if invoice["status"] in {"open", "uncollectible"}:
        settle.void(ctx, invoice)
    ctx.update(subscription, settle.SUBSCRIPTION_UPDATED, before)


def _clear(ctx: Context, subscription: Doc) -> None:
    subscription.pop("_held", None)
    subscription["pending_update"] = None
    ctx.write(subscription)
    timers.disarm(ctx, subscription["id"], TIMER)


def forget_if_voided(ctx: Context, invoice: Doc) -> None:
    """Give up the change of an invoice that somebody voided."""
    subscription = settle.owner(ctx, invoice)
    held = (subscription or {}).get("_held")
    if subscription is not None and held and held["invoice"] == invoice["id"]:
        before = ctx.shown(subscription)
        _clear(ctx, subscription)
        ctx.update(subscription, settle.SUBSCRIPTION_UPDATED, before)

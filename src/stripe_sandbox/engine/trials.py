"""Trials: free time before the first paid period.

Stripe: a trial is the first period and its end the anchor of all later ones; its invoice is for nothing, its usage is
free; three days before the end (or at once, if the trial is shorter) ``trial_will_end`` tells of it. Without a payment
method at the end the subscription is invoiced all the same, paused, or canceled.
"""

from __future__ import annotations

from stripe_sandbox.clock import DAY_S
from stripe_sandbox.context import Context
from stripe_sandbox.documents import Doc, Params
from stripe_sandbox.engine import settle, standstill, timers
from stripe_sandbox.wire.errors import BadRequest

TIMER = "trial_will_end"
_NOTICE_S = 3 * DAY_S
_LONGEST_S = 731 * DAY_S


def end_of(sent: Params, now_s: int) -> int | None:
    """Return when a wanted trial ends, or None without one."""
    if "trial_end" in sent and "trial_period_days" in sent:
        message = "You may only give one of these parameters: trial_end, trial_period_days."
        raise BadRequest(message, code="parameters_exclusive", param="trial_end")
    if "trial_period_days" in sent:
        return now_s + int(sent["trial_period_days"]) * DAY_S
    wanted = sent.get("trial_end")
    if wanted is None or wanted == "now":
        return None
    if not now_s < wanted <= now_s + _LONGEST_S:
        raise BadRequest("trial_end must lie in the future, at most two years ahead.", param="trial_end")
    return int(wanted)


def settings_of(sent: Params | None) -> Doc:
    """Return the trial settings of a subscription as it shows them."""
    behavior = {"billing_cycle_anchor": None, "missing_payment_method": "create_invoice"}
    return {"end_behavior": behavior | ((sent or {}).get("end_behavior") or {})}


def on(now_s: int, end_at: int | None) -> Doc:
    """Return the fields of a subscription that starts with a trial; none without one."""
    if end_at is None:
        return {}
    return {"billing_cycle_anchor": end_at, "status": "trialing", "trial_end": end_at, "trial_start": now_s}


def free_line(line: Doc, name: str) -> Doc:
    """Return a line as it stands on the invoice of a trial."""
    free = {"amount": 0, "subtotal": 0, "description": f"Free trial for {line['quantity']} × {name}"}
    return line | free | {"pricing": line["pricing"] | {"unit_amount_decimal": "0"}}


def announce(ctx: Context, subscription: Doc) -> None:
    """Tell of the end of a trial three days before it, or now if that has passed."""
    due_at = subscription["trial_end"] - _NOTICE_S
    if due_at > ctx.now(subscription["test_clock"]):
        timers.arm(ctx, subscription, TIMER, due_at)
    else:
        will_end(ctx, subscription["id"])


def will_end(ctx: Context, subscription_id: str) -> None:
    """Tell that a trial ends soon."""
    subscription = ctx.get("subscription", subscription_id)
    if subscription["status"] == "trialing":
        ctx.emit("customer.subscription.trial_will_end", ctx.shown(subscription))


def extend(ctx: Context, subscription: Doc, end_at: int) -> None:
    """Move the end of a running trial."""
    if subscription["status"] != "trialing":
        message = "Only a running trial can be given another end."
        raise BadRequest(message, code="status_transition_invalid", param="trial_end")
    for item in ctx.children("subscription_item", subscription["id"]):
        ctx.write(item | {"current_period_end": end_at})
    subscription |= {"trial_end": end_at, "billing_cycle_anchor": end_at}
    ctx.write(subscription)
    announce(ctx, subscription)


def stops_at_end(ctx: Context, subscription: Doc, at_s: int) -> bool:
    """End or pause a subscription whose trial is over and which nothing can pay; return whether that was so."""
    chosen = subscription["trial_settings"]["end_behavior"]["missing_payment_method"]
    if subscription["status"] != "trialing" or chosen == "create_invoice" or _can_pay(ctx, subscription):
        return False
    if chosen == "cancel":
        settle.mark_canceled(ctx, subscription, at_s, reason="payment_failed")
        return True
    standstill.halt(ctx, subscription, at_s, "trial_end_without_payment_method")
    return True


def _can_pay(ctx: Context, subscription: Doc) -> bool:
    customer = ctx.get("customer", subscription["customer"])
    return bool(subscription["default_payment_method"] or customer["invoice_settings"]["default_payment_method"])

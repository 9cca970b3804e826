"""Schedules: a subscription's phases, one after the other.

Stripe: a phase that begins at a period's end comes in before the renewal is invoiced, so that one invoice shows it;
one that begins in mid period is a change of items with the phase's proration behaviour. After the last phase the
subscription is released from its schedule, or canceled.
"""

from __future__ import annotations

from stripe_sandbox.clock import DAY_S
from stripe_sandbox.context import Context
from stripe_sandbox.documents import Doc
from stripe_sandbox.engine import renew, settle, timers
from stripe_sandbox.engine.changes.apply import carry_out_change
from stripe_sandbox.engine.changes.plan import Request, plan_swaps
from stripe_sandbox.engine.changes.wanted import Swap, check_set, new_item
from stripe_sandbox.engine.lines import is_metered

KIND = "subscription_schedule"
PHASE_TIMER = "phase"
EXPIRING_TIMER = "phase_expiring"
_WARNING_S = 7 * DAY_S


def of_subscription(ctx: Context, subscription: Doc) -> Doc | None:
    """Return the schedule that governs a subscription."""
    return ctx.get(KIND, subscription["schedule"]) if subscription["schedule"] else None


def arm(ctx: Context, schedule: Doc) -> None:
    """Set the timers to the end of the running phase, or to the start of a schedule that waits."""
    last_at = schedule["phases"][-1]["end_date"]
    if schedule["status"] == "not_started":
        timers.arm(ctx, schedule, PHASE_TIMER, schedule["phases"][0]["start_date"])
        return
    if schedule["end_behavior"] == "cancel" and schedule["current_phase"]["end_date"] == last_at:
        timers.disarm(ctx, schedule["id"], PHASE_TIMER)
    else:
        timers.arm(ctx, schedule, PHASE_TIMER, schedule["current_phase"]["end_date"])
    if last_at - _WARNING_S > ctx.now(schedule["test_clock"]):
        timers.arm(ctx, schedule, EXPIRING_TIMER, last_at - _WARNING_S)


def warn(ctx: Context, schedule_id: str) -> None:
    """Tell that a schedule ends in seven days."""
    schedule = ctx.get(KIND, schedule_id)
    if schedule["status"] == "active":
        ctx.emit("subscription_schedule.expiring", ctx.shown(schedule))


def end_phase(ctx: Context, schedule_id: str) -> None:
    """Go on to the next phase because the running one has ended."""
    schedule = ctx.get(KIND, schedule_id)
    if schedule["status"] == "not_started":
        start(ctx, schedule)
        return
    if schedule["status"] != "active":
        return
    subscription = ctx.get("subscription", schedule["subscription"])
    at_s = schedule["current_phase"]["end_date"]
    ends = [item["current_period_end"] for item in renew.items_of(ctx, subscription["id"])]
    if min(ends) <= at_s:
        renew.cross_boundary(ctx, subscription["id"])
        return
    before = ctx.shown(subscription)
    phase = _advance(ctx, schedule, subscription)
    if phase is not None:
        apply_phase(ctx, subscription, phase, at_s)
    ctx.update(ctx.get("subscription", subscription["id"]), settle.SUBSCRIPTION_UPDATED, before)


def start(ctx: Context, schedule: Doc) -> None:
    """Create the subscription of a schedule whose first phase begins."""
    from stripe_sandbox.objects.subscription_create import open_subscription

    phase = schedule["phases"][0]
    wishes = [{name: item[name] for name in ("price", "quantity") if name in item} for item in phase["items"]]
    wish = {"customer": schedule["customer"], "items": wishes, "metadata": dict(phase["metadata"])}
    subscription, _invoice = open_subscription(ctx, wish, schedule=schedule["id"])
    schedule |= {"status": "active", "subscription": subscription["id"], "current_phase": span(phase)}
    ctx.update(schedule, "subscription_schedule.updated")
    note_end(ctx, schedule)
    arm(ctx, schedule)


def span(phase: Doc) -> Doc:
    """Return the time of a phase as ``current_phase`` shows it."""
    return {"end_date": phase["end_date"], "start_date": phase["start_date"]}


def note_end(ctx: Context, schedule: Doc) -> None:
    """Stripe: a schedule that ends by canceling shows on its subscription as ``cancel_at``."""
    subscription = ctx.get("subscription", schedule["subscription"])
    cancels = schedule["end_behavior"] == "cancel"
    cancel_at = schedule["phases"][-1]["end_date"] if cancels else None
    if subscription["cancel_at"] != cancel_at:
        settle.change(ctx, subscription, {"cancel_at": cancel_at})
        renew.arm_boundary(ctx, ctx.get("subscription", subscription["id"]))


def apply_phase(ctx: Context, subscription: Doc, phase: Doc, at_s: int) -> None:
    """Change a subscription's items to those of a phase, in mid period."""
    swaps = phase_swaps(ctx, subscription, phase, at_s)
    resets = phase["billing_cycle_anchor"] == "phase_start"
    request = Request(items=[], behavior=phase["proration_behavior"], at_s=at_s, resets=resets)
    if resets or any(swap.bills_differently for swap in swaps):
        carry_out_change(ctx, subscription, request, plan_swaps(ctx, subscription, request, swaps))
    current = ctx.get("subscription", subscription["id"])
    ctx.write(current | {"metadata": current["metadata"] | phase["metadata"]})
    renew.arm_boundary(ctx, current)


def phase_swaps(ctx: Context, subscription: Doc, phase: Doc, at_s: int) -> list[Swap]:
    """Match a phase's items with the subscription's by their price; what does not match goes or is new."""
    current = {item["price"]: item for item in renew.items_of(ctx, subscription["id"])}
    swaps = []
    for wish in phase["items"]:
        old = current.pop(wish["price"], None)
        price = ctx.get("price", wish["price"])
        new = dict(old) if old else new_item(subscription, price, {"metadata": wish["metadata"]}, at_s)
        if not is_metered(price):
            new["quantity"] = wish["quantity"]
        swaps.append(Swap(old=old, new=new))
    check_set(ctx, subscription, [swap.new for swap in swaps if swap.new is not None])
    return [*(Swap(old=item, new=None) for item in current.values()), *swaps]


def enter_at_boundary(ctx: Context, subscription: Doc, boundary_at: int) -> None:
    """Bring in the phase that begins at a renewal; the periods are rolled afterwards."""
    schedule = of_subscription(ctx, subscription)
    if schedule is None or schedule["status"] != "active" or schedule["current_phase"]["end_date"] > boundary_at:
        return
    phase = _advance(ctx, schedule, subscription)
    if phase is None:
        return
    for swap in phase_swaps(ctx, subscription, phase, boundary_at):
        if swap.new is None and swap.old is not None:
            ctx.store.remove(ctx.account, swap.old["id"])
        elif swap.new is not None:
            edges = {} if swap.old else {"current_period_start": boundary_at, "current_period_end": boundary_at}
            ctx.write(swap.new | edges)
    subscription["metadata"] = subscription["metadata"] | phase["metadata"]


def _advance(ctx: Context, schedule: Doc, subscription: Doc) -> Doc | None:
    """Move a schedule on and return the phase that begins, or release the subscription after the last one."""
    ended_at = schedule["current_phase"]["end_date"]
    following: Doc | None = next((phase for phase in schedule["phases"] if phase["start_date"] >= ended_at), None)
    if following is None:
        release(ctx, schedule, ended_at)
        subscription["schedule"] = None
        return None
    schedule["current_phase"] = span(following)
    ctx.update(schedule, "subscription_schedule.updated")
    arm(ctx, schedule)
    return following


def release(ctx: Context, schedule: Doc, at_s: int) -> Doc:
    """Let the subscription go on without its schedule."""
    subscription = ctx.find("subscription", schedule["subscription"]) if schedule["subscription"] else None
    if subscription is not None:
        settle.change(ctx, subscription, {"schedule": None})
    released = {"released_at": at_s, "released_subscription": schedule["subscription"], "subscription": None}
    return _close(ctx, schedule | released, "released")


def _close(ctx: Context, schedule: Doc, status: str) -> Doc:
    timers.disarm(ctx, schedule["id"])
    closed = schedule | {"status": status, "current_phase": None}
    ctx.write(closed)
    shown = ctx.shown(closed)
    ctx.emit(f"subscription_schedule.{status}", shown)
    return shown


def cancel(ctx: Context, schedule: Doc, at_s: int) -> Doc:
    """Cancel a schedule; its subscription is ended by the caller."""
    return _close(ctx, schedule | {"canceled_at": at_s}, "canceled")


def subscription_ended(ctx: Context, subscription: Doc, at_s: int) -> None:
    """Close the schedule of a subscription that has ended: completed if it ran its course, else canceled."""
    schedule = of_subscription(ctx, subscription)
    if schedule is None or schedule["status"] not in {"active", "not_started"}:
        return
    if at_s >= schedule["phases"][-1]["end_date"]:
        _close(ctx, schedule | {"completed_at": at_s}, "completed")
    else:
        cancel(ctx, schedule, at_s)


def fold(ctx: Context, subscription: Doc) -> None:
    """Stripe: items changed on a scheduled subscription are changed in the running phase as well."""
    schedule = of_subscription(ctx, subscription)
    if schedule is None or schedule["current_phase"] is None:
        return
    items = [phase_item(item) for item in renew.items_of(ctx, subscription["id"])]
    phases = [
        phase | {"items": items} if phase["start_date"] == schedule["current_phase"]["start_date"] else phase
        for phase in schedule["phases"]
    ]
    ctx.update(schedule | {"phases": phases}, "subscription_schedule.updated")


def phase_item(item: Doc) -> Doc:
    """Return an item, a subscription's or a caller's, as a phase shows it."""
    shown = {
        "billing_thresholds": None,
        "discounts": [],
        "metadata": dict(item.get("metadata") or {}),
        "plan": item["price"],
        "price": item["price"],
        "tax_rates": [],
    }
    return shown | ({"quantity": item["quantity"]} if "quantity" in item else {})

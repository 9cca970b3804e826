"""A due timer → what it does. One table binds names to actions."""

from __future__ import annotations

from collections.abc import Callable

from stripe_sandbox.context import Context
from stripe_sandbox.engine import (
    discounts,
    meter_errors,
    notices,
    pausing,
    renew,
    resumption,
    schedules,
    sending,
    settle,
    tax_ids,
    timers,
    trials,
)
from stripe_sandbox.engine.changes import pending
from stripe_sandbox.engine.collect import Attempt, collect
from stripe_sandbox.engine.finalize import finalize
from stripe_sandbox.engine.timers import Timer


def fire(ctx: Context, timer: Timer) -> None:
    """Carry out one due timer; it is gone afterwards unless the action set it anew."""
    timers.disarm(ctx, timer.object_id, timer.name)
    _ACTIONS[timer.name](ctx, timer.object_id)


def _finalize(ctx: Context, invoice_id: str) -> None:
    invoice = finalize(ctx, invoice_id)
    subscription = settle.owner(ctx, invoice)
    if subscription is not None and pausing.gives_up(ctx, subscription, invoice):
        return
    if invoice["collection_method"] == "charge_automatically":
        collect(ctx, invoice, Attempt())
    else:
        sending.tell(ctx, invoice)


def _collect(ctx: Context, invoice_id: str) -> None:
    collect(ctx, ctx.get("invoice", invoice_id), Attempt())


def _expire(ctx: Context, subscription_id: str) -> None:
    """Stripe: 23 hours after an unpaid creation the invoice is voided and the subscription expires."""
    subscription = ctx.get("subscription", subscription_id)
    if subscription["status"] != "incomplete":
        return
    invoice = ctx.get("invoice", subscription["latest_invoice"])
    if invoice["status"] == "open":
        settle.void(ctx, invoice)
    timers.disarm(ctx, subscription_id)
    now_s = ctx.now(subscription["test_clock"])
    ctx.update(subscription | {"status": "incomplete_expired", "ended_at": now_s}, settle.SUBSCRIPTION_UPDATED)


def _expire_checkout(ctx: Context, session_id: str) -> None:
    from stripe_sandbox.objects.checkout_session import expire_by_clock

    expire_by_clock(ctx, session_id)


_ACTIONS: dict[str, Callable[[Context, str], None]] = {
    "boundary": renew.cross_boundary,
    "collect": _collect,
    "expire": _expire,
    discounts.TIMER: discounts.end,
    "expire_checkout": _expire_checkout,
    meter_errors.NO_METER_TIMER: meter_errors.report_no_meter,
    meter_errors.TIMER: meter_errors.report,
    notices.UPCOMING_TIMER: notices.tell_upcoming,
    notices.WILL_BE_DUE_TIMER: notices.tell_will_be_due,
    pausing.TIMER: pausing.resume,
    pending.TIMER: pending.expire,
    resumption.TIMER: resumption.expire,
    schedules.EXPIRING_TIMER: schedules.warn,
    schedules.PHASE_TIMER: schedules.end_phase,
    sending.TIMER: sending.overdue,
    tax_ids.TIMER: tax_ids.verify,
    trials.TIMER: trials.will_end,
    "finalize": _finalize,
}

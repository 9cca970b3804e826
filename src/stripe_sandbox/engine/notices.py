"""What is told ahead: the invoice that a renewal will bring, and the invoice that will be due.

Stripe: how many days ahead is a setting of the account; ``invoice.upcoming`` carries a preview, which has no id. A
boundary is told of once. What would have to be told in the past is not told: a period shorter than the days has none.
"""

from __future__ import annotations

import json
from dataclasses import dataclass

from stripe_sandbox.clock import DAY_S
from stripe_sandbox.context import Context
from stripe_sandbox.documents import Doc
from stripe_sandbox.engine import timers

SETTINGS = "_notices"
UPCOMING_TIMER = "upcoming"
WILL_BE_DUE_TIMER = "will_be_due"
_TOLD = "_upcoming_told"


@dataclass(frozen=True, slots=True, kw_only=True)
class Notice:
    """How many days ahead an account is told; 0 means never."""

    upcoming_days: int = 7
    will_be_due_days: int = 3


def notice(ctx: Context) -> Notice:
    """Return the account's settings."""
    row = ctx.store.row("SELECT body FROM accounts WHERE id=?", ctx.account)
    return Notice(**((json.loads(row["body"]) if row else {}).get(SETTINGS) or {}))


def expect_renewal(ctx: Context, subscription: Doc, boundary_at: int) -> None:
    """Have the boundary's invoice told ahead, unless it was told of already."""
    timers.disarm(ctx, subscription["id"], UPCOMING_TIMER)
    days = notice(ctx).upcoming_days
    due_at = boundary_at - days * DAY_S
    if days and subscription.get(_TOLD) != boundary_at and due_at >= ctx.now(subscription["test_clock"]):
        timers.arm(ctx, subscription, UPCOMING_TIMER, due_at)


def tell_upcoming(ctx: Context, subscription_id: str) -> None:
    """Tell of the invoice that the next boundary brings, if it brings one."""
    from stripe_sandbox.engine.renew import next_boundary_of
    from stripe_sandbox.objects.invoice_preview import upcoming

    subscription = ctx.get("subscription", subscription_id)
    ctx.write(subscription | {_TOLD: next_boundary_of(ctx, subscription)})
    preview = upcoming(ctx, subscription_id)
    if preview is not None:
        ctx.emit("invoice.upcoming", preview)


def expect_due_date(ctx: Context, invoice: Doc) -> None:
    """Have an invoice that is to be paid by hand told of before its due date."""
    days = notice(ctx).will_be_due_days
    due_at = invoice["due_date"] - days * DAY_S
    if days and due_at >= ctx.now(invoice["test_clock"]):
        timers.arm(ctx, invoice, WILL_BE_DUE_TIMER, due_at)


def tell_will_be_due(ctx: Context, invoice_id: str) -> None:
    """Tell of an invoice that is still open shortly before it is due."""
    invoice = ctx.get("invoice", invoice_id)
    if invoice["status"] == "open":
        ctx.emit("invoice.will_be_due", ctx.shown(invoice))

"""A subscription at a standstill: it makes no invoices and enters no periods until it is resumed.

Stripe: pausing may bill the usage so far and credit the unused time of the running period; both wait for the next
invoice unless they are to be invoiced at once. A trial that nothing can pay, or dunning, leads here as well.
"""

from __future__ import annotations

from dataclasses import dataclass

from stripe_sandbox.context import Context
from stripe_sandbox.documents import Doc
from stripe_sandbox.engine import lines, settle, timers

PAUSED = "paused"
_PAUSABLE = frozenset({"active", "past_due"})


@dataclass(frozen=True, slots=True, kw_only=True)
class Wish:
    """What a pause bills and credits, and whether by an invoice of its own."""

    usage: bool = True
    unused_from: str = "now"
    invoices: bool = False
    until_draft: bool = False


def can_pause(subscription: Doc) -> bool:
    """Return whether a caller may pause a subscription in its state."""
    return subscription["status"] in _PAUSABLE


def halt(ctx: Context, subscription: Doc, at_s: int, cause: str) -> Doc:
    """Bring a subscription to a standstill; return it as shown."""
    from stripe_sandbox.engine.renew import arm_boundary

    reason = {"transitioned_at": at_s, "type": "subscription", "subscription": {"type": cause}}
    halted = subscription | {"status": PAUSED, "status_details": {"paused": reason}}
    timers.disarm(ctx, subscription["id"], "boundary")
    shown = ctx.update(halted, settle.SUBSCRIPTION_UPDATED)
    arm_boundary(ctx, halted)
    ctx.emit("customer.subscription.paused", shown)
    return shown


def pause(ctx: Context, subscription: Doc, wish: Wish) -> Doc | None:
    """Pause at a caller's wish; return the invoice this made, if it made one."""
    from stripe_sandbox.engine.changes import apply, pending
    from stripe_sandbox.engine.changes.plan import Change, Request
    from stripe_sandbox.engine.renew import items_of

    pending.discard(ctx, subscription)
    now_s = ctx.now(subscription["test_clock"])
    items = items_of(ctx, subscription["id"])
    started_at = min(item["current_period_start"] for item in items)
    for item in items:
        _close(ctx, subscription, item, wish, now_s)
    invoice = None
    if wish.invoices:
        invoice = apply.draft_now(ctx, subscription, Change(items=[], removed=[]), started_at)
        if invoice is not None and wish.until_draft:
            return invoice
        if invoice is not None:
            apply.settle_now(ctx, invoice, Request(items=[], at_s=now_s), None)
    halt(ctx, ctx.get("subscription", subscription["id"]), now_s, "pause_requested")
    return invoice


def _close(ctx: Context, subscription: Doc, item: Doc, wish: Wish, now_s: int) -> None:
    """Credit what an item leaves unused, or bill what was used."""
    from stripe_sandbox.engine.changes.plan import Request, debits_of, plan_swaps
    from stripe_sandbox.engine.changes.prorate import DEBITS, cut
    from stripe_sandbox.engine.changes.wanted import Swap

    metered = lines.is_metered(ctx.get("price", item["price"]))
    at_s = item["current_period_start"] if wish.unused_from == "item_current_period_start" else now_s
    if wish.usage if metered else wish.unused_from != "none":
        request = Request(items=[], at_s=now_s if metered else at_s)
        for made in plan_swaps(ctx, subscription, request, [Swap(old=item, new=None)]).prorations:
            ctx.add(made, "invoiceitem.created")
        if not metered:
            ctx.write(item | {DEBITS: cut(debits_of(ctx, item), at_s)})
    if metered:
        ctx.write(item | {"_used_from": now_s})

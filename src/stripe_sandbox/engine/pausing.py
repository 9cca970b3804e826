"""Paused collection: a subscription goes on, but its invoices are kept back. Stripe: the status does not change."""

from __future__ import annotations

from stripe_sandbox.context import Context
from stripe_sandbox.documents import Doc
from stripe_sandbox.engine import settle, timers

TIMER = "resume_collection"


def set_collection(ctx: Context, subscription: Doc, wanted: Doc | None) -> None:
    """Pause collection, or take the pause back with None."""
    timers.disarm(ctx, subscription["id"], TIMER)
    if wanted is None:
        subscription["pause_collection"] = None
        return
    subscription["pause_collection"] = {"behavior": wanted["behavior"], "resumes_at": wanted.get("resumes_at")}
    if wanted.get("resumes_at"):
        timers.arm(ctx, subscription, TIMER, wanted["resumes_at"])


def resume(ctx: Context, subscription_id: str) -> None:
    """Collect again because the pause is over."""
    subscription = ctx.get("subscription", subscription_id)
    ctx.update(subscription | {"pause_collection": None}, settle.SUBSCRIPTION_UPDATED)


def keeps_back(ctx: Context, subscription: Doc, invoice: Doc) -> bool:
    """Treat a draft as the pause says; return whether it stays a draft."""
    if not subscription["pause_collection"]:
        return False
    if subscription["pause_collection"]["behavior"] == "keep_as_draft":
        ctx.write(invoice | {"auto_advance": False})
        return True
    return False


def gives_up(ctx: Context, subscription: Doc, invoice: Doc) -> bool:
    """Void or give up an invoice that was just finalized, if collection is paused so; return whether it was."""
    behavior = (subscription["pause_collection"] or {}).get("behavior")
    if invoice["status"] != "open" or behavior not in {"void", "mark_uncollectible"}:
        return False
    if behavior == "void":
        settle.void(ctx, invoice)
    else:
        settle.mark_uncollectible(ctx, invoice, "subscription_paused")
    return True

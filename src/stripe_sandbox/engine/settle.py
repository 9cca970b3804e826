"""The ends an open invoice can come to: paid, void; and what that means for its subscription and customer.

Stripe: paying the latest invoice of an incomplete, past_due or unpaid subscription makes it active.
"""

from __future__ import annotations

from stripe_sandbox.context import Context
from stripe_sandbox.documents import Doc
from stripe_sandbox.engine import balance, timers
from stripe_sandbox.engine.draft import subscription_id

SUBSCRIPTION_UPDATED = "customer.subscription.updated"
_REVIVED = frozenset({"incomplete", "past_due", "unpaid"})


def paid_without_charge(ctx: Context, invoice: Doc, *, off_stripe: bool = False) -> None:
    """Mark an invoice paid that needs no payment through the sandbox."""
    if off_stripe:
        invoice["amount_paid_off_stripe"] = invoice["amount_paid"] = invoice["amount_remaining"]
    _mark_paid(ctx, invoice)


def paid_by_intent(ctx: Context, invoice: Doc, intent: Doc) -> None:
    """Mark an invoice paid by its payment intent."""
    invoice["amount_paid"] += intent["amount_received"]
    payment = ctx.children("invoice_payment", invoice["id"])[0]
    payment["amount_paid"] = intent["amount_received"]
    payment["status"] = "paid"
    payment["status_transitions"]["paid_at"] = ctx.now(invoice["test_clock"])
    ctx.write(payment)
    _mark_paid(ctx, invoice)
    ctx.emit("invoice_payment.paid", ctx.shown(payment))


def _mark_paid(ctx: Context, invoice: Doc) -> None:
    from stripe_sandbox.engine import resumption
    from stripe_sandbox.engine.changes import pending

    invoice["amount_remaining"] = 0
    invoice["attempted"] = True
    invoice["auto_advance"] = False
    invoice["next_payment_attempt"] = None
    invoice["status"] = "paid"
    invoice["status_transitions"]["paid_at"] = ctx.now(invoice["test_clock"])
    timers.disarm(ctx, invoice["id"])
    ctx.write(invoice)
    for event in ("invoice.paid", "invoice.payment_succeeded"):
        ctx.emit(event, ctx.shown(invoice))
    _revive(ctx, invoice)
    pending.apply_if_paid(ctx, invoice)
    resumption.settled(ctx, invoice, paid=True)


def _revive(ctx: Context, invoice: Doc) -> None:
    subscription = owner(ctx, invoice)
    if subscription and subscription["latest_invoice"] == invoice["id"] and subscription["status"] in _REVIVED:
        timers.disarm(ctx, subscription["id"], "expire")
        set_status(ctx, subscription, "active")
    customer = ctx.find("customer", invoice["customer"])
    if customer and customer.get("delinquent"):
        ctx.update(customer | {"delinquent": False}, "customer.updated")


def owner(ctx: Context, invoice: Doc) -> Doc | None:
    """Return the subscription of an invoice."""
    found = subscription_id(invoice)
    return ctx.find("subscription", found) if found else None


def set_status(ctx: Context, subscription: Doc, status: str) -> None:
    """Change a subscription's status."""
    change(ctx, subscription, {"status": status})


def change(ctx: Context, subscription: Doc, fields: Doc) -> None:
    """Change fields of a subscription; while it is being created this is not told as an update."""
    changed = subscription | fields
    if changed.get("_new"):
        ctx.write(changed)
    else:
        ctx.update(changed, SUBSCRIPTION_UPDATED)


def void(ctx: Context, invoice: Doc) -> Doc:
    """Void an invoice: its payments are canceled, the credit it used comes back, its pending update is given up."""
    from stripe_sandbox.engine import resumption
    from stripe_sandbox.engine.changes import pending

    now_s = ctx.now(invoice["test_clock"])
    invoice["status"] = "void"
    invoice["auto_advance"] = False
    invoice["next_payment_attempt"] = None
    invoice["status_transitions"]["voided_at"] = now_s
    timers.disarm(ctx, invoice["id"])
    cancel_payments(ctx, invoice, "void_invoice")
    ctx.write(invoice)
    shown = ctx.shown(invoice)
    ctx.emit("invoice.voided", shown)
    balance.give_back(ctx, invoice)
    pending.forget_if_voided(ctx, invoice)
    resumption.forget_if_voided(ctx, invoice)
    return shown


def mark_uncollectible(ctx: Context, invoice: Doc, reason: str) -> Doc:
    """Give an invoice up as a bad debt; it can still be paid."""
    from stripe_sandbox.engine import resumption

    invoice["status"] = "uncollectible"
    invoice["auto_advance"] = False
    invoice["automatically_finalizes_at"] = invoice["next_payment_attempt"] = None
    invoice["status_details"] = {"uncollectible": {"reason": reason}}
    invoice["status_transitions"]["marked_uncollectible_at"] = ctx.now(invoice["test_clock"])
    timers.disarm(ctx, invoice["id"])
    ctx.write(invoice)
    shown = ctx.shown(invoice)
    ctx.emit("invoice.marked_uncollectible", shown)
    resumption.settled(ctx, invoice, paid=True)
    return shown


def cancel_payments(ctx: Context, invoice: Doc, reason: str) -> None:
    """Cancel the open payments of an invoice and their intents."""
    now_s = ctx.now(invoice["test_clock"])
    for payment in ctx.children("invoice_payment", invoice["id"]):
        _cancel_payment(ctx, payment, now_s, reason)


def _cancel_payment(ctx: Context, payment: Doc, now_s: int, reason: str) -> None:
    if payment["status"] != "open":
        return
    payment["status"] = "canceled"
    payment["status_transitions"]["canceled_at"] = now_s
    ctx.write(payment)
    intent = ctx.get("payment_intent", payment["payment"]["payment_intent"])
    intent |= {"status": "canceled", "canceled_at": now_s, "cancellation_reason": reason}
    ctx.write(intent)
    ctx.emit("payment_intent.canceled", ctx.shown(intent))


def mark_canceled(ctx: Context, subscription: Doc, at_s: int, *, reason: str) -> Doc:
    """End a subscription for good; automatic collection of its open invoices stops."""
    from stripe_sandbox.engine import schedules

    changed = subscription | {"status": "canceled", "ended_at": at_s}
    changed["canceled_at"] = subscription["canceled_at"] or at_s
    details = subscription["cancellation_details"]
    changed["cancellation_details"] = details | {"reason": details["reason"] or reason}
    timers.disarm(ctx, subscription["id"])
    schedules.subscription_ended(ctx, subscription, at_s)
    ctx.write(changed)
    for invoice in ctx.children("invoice", subscription["id"]):
        if invoice["status"] == "open":
            timers.disarm(ctx, invoice["id"])
            ctx.update(invoice | {"auto_advance": False, "next_payment_attempt": None}, "invoice.updated")
    shown = ctx.shown(changed)
    ctx.emit("customer.subscription.deleted", shown)
    return shown

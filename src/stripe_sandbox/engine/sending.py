"""Invoices that are sent to be paid by hand: told of when they are final, and when they are overdue.

Stripe: nothing is charged by itself; an invoice still open at its due date makes its subscription past_due.
"""

from __future__ import annotations

from stripe_sandbox.context import Context
from stripe_sandbox.documents import Doc
from stripe_sandbox.engine import settle

TIMER = "overdue"


def tell(ctx: Context, invoice: Doc) -> None:
    """Tell that a final invoice was sent; nothing is mailed here."""
    ctx.emit("invoice.sent", ctx.shown(invoice))


def overdue(ctx: Context, invoice_id: str) -> None:
    """Let an invoice that is still open be overdue."""
    invoice = ctx.get("invoice", invoice_id)
    if invoice["status"] != "open":
        return
    ctx.emit("invoice.overdue", ctx.shown(invoice))
    subscription = settle.owner(ctx, invoice)
    if subscription is not None and subscription["status"] == "active":
        settle.set_status(ctx, subscription, "past_due")

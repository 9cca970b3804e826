"""Paying on the hosted page → customer, payment method, subscription with its paid first invoice, complete session.

All of it happens in the caller's transaction: a decline raises and leaves the session open as it was. Only an open
session completes, so a second submit of the same page finds it complete and changes nothing.
"""

from __future__ import annotations

from dataclasses import dataclass

from stripe_sandbox.context import Context
from stripe_sandbox.documents import Call, Doc
from stripe_sandbox.engine import timers
from stripe_sandbox.engine.cards import CARDS
from stripe_sandbox.engine.collect import Attempt, collect
from stripe_sandbox.objects import checkout_session, customer, payment_method, subscription_create
from stripe_sandbox.wire.errors import BadRequest


@dataclass(frozen=True, slots=True, kw_only=True)
class EnteredCard:
    """What was typed into the card fields."""

    token: str
    exp_month: int
    exp_year: int
    holder: str

    @property
    def needs_authentication(self) -> bool:
        """Whether the bank wants to hear from the holder."""
        return CARDS[self.token].needs_authentication


@dataclass(frozen=True, slots=True, kw_only=True)
class Buyer:
    """Who submits the page, and with which card, if one was asked for."""

    email: str
    name: str | None
    card: EnteredCard | None
    authenticated: bool = False


def needs_card(session: Doc) -> bool:
    """Return whether the page asks for a card."""
    return bool(session["amount_total"] != 0 or session["payment_method_collection"] == "always")


def complete(ctx: Context, session: Doc, buyer: Buyer) -> Doc:
    """Complete an open session and return it as shown; a declined card raises."""
    if session["status"] != "open":
        raise BadRequest("This checkout session is not open any more.")
    session["customer"] = session["customer"] or _new_customer(ctx, buyer)
    method = attach_entered(ctx, buyer.card, session["customer"], email=buyer.email) if buyer.card else None
    _sell_subscription(ctx, session, method, authenticated=buyer.authenticated)
    owner = ctx.get("customer", session["customer"])
    details = checkout_session.details_of(owner)
    session |= {
        "customer_details": details | {"email": buyer.email, "name": buyer.name or details["name"]},
        "status": "complete",
        "payment_status": "paid" if session["amount_total"] else "no_payment_required",
        "_pending": None,
    }
    timers.disarm(ctx, session["id"], checkout_session.EXPIRY_TIMER)
    return ctx.add(session, "checkout.session.completed")


def attach_entered(ctx: Context, card: EnteredCard, customer_id: str, *, email: str | None = None) -> str:
    """Make a payment method of the typed card and attach it; a card that is refused at once raises."""
    holder = {"email": email, "name": card.holder}
    entered: Doc = {
        "billing_details": holder,
        "card": {"exp_month": card.exp_month, "exp_year": card.exp_year},
        "allow_redisplay": "limited",
    }
    return str(payment_method.attach(ctx, card.token, customer_id, "payment_method", entered)["id"])


def _new_customer(ctx: Context, buyer: Buyer) -> str:
    sent = {"email": buyer.email} | ({"name": buyer.name} if buyer.name else {})
    return str(customer.create(Call(ctx=ctx, ids=(), params=sent))["id"])


def _sell_subscription(ctx: Context, session: Doc, method: str | None, *, authenticated: bool) -> None:
    """Create the subscription and charge its first invoice to the card that was entered."""
    items = [
        {"price": line["price"]["id"]} | ({"quantity": line["quantity"]} if "quantity" in line else {})
        for line in session["_lines"]
    ]
    params = {
        **session["_data"],
        "customer": session["customer"],
        "items": items,
        "payment_behavior": "default_incomplete",
        **({"default_payment_method": method} if method else {}),
    }
    created = subscription_create.create(Call(ctx=ctx, ids=(), params=params))
    session |= {"subscription": created["id"], "invoice": created["latest_invoice"]}
    if session["invoice"] is None:
        return
    invoice = ctx.get("invoice", session["invoice"])
    refusal = collect(ctx, invoice, Attempt(automatic=False, method=method, authenticated=authenticated))
    if refusal is not None:
        raise refusal

"""Paying on the hosted page → customer, payment method, and by mode a subscription, a payment or a set-up card.

All of it happens in the caller's transaction: a decline raises and leaves the session open as it was. Only an open
session completes, so a second submit of the same page finds it complete and changes nothing.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace

from stripe_sandbox.context import Context
from stripe_sandbox.documents import Call, Doc
from stripe_sandbox.engine import discounts, timers
from stripe_sandbox.engine.cards import CARDS
from stripe_sandbox.engine.collect import Attempt, collect
from stripe_sandbox.engine.confirm import Confirmation, complete_setup, confirm_payment
from stripe_sandbox.objects import checkout_session, checkout_sums, customer, desk, payment_method, subscription_create
from stripe_sandbox.wire.errors import BadRequest
from stripe_sandbox.wire.forms import Raw


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
    if session["customer"] is None and session["customer_creation"] == "always":
        session["customer"] = _new_customer(ctx, buyer)
    _note_country(ctx, session)
    _SELL[session["mode"]](ctx, session, buyer)
    owner = ctx.get("customer", session["customer"]) if session["customer"] else {}
    details = checkout_session.details_of(owner)
    session |= {
        "customer_details": details | {"email": buyer.email, "name": buyer.name or details["name"]},
        "status": "complete",
        "payment_status": "paid" if session["amount_total"] else "no_payment_required",
        "_pending": None,
    }
    timers.disarm(ctx, session["id"], checkout_session.EXPIRY_TIMER)
    return ctx.add(session, "checkout.session.completed")


def _note_country(ctx: Context, session: Doc) -> None:
    """Keep the country the buyer was taxed by as the customer's."""
    if session.get("_country") and session["customer"]:
        owner = ctx.get("customer", session["customer"])
        address = dict.fromkeys(customer.ADDRESS_FIELDS) | (owner["address"] or {})
        ctx.update(owner | {"address": address | {"country": session["_country"]}}, "customer.updated")


def attach_entered(ctx: Context, card: EnteredCard, customer_id: str, *, email: str | None = None) -> str:
    """Make a payment method of the typed card and attach it; a card that is refused at once raises."""
    entered = _entered(card, email)
    return str(payment_method.attach(ctx, card.token, customer_id, "payment_method", entered)["id"])


def _entered(card: EnteredCard, email: str | None) -> Doc:
    return {
        "billing_details": {"email": email, "name": card.holder},
        "card": {"exp_month": card.exp_month, "exp_year": card.exp_year},
        "allow_redisplay": "limited",
    }


def _unattached(ctx: Context, card: EnteredCard, email: str) -> Doc:
    """Make a payment method of the typed card that belongs to nobody yet."""
    method = payment_method.from_token(ctx, card.token)
    for name, fields in _entered(card, email).items():
        method[name] = method[name] | fields if isinstance(fields, dict) else fields
    ctx.write(method)
    return method


def _new_customer(ctx: Context, buyer: Buyer) -> str:
    sent = {"email": buyer.email} | ({"name": buyer.name} if buyer.name else {})
    return str(customer.create(Call(ctx=ctx, ids=(), params=sent))["id"])


def _subscribe(ctx: Context, session: Doc, buyer: Buyer) -> None:
    """Create the subscription and charge its first invoice to the card that was entered."""
    method = attach_entered(ctx, buyer.card, session["customer"], email=buyer.email) if buyer.card else None
    items = [
        {"price": line["price"]["id"], "tax_rates": line["_tax_rates"]}
        | ({} if line["quantity"] is None else {"quantity": line["quantity"]})
        for line in session["_lines"]
    ]
    params = {
        **session["_data"],
        "customer": session["customer"],
        "items": items,
        "payment_behavior": "default_incomplete",
        "automatic_tax": {"enabled": session["automatic_tax"]["enabled"]},
        "discounts": chosen_discounts(session),
        "_checkout_session": session["id"],
        **({"default_payment_method": method} if method else {}),
    }
    created = subscription_create.create(Call(ctx=ctx, ids=(), params=params))
    session |= {"subscription": created["id"], "invoice": created["latest_invoice"]}
    if session["invoice"] is None:
        return
    invoice = ctx.get("invoice", session["invoice"])
    attempt = Attempt(automatic=False, method=method, authenticated=buyer.authenticated)
    refusal = collect(ctx, invoice, attempt)
    if refusal is not None:
        raise refusal


def chosen_discounts(session: Doc) -> list[Doc]:
    """Return a session's discounts as whoever redeems them sends them."""
    return [{name: value for name, value in one.items() if value} for one in session["discounts"]]


def _pay_once(ctx: Context, session: Doc, buyer: Buyer) -> None:
    """Pay one-time prices by a payment intent; the card stays unattached, as Stripe leaves it."""
    holder = replace(checkout_sums.holder_of(ctx, session), checkout_session=session["id"])
    discounts.redeem_all(ctx, chosen_discounts(session), holder, [], "discounts")
    if buyer.card is None or not session["amount_total"]:
        return
    wanted = {"amount": str(session["amount_total"]), "currency": session["currency"]}
    shown = desk.act(ctx, "POST", "/v1/payment_intents", wanted | _of_intent(session))
    session["payment_intent"] = shown["id"]
    method = _unattached(ctx, buyer.card, buyer.email) | {"_set_up": buyer.authenticated}
    refusal = confirm_payment(ctx, ctx.get("payment_intent", shown["id"]), Confirmation(method=method))
    if refusal is not None:
        raise refusal


def _set_up(ctx: Context, session: Doc, buyer: Buyer) -> None:
    """Set the card up for later by a setup intent, which attaches it to the customer if there is one."""
    if buyer.card is None:
        return
    reason = CARDS[buyer.card.token].on_attach
    if reason:
        raise reason.error()
    shown = desk.act(ctx, "POST", "/v1/setup_intents", _of_intent(session))
    session["setup_intent"] = shown["id"]
    method = _unattached(ctx, buyer.card, buyer.email)
    complete_setup(ctx, ctx.get("setup_intent", shown["id"]) | {"payment_method": method["id"]}, method)


def _of_intent(session: Doc) -> dict[str, Raw]:
    """Return what an intent takes over from its session, as form fields."""
    return {**session["_data"], **({"customer": session["customer"]} if session["customer"] else {})}


_SELL: dict[str, Callable[[Context, Doc, Buyer], None]] = {
    "payment": _pay_once,
    "setup": _set_up,
    "subscription": _subscribe,
}

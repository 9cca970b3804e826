"""A payer's confirmation of an intent: a payment's, an invoice's payment's, or a set-up's.

Stripe: on session a card that asks for authentication leaves the intent waiting for its payer; off session it is
declined. A decline is a 402 that is recorded on the intent.
"""

from __future__ import annotations

from dataclasses import dataclass

from stripe_sandbox.context import Context
from stripe_sandbox.documents import Doc
from stripe_sandbox.engine import setups
from stripe_sandbox.engine.cards import CARDS
from stripe_sandbox.engine.collect import SHOWN_ERROR, Attempt, collect, fail_intent
from stripe_sandbox.engine.intents import new_charge
from stripe_sandbox.store import Page
from stripe_sandbox.wire.errors import StripeError

_BY_INTENT = "json_extract(body,'$.payment.payment_intent')=?"


@dataclass(frozen=True, slots=True, kw_only=True)
class Confirmation:
    """Who confirms, with what: ``off_session`` means that no payer is there to act."""

    method: Doc
    off_session: bool = False


def invoice_of(ctx: Context, intent_id: str) -> Doc | None:
    """Return the invoice that an intent pays."""
    page = Page(kind="invoice_payment", conditions=(_BY_INTENT,), arguments=(intent_id,), limit=1)
    found = ctx.select(page)
    return ctx.get("invoice", found[0]["invoice"]) if found else None


def confirm_payment(ctx: Context, intent: Doc, confirmation: Confirmation) -> StripeError | None:
    """Try to pay; return the refusal after recording it, or None when it is paid or waits for its payer."""
    invoice = invoice_of(ctx, intent["id"])
    if invoice is None:
        return _charge(ctx, intent, confirmation)
    refusal = collect(ctx, invoice, Attempt(automatic=False, method=confirmation.method["id"]))
    waits = ctx.get("payment_intent", intent["id"])["status"] == "requires_action"
    return None if waits and not confirmation.off_session else refusal


def _charge(ctx: Context, intent: Doc, confirmation: Confirmation) -> StripeError | None:
    method = confirmation.method
    card = CARDS[method["_card"]]
    known = bool(method.get("_set_up"))
    reason = card.charge_refusal(authenticated=known) or card.on_attach
    refusal = reason.error() if reason else None
    intent["payment_method"] = method["id"]
    waits = refusal is not None and card.needs_authentication and not known and not confirmation.off_session
    customer = ctx.find("customer", intent["customer"]) if intent["customer"] else None
    now_s = ctx.now(customer["test_clock"] if customer else None)
    if not waits:
        intent["latest_charge"] = new_charge(ctx, intent, method, now_s, refusal)["id"]
    if refusal is not None:
        fail_intent(ctx, intent, refusal, method, needs_action=waits)
        return None if waits else refusal
    paid = {"status": "succeeded", "amount_received": intent["amount"], "last_payment_error": None, "next_action": None}
    intent |= paid
    ctx.write(intent)
    ctx.emit("payment_intent.succeeded", ctx.shown(intent))
    return None


def confirm_setup(ctx: Context, intent: Doc, method: Doc) -> StripeError | None:
    """Set a payment method up for later; a card that asks for authentication waits for its holder.

    Returns the refusal of a card that its bank declines, after recording it.
    """
    reason = CARDS[method["_card"]].on_attach
    if reason is not None:
        return _fail_setup(ctx, intent, method, reason.error())
    intent["payment_method"] = method["id"]
    if CARDS[method["_card"]].needs_authentication and not method.get("_set_up"):
        intent |= {"status": "requires_action", "next_action": {"type": "use_stripe_sdk", "use_stripe_sdk": {}}}
        ctx.write(intent)
        ctx.emit("setup_intent.requires_action", ctx.shown(intent))
        return None
    complete_setup(ctx, intent, method)
    return None


def _fail_setup(ctx: Context, intent: Doc, method: Doc, refusal: StripeError) -> StripeError:
    error = refusal.told() | {"payment_method": ctx.shown(method)}
    intent |= {"status": "requires_payment_method", "next_action": None, "payment_method": None}
    intent["last_setup_error"] = {
        name: value for name, value in error.items() if name in SHOWN_ERROR | {"payment_method"}
    }
    ctx.write(intent)
    ctx.emit("setup_intent.setup_failed", ctx.shown(intent))
    return refusal


def complete_setup(ctx: Context, intent: Doc, method: Doc) -> None:
    """Finish a set-up: the method may be charged off session from now on, and belongs to the customer."""
    owner = {"customer": intent["customer"]} if intent["customer"] and not method["customer"] else {}
    if owner:
        ctx.add(method | owner | {"_set_up": True, "_used": True}, "payment_method.attached")
    else:
        ctx.write(method | {"_set_up": True})
    intent |= {"status": "succeeded", "next_action": None, "last_setup_error": None, "payment_method": method["id"]}
    ctx.write(intent)
    ctx.emit("setup_intent.succeeded", ctx.shown(intent))
    setups.fulfil(ctx, intent)

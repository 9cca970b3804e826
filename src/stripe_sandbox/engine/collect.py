"""Open invoice → payment attempt → paid or failed.

Stripe: the payment method is the invoice's, else the subscription's, else the customer's default. A failed attempt
is recorded on the invoice; the first failed renewal makes the subscription past_due and the customer delinquent.
"""

from __future__ import annotations

from dataclasses import dataclass

from stripe_sandbox.context import Context
from stripe_sandbox.documents import Doc
from stripe_sandbox.engine import dun, settle
from stripe_sandbox.engine.cards import CARDS, HARD_DECLINES
from stripe_sandbox.engine.intents import intent_of, new_charge
from stripe_sandbox.wire.errors import CardDeclined, StripeError

SHOWN_ERROR = frozenset({"code", "decline_code", "message", "param", "type", "doc_url"})


@dataclass(frozen=True, slots=True, kw_only=True)
class Attempt:
    """How a payment is tried: by the schedule or by a caller, with which method if not the default.

    ``authenticated`` is set once the card's holder has confirmed this very payment.
    """

    automatic: bool = True
    method: str | None = None
    authenticated: bool = False


def payment_method_id(ctx: Context, invoice: Doc) -> str | None:
    """Return the payment method an invoice would be charged to."""
    subscription = settle.owner(ctx, invoice) or {}
    customer = ctx.get("customer", invoice["customer"])
    found: str | None = (
        invoice["default_payment_method"]
        or subscription.get("default_payment_method")
        or customer["invoice_settings"]["default_payment_method"]
    )
    return found


def collect(ctx: Context, invoice: Doc, attempt: Attempt) -> StripeError | None:
    """Try to pay an open invoice; return the refusal if it fails, after recording it."""
    intent = intent_of(ctx, invoice)
    if invoice["status"] not in {"open", "uncollectible"} or intent is None:
        return None
    method_id = attempt.method or payment_method_id(ctx, invoice)
    method = ctx.find("payment_method", method_id) if method_id else None
    if method is None:
        refusal: StripeError = CardDeclined("The customer has no payment method to charge.", code="missing")
        _failed(ctx, invoice, intent, attempt, refusal)
        return refusal
    return _charge(ctx, invoice, intent, method, attempt)


def _charge(ctx: Context, invoice: Doc, intent: Doc, method: Doc, attempt: Attempt) -> StripeError | None:
    card = CARDS[method["_card"]]
    same = intent["payment_method"] == method["id"]
    last = (intent["last_payment_error"] or {}).get("decline_code")
    intent["payment_method"] = method["id"]
    authenticated = attempt.authenticated or bool(method.get("_set_up"))
    reason = card.charge_refusal(authenticated=authenticated)
    refusal = reason.error() if reason else None
    skipped = attempt.automatic and same and last in HARD_DECLINES
    needs_action = card.needs_authentication and not authenticated
    if not skipped and not (refusal and needs_action):
        now_s = ctx.now(invoice["test_clock"])
        intent["latest_charge"] = new_charge(ctx, intent, method, now_s, refusal)["id"]
    if refusal is not None:
        _failed(ctx, invoice, intent, attempt, refusal, method, needs_action=needs_action)
        return refusal
    if card.remembers and attempt.authenticated:
        ctx.write(method | {"_set_up": True})
    intent |= {"status": "succeeded", "amount_received": intent["amount"], "last_payment_error": None}
    intent["next_action"] = None
    ctx.write(intent)
    ctx.emit("payment_intent.succeeded", ctx.shown(intent))
    _count(invoice, attempt)
    settle.paid_by_intent(ctx, invoice, intent)
    _save_method(ctx, invoice, method["id"])
    return None


def _save_method(ctx: Context, invoice: Doc, method_id: str) -> None:
    """Stripe: ``save_default_payment_method=on_subscription`` keeps what paid as the subscription's default."""
    subscription = settle.owner(ctx, invoice)
    if subscription and subscription["payment_settings"]["save_default_payment_method"] == "on_subscription":
        settle.change(ctx, subscription, {"default_payment_method": method_id})


def _count(invoice: Doc, attempt: Attempt) -> None:
    """Stripe: any first attempt sets 1, afterwards only automatic retries count."""
    if attempt.automatic or invoice["attempt_count"] == 0:
        invoice["attempt_count"] += 1
    invoice["attempted"] = True


def _failed(
    ctx: Context,
    invoice: Doc,
    intent: Doc,
    attempt: Attempt,
    refusal: StripeError,
    method: Doc | None = None,
    *,
    needs_action: bool = False,
) -> None:
    fail_intent(ctx, intent, refusal, method, needs_action=needs_action)
    _count(invoice, attempt)
    subscription = settle.owner(ctx, invoice)
    dun.plan_retry(ctx, invoice, subscription, automatic=attempt.automatic)
    ctx.write(invoice)
    if needs_action:
        ctx.emit("invoice.payment_action_required", ctx.shown(invoice))
    ctx.emit("invoice.payment_failed", ctx.shown(invoice))
    dun.reflect_failure(ctx, invoice, subscription)


def fail_intent(ctx: Context, intent: Doc, refusal: StripeError, method: Doc | None, *, needs_action: bool) -> None:
    """Write down on an intent why it could not be paid, or that its payer has to act."""
    if needs_action:
        intent["status"] = "requires_action"
        intent["next_action"] = {"type": "use_stripe_sdk", "use_stripe_sdk": {}}
        event = "payment_intent.requires_action"
    else:
        error = refusal.told()
        shown = ctx.shown(method) if method else None
        intent["last_payment_error"] = {key: error[key] for key in error if key in SHOWN_ERROR} | (
            {"payment_method": shown} if shown else {}
        )
        intent["status"] = "requires_payment_method"
        event = "payment_intent.payment_failed"
    ctx.write(intent)
    ctx.emit(event, ctx.shown(intent))

"""Setup intents: what a subscription asks a card for when nothing is due yet.

Stripe: a subscription that starts with nothing to pay and no payment method has a ``pending_setup_intent``; once that
has succeeded it is gone, and its method pays for the subscription if the subscription is to keep what pays.
"""

from __future__ import annotations

from stripe_sandbox.context import Context
from stripe_sandbox.documents import Doc, new_id, random_text
from stripe_sandbox.engine import settle
from stripe_sandbox.store import Page

_SECRET_LENGTH = 25
_BY_INTENT = "json_extract(body,'$.pending_setup_intent')=?"


def setup_doc(now_s: int) -> Doc:
    """Return a new setup intent document."""
    setup_id = new_id("seti")
    return {
        "id": setup_id,
        "object": "setup_intent",
        "allowed_payment_method_types": None,
        "application": None,
        "automatic_payment_methods": None,
        "cancellation_reason": None,
        "client_secret": f"{setup_id}_secret_{random_text(_SECRET_LENGTH)}",
        "created": now_s,
        "customer": None,
        "customer_account": None,
        "description": None,
        "excluded_payment_method_types": None,
        "flow_directions": None,
        "last_setup_error": None,
        "latest_attempt": None,
        "livemode": False,
        "managed_payments": None,
        "mandate": None,
        "metadata": {},
        "next_action": None,
        "on_behalf_of": None,
        "payment_method": None,
        "payment_method_configuration_details": None,
        "payment_method_options": {
            "card": {"mandate_options": None, "network": None, "request_three_d_secure": "automatic"}
        },
        "payment_method_types": ["card"],
        "single_use_mandate": None,
        "status": "requires_payment_method",
        "usage": "off_session",
    }


def ask_for_method(ctx: Context, subscription: Doc) -> None:
    """Give a subscription that nothing can pay the intent by which its customer enters a method."""
    customer = ctx.get("customer", subscription["customer"])
    known = subscription["default_payment_method"] or customer["invoice_settings"]["default_payment_method"]
    if known or subscription["collection_method"] != "charge_automatically":
        return
    intent = setup_doc(subscription["created"]) | {"customer": customer["id"]}
    ctx.add(intent, "setup_intent.created")
    subscription["pending_setup_intent"] = intent["id"]


def fulfil(ctx: Context, intent: Doc) -> None:
    """Let the subscription that asked for a method go on with it."""
    for subscription in ctx.select(Page(kind="subscription", conditions=(_BY_INTENT,), arguments=(intent["id"],))):
        keeps = subscription["payment_settings"]["save_default_payment_method"] == "on_subscription"
        method = {"default_payment_method": intent["payment_method"]} if keeps else {}
        settle.change(ctx, subscription, {"pending_setup_intent": None} | method)

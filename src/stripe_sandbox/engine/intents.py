"""Payment intents, invoice payments and charges: the real objects behind the payment of an invoice."""

from __future__ import annotations

from stripe_sandbox.context import Context
from stripe_sandbox.documents import Doc, new_id, random_text
from stripe_sandbox.engine import movements
from stripe_sandbox.engine.cards import CARDS
from stripe_sandbox.wire.errors import StripeError

_SECRET_LENGTH = 25


def new_intent(ctx: Context, invoice: Doc) -> None:
    """Create the payment intent of an open invoice and the invoice payment that ties both together."""
    now_s = ctx.now(invoice["test_clock"])
    intent = intent_doc(invoice["amount_due"], invoice["currency"], invoice["customer"], now_s) | {
        "description": "Subscription creation" if invoice["billing_reason"] == "subscription_create" else None,
        "payment_details": {"customer_reference": None, "order_reference": invoice["id"]},
        "setup_future_usage": "off_session",
    }
    ctx.add(intent, "payment_intent.created")
    ctx.add(_invoice_payment(invoice, intent["id"], now_s), None)


def intent_of(ctx: Context, invoice: Doc) -> Doc | None:
    """Return the payment intent of an invoice, if it has one."""
    payments = ctx.children("invoice_payment", invoice["id"])
    return ctx.get("payment_intent", payments[0]["payment"]["payment_intent"]) if payments else None


def intent_doc(amount: int, currency: str, customer: str | None, now_s: int) -> Doc:
    """Return a new payment intent document."""
    intent_id = new_id("pi")
    return {
        "id": intent_id,
        "object": "payment_intent",
        "amount": amount,
        "amount_capturable": 0,
        "amount_details": {"tip": {}},
        "allowed_payment_method_types": None,
        "amount_received": 0,
        "application": None,
        "application_fee_amount": None,
        "automatic_payment_methods": None,
        "canceled_at": None,
        "cancellation_reason": None,
        "capture_method": "automatic_async",
        "client_secret": f"{intent_id}_secret_{random_text(_SECRET_LENGTH)}",
        "confirmation_method": "automatic",
        "created": now_s,
        "currency": currency,
        "customer": customer,
        "customer_account": None,
        "description": None,
        "excluded_payment_method_types": None,
        "last_payment_error": None,
        "latest_charge": None,
        "livemode": False,
        "managed_payments": None,
        "metadata": {},
        "next_action": None,
        "on_behalf_of": None,
        "payment_details": {"customer_reference": None, "order_reference": None},
        "payment_method": None,
        "payment_method_configuration_details": None,
        "payment_method_options": {
            "card": {
                "installments": None,
                "mandate_options": None,
                "network": None,
                "request_three_d_secure": "automatic",
            }
        },
        "payment_method_types": ["card"],
        "payment_record": None,
        "processing": None,
        "receipt_email": None,
        "review": None,
        "setup_future_usage": None,
        "shipping": None,
        "source": None,
        "statement_descriptor": None,
        "statement_descriptor_suffix": None,
        "status": "requires_payment_method",
        "transfer_data": None,
        "transfer_group": None,
    }


def _invoice_payment(invoice: Doc, intent_id: str, now_s: int) -> Doc:
    return {
        "id": new_id("inpay"),
        "object": "invoice_payment",
        "amount_paid": None,
        "amount_requested": invoice["amount_due"],
        "created": now_s,
        "currency": invoice["currency"],
        "invoice": invoice["id"],
        "is_default": True,
        "livemode": False,
        "payment": {"type": "payment_intent", "payment_intent": intent_id},
        "status": "open",
        "status_transitions": {"canceled_at": None, "paid_at": None},
    }


def new_charge(ctx: Context, intent: Doc, method: Doc, now_s: int, refusal: StripeError | None) -> Doc:
    """Store the charge of one payment attempt, tell of it, and return it."""
    paid = refusal is None
    details = {"card": _card_paid_with(method["card"], intent["amount"]), "type": "card"}
    charge: Doc = {
        "id": new_id("ch"),
        "object": "charge",
        "amount": intent["amount"],
        "amount_captured": intent["amount"] if paid else 0,
        "amount_refunded": 0,
        "application": None,
        "application_fee": None,
        "application_fee_amount": None,
        "balance_transaction": None,
        "billing_details": method["billing_details"],
        "calculated_statement_descriptor": None,
        "captured": paid,
        "created": now_s,
        "currency": intent["currency"],
        "customer": intent["customer"],
        "description": intent["description"],
        "disputed": False,
        "failure_balance_transaction": None,
        "failure_code": None if refusal is None else refusal.code,
        "failure_message": None if refusal is None else refusal.message,
        "fraud_details": {},
        "livemode": False,
        "metadata": {},
        "on_behalf_of": None,
        "outcome": _outcome(refusal),
        "paid": paid,
        "payment_intent": intent["id"],
        "payment_method": method["id"],
        "payment_method_details": details,
        "receipt_email": None,
        "receipt_number": None,
        "receipt_url": None,
        "refunded": False,
        "review": None,
        "shipping": None,
        "source": None,
        "source_transfer": None,
        "statement_descriptor": None,
        "statement_descriptor_suffix": None,
        "status": "succeeded" if paid else "failed",
        "transfer_data": None,
        "transfer_group": None,
    }
    if paid:
        charge["balance_transaction"] = movements.of_charge(ctx, charge)
    ctx.add(charge, "charge.succeeded" if paid else "charge.failed")
    if paid and CARDS[method["_card"]].disputes:
        movements.dispute(ctx, charge)
    return charge


def _card_paid_with(card: Doc, amount: int) -> Doc:
    """Return a card as the charge it paid remembers it."""
    kept = ("brand", "checks", "country", "exp_month", "exp_year", "fingerprint", "funding", "last4")
    return {
        **{name: card[name] for name in (*kept, "regulated_status", "wallet")},
        "amount_authorized": amount,
        "authorization_code": None,
        "electronic_commerce_indicator": None,
        "installments": None,
        "mandate": None,
        "network": card["brand"],
        "network_token": {"used": False},
        "network_transaction_id": None,
        "three_d_secure": None,
        "transaction_link_id": None,
    }


def _outcome(refusal: StripeError | None) -> Doc:
    declined = refusal is not None
    return {
        "advice_code": None,
        "network_advice_code": None,
        "network_decline_code": None,
        "network_status": "declined_by_network" if declined else "approved_by_network",
        "reason": refusal.extra.get("decline_code") if refusal else None,
        "risk_level": "normal",
        "seller_message": "The bank did not return any further details." if declined else "Payment complete.",
        "type": "issuer_declined" if declined else "authorized",
    }

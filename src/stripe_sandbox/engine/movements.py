"""What money leaves behind when it moves: balance transactions, refunds and disputes of charges."""

from __future__ import annotations

from decimal import Decimal

from stripe_sandbox.clock import DAY_S
from stripe_sandbox.context import Context
from stripe_sandbox.documents import Doc, new_id
from stripe_sandbox.engine.amounts import round_half_up

_FEE_SHARE = Decimal("0.029")
_FEE_FIXED_MINOR = 30
_AVAILABLE_AFTER_S = 2 * DAY_S
_ANSWER_WITHIN_S = 9 * DAY_S
_EVIDENCE = (
    "access_activity_log",
    "appeal",
    "billing_address",
    "cancellation_policy",
    "cancellation_policy_disclosure",
    "cancellation_rebuttal",
    "customer_communication",
    "customer_email_address",
    "customer_name",
    "customer_purchase_ip",
    "customer_signature",
    "duplicate_charge_documentation",
    "duplicate_charge_explanation",
    "duplicate_charge_id",
    "product_description",
    "receipt",
    "refund_policy",
    "refund_policy_disclosure",
    "refund_refusal_explanation",
    "service_date",
    "service_documentation",
    "shipping_address",
    "shipping_carrier",
    "shipping_date",
    "shipping_documentation",
    "shipping_tracking_number",
    "uncategorized_file",
    "uncategorized_text",
)


def of_charge(ctx: Context, charge: Doc) -> str:
    """Store the balance transaction of a charge, with the usual fee, and return its id."""
    fee = round_half_up(charge["amount"] * _FEE_SHARE) + _FEE_FIXED_MINOR
    return _transaction(ctx, charge, charge["amount"], fee, "charge")


def _transaction(ctx: Context, source: Doc, amount: int, fee: int, kind: str) -> str:
    details = {
        "amount": fee,
        "application": None,
        "currency": source["currency"],
        "description": "Stripe processing fees",
        "type": "stripe_fee",
    }
    transaction: Doc = {
        "id": new_id("txn"),
        "object": "balance_transaction",
        "amount": amount,
        "available_on": source["created"] + _AVAILABLE_AFTER_S,
        "balance_type": "payments",
        "created": source["created"],
        "currency": source["currency"],
        "description": source.get("description"),
        "exchange_rate": None,
        "fee": fee,
        "fee_details": [details] if fee else [],
        "net": amount - fee,
        "reporting_category": kind,
        "source": source["id"],
        "status": "pending",
        "type": kind,
    }
    ctx.add(transaction, None)
    return str(transaction["id"])


def refund(ctx: Context, charge: Doc, amount: int, sent: Doc) -> Doc:
    """Give (part of) a charge back and return the refund as shown. Stripe: the invoice's status does not change."""
    method = ctx.find("payment_method", charge["payment_method"]) or {}
    made: Doc = {
        "id": new_id("re"),
        "object": "refund",
        "amount": amount,
        "balance_transaction": None,
        "charge": charge["id"],
        "created": ctx.now(_clock_of(ctx, charge)),
        "currency": charge["currency"],
        "customer": charge["customer"],
        "customer_account": None,
        "destination_details": {"card": {"type": "refund"}, "type": "card"} if method else None,
        "metadata": sent.get("metadata") or {},
        "payment_intent": charge["payment_intent"],
        "payment_method": charge["payment_method"],
        "reason": sent.get("reason"),
        "receipt_number": None,
        "source_transfer_reversal": None,
        "status": "succeeded",
        "transfer_reversal": None,
    }
    made["balance_transaction"] = _transaction(ctx, made, -amount, 0, "refund")
    shown = ctx.add(made, "refund.created")
    total = charge["amount_refunded"] + amount
    changed = charge | {"amount_refunded": total, "refunded": total == charge["amount"]}
    ctx.update(changed, "charge.refunded")
    return shown


def _clock_of(ctx: Context, charge: Doc) -> str | None:
    customer = ctx.find("customer", charge["customer"]) if charge["customer"] else None
    return customer["test_clock"] if customer else None


def dispute(ctx: Context, charge: Doc) -> None:
    """Let the payer's bank dispute a charge."""
    now_s = charge["created"]
    made: Doc = {
        "id": new_id("du"),
        "object": "dispute",
        "amount": charge["amount"],
        "balance_transactions": [],
        "charge": charge["id"],
        "created": now_s,
        "currency": charge["currency"],
        "enhanced_eligibility_types": [],
        "evidence": dict.fromkeys(_EVIDENCE) | {"enhanced_evidence": {}},
        "evidence_details": {
            "due_by": now_s + _ANSWER_WITHIN_S,
            "enhanced_eligibility": {},
            "has_evidence": False,
            "past_due": False,
            "submission_count": 0,
            "submission_method": "not_submitted",
        },
        "intended_submission_method": None,
        "is_charge_refundable": False,
        "livemode": False,
        "metadata": {},
        "network_reason_code": None,
        "payment_intent": charge["payment_intent"],
        "reason": "fraudulent",
        "status": "needs_response",
    }
    ctx.update(charge | {"disputed": True}, "charge.updated")
    ctx.add(made, "charge.dispute.created")

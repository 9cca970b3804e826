"""What callers may send about a subscription, and the checks that creating and updating share."""

from __future__ import annotations

from collections.abc import Mapping
from decimal import Decimal

from stripe_sandbox.context import Context
from stripe_sandbox.documents import Doc, Params
from stripe_sandbox.engine.amounts import line_amount
from stripe_sandbox.engine.discounts import Holder
from stripe_sandbox.objects.discount import DISCOUNTS
from stripe_sandbox.objects.tax_rate import RATES
from stripe_sandbox.wire.errors import BadRequest, missing_param
from stripe_sandbox.wire.schema import (
    ANYTHING,
    Array,
    Boolean,
    Choice,
    Either,
    Hash,
    Integer,
    Metadata,
    NotSimulated,
    Text,
    Type,
    table,
)

MAX_ITEMS = 20
_MAX_QUANTITY = 999_999_999
_MAX_DAYS = 3650
_FEEDBACK = (
    "customer_service",
    "low_quality",
    "missing_features",
    "other",
    "switched_service",
    "too_complex",
    "too_expensive",
    "unused",
)
CANCELLATION = Hash(
    fields={"comment": ANYTHING, "feedback": Choice(words=_FEEDBACK, clearable=True), "feedback_option": ANYTHING}
)
CANCEL_WORDS = ("min_period_end", "max_period_end", "max_billed_until")
PAYMENT_BEHAVIORS = ("allow_incomplete", "default_incomplete", "error_if_incomplete", "pending_if_incomplete")
_PAYMENT_SETTINGS = Hash(
    fields={
        "payment_method_options": NotSimulated(("",)),
        "payment_method_types": Array(Text(), clearable=True),
        "save_default_payment_method": Choice(words=("off", "on_subscription")),
    }
)
_TRIAL_SETTINGS = Hash(
    fields={
        "end_behavior": Hash(
            fields={
                "billing_cycle_anchor": NotSimulated(("now",)),
                "missing_payment_method": Choice(words=("cancel", "create_invoice", "pause")),
            },
        )
    },
    required=("end_behavior",),
)
AUTOMATIC_TAX = Hash(
    fields={"enabled": Boolean(), "liability": Hash(fields={"type": NotSimulated(("self",))})}, required=("enabled",)
)
_REFUSED = (
    "add_invoice_items",
    "application_fee_percent",
    "billing_cycle_anchor_config",
    "billing_thresholds",
    "default_source",
    "invoice_settings",
    "on_behalf_of",
    "pending_invoice_item_interval",
    "transfer_data",
)
ITEM_FIELDS: dict[str, Type] = {
    "billing_thresholds": NotSimulated(("",)),
    "discounts": DISCOUNTS,
    "metadata": Metadata(),
    "price": Text(),
    "price_data": NotSimulated(),
    "quantity": Integer(minimum=0, maximum=_MAX_QUANTITY),
    "tax_rates": RATES,
}
SHARED: dict[str, Type] = {
    **dict.fromkeys(_REFUSED, NotSimulated(("",))),
    "automatic_tax": AUTOMATIC_TAX,
    "cancel_at": Either((*CANCEL_WORDS, ""), Integer(minimum=1)),
    "cancel_at_period_end": Boolean(),
    "collection_method": Choice(words=("charge_automatically", "send_invoice")),
    "days_until_due": Integer(minimum=0, maximum=_MAX_DAYS),
    "default_payment_method": Text(clearable=True),
    "default_tax_rates": RATES,
    "discounts": DISCOUNTS,
    "description": Text(max_length=500, clearable=True),
    "metadata": Metadata(),
    "off_session": Boolean(),
    "payment_behavior": Choice(words=PAYMENT_BEHAVIORS),
    "payment_settings": _PAYMENT_SETTINGS,
    "proration_behavior": Choice(words=("always_invoice", "create_prorations", "none")),
    "trial_end": Either(("now",), Integer(minimum=1)),
    "trial_settings": _TRIAL_SETTINGS,
}
_BILLING_MODE = Hash(
    fields={
        "type": NotSimulated(("flexible",)),
        "flexible": Hash(fields={"proration_discounts": NotSimulated(("included",))}),
    },
    required=("type",),
)
_ONLY_AT_CREATION: Mapping[str, Type] = {
    "backdate_start_date": NotSimulated(),
    "billing_cycle_anchor": NotSimulated(),
    "billing_mode": _BILLING_MODE,
    "currency": Text(pattern=r"[A-Za-z]{3}"),
    "customer": Text(),
    "items": Array(Hash(fields=ITEM_FIELDS), MAX_ITEMS),
    "trial_from_plan": NotSimulated(("false",)),
    "trial_period_days": Integer(minimum=1, maximum=730),
}
CREATE = table({**SHARED, **_ONLY_AT_CREATION})


def cancel_at_of(sent: Params, items: list[Doc], now_s: int) -> int | None:
    """Return when the subscription is to end, from either of the two ways to ask for it."""
    ends = [item["current_period_end"] for item in items]
    if sent.get("cancel_at_period_end"):
        if sent.get("cancel_at"):
            raise BadRequest(
                "You may only give one of these parameters: cancel_at, cancel_at_period_end.",
                code="parameters_exclusive",
                param="cancel_at",
            )
        return int(max(ends))
    wanted = sent.get("cancel_at")
    if not wanted:
        return None
    if isinstance(wanted, str):
        return int(min(ends) if wanted == "min_period_end" else max(ends))
    if wanted <= now_s:
        raise BadRequest("cancel_at must be in the future.", param="cancel_at")
    return int(wanted)


def automatic_tax(sent: Params | None) -> Doc:
    """Return the automatic tax of a subscription as it shows it."""
    enabled = bool((sent or {}).get("enabled"))
    return {"disabled_reason": None, "enabled": enabled, "liability": {"type": "self"} if enabled else None}


def holder_of(ctx: Context, subscription: Doc, items: list[Doc]) -> Holder:
    """Return for whom a subscription's discounts are redeemed; a promotion code may ask what its period is worth."""
    priced = [(item, ctx.get("price", item["price"])) for item in items if "quantity" in item]
    worth = sum(line_amount(Decimal(item["quantity"]), price["unit_amount_decimal"]) for item, price in priced)
    return Holder(
        customer=subscription["customer"],
        currency=subscription["currency"],
        at_s=ctx.now(subscription["test_clock"]),
        test_clock=subscription["test_clock"],
        worth=worth,
        subscription=subscription["id"],
    )


def collection_of(sent: Params, old: Doc | None = None) -> Doc:
    """Return how a subscription's invoices are collected; only sent invoices have days until they are due."""
    known = old or {"collection_method": "charge_automatically", "days_until_due": None}
    method = sent.get("collection_method", known["collection_method"])
    days = sent.get("days_until_due", known["days_until_due"])
    if method == "send_invoice" and days is None:
        raise missing_param("days_until_due")
    if method == "charge_automatically" and "days_until_due" in sent:
        raise BadRequest("days_until_due goes with collection_method=send_invoice.", param="days_until_due")
    return {"collection_method": method, "days_until_due": days if method == "send_invoice" else None}

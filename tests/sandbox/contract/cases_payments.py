"""Intents, charges, refunds, balance transactions, disputes; Checkout and the portal."""

from __future__ import annotations

from typing import Any

from sandbox.contract.case import case
from sandbox.contract.stage import Stage

_CARD = {"payment_method": "pm_card_visa", "confirm": True, "return_url": "https://example.com/back"}
_ASKING = _CARD | {"payment_method": "pm_card_threeDSecure2Required"}


def _disputed(stage: Stage) -> str:
    customer = stage.new_customer("pm_card_createDispute")
    stage.v1.invoices.pay(stage.new_open(customer))
    return stage.v1.disputes.list({"limit": 1}).data[0].id


def _to_refund(stage: Stage) -> dict[str, Any]:
    intent = stage.new_intent(**_CARD)
    return {"payment_intent": intent.id, "amount": 100, "reason": "requested_by_customer", "metadata": {"a": "1"}}


def _refund(stage: Stage) -> str:
    return stage.v1.refunds.create(_to_refund(stage)).id


_INTENTS = (
    case(
        "POST /v1/payment_intents",
        "v1.payment_intents.create",
        lambda _: ({"amount": 500, "currency": "usd", "metadata": {"a": "1"}},),
        "bare",
    ),
    case(
        "POST /v1/payment_intents",
        "v1.payment_intents.create",
        lambda s: ({"amount": 500, "currency": "usd", "customer": s.customer, **_CARD, "expand": ["latest_charge"]},),
        "paid",
    ),
    case(
        "POST /v1/payment_intents",
        "v1.payment_intents.create",
        lambda s: ({"amount": 500, "currency": "usd", "customer": s.customer, **_ASKING},),
        "requires action",
    ),
    case("GET /v1/payment_intents", "v1.payment_intents.list", lambda s: (s.paid_invoice and {"limit": 3},)),
    case(
        "GET /v1/payment_intents/*",
        "v1.payment_intents.retrieve",
        lambda s: (s.invoice_payment.payment.payment_intent,),
    ),
    case(
        "POST /v1/payment_intents/*",
        "v1.payment_intents.update",
        lambda s: (s.new_intent().id, {"description": "d", "metadata": {"a": "1"}}),
    ),
    case(
        "POST /v1/payment_intents/*/confirm",
        "v1.payment_intents.confirm",
        lambda s: (s.new_intent().id, {"payment_method": "pm_card_visa", "return_url": "https://example.com/back"}),
    ),
    case(
        "POST /v1/payment_intents/*/cancel",
        "v1.payment_intents.cancel",
        lambda s: (s.new_intent().id, {"cancellation_reason": "abandoned"}),
    ),
)
_SETUPS = (
    case(
        "POST /v1/setup_intents",
        "v1.setup_intents.create",
        lambda s: ({"customer": s.customer, "metadata": {"a": "1"}},),
    ),
    case("POST /v1/setup_intents", "v1.setup_intents.create", lambda s: ({"customer": s.customer, **_CARD},), "done"),
    case(
        "POST /v1/setup_intents",
        "v1.setup_intents.create",
        lambda s: ({"customer": s.customer, **_ASKING},),
        "requires action",
    ),
    case("GET /v1/setup_intents", "v1.setup_intents.list", lambda s: (s.new_setup() and {"customer": s.customer},)),
    case("GET /v1/setup_intents/*", "v1.setup_intents.retrieve", lambda s: (s.new_setup().id,)),
    case(
        "POST /v1/setup_intents/*/confirm",
        "v1.setup_intents.confirm",
        lambda s: (s.new_setup().id, {"payment_method": "pm_card_visa", "return_url": "https://example.com/back"}),
    ),
    case("POST /v1/setup_intents/*/cancel", "v1.setup_intents.cancel", lambda s: (s.new_setup().id,)),
)
_MOVED = (
    case("GET /v1/charges", "v1.charges.list", lambda s: (s.charge and {"limit": 3},)),
    case("GET /v1/charges/*", "v1.charges.retrieve", lambda s: (s.charge.id, {"expand": ["balance_transaction"]})),
    case("POST /v1/refunds", "v1.refunds.create", lambda s: (_to_refund(s),)),
    case("GET /v1/refunds", "v1.refunds.list", lambda s: (_refund(s) and {"limit": 3},)),
    case("GET /v1/refunds/*", "v1.refunds.retrieve", lambda s: (_refund(s), {"expand": ["charge"]})),
    case("POST /v1/refunds/*", "v1.refunds.update", lambda s: (_refund(s), {"metadata": {"a": "2"}})),
    case("GET /v1/balance_transactions", "v1.balance_transactions.list", lambda s: (s.charge and {"limit": 3},)),
    case(
        "GET /v1/balance_transactions/*",
        "v1.balance_transactions.retrieve",
        lambda s: (s.charge.balance_transaction,),
    ),
    case("GET /v1/disputes", "v1.disputes.list", lambda s: (_disputed(s) and {"limit": 1},)),
    case("GET /v1/disputes/*", "v1.disputes.retrieve", lambda s: (_disputed(s),)),
)
_CHECKOUT = (
    case(
        "POST /v1/checkout/sessions",
        "v1.checkout.sessions.create",
        lambda s: (
            {"mode": "subscription", "line_items": [{"price": s.price, "quantity": 1}, {"price": s.metered_price}]}
            | {"success_url": "https://example.com/d", "cancel_url": "https://example.com/b", "customer": s.customer}
            | {"subscription_data": {"metadata": {"a": "1"}, "billing_mode": {"type": "flexible"}}}
            | {"client_reference_id": "t1", "metadata": {"a": "1"}, "expand": ["line_items"]},
        ),
    ),
    case("GET /v1/checkout/sessions", "v1.checkout.sessions.list", lambda s: (s.new_session() and {"limit": 2},)),
    case("GET /v1/checkout/sessions/*", "v1.checkout.sessions.retrieve", lambda s: (s.new_session().id,)),
    case(
        "POST /v1/checkout/sessions/*",
        "v1.checkout.sessions.update",
        lambda s: (s.new_session().id, {"metadata": {"a": "2"}}),
    ),
    case(
        "GET /v1/checkout/sessions/*/line_items",
        "v1.checkout.sessions.line_items.list",
        lambda s: (s.new_session().id,),
    ),
    case("POST /v1/checkout/sessions/*/expire", "v1.checkout.sessions.expire", lambda s: (s.new_session().id,)),
)
_CANCELLING = {"enabled": True, "cancellation_reason": {"enabled": True, "options": ["unused", "other"]}}
_PORTAL = (
    case(
        "POST /v1/billing_portal/configurations",
        "v1.billing_portal.configurations.create",
        lambda _: ({"features": {"subscription_cancel": _CANCELLING}, "name": "contract", "metadata": {"a": "1"}},),
    ),
    case(
        "GET /v1/billing_portal/configurations",
        "v1.billing_portal.configurations.list",
        lambda s: (s.portal and {"limit": 2},),
    ),
    case(
        "GET /v1/billing_portal/configurations/*",
        "v1.billing_portal.configurations.retrieve",
        lambda s: (s.portal,),
    ),
    case(
        "POST /v1/billing_portal/configurations/*",
        "v1.billing_portal.configurations.update",
        lambda s: (s.portal, {"business_profile": {"headline": "h"}}),
    ),
    case(
        "POST /v1/billing_portal/sessions",
        "v1.billing_portal.sessions.create",
        lambda s: ({"customer": s.customer, "configuration": s.portal, "return_url": "https://example.com"},),
    ),
    case(
        "POST /v1/billing_portal/sessions",
        "v1.billing_portal.sessions.create",
        lambda s: (
            {"customer": s.customer, "configuration": s.portal}
            | {"flow_data": {"type": "payment_method_update", "after_completion": {"type": "portal_homepage"}}},
        ),
        "flow",
    ),
)
CASES = (*_INTENTS, *_SETUPS, *_MOVED, *_CHECKOUT, *_PORTAL)

"""Invoices, their lines, items and payments; previews."""

from __future__ import annotations

from typing import Any

from sandbox.contract.case import case
from sandbox.contract.stage import Stage

_EXPANDED = {"expand": ["payments.data.payment.payment_intent", "confirmation_secret", "customer"]}


def _item(stage: Stage, **params: Any) -> tuple[dict[str, Any]]:
    return ({"customer": stage.new_customer(), **params},)


def _made_item(stage: Stage) -> str:
    params = {"customer": stage.new_customer(), "amount": 100, "currency": "usd"}
    return stage.v1.invoice_items.create(params).id


def _proration(stage: Stage) -> tuple[dict[str, Any]]:
    subscription = stage.new_subscription()
    item = {"id": subscription.items.data[0].id, "quantity": 3}
    stage.v1.subscriptions.update(subscription.id, {"items": [item]})
    return ({"customer": subscription.customer, "pending": True},)


_ACTS = (
    case(
        "POST /v1/invoices",
        "v1.invoices.create",
        lambda s: ({"customer": s.new_customer(), "description": "d", "metadata": {"a": "1"}},),
    ),
    case("GET /v1/invoices", "v1.invoices.list", lambda s: ({"customer": s.subscription.customer},)),
    case("GET /v1/invoices/*", "v1.invoices.retrieve", lambda s: (s.paid_invoice, _EXPANDED), "paid"),
    case("GET /v1/invoices/*", "v1.invoices.retrieve", lambda s: (s.new_draft(),), "draft"),
    case("POST /v1/invoices/*", "v1.invoices.update", lambda s: (s.new_draft(), {"description": "other"})),
    case("DELETE /v1/invoices/*", "v1.invoices.delete", lambda s: (s.new_draft(),)),
    case("GET /v1/invoices/*/lines", "v1.invoices.line_items.list", lambda s: (s.paid_invoice, {"limit": 100})),
    case(
        "POST /v1/invoices/*/finalize",
        "v1.invoices.finalize_invoice",
        lambda s: (s.new_draft(), {"auto_advance": False}),
    ),
    case("POST /v1/invoices/*/pay", "v1.invoices.pay", lambda s: (s.new_open(),)),
    case("POST /v1/invoices/*/pay", "v1.invoices.pay", lambda s: (s.new_open(), {"paid_out_of_band": True}), "outside"),
    case("POST /v1/invoices/*/void", "v1.invoices.void_invoice", lambda s: (s.new_open(),)),
    case("POST /v1/invoices/*/mark_uncollectible", "v1.invoices.mark_uncollectible", lambda s: (s.new_open(),)),
    case("POST /v1/invoices/*/send", "v1.invoices.send_invoice", lambda s: (s.new_open(),)),
)


def _change(stage: Stage) -> tuple[dict[str, Any]]:
    subscription = stage.subscription
    items = [{"id": subscription.items.data[0].id, "price": stage.new_price(4900)}]
    details = {"items": items, "proration_behavior": "always_invoice"}
    return ({"subscription": subscription.id, "subscription_details": details},)


_PREVIEWS = (
    case(
        "POST /v1/invoices/create_preview",
        "v1.invoices.create_preview",
        lambda s: ({"subscription": s.subscription.id},),
        "next",
    ),
    case("POST /v1/invoices/create_preview", "v1.invoices.create_preview", _change, "change"),
    case(
        "POST /v1/invoices/create_preview",
        "v1.invoices.create_preview",
        lambda s: (
            {
                "customer": s.customer,
                "subscription_details": {"items": [{"price": s.price}, {"price": s.metered_price}]},
            },
        ),
        "new",
    ),
)
_ITEMS = (
    case(
        "POST /v1/invoiceitems",
        "v1.invoice_items.create",
        lambda s: _item(s, amount=100, currency="usd", description="d"),
    ),
    case(
        "POST /v1/invoiceitems",
        "v1.invoice_items.create",
        lambda s: _item(s, pricing={"price": s.one_time_price}, quantity=2, metadata={"a": "1"}),
        "priced",
    ),
    case("GET /v1/invoiceitems", "v1.invoice_items.list", _proration, "proration"),
    case("GET /v1/invoiceitems/*", "v1.invoice_items.retrieve", lambda s: (_made_item(s),)),
    case("POST /v1/invoiceitems/*", "v1.invoice_items.update", lambda s: (_made_item(s), {"amount": 200})),
    case("DELETE /v1/invoiceitems/*", "v1.invoice_items.delete", lambda s: (_made_item(s),)),
)
_PAYMENTS = (
    case("GET /v1/invoice_payments", "v1.invoice_payments.list", lambda s: ({"invoice": s.paid_invoice},)),
    case(
        "GET /v1/invoice_payments/*",
        "v1.invoice_payments.retrieve",
        lambda s: (s.invoice_payment.id, {"expand": ["invoice", "payment.payment_intent"]}),
    ),
)
CASES = (*_ACTS, *_PREVIEWS, *_ITEMS, *_PAYMENTS)

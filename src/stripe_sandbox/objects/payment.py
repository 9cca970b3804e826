"""Reading what paid an invoice: invoice payments, payment intents, charges."""

from __future__ import annotations

from stripe_sandbox.documents import Call, Doc, Kind
from stripe_sandbox.wire.paging import Listing, answer_list, json_field
from stripe_sandbox.wire.routing import Endpoint
from stripe_sandbox.wire.schema import Choice, Hash, Range, Text, list_table, table


def _invoice_of(payment: Doc) -> str | None:
    found: str | None = payment["invoice"]
    return found


def _intent_of(charge: Doc) -> str | None:
    found: str | None = charge["payment_intent"]
    return found


INVOICE_PAYMENT_KIND = Kind(
    name="invoice_payment",
    label="invoice_payment",
    parent=_invoice_of,
    expandable={"invoice": "invoice", "payment.payment_intent": "payment_intent"},
)
INTENT_KIND = Kind(
    name="payment_intent",
    label="payment_intent",
    expandable={"customer": "customer", "latest_charge": "charge", "payment_method": "payment_method"},
)
CHARGE_KIND = Kind(
    name="charge",
    label="charge",
    parent=_intent_of,
    expandable={
        "balance_transaction": "balance_transaction",
        "customer": "customer",
        "payment_intent": "payment_intent",
    },
)
_PAYMENTS = Listing(
    kind="invoice_payment",
    url="/v1/invoice_payments",
    equals={"invoice": "parent", "status": json_field("status")},
    ranges={"created": "created"},
)
_PAYMENT_FILTER = Hash(
    fields={"type": Choice(words=("payment_intent", "payment_record")), "payment_intent": Text()}, required=("type",)
)
_PAYMENT_LIST = list_table(
    {
        "created": Range(),
        "invoice": Text(),
        "payment": _PAYMENT_FILTER,
        "status": Choice(words=("canceled", "open", "paid")),
    }
)
_INTENTS = Listing(
    kind="payment_intent", url="/v1/payment_intents", equals={"customer": "customer"}, ranges={"created": "created"}
)
_CHARGES = Listing(
    kind="charge",
    url="/v1/charges",
    equals={"customer": "customer", "payment_intent": "parent"},
    ranges={"created": "created"},
)


def _list_payments(call: Call) -> Doc:
    intent = (call.params.get("payment") or {}).get("payment_intent")
    extra = ((f"{json_field('payment.payment_intent')}=?", intent),) if intent else ()
    return answer_list(call, _PAYMENTS, extra)


def _list_intents(call: Call) -> Doc:
    return answer_list(call, _INTENTS)


def _list_charges(call: Call) -> Doc:
    return answer_list(call, _CHARGES)


def _payment(call: Call) -> Doc:
    return call.ctx.shown(call.ctx.get("invoice_payment", call.ids[0]))


def _intent(call: Call) -> Doc:
    return call.ctx.shown(call.ctx.get("payment_intent", call.ids[0]))


def _charge(call: Call) -> Doc:
    return call.ctx.shown(call.ctx.get("charge", call.ids[0]))


ENDPOINTS = (
    Endpoint("GET", "/v1/invoice_payments", _PAYMENT_LIST, _list_payments),
    Endpoint("GET", "/v1/invoice_payments/*", table(), _payment),
    Endpoint("GET", "/v1/payment_intents", list_table({"created": Range(), "customer": Text()}), _list_intents),
    Endpoint("GET", "/v1/payment_intents/*", table(), _intent),
    Endpoint(
        "GET",
        "/v1/charges",
        list_table({"created": Range(), "customer": Text(), "payment_intent": Text()}),
        _list_charges,
    ),
    Endpoint("GET", "/v1/charges/*", table(), _charge),
)

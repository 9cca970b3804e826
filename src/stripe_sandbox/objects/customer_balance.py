"""The moves of a customer's balance: read, and made by hand. Stripe: a negative amount is a credit."""

from __future__ import annotations

from stripe_sandbox.documents import Call, Doc, Kind
from stripe_sandbox.engine.balance import Entry, post
from stripe_sandbox.wire.errors import BadRequest, missing_object
from stripe_sandbox.wire.paging import Listing, answer_list, json_field
from stripe_sandbox.wire.routing import Endpoint
from stripe_sandbox.wire.schema import Integer, Metadata, Range, Text, list_table, merge_metadata, table

_URL = "/v1/customers/*/balance_transactions"
_MAX_MINOR = 99_999_999_999
KIND = Kind(
    name="customer_balance_transaction",
    label="customer balance transaction",
    expandable={"customer": "customer", "invoice": "invoice", "credit_note": "credit_note"},
)
CREATE = table(
    {
        "amount": Integer(minimum=-_MAX_MINOR, maximum=_MAX_MINOR),
        "currency": Text(pattern=r"[A-Za-z]{3}"),
        "description": Text(max_length=350, clearable=True),
        "metadata": Metadata(),
    },
    ("amount", "currency"),
)
UPDATE = table({"description": Text(max_length=350, clearable=True), "metadata": Metadata()})


def _create(call: Call) -> Doc:
    ctx, sent = call.ctx, call.params
    customer = ctx.get("customer", call.ids[0])
    currency = sent["currency"].lower()
    if customer["currency"] not in (None, currency):
        raise BadRequest(f"This customer is billed in {customer['currency']}.", param="currency")
    if sent["amount"] == 0:
        raise BadRequest("The amount must not be 0.", param="amount")
    entry = Entry(
        amount=sent["amount"],
        type="adjustment",
        currency=currency,
        description=sent.get("description"),
        metadata=sent.get("metadata"),
    )
    made = post(ctx, customer["id"], entry)
    return made or {}


def _one(call: Call) -> Doc:
    call.ctx.get("customer", call.ids[0])
    found = call.ctx.get(KIND.name, call.ids[1])
    if found["customer"] != call.ids[0]:
        raise missing_object(KIND.label, call.ids[1])
    return found


def _get(call: Call) -> Doc:
    return call.ctx.shown(_one(call))


def _update(call: Call) -> Doc:
    found = _one(call)
    if "description" in call.params:
        found["description"] = call.params["description"]
    if "metadata" in call.params:
        found["metadata"] = merge_metadata(found["metadata"], call.params["metadata"])
    return call.ctx.add(found, None)


def _list(call: Call) -> Doc:
    customer = call.ctx.get("customer", call.ids[0])
    listing = Listing(
        kind=KIND.name,
        url=f"/v1/customers/{customer['id']}/balance_transactions",
        equals={"invoice": json_field("invoice")},
        ranges={"created": "created"},
    )
    return answer_list(call, listing, (("customer=?", customer["id"]),))


ENDPOINTS = (
    Endpoint("POST", _URL, CREATE, _create),
    Endpoint("GET", _URL, list_table({"created": Range(), "invoice": Text()}), _list),
    Endpoint("GET", f"{_URL}/*", table(), _get),
    Endpoint("POST", f"{_URL}/*", UPDATE, _update),
)

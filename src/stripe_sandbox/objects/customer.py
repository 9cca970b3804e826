"""Customers: who is billed, by which default payment method, with which balance."""

from __future__ import annotations

import secrets
import string
from dataclasses import dataclass

from stripe_sandbox.context import TEST_CLOCK, Context
from stripe_sandbox.documents import Call, Doc, Kind, list_of, new_id
from stripe_sandbox.engine import tax_ids
from stripe_sandbox.engine.balance import Entry, record
from stripe_sandbox.objects import payment_method, tax_id
from stripe_sandbox.objects.test_clock import check_room
from stripe_sandbox.store import Page
from stripe_sandbox.wire.errors import BadRequest
from stripe_sandbox.wire.paging import Listing, answer_list, json_field
from stripe_sandbox.wire.routing import Endpoint
from stripe_sandbox.wire.schema import (
    ANYTHING,
    Array,
    Choice,
    Hash,
    Integer,
    Metadata,
    NotSimulated,
    Range,
    Text,
    Type,
    list_table,
    merge_metadata,
    table,
)

_PREFIX_LENGTH = 8
ADDRESS_FIELDS = ("city", "country", "line1", "line2", "postal_code", "state")
ADDRESS = Hash(fields=dict.fromkeys(ADDRESS_FIELDS, ANYTHING), clearable=True)
_SHIPPING = Hash(fields={"address": ADDRESS, "name": ANYTHING, "phone": ANYTHING}, clearable=True)
_SHIPPED = {"carrier": None, "name": None, "phone": None, "tracking_number": None}
_INVOICE_SETTINGS = Hash(
    fields={
        "default_payment_method": Text(clearable=True),
        "custom_fields": NotSimulated(("",)),
        "footer": Text(clearable=True),
        "rendering_options": NotSimulated(("",)),
    }
)
_SHARED: dict[str, Type] = {
    "address": ADDRESS,
    "balance": Integer(),
    "description": ANYTHING,
    "email": Text(max_length=512, clearable=True, pattern=r"[^@\s]+@[^@\s]+", code="email_invalid"),
    "invoice_prefix": Text(pattern=r"[A-Z0-9]{3,12}"),
    "invoice_settings": _INVOICE_SETTINGS,
    "metadata": Metadata(),
    "name": Text(max_length=256, clearable=True),
    "next_invoice_sequence": Integer(minimum=1),
    "phone": Text(max_length=20, clearable=True),
    "preferred_locales": Array(Text()),
    "shipping": _SHIPPING,
    "tax": NotSimulated(),
    "tax_exempt": Choice(words=("none", "exempt", "reverse"), clearable=True),
}
CREATE = table({**_SHARED, "payment_method": Text(), "tax_id_data": Array(tax_id.DATA, 5), "test_clock": Text()})
UPDATE = table({**_SHARED, "default_source": NotSimulated(), "source": NotSimulated()})
_PLAIN = ("description", "email", "invoice_prefix", "name", "next_invoice_sequence", "phone")
_LISTING = Listing(
    kind="customer",
    url="/v1/customers",
    equals={"email": json_field("email"), "test_clock": json_field("test_clock")},
    ranges={"created": "created"},
)
LIST = list_table({"created": Range(), "email": Text(), "test_clock": Text()})
_METHODS = list_table({"type": Text(), "allow_redisplay": Text()})


def subscriptions_of(ctx: Context, customer: Doc) -> Doc:
    """Return the includable list of a customer's live subscriptions."""
    page = Page(
        kind="subscription",
        conditions=("customer=?", f"{json_field('status')} NOT IN ('canceled', 'incomplete_expired')"),
        arguments=(customer["id"],),
    )
    url = f"/v1/customers/{customer['id']}/subscriptions"
    return list_of(url, [ctx.shown(doc) for doc in ctx.select(page)])


def tax_ids_of(ctx: Context, customer: Doc) -> Doc:
    """Return the includable list of a customer's tax ids."""
    newest_first = reversed(tax_ids.of_customer(ctx, customer["id"]))
    return list_of(f"/v1/customers/{customer['id']}/tax_ids", [ctx.shown(doc) for doc in newest_first])


KIND = Kind(
    name="customer",
    label="customer",
    expandable={"invoice_settings.default_payment_method": "payment_method", "test_clock": TEST_CLOCK},
    includable={"subscriptions": subscriptions_of, "tax_ids": tax_ids_of},
)


@dataclass(frozen=True, slots=True, kw_only=True)
class _Birth:
    created: int
    test_clock: str | None


def _new(birth: _Birth) -> Doc:
    return {
        "id": new_id("cus"),
        "object": "customer",
        "address": None,
        "balance": 0,
        "created": birth.created,
        "currency": None,
        "customer_account": None,
        "default_source": None,
        "delinquent": False,
        "description": None,
        "discount": None,
        "email": None,
        "invoice_prefix": "".join(
            secrets.choice(string.ascii_uppercase + string.digits) for _ in range(_PREFIX_LENGTH)
        ),
        "invoice_settings": {
            "custom_fields": None,
            "default_payment_method": None,
            "footer": None,
            "rendering_options": None,
        },
        "livemode": False,
        "metadata": {},
        "name": None,
        "next_invoice_sequence": 1,
        "phone": None,
        "preferred_locales": [],
        "shipping": None,
        "tax_exempt": "none",
        "test_clock": birth.test_clock,
    }


def _apply(ctx: Context, customer: Doc, sent: Doc) -> None:
    customer |= {name: sent[name] for name in _PLAIN if name in sent}
    if "preferred_locales" in sent:
        customer["preferred_locales"] = sent["preferred_locales"]
    if "tax_exempt" in sent:
        customer["tax_exempt"] = sent["tax_exempt"] or "none"
    if "address" in sent:
        customer["address"] = _address(sent["address"])
    if "shipping" in sent:
        shipping = sent["shipping"]
        customer["shipping"] = shipping and _SHIPPED | shipping | {"address": _address(shipping.get("address"))}
    if "metadata" in sent:
        customer["metadata"] = merge_metadata(customer["metadata"], sent["metadata"])
    settings = sent.get("invoice_settings") or {}
    chosen = settings.get("default_payment_method")
    if chosen is not None:
        payment_method.check_owner(ctx, chosen, customer["id"], "invoice_settings[default_payment_method]")
    changed = {name: settings[name] for name in ("default_payment_method", "footer") if name in settings}
    customer["invoice_settings"] = customer["invoice_settings"] | changed


def _set_balance(ctx: Context, customer: Doc, sent: Doc, kind: str) -> None:
    """Stripe: a balance that is set by hand leaves a transaction as well."""
    moved = sent.get("balance", customer["balance"]) - customer["balance"]
    if moved:
        entry = Entry(amount=moved, type=kind, currency=customer["currency"] or "usd")
        customer["balance"] += moved
        record(ctx, customer, entry, customer["balance"])


def _address(sent: Doc | None) -> Doc | None:
    return None if sent is None else {name: sent.get(name) for name in ADDRESS_FIELDS}


def create(call: Call) -> Doc:
    """Create a customer."""
    ctx, sent = call.ctx, call.params
    test_clock = sent.get("test_clock")
    if test_clock:
        check_room(ctx, test_clock)
    customer = _new(_Birth(created=ctx.now(test_clock), test_clock=test_clock))
    settings = dict(sent.get("invoice_settings") or {})
    if "payment_method" in sent:
        ctx.write(customer)
        attached = payment_method.attach(ctx, sent["payment_method"], customer["id"], "payment_method")
        if settings.get("default_payment_method") == sent["payment_method"]:
            settings["default_payment_method"] = attached["id"]
    _apply(ctx, customer, sent | {"invoice_settings": settings})
    _set_balance(ctx, customer, sent, "initial")
    shown = ctx.add(customer, "customer.created")
    for index, wish in enumerate(sent.get("tax_id_data") or []):
        tax_ids.add(ctx, customer, wish["type"], wish["value"], f"tax_id_data[{index}][value]")
    return shown


def _get(call: Call) -> Doc:
    found = call.ctx.find("customer", call.ids[0])
    return call.ctx.shown(found or call.ctx.get("customer", call.ids[0]))


def _update(call: Call) -> Doc:
    customer = call.ctx.get("customer", call.ids[0])
    _apply(call.ctx, customer, call.params)
    _set_balance(call.ctx, customer, call.params, "adjustment")
    return call.ctx.update(customer, "customer.updated")


def _delete(call: Call) -> Doc:
    return delete_customer(call.ctx, call.ctx.get("customer", call.ids[0]))


def delete_customer(ctx: Context, customer: Doc) -> Doc:
    """Delete a customer for good; running subscriptions are canceled at once."""
    from stripe_sandbox.engine import renew, settle, timers

    for subscription in ctx.select(Page(kind="subscription", conditions=("customer=?",), arguments=(customer["id"],))):
        if subscription["status"] not in renew.ENDED:
            now_s = ctx.now(customer["test_clock"])
            settle.mark_canceled(ctx, subscription, now_s, reason="cancellation_requested")
    for invoice in ctx.select(Page(kind="invoice", conditions=("customer=?",), arguments=(customer["id"],))):
        timers.disarm(ctx, invoice["id"])
    shown = ctx.shown(customer)
    ctx.write(customer | {"deleted": True})
    ctx.emit("customer.deleted", shown)
    return {"id": customer["id"], "object": "customer", "deleted": True}


def _list(call: Call) -> Doc:
    return answer_list(call, _LISTING)


def _methods(call: Call) -> Doc:
    customer = call.ctx.get("customer", call.ids[0])
    url = f"/v1/customers/{customer['id']}/payment_methods"
    return answer_list(call, payment_method.listing(url), (("customer=?", customer["id"]),))


def _method(call: Call) -> Doc:
    call.ctx.get("customer", call.ids[0])
    method = call.ctx.get("payment_method", call.ids[1])
    if method["customer"] != call.ids[0]:
        message = "This customer has no such payment method."
        raise BadRequest(message, code="resource_missing", param="payment_method")
    return call.ctx.shown(method)


ENDPOINTS = (
    Endpoint("POST", "/v1/customers", CREATE, create),
    Endpoint("GET", "/v1/customers", LIST, _list),
    Endpoint("GET", "/v1/customers/*", table(), _get),
    Endpoint("POST", "/v1/customers/*", UPDATE, _update),
    Endpoint("DELETE", "/v1/customers/*", table(), _delete),
    Endpoint("GET", "/v1/customers/*/payment_methods", _METHODS, _methods),
    Endpoint("GET", "/v1/customers/*/payment_methods/*", table(), _method),
)

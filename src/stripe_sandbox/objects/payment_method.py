"""Payment methods: test cards by token, attached to a customer.

Stripe: attaching a ``pm_card_…`` token makes a new payment method; cards that are declined at once answer 402 and
leave nothing behind; listing without a customer is empty.
"""

from __future__ import annotations

from stripe_sandbox.context import Context
from stripe_sandbox.documents import Call, Doc, Kind, list_of, new_id, random_text
from stripe_sandbox.engine.cards import CARDS, Card
from stripe_sandbox.store import Page
from stripe_sandbox.wire.errors import BadRequest, missing_object
from stripe_sandbox.wire.paging import Listing, answer_list, json_field
from stripe_sandbox.wire.routing import Endpoint
from stripe_sandbox.wire.schema import Choice, Hash, Metadata, NotSimulated, Text, list_table, merge_metadata, table

LABEL = "PaymentMethod"
KIND = Kind(name="payment_method", label=LABEL, expandable={"customer": "customer"})
_EXPIRY_YEARS_AHEAD = 4
_SECONDS_A_YEAR = 31_556_952
_EPOCH_YEAR = 1970
LIST = list_table({"customer": Text(), "type": Text(), "allow_redisplay": Text()})


def listing(url: str) -> Listing:
    """Return how payment methods are listed under an address."""
    equals = {"type": json_field("type"), "allow_redisplay": json_field("allow_redisplay")}
    return Listing(kind="payment_method", url=url, equals=equals)


def attach(ctx: Context, method_id: str, customer_id: str, param: str, entered: Doc | None = None) -> Doc:
    """Attach a test card to a customer and return the payment method as shown.

    ``entered`` is what a form adds to a card of a token: its expiry, its holder.
    """
    customer = ctx.get("customer", customer_id, "customer")
    card = CARDS.get(method_id)
    if card is None:
        method = ctx.find("payment_method", method_id)
        if method is None:
            raise missing_object(LABEL, method_id, param)
        if method["customer"] == customer_id:
            return ctx.shown(method)
        if not method.get("_used"):
            return _attach_loose(ctx, method, customer_id)
        raise BadRequest(
            "The payment method was already used or detached and cannot be attached again.",
            code="payment_method_unexpected_state",
        )
    if card.on_attach:
        raise card.on_attach.error()
    method = _new(ctx.now(customer["test_clock"]), method_id, card) | {"customer": customer_id, "_used": True}
    for name, fields in (entered or {}).items():
        method[name] = method[name] | fields if isinstance(fields, dict) else fields
    return ctx.add(method, "payment_method.attached")


def _attach_loose(ctx: Context, method: Doc, customer_id: str) -> Doc:
    refusal = CARDS[method["_card"]].on_attach
    if refusal:
        raise refusal.error()
    return ctx.add(method | {"customer": customer_id, "_used": True}, "payment_method.attached")


def from_token(ctx: Context, token: str) -> Doc:
    """Return the document of a new payment method of a test card, attached to nobody."""
    method = _new(ctx.now(), token, CARDS[token])
    ctx.write(method)
    return method


def check_owner(ctx: Context, method_id: str, customer_id: str, param: str) -> None:
    """Refuse a payment method that is unknown or is not this customer's."""
    method = ctx.get("payment_method", method_id, param)
    if method["customer"] != customer_id:
        raise BadRequest(
            f"The customer does not have a payment method with the ID {method_id}."
            " The payment method must be attached to the customer.",
            code="resource_missing",
            param=param,
        )


def _new(now_s: int, token: str, card: Card) -> Doc:
    return {
        "id": new_id("pm"),
        "object": "payment_method",
        "allow_redisplay": "unspecified",
        "billing_details": {
            "address": dict.fromkeys(("city", "country", "line1", "line2", "postal_code", "state")),
            "email": None,
            "name": None,
            "phone": None,
            "tax_id": None,
        },
        "card": _card(now_s, card),
        "created": now_s,
        "customer": None,
        "customer_account": None,
        "livemode": False,
        "metadata": {},
        "type": "card",
        "_card": token,
    }


def _card(now_s: int, card: Card) -> Doc:
    checks = {"address_line1_check": None, "address_postal_code_check": None, "cvc_check": card.cvc_check}
    return {
        "brand": card.brand,
        "checks": checks,
        "country": "US",
        "display_brand": card.brand,
        "exp_month": 12,
        "exp_year": _EPOCH_YEAR + now_s // _SECONDS_A_YEAR + _EXPIRY_YEARS_AHEAD,
        "fingerprint": random_text(16),
        "funding": card.funding,
        "generated_from": None,
        "last4": card.number[-4:],
        "networks": {"available": [card.brand], "preferred": None},
        "regulated_status": "unregulated",
        "three_d_secure_usage": {"supported": True},
        "wallet": None,
    }


def _create(call: Call) -> Doc:
    """Stripe: raw card numbers are refused; test tokens stand for the test cards."""
    token = call.params["card"]["token"].replace("tok_", "pm_card_", 1)
    if token not in CARDS:
        raise missing_object("token", call.params["card"]["token"], "card[token]")
    method = from_token(call.ctx, token)
    method["metadata"] = call.params.get("metadata") or {}
    return call.ctx.add(method, None)


def _attach(call: Call) -> Doc:
    return attach(call.ctx, call.ids[0], call.params["customer"], "id")


def _detach(call: Call) -> Doc:
    ctx = call.ctx
    method = ctx.get("payment_method", call.ids[0])
    customer_id = method["customer"]
    if customer_id is None:
        message = "The payment method you provided is not attached to a customer so detachment is impossible."
        raise BadRequest(message, code="payment_method_unexpected_state")
    _forget_default(ctx, method["id"], customer_id)
    method["customer"] = None
    ctx.write(method)
    shown = ctx.shown(method)
    ctx.emit("payment_method.detached", shown, {"customer": customer_id})
    return shown


def _forget_default(ctx: Context, method_id: str, customer_id: str) -> None:
    customer = ctx.get("customer", customer_id)
    if customer["invoice_settings"]["default_payment_method"] == method_id:
        settings = customer["invoice_settings"] | {"default_payment_method": None}
        ctx.update(customer | {"invoice_settings": settings}, "customer.updated")
    for subscription in ctx.select(Page(kind="subscription", conditions=("customer=?",), arguments=(customer_id,))):
        if subscription["default_payment_method"] == method_id:
            ctx.update(subscription | {"default_payment_method": None}, "customer.subscription.updated")


def _get(call: Call) -> Doc:
    return call.ctx.shown(call.ctx.get("payment_method", call.ids[0]))


def _update(call: Call) -> Doc:
    method = call.ctx.get("payment_method", call.ids[0])
    if "metadata" in call.params:
        method["metadata"] = merge_metadata(method["metadata"], call.params["metadata"])
    return call.ctx.update(method, "payment_method.updated")


def _list(call: Call) -> Doc:
    customer_id = call.params.get("customer")
    if customer_id is None:
        return list_of("/v1/payment_methods", [])
    call.ctx.get("customer", customer_id, "customer")
    return answer_list(call, listing("/v1/payment_methods"), (("customer=?", customer_id),))


_CREATE = table(
    {
        "billing_details": NotSimulated(("",)),
        "card": Hash(fields={"token": Text()}, required=("token",)),
        "metadata": Metadata(),
        "type": Choice(words=("card",)),
    },
    ("type", "card"),
)
ENDPOINTS = (
    Endpoint("POST", "/v1/payment_methods", _CREATE, _create),
    Endpoint("GET", "/v1/payment_methods", LIST, _list),
    Endpoint("GET", "/v1/payment_methods/*", table(), _get),
    Endpoint("POST", "/v1/payment_methods/*", table({"metadata": Metadata()}), _update),
    Endpoint("POST", "/v1/payment_methods/*/attach", table({"customer": Text()}, ("customer",)), _attach),
    Endpoint("POST", "/v1/payment_methods/*/detach", table(), _detach),
)

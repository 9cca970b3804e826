"""Checkout sessions: what is to be sold on the hosted page, and what became of it.

Stripe: ``url`` only while open; session metadata is not the subscription's; ``amount_total`` is what is due now, so
metered lines add nothing; a session ends by completion, by request or by its own clock.
"""

from __future__ import annotations

from decimal import Decimal

from stripe_sandbox.context import Context
from stripe_sandbox.documents import Call, Doc, Kind, Params, list_of, new_id, public, random_text
from stripe_sandbox.engine import lines, taxes, timers
from stripe_sandbox.engine.amounts import line_amount
from stripe_sandbox.objects import checkout_sums
from stripe_sandbox.objects.checkout_params import CREATE, LIST, check, expiry, priced_lines
from stripe_sandbox.wire.errors import BadRequest
from stripe_sandbox.wire.paging import Listing, answer_list, json_field, slice_list
from stripe_sandbox.wire.routing import Endpoint
from stripe_sandbox.wire.schema import Metadata, list_table, merge_metadata, table

NAME = "checkout.session"
EXPIRY_TIMER = "expire_checkout"
_URL = "/v1/checkout/sessions"
_ID_LENGTH = 58
_EMBEDDED_LINES = 10
_LISTING = Listing(
    kind=NAME,
    url=_URL,
    equals={
        "customer": "customer",
        "payment_intent": json_field("payment_intent"),
        "status": json_field("status"),
        "subscription": json_field("subscription"),
    },
    ranges={"created": "created"},
)
_ECHOED = (
    "allow_promotion_codes",
    "billing_address_collection",
    "cancel_url",
    "client_reference_id",
    "customer",
    "customer_creation",
    "customer_email",
    "integration_identifier",
    "locale",
    "origin_context",
    "payment_method_collection",
    "submit_type",
    "success_url",
)
_NULL = (
    "after_expiration",
    "allowed_payment_method_types",
    "client_secret",
    "collected_information",
    "consent",
    "consent_collection",
    "currency_conversion",
    "customer_account",
    "customer_details",
    "excluded_payment_method_types",
    "invoice",
    "invoice_creation",
    "managed_payments",
    "optional_items",
    "payment_intent",
    "payment_link",
    "payment_method_configuration_details",
    "permissions",
    "recovered_from",
    "return_url",
    "saved_payment_method_options",
    "setup_intent",
    "shipping_address_collection",
    "shipping_cost",
    "subscription",
    "wallet_options",
)


def show_session(ctx: Context, session: Doc) -> Doc:
    """Return a session; its address leads to the page of this very process, while it is open."""
    open_ = session["status"] == "open"
    return public(session) | {"url": f"{ctx.store.origin}{page_path(ctx.account, session['id'])}" if open_ else None}


def page_path(account: str, session_id: str) -> str:
    """Return the path of a session's hosted page."""
    return f"/c/pay/{account}/{session_id}"


def _lines_of(ctx: Context, shown: Doc) -> Doc:
    items = [public(item) for item in ctx.get(NAME, shown["id"])["_lines"]]
    url = f"{_URL}/{shown['id']}/line_items"
    return list_of(url, items[:_EMBEDDED_LINES], has_more=len(items) > _EMBEDDED_LINES)


KIND = Kind(
    name=NAME,
    label=NAME,
    render=show_session,
    omitted=("excluded_payment_method_types", "return_url"),
    expandable={
        "customer": "customer",
        "invoice": "invoice",
        "payment_intent": "payment_intent",
        "setup_intent": "setup_intent",
        "subscription": "subscription",
    },
    includable={"line_items": _lines_of},
)
ITEM_KIND = Kind(name="item", label="item")


def _create(call: Call) -> Doc:
    ctx, sent = call.ctx, call.params
    check(ctx, sent)
    now_s = ctx.now()
    session = _new(sent, now_s) | {"expires_at": expiry(sent, now_s)}
    sold = [_line(ctx, line, price) for line, price in priced_lines(ctx, sent)]
    customer = ctx.get("customer", sent["customer"], "customer") if "customer" in sent else None
    session["automatic_tax"] = checkout_sums.automatic_tax(sent, customer)
    session["currency"] = sold[0]["currency"] if sold else str(sent.get("currency", "usd")).lower()
    session["_lines"] = sold
    session["discounts"] = checkout_sums.read_discounts(ctx, session, sent)
    checkout_sums.sum_up(ctx, session)
    if customer or session["customer_email"]:
        session["customer_details"] = details_of(customer or {"email": session["customer_email"]})
    ctx.write(session)
    timers.arm(ctx, session, EXPIRY_TIMER, session["expires_at"])
    return ctx.shown(session)


def _new(sent: Params, now_s: int) -> Doc:
    mode = sent.get("mode", "payment")
    return {
        "id": f"cs_test_{random_text(_ID_LENGTH)}",
        "object": NAME,
        **dict.fromkeys(_NULL),
        **{name: sent.get(name) for name in _ECHOED},
        "adaptive_pricing": {"enabled": False},
        "automatic_tax": {"enabled": False, "liability": None, "provider": None, "status": None},
        "billing_address_collection": sent.get("billing_address_collection", "auto"),
        "created": now_s,
        "customer_creation": _creation(sent, mode),
        "custom_fields": [],
        "custom_text": dict.fromkeys(
            ("after_submit", "shipping_address", "submit", "terms_of_service_acceptance"),
        ),
        "discounts": [],
        "livemode": False,
        "metadata": merge_metadata({}, sent.get("metadata", {})),
        "mode": mode,
        "payment_method_collection": sent.get("payment_method_collection", "always"),
        "payment_method_options": {"card": {"request_three_d_secure": "automatic"}},
        "payment_method_types": ["card"],
        "phone_number_collection": sent.get("phone_number_collection") or {"enabled": False},
        "shipping_options": [],
        "status": "open",
        "tax_id_collection": {"enabled": False, "required": "never"} | (sent.get("tax_id_collection") or {}),
        "total_details": {"amount_discount": 0, "amount_shipping": 0, "amount_tax": 0},
        "ui_mode": "hosted_page",
        "_data": sent.get("subscription_data")
        or sent.get("payment_intent_data")
        or sent.get("setup_intent_data")
        or {},
    }


def _creation(sent: Params, mode: str) -> str | None:
    if "customer" in sent:
        return None
    return "always" if mode == "subscription" else str(sent.get("customer_creation", "if_required"))


def _line(ctx: Context, line: Params, price: Doc) -> Doc:
    quantity = line.get("quantity")
    amount = 0 if quantity is None else line_amount(Decimal(quantity), price["unit_amount_decimal"])
    item: Doc = {
        "id": new_id("li"),
        "object": "item",
        "adjustable_quantity": None,
        "amount_discount": 0,
        "amount_subtotal": amount,
        "amount_tax": 0,
        "amount_total": amount,
        "currency": price["currency"],
        "description": (ctx.find("product", price["product"]) or {}).get("name"),
        "metadata": merge_metadata({}, line.get("metadata", {})),
        "price": public(price),
        "quantity": quantity,
        "_amount": amount,
        "_tax_rates": taxes.check_rates(ctx, line.get("tax_rates"), "line_items[tax_rates]"),
    }
    return item


def details_of(customer: Doc) -> Doc:
    """Return who is buying, as a session shows it."""
    return {
        "address": customer.get("address"),
        "business_name": None,
        "email": customer.get("email"),
        "individual_name": None,
        "name": customer.get("name"),
        "phone": customer.get("phone"),
        "tax_exempt": customer.get("tax_exempt", "none"),
        "tax_ids": [],
    }


def is_metered(item: Doc) -> bool:
    """Return whether a sold line is billed by usage."""
    return bool(item["price"]["recurring"]) and lines.is_metered(item["price"])


def _get(call: Call) -> Doc:
    return call.ctx.shown(call.ctx.get(NAME, call.ids[0]))


def _update(call: Call) -> Doc:
    session = call.ctx.get(NAME, call.ids[0])
    if "metadata" in call.params:
        session["metadata"] = merge_metadata(session["metadata"], call.params["metadata"])
    return call.ctx.add(session, None)


def _list(call: Call) -> Doc:
    email = (call.params.get("customer_details") or {}).get("email")
    extra = ((f"{json_field('customer_details.email')}=?", email),) if email else ()
    return answer_list(call, _LISTING, extra)


def _line_items(call: Call) -> Doc:
    session = call.ctx.get(NAME, call.ids[0])
    items = [public(item) for item in session["_lines"]]
    return slice_list(f"{_URL}/{session['id']}/line_items", items, call.params)


def _expire(call: Call) -> Doc:
    session = call.ctx.get(NAME, call.ids[0])
    if session["status"] != "open":
        raise BadRequest(
            'Only Checkout Sessions with a status in ["open"] can be expired.'
            f" This Checkout Session has a status of `{session['status']}`."
        )
    return expire(call.ctx, session)


def expire(ctx: Context, session: Doc) -> Doc:
    """End an open session without a sale."""
    timers.disarm(ctx, session["id"], EXPIRY_TIMER)
    session |= {"status": "expired", "_pending": None}
    return ctx.add(session, "checkout.session.expired")


def expire_by_clock(ctx: Context, session_id: str) -> None:
    """End a session whose time is over."""
    session = ctx.get(NAME, session_id)
    if session["status"] == "open":
        expire(ctx, session)


ENDPOINTS = (
    Endpoint("POST", _URL, CREATE, _create),
    Endpoint("GET", _URL, LIST, _list),
    Endpoint("GET", f"{_URL}/*", table(), _get),
    Endpoint("POST", f"{_URL}/*", table({"metadata": Metadata()}), _update),
    Endpoint("GET", f"{_URL}/*/line_items", list_table(), _line_items),
    Endpoint("POST", f"{_URL}/*/expire", table(), _expire),
)

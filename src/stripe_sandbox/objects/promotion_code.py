"""Promotion codes: the words a customer types to get a coupon, and to whom and when they are good for it.

Stripe: of one code only one can be active at a time, whatever its case; a code cannot outlive its coupon.
"""

from __future__ import annotations

import secrets
import string

from stripe_sandbox.context import Context
from stripe_sandbox.documents import Call, Doc, Kind, Params, new_id, public
from stripe_sandbox.engine import discounts
from stripe_sandbox.store import Page
from stripe_sandbox.wire.errors import BadRequest, missing_param
from stripe_sandbox.wire.paging import Listing, answer_list, json_field
from stripe_sandbox.wire.routing import Endpoint
from stripe_sandbox.wire.schema import (
    Boolean,
    Choice,
    Hash,
    Integer,
    Metadata,
    NotSimulated,
    Range,
    Text,
    list_table,
    merge_metadata,
    table,
)

_URL = "/v1/promotion_codes"
_CODE_LENGTH = 8
_RESTRICTIONS = Hash(
    fields={
        "currency_options": NotSimulated(("",)),
        "first_time_transaction": Boolean(),
        "minimum_amount": Integer(minimum=1),
        "minimum_amount_currency": Text(pattern=r"[A-Za-z]{3}"),
    }
)
_PROMOTION = Hash(fields={"coupon": Text(), "type": Choice(words=("coupon",))}, required=("type",))
CREATE = table(
    {
        "active": Boolean(),
        "code": Text(max_length=500, pattern=r"[A-Za-z0-9-]+"),
        "customer": Text(),
        "customer_account": NotSimulated(),
        "expires_at": Integer(minimum=1),
        "max_redemptions": Integer(minimum=1),
        "metadata": Metadata(),
        "promotion": _PROMOTION,
        "restrictions": _RESTRICTIONS,
    },
    ("promotion",),
)
UPDATE = table(
    {
        "active": Boolean(),
        "metadata": Metadata(),
        "restrictions": Hash(fields={"currency_options": NotSimulated(("",))}),
    }
)
LIST = list_table(
    {"active": Boolean(), "code": Text(), "coupon": Text(), "created": Range(), "customer": Text()},
)
_LISTING = Listing(
    kind="promotion_code",
    url=_URL,
    equals={
        "code": json_field("code"),
        "coupon": json_field("promotion.coupon"),
        "customer": json_field("customer"),
    },
    ranges={"created": "created"},
)


def show_code(ctx: Context, code: Doc) -> Doc:
    """Return a code; one that nobody can use any more is not active."""
    return public(code) | {"active": _usable(ctx, code)}


def _usable(ctx: Context, code: Doc) -> bool:
    now_s = ctx.now()
    late = code["expires_at"] is not None and code["expires_at"] <= now_s
    used_up = code["max_redemptions"] is not None and code["times_redeemed"] >= code["max_redemptions"]
    coupon = ctx.find("coupon", code["promotion"]["coupon"])
    return bool(code["active"] and not late and not used_up and coupon and discounts.is_valid(coupon, now_s))


KIND = Kind(
    name="promotion_code",
    label="promotion code",
    render=show_code,
    expandable={"customer": "customer", "promotion.coupon": "coupon"},
)


def active_code(ctx: Context, typed: str) -> Doc | None:
    """Return the active code of those letters, whatever their case."""
    condition = f"lower({json_field('code')})=?"
    page = Page(kind="promotion_code", conditions=(condition,), arguments=(typed.lower(),))
    return next((code for code in ctx.select(page) if _usable(ctx, code)), None)


def _create(call: Call) -> Doc:
    ctx, sent = call.ctx, call.params
    if "coupon" not in sent["promotion"]:
        raise missing_param("promotion[coupon]")
    coupon = ctx.get("coupon", sent["promotion"]["coupon"], "promotion[coupon]")
    if not discounts.is_valid(coupon, ctx.now()):
        raise BadRequest(f"Coupon expired: {coupon['id']}", code="coupon_expired", param="promotion[coupon]")
    if "customer" in sent:
        ctx.get("customer", sent["customer"], "customer")
    _check_dates(sent, coupon)
    typed = sent.get("code") or "".join(
        secrets.choice(string.ascii_uppercase + string.digits) for _ in range(_CODE_LENGTH)
    )
    active = sent.get("active", True)
    if active:
        _refuse_second(ctx, typed)
    code: Doc = {
        "id": new_id("promo"),
        "object": "promotion_code",
        "active": active,
        "code": typed,
        "created": ctx.now(),
        "customer": sent.get("customer"),
        "customer_account": None,
        "expires_at": sent.get("expires_at"),
        "livemode": False,
        "max_redemptions": sent.get("max_redemptions"),
        "metadata": merge_metadata({}, sent.get("metadata", {})),
        "promotion": {"coupon": coupon["id"], "type": "coupon"},
        "restrictions": _restrictions(sent.get("restrictions") or {}),
        "times_redeemed": 0,
    }
    return ctx.add(code, "promotion_code.created")


def _check_dates(sent: Params, coupon: Doc) -> None:
    if coupon["redeem_by"] is not None and sent.get("expires_at", 0) > coupon["redeem_by"]:
        raise BadRequest("A promotion code cannot expire after its coupon.", param="expires_at")
    if coupon["max_redemptions"] is not None and sent.get("max_redemptions", 0) > coupon["max_redemptions"]:
        raise BadRequest("A promotion code cannot be redeemed more often than its coupon.", param="max_redemptions")


def _refuse_second(ctx: Context, typed: str, own: str | None = None) -> None:
    other = active_code(ctx, typed)
    if other is not None and other["id"] != own:
        message = f"An active promotion code with `code: {typed}` already exists."
        raise BadRequest(message, code="resource_already_exists", param="code")


def _restrictions(sent: Params) -> Doc:
    if ("minimum_amount" in sent) != ("minimum_amount_currency" in sent):
        raise missing_param("restrictions[minimum_amount_currency]")
    currency = sent.get("minimum_amount_currency")
    return {
        "first_time_transaction": sent.get("first_time_transaction", False),
        "minimum_amount": sent.get("minimum_amount"),
        "minimum_amount_currency": currency.lower() if currency else None,
    }


def _get(call: Call) -> Doc:
    return call.ctx.shown(call.ctx.get("promotion_code", call.ids[0]))


def _update(call: Call) -> Doc:
    code, sent = call.ctx.get("promotion_code", call.ids[0]), call.params
    if sent.get("active"):
        _refuse_second(call.ctx, code["code"], code["id"])
    code["active"] = sent.get("active", code["active"])
    if "metadata" in sent:
        code["metadata"] = merge_metadata(code["metadata"], sent["metadata"])
    return call.ctx.update(code, "promotion_code.updated")


def _list(call: Call) -> Doc:
    extra: list[tuple[str, object]] = []
    if "active" in call.params:
        extra.append((f"{json_field('active')}={1 if call.params['active'] else 0}", None))
    return answer_list(call, _LISTING, tuple(extra))


ENDPOINTS = (
    Endpoint("POST", _URL, CREATE, _create),
    Endpoint("GET", _URL, LIST, _list),
    Endpoint("GET", f"{_URL}/*", table(), _get),
    Endpoint("POST", f"{_URL}/*", UPDATE, _update),
)

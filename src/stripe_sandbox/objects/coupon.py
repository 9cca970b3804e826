"""Coupons: what is taken off, for how long, of which products, how often.

Stripe: either ``percent_off`` or ``amount_off`` with a currency; terms cannot change; a deleted coupon can no longer be
redeemed, and the discounts made of it stay.
"""

from __future__ import annotations

import secrets
import string
from decimal import Decimal

from stripe_sandbox.context import Context
from stripe_sandbox.documents import Call, Doc, Kind, Params, deleted_stub, public
from stripe_sandbox.engine import discounts
from stripe_sandbox.engine.amounts import plain
from stripe_sandbox.wire.errors import BadRequest, missing_param
from stripe_sandbox.wire.paging import Listing, answer_list
from stripe_sandbox.wire.routing import Endpoint
from stripe_sandbox.wire.schema import (
    Array,
    Choice,
    Hash,
    Integer,
    Metadata,
    NotSimulated,
    Number,
    Range,
    Text,
    Type,
    list_table,
    merge_metadata,
    table,
)

_URL = "/v1/coupons"
_MAX_MINOR = 99_999_999
_ID_LENGTH = 8
_LONGEST_MONTHS = 36
_WHOLE = Decimal(100)
_SHARED: dict[str, Type] = {
    "currency_options": NotSimulated(("",)),
    "metadata": Metadata(),
    "name": Text(max_length=40, clearable=True),
}
CREATE = table(
    {
        **_SHARED,
        "amount_off": Integer(minimum=1, maximum=_MAX_MINOR),
        "applies_to": Hash(fields={"products": Array(Text())}),
        "currency": Text(pattern=r"[A-Za-z]{3}"),
        "duration": Choice(words=("forever", "once", "repeating")),
        "duration_in_months": Integer(minimum=1, maximum=_LONGEST_MONTHS),
        "id": Text(max_length=200, pattern=r"[A-Za-z0-9_.-]+"),
        "max_redemptions": Integer(minimum=1),
        "percent_off": Number(places=4),
        "redeem_by": Integer(minimum=1),
    }
)
_LISTING = Listing(kind="coupon", url=_URL, ranges={"created": "created"})


def as_number(text: str) -> int | float:
    """Return a percentage as the JSON number Stripe shows; nothing is counted with it."""
    exact = Decimal(text)
    return int(exact) if exact == exact.to_integral_value() else float(exact)


def show_coupon(ctx: Context, coupon: Doc) -> Doc:
    """Return a coupon with whether it can still be redeemed."""
    percent = coupon["_percent"]
    shown = public(coupon) | {
        "percent_off": as_number(percent) if percent is not None else None,
        "valid": discounts.is_valid(coupon, ctx.now()),
    }
    return {name: value for name, value in shown.items() if name not in {"applies_to", "currency_options"}}


def _limits(ctx: Context, shown: Doc) -> Doc | None:
    found: Doc | None = (ctx.find("coupon", shown["id"]) or {}).get("applies_to")
    return found


KIND = Kind(name="coupon", label="coupon", render=show_coupon, includable={"applies_to": _limits})


def _create(call: Call) -> Doc:
    ctx, sent = call.ctx, call.params
    coupon_id = sent.get("id") or "".join(
        secrets.choice(string.ascii_letters + string.digits) for _ in range(_ID_LENGTH)
    )
    known = ctx.find("coupon", coupon_id)
    if known is not None and not known.get("deleted"):
        raise BadRequest(f"Coupon already exists: {coupon_id}", code="resource_already_exists", param="id")
    percent = _check_terms(sent)
    limited = sent.get("applies_to")
    for index, product in enumerate((limited or {}).get("products") or []):
        ctx.get("product", product, f"applies_to[products][{index}]")
    coupon: Doc = {
        "id": coupon_id,
        "object": "coupon",
        "amount_off": sent.get("amount_off"),
        "applies_to": limited,
        "created": ctx.now(),
        "currency": sent["currency"].lower() if "amount_off" in sent else None,
        "currency_options": None,
        "duration": sent.get("duration", "once"),
        "duration_in_months": sent.get("duration_in_months"),
        "livemode": False,
        "max_redemptions": sent.get("max_redemptions"),
        "metadata": merge_metadata({}, sent.get("metadata", {})),
        "name": sent.get("name"),
        "redeem_by": sent.get("redeem_by"),
        "times_redeemed": 0,
        "_percent": plain(percent) if percent is not None else None,
    }
    return ctx.add(coupon, "coupon.created")


def _check_terms(sent: Params) -> Decimal | None:
    if ("percent_off" in sent) == ("amount_off" in sent):
        message = "You must give either percent_off or amount_off."
        raise BadRequest(message, code="parameters_exclusive", param="percent_off")
    if "amount_off" in sent and "currency" not in sent:
        raise missing_param("currency")
    if (sent.get("duration") == "repeating") != ("duration_in_months" in sent):
        raise BadRequest("duration_in_months goes with duration=repeating.", param="duration_in_months")
    percent: Decimal | None = sent.get("percent_off")
    if percent is not None and not 0 < percent <= _WHOLE:
        raise BadRequest("percent_off must be above 0 and at most 100.", param="percent_off")
    return percent


def _get(call: Call) -> Doc:
    return call.ctx.shown(call.ctx.get("coupon", call.ids[0]))


def _update(call: Call) -> Doc:
    coupon, sent = call.ctx.get("coupon", call.ids[0]), call.params
    if "name" in sent:
        coupon["name"] = sent["name"]
    if "metadata" in sent:
        coupon["metadata"] = merge_metadata(coupon["metadata"], sent["metadata"])
    return call.ctx.update(coupon, "coupon.updated")


def _delete(call: Call) -> Doc:
    coupon = call.ctx.get("coupon", call.ids[0])
    call.ctx.emit("coupon.deleted", call.ctx.shown(coupon))
    call.ctx.write(coupon | {"deleted": True})
    return deleted_stub(coupon)


def _list(call: Call) -> Doc:
    return answer_list(call, _LISTING)


ENDPOINTS = (
    Endpoint("POST", _URL, CREATE, _create),
    Endpoint("GET", _URL, list_table({"created": Range()}), _list),
    Endpoint("GET", f"{_URL}/*", table(), _get),
    Endpoint("POST", f"{_URL}/*", table(_SHARED), _update),
    Endpoint("DELETE", f"{_URL}/*", table(), _delete),
)

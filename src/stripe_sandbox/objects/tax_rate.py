"""Tax rates: a percentage with a name, in the price or on top of it. What they say of money cannot change."""

from __future__ import annotations

from decimal import Decimal

from stripe_sandbox.context import Context
from stripe_sandbox.documents import Call, Doc, Kind, public
from stripe_sandbox.engine import taxes
from stripe_sandbox.engine.amounts import plain
from stripe_sandbox.objects.coupon import as_number
from stripe_sandbox.wire.errors import BadRequest
from stripe_sandbox.wire.paging import Listing, answer_list, json_field
from stripe_sandbox.wire.routing import Endpoint
from stripe_sandbox.wire.schema import (
    Array,
    Boolean,
    Choice,
    Metadata,
    Number,
    Range,
    Text,
    Type,
    list_table,
    merge_metadata,
    table,
)

_URL = "/v1/tax_rates"
_WHOLE = Decimal(100)
_TYPES = (
    "admissions_tax amusement_tax attendance_tax communications_tax digital_excise_tax entertainment_tax get_fund"
    " gross_receipts_tax gst hospitality_tax hst igst jct lease_tax luxury_tax mass_transit_parking_tax nhil"
    " parking_tax pst qst resort_tax retail_delivery_fee rst sales_tax service_tax tourism_tax utility_users_tax vat"
)
RATES = Array(Text(), 5, clearable=True)
_SHARED: dict[str, Type] = {
    "active": Boolean(),
    "country": Text(pattern=r"[A-Z]{2}"),
    "description": Text(),
    "display_name": Text(max_length=50),
    "jurisdiction": Text(max_length=50),
    "metadata": Metadata(),
    "state": Text(max_length=10),
    "tax_type": Choice(words=tuple(_TYPES.split())),
}
CREATE = table(
    {**_SHARED, "inclusive": Boolean(), "percentage": Number(places=4, minimum=Decimal(0))},
    ("display_name", "inclusive", "percentage"),
)
LIST = list_table({"active": Boolean(), "created": Range(), "inclusive": Boolean()})
_LISTING = Listing(
    kind=taxes.KIND,
    url=_URL,
    equals={name: json_field(name) for name in ("active", "inclusive")},
    ranges={"created": "created"},
)


def show_rate(_ctx: Context, rate: Doc) -> Doc:
    """Return a rate with its percentage as a number."""
    return public(rate) | {"percentage": as_number(rate["_percent"])}


KIND = Kind(name=taxes.KIND, label="tax rate", render=show_rate)


def _create(call: Call) -> Doc:
    ctx, sent = call.ctx, call.params
    if sent["percentage"] > _WHOLE:
        raise BadRequest("percentage must be at most 100.", param="percentage")
    rate = taxes.rate_doc(ctx.now(), plain(sent["percentage"]), inclusive=sent["inclusive"])
    rate |= {name: sent[name] for name in _SHARED if name in sent and name != "metadata"}
    rate["metadata"] = merge_metadata({}, sent.get("metadata", {}))
    return ctx.add(rate, "tax_rate.created")


def _get(call: Call) -> Doc:
    return call.ctx.shown(call.ctx.get(taxes.KIND, call.ids[0]))


def _update(call: Call) -> Doc:
    rate, sent = call.ctx.get(taxes.KIND, call.ids[0]), call.params
    rate |= {name: sent[name] for name in _SHARED if name in sent and name != "metadata"}
    if "metadata" in sent:
        rate["metadata"] = merge_metadata(rate["metadata"], sent["metadata"])
    return call.ctx.update(rate, "tax_rate.updated")


def _list(call: Call) -> Doc:
    return answer_list(call, _LISTING)


ENDPOINTS = (
    Endpoint("POST", _URL, CREATE, _create),
    Endpoint("GET", _URL, LIST, _list),
    Endpoint("GET", f"{_URL}/*", table(), _get),
    Endpoint("POST", f"{_URL}/*", table(_SHARED), _update),
)

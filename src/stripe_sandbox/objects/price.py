"""Prices: licensed and metered, immutable in amount and recurrence.

Stripe: a metered price names an active meter; ``unit_amount_decimal`` has at most 12 places in minor units, and
``unit_amount`` is null when it is not whole; a lookup key belongs to one price unless it is transferred.
"""

from __future__ import annotations

from decimal import Decimal

from stripe_sandbox.context import Context
from stripe_sandbox.documents import Call, Doc, Kind, Params, new_id
from stripe_sandbox.engine.amounts import plain
from stripe_sandbox.objects.product import new_product
from stripe_sandbox.store import Page
from stripe_sandbox.wire.errors import BadRequest, StripeError, missing_param
from stripe_sandbox.wire.paging import Listing, answer_list, json_field
from stripe_sandbox.wire.routing import Endpoint
from stripe_sandbox.wire.schema import (
    Array,
    Boolean,
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

INTERVALS = ("day", "week", "month", "year")
_LONGEST_YEARS = 3
_LONGEST = {"day": 365 * 3, "week": 52 * 3, "month": 12 * 3, "year": _LONGEST_YEARS}
_MAX_AMOUNT_MINOR = 99_999_999_999
_RECURRING = Hash(
    fields={
        "interval": Choice(words=INTERVALS),
        "interval_count": Integer(minimum=1),
        "meter": Text(),
        "trial_period_days": NotSimulated(),
        "usage_type": Choice(words=("licensed", "metered")),
    },
    required=("interval",),
)
_SHARED: dict[str, Type] = {
    "active": Boolean(),
    "lookup_key": Text(max_length=200, clearable=True),
    "metadata": Metadata(),
    "nickname": Text(clearable=True),
    "tax_behavior": Choice(words=("exclusive", "inclusive", "unspecified")),
    "transfer_lookup_key": Boolean(),
    "currency_options": NotSimulated(),
}
_PRODUCT_DATA = Hash(
    fields={
        "name": Text(max_length=250),
        "id": Text(),
        "active": Boolean(),
        "metadata": Metadata(),
        "statement_descriptor": Text(),
        "tax_code": Text(),
        "unit_label": Text(),
    },
    required=("name",),
)
CREATE = table(
    {
        **_SHARED,
        "billing_scheme": Choice(words=("per_unit", "tiered")),
        "currency": Text(pattern=r"[A-Za-z]{3}"),
        "custom_unit_amount": NotSimulated(),
        "product": Text(),
        "product_data": _PRODUCT_DATA,
        "recurring": _RECURRING,
        "tiers": NotSimulated(),
        "tiers_mode": NotSimulated(),
        "transform_quantity": NotSimulated(),
        "unit_amount": Integer(minimum=0, maximum=_MAX_AMOUNT_MINOR),
        "unit_amount_decimal": Number(places=12, minimum=Decimal(0)),
    },
    ("currency",),
)
UPDATE = table(_SHARED)
LIST = list_table(
    {
        "active": Boolean(),
        "created": Range(),
        "currency": Text(),
        "lookup_keys": Array(Text(), 10),
        "product": Text(),
        "recurring": Hash(
            fields={
                "interval": Choice(words=INTERVALS),
                "meter": Text(),
                "usage_type": Choice(words=("licensed", "metered")),
            }
        ),
        "type": Choice(words=("one_time", "recurring")),
    }
)
_LISTING = Listing(
    kind="price",
    url="/v1/prices",
    equals={name: json_field(name) for name in ("active", "currency", "product", "type")},
    ranges={"created": "created"},
)


def _product_of(price: Doc) -> str | None:
    found: str | None = price["product"]
    return found


KIND = Kind(name="price", label="price", parent=_product_of, expandable={"product": "product"})


def _create(call: Call) -> Doc:
    ctx, sent = call.ctx, call.params
    if sent.get("billing_scheme") == "tiered":
        raise BadRequest("This sandbox does not simulate tiered prices.", param="billing_scheme")
    exact = _amount(sent)
    price: Doc = {
        "id": new_id("price"),
        "object": "price",
        "active": sent.get("active", True),
        "billing_scheme": "per_unit",
        "created": ctx.now(),
        "currency": sent["currency"].lower(),
        "custom_unit_amount": None,
        "livemode": False,
        "lookup_key": None,
        "metadata": merge_metadata({}, sent.get("metadata", {})),
        "nickname": sent.get("nickname"),
        "product": _product(ctx, sent),
        "recurring": _recurring(ctx, sent.get("recurring")),
        "tax_behavior": sent.get("tax_behavior", "unspecified"),
        "tiers_mode": None,
        "transform_quantity": None,
        "type": "recurring" if "recurring" in sent else "one_time",
        "unit_amount": int(exact) if exact == exact.to_integral_value() else None,
        "unit_amount_decimal": plain(exact),
    }
    _take_lookup_key(ctx, price, sent)
    return ctx.add(price, "price.created")


def _amount(sent: Params) -> Decimal:
    if "unit_amount" in sent and "unit_amount_decimal" in sent:
        raise BadRequest(
            "You may only give one of these parameters: unit_amount, unit_amount_decimal.",
            code="parameters_exclusive",
            param="unit_amount",
        )
    if "unit_amount" not in sent and "unit_amount_decimal" not in sent:
        raise missing_param("unit_amount")
    exact: Decimal = sent["unit_amount_decimal"] if "unit_amount_decimal" in sent else Decimal(sent["unit_amount"])
    return exact


def _product(ctx: Context, sent: Params) -> str:
    if "product" in sent and "product_data" in sent:
        raise BadRequest(
            "You may only give one of these parameters: product, product_data.",
            code="parameters_exclusive",
            param="product",
        )
    if "product_data" in sent:
        return str(ctx.add(new_product(sent["product_data"], ctx.now()), "product.created")["id"])
    if "product" not in sent:
        raise missing_param("product")
    return str(ctx.get("product", sent["product"], "product")["id"])


def _recurring(ctx: Context, sent: Params | None) -> Doc | None:
    if sent is None:
        return None
    usage_type, meter_id = sent.get("usage_type", "licensed"), sent.get("meter")
    if usage_type == "metered" and meter_id is None:
        raise BadRequest("A metered price must name a meter.", code="parameter_missing", param="recurring[meter]")
    if usage_type == "licensed" and meter_id is not None:
        raise BadRequest("Only a metered price can name a meter.", param="recurring[meter]")
    if meter_id and ctx.get("billing.meter", meter_id, "recurring[meter]")["status"] != "active":
        raise BadRequest("The meter of a new price must be active.", param="recurring[meter]")
    count = sent.get("interval_count", 1)
    if count > _LONGEST[sent["interval"]]:
        raise BadRequest("The longest interval is three years.", param="recurring[interval_count]")
    return {
        "interval": sent["interval"],
        "interval_count": count,
        "meter": meter_id,
        "trial_period_days": None,
        "usage_type": usage_type,
    }


def _take_lookup_key(ctx: Context, price: Doc, sent: Params) -> None:
    if "lookup_key" not in sent:
        return
    key = sent["lookup_key"]
    for holder in _holders(ctx, key) if key else []:
        if holder["id"] == price["id"]:
            continue
        if not sent.get("transfer_lookup_key"):
            raise _taken(key, holder["id"])
        ctx.update(holder | {"lookup_key": None}, "price.updated")
    price["lookup_key"] = key


def _holders(ctx: Context, key: str) -> list[Doc]:
    return ctx.select(Page(kind="price", conditions=(f"{json_field('lookup_key')}=?",), arguments=(key,)))


def _taken(key: str, holder: str) -> StripeError:
    return BadRequest(
        f"A price (`{holder}`) already uses that lookup key: {key}.", code="resource_already_exists", param="lookup_key"
    )


def _get(call: Call) -> Doc:
    return call.ctx.shown(call.ctx.get("price", call.ids[0]))


def _update(call: Call) -> Doc:
    price, sent = call.ctx.get("price", call.ids[0]), call.params
    price |= {name: sent[name] for name in ("active", "nickname", "tax_behavior") if name in sent}
    if "metadata" in sent:
        price["metadata"] = merge_metadata(price["metadata"], sent["metadata"])
    _take_lookup_key(call.ctx, price, sent)
    return call.ctx.update(price, "price.updated")


def _list(call: Call) -> Doc:
    sent = call.params
    extra: list[tuple[str, object]] = [
        (f"{json_field(f'recurring.{name}')}=?", value) for name, value in (sent.get("recurring") or {}).items()
    ]
    if "lookup_keys" in sent:
        names = "\x1f" + "\x1f".join(sent["lookup_keys"]) + "\x1f"
        extra.append((f"instr(?, char(31) || {json_field('lookup_key')} || char(31)) > 0", names))
    return answer_list(call, _LISTING, tuple(extra))


ENDPOINTS = (
    Endpoint("POST", "/v1/prices", CREATE, _create),
    Endpoint("GET", "/v1/prices", LIST, _list),
    Endpoint("GET", "/v1/prices/*", table(), _get),
    Endpoint("POST", "/v1/prices/*", UPDATE, _update),
)

"""Products: what prices are prices of."""

from __future__ import annotations

from stripe_sandbox.documents import Call, Doc, Kind, Params, deleted_stub, new_id
from stripe_sandbox.store import Page
from stripe_sandbox.wire.errors import BadRequest
from stripe_sandbox.wire.paging import Listing, answer_list, json_field
from stripe_sandbox.wire.routing import Endpoint
from stripe_sandbox.wire.schema import (
    Array,
    Boolean,
    Hash,
    Metadata,
    NotSimulated,
    Range,
    Text,
    Type,
    list_table,
    merge_metadata,
    table,
)

KIND = Kind(name="product", label="product", expandable={"default_price": "price"})
_URL = Text(pattern=r"https?://[^\s]+", code="url_invalid", clearable=True)
_SHARED: dict[str, Type] = {
    "active": Boolean(),
    "description": Text(max_length=40000, clearable=True),
    "images": Array(Text(), 8, clearable=True),
    "marketing_features": Array(Hash(fields={"name": Text(max_length=80)}, required=("name",)), 15, clearable=True),
    "metadata": Metadata(),
    "name": Text(max_length=250),
    "statement_descriptor": Text(max_length=22, clearable=True),
    "tax_code": Text(clearable=True),
    "tax_details": NotSimulated(),
    "unit_label": Text(max_length=12, clearable=True),
    "url": _URL,
}
CREATE = table(
    {**_SHARED, "id": Text(max_length=100), "default_price_data": NotSimulated(), "shippable": Boolean()}, ("name",)
)
UPDATE = table({**_SHARED, "default_price": Text(clearable=True)})
LIST = list_table({"active": Boolean(), "ids": Array(Text()), "created": Range(), "url": Text()})
_LISTING = Listing(
    kind="product",
    url="/v1/products",
    equals={"active": json_field("active"), "url": json_field("url")},
    ranges={"created": "created"},
)
_PLAIN = ("active", "description", "name", "statement_descriptor", "tax_code", "unit_label", "url")


def new_product(params: Params, now_s: int) -> Doc:
    """Return a new product document."""
    product: Doc = {
        "id": params.get("id") or new_id("prod"),
        "object": "product",
        "active": True,
        "created": now_s,
        "default_price": None,
        "description": None,
        "images": [],
        "livemode": False,
        "marketing_features": [],
        "metadata": {},
        "name": params["name"],
        "package_dimensions": None,
        "shippable": params.get("shippable"),
        "statement_descriptor": None,
        "tax_code": None,
        "tax_details": None,
        "type": "service",
        "unit_label": None,
        "updated": now_s,
        "url": None,
    }
    return _applied(product, params)


def _applied(product: Doc, sent: Params) -> Doc:
    product |= {name: sent[name] for name in _PLAIN if name in sent}
    product |= {name: sent[name] or [] for name in ("images", "marketing_features") if name in sent}
    if "metadata" in sent:
        product["metadata"] = merge_metadata(product["metadata"], sent["metadata"])
    return product


def _create(call: Call) -> Doc:
    wanted = call.params.get("id")
    if wanted and call.ctx.find("product", wanted):
        message = f"Product already exists: {wanted}"
        raise BadRequest(message, code="resource_already_exists", param="id")
    return call.ctx.add(new_product(call.params, call.ctx.now()), "product.created")


def _get(call: Call) -> Doc:
    return call.ctx.shown(call.ctx.get("product", call.ids[0]))


def _update(call: Call) -> Doc:
    ctx = call.ctx
    product = _applied(ctx.get("product", call.ids[0]), call.params)
    if "default_price" in call.params:
        chosen = call.params["default_price"]
        if chosen is not None and ctx.get("price", chosen, "default_price")["product"] != product["id"]:
            message = "The default price must be a price of this product."
            raise BadRequest(message, param="default_price")
        product["default_price"] = chosen
    product["updated"] = ctx.now()
    return ctx.update(product, "product.updated")


def _delete(call: Call) -> Doc:
    ctx = call.ctx
    product = ctx.get("product", call.ids[0])
    if ctx.select(Page(kind="price", conditions=("parent=?",), arguments=(product["id"],), limit=1)):
        message = "This product cannot be deleted because it has one or more user-created prices."
        raise BadRequest(message)
    ctx.write(product | {"deleted": True})
    ctx.emit("product.deleted", ctx.shown(product | {"active": False}))
    return deleted_stub(product)


def _list(call: Call) -> Doc:
    extra: tuple[tuple[str, object], ...] = ()
    if "ids" in call.params:
        names = "," + ",".join(call.params["ids"]) + ","
        extra = (("instr(?, ',' || id || ',') > 0", names),)
    return answer_list(call, _LISTING, extra)


ENDPOINTS = (
    Endpoint("POST", "/v1/products", CREATE, _create),
    Endpoint("GET", "/v1/products", LIST, _list),
    Endpoint("GET", "/v1/products/*", table(), _get),
    Endpoint("POST", "/v1/products/*", UPDATE, _update),
    Endpoint("DELETE", "/v1/products/*", table(), _delete),
)

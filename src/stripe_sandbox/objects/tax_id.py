"""Tax ids: under which numbers a customer is known to tax authorities; shown on the customer's invoices."""

from __future__ import annotations

from stripe_sandbox.context import Context
from stripe_sandbox.documents import Call, Doc, Kind
from stripe_sandbox.engine import tax_ids
from stripe_sandbox.wire.errors import missing_object
from stripe_sandbox.wire.paging import Listing, answer_list
from stripe_sandbox.wire.routing import Endpoint
from stripe_sandbox.wire.schema import Choice, Hash, Text, Type, list_table, table

_URL = "/v1/customers/*/tax_ids"
KIND = Kind(
    name=tax_ids.NAME,
    label="tax ID",
    expandable={"customer": "customer", "owner.customer": "customer"},
)
_FIELDS: dict[str, Type] = {"type": Choice(words=tax_ids.TYPES), "value": Text(max_length=40)}
_REQUIRED = ("type", "value")
DATA = Hash(fields=_FIELDS, required=_REQUIRED)


def _create(call: Call) -> Doc:
    customer = call.ctx.get("customer", call.ids[0])
    return tax_ids.add(call.ctx, customer, call.params["type"], call.params["value"])


def _one(call: Call) -> Doc:
    call.ctx.get("customer", call.ids[0])
    found = call.ctx.get(tax_ids.NAME, call.ids[1])
    if found["customer"] != call.ids[0]:
        raise missing_object(KIND.label, call.ids[1])
    return found


def _get(call: Call) -> Doc:
    return call.ctx.shown(_one(call))


def _delete(call: Call) -> Doc:
    return delete(call.ctx, _one(call))


def delete(ctx: Context, found: Doc) -> Doc:
    """Take a tax id away from its customer; final invoices keep it."""
    shown = ctx.shown(found)
    ctx.write(found | {"deleted": True})
    ctx.emit("customer.tax_id.deleted", shown)
    return {"id": found["id"], "object": tax_ids.NAME, "deleted": True}


def _list(call: Call) -> Doc:
    customer = call.ctx.get("customer", call.ids[0])
    listing = Listing(kind=tax_ids.NAME, url=f"/v1/customers/{customer['id']}/tax_ids")
    return answer_list(call, listing, (("customer=?", customer["id"]),))


ENDPOINTS = (
    Endpoint("POST", _URL, table(_FIELDS, _REQUIRED), _create),
    Endpoint("GET", _URL, list_table(), _list),
    Endpoint("GET", f"{_URL}/*", table(), _get),
    Endpoint("DELETE", f"{_URL}/*", table(), _delete),
)

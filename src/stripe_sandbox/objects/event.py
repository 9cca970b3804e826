"""Events as the API lists them. Stripe: kept 30 days, filtered by type, up to 20 types, and creation time."""

from __future__ import annotations

from stripe_sandbox.documents import Call, Doc, Kind
from stripe_sandbox.events import KEPT_S
from stripe_sandbox.wire.errors import BadRequest, missing_object
from stripe_sandbox.wire.paging import Listing, answer_list, json_field
from stripe_sandbox.wire.routing import Endpoint
from stripe_sandbox.wire.schema import Array, Boolean, Range, Text, list_table, table

KIND = Kind(name="event", label="event")
_MAX_TYPES = 20
LIST = list_table(
    {"type": Text(), "types": Array(Text(), _MAX_TYPES), "created": Range(), "delivery_success": Boolean()}
)
_LISTING = Listing(kind="event", url="/v1/events", ranges={"created": "created"})


def _list(call: Call) -> Doc:
    sent = call.params
    if "type" in sent and "types" in sent:
        message = "You may only give one of these parameters: type, types."
        raise BadRequest(message, code="parameters_exclusive", param="type")
    extra: list[tuple[str, object]] = [("created > ?", call.ctx.now() - KEPT_S)]
    if "type" in sent:
        column = json_field("type")
        wildcard = sent["type"].endswith("*")
        extra.append((f"{column} GLOB ?" if wildcard else f"{column}=?", sent["type"]))
    if "types" in sent:
        names = "\x1f" + "\x1f".join(sent["types"]) + "\x1f"
        extra.append((f"instr(?, char(31) || {json_field('type')} || char(31)) > 0", names))
    if "delivery_success" in sent:
        extra.append((f"{json_field('pending_webhooks')} {'=' if sent['delivery_success'] else '>'} 0", None))
    return answer_list(call, _LISTING, tuple(extra))


def _get(call: Call) -> Doc:
    event = call.ctx.get("event", call.ids[0])
    if event["created"] <= call.ctx.now() - KEPT_S:
        raise missing_object("event", call.ids[0])
    return call.ctx.shown(event)


ENDPOINTS = (
    Endpoint("GET", "/v1/events", LIST, _list),
    Endpoint("GET", "/v1/events/*", table(), _get),
)

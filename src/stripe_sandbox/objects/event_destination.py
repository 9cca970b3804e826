"""Thin events as they are fetched, and the destinations that get their notices.

Stripe: version 2 of the API: JSON, ISO times, lists with page addresses; the signing secret is shown only where
``include`` asks for it at creation.
"""

from __future__ import annotations

from stripe_sandbox import thin
from stripe_sandbox.context import Context
from stripe_sandbox.documents import Call, Doc, Kind, public, random_text
from stripe_sandbox.wire.paging import json_field
from stripe_sandbox.wire.routing import Endpoint
from stripe_sandbox.wire.schema import Array, Choice, Hash, Metadata, Text, Type, merge_metadata
from stripe_sandbox.wire.v2 import Instant, answer_page, list_table_v2, table_v2

_URL = "/v2/core/event_destinations"
_EVENTS = "/v2/core/events"
_OPERATORS = {"gt": ">", "gte": ">=", "lt": "<", "lte": "<="}
_MAX_TYPES = 20
_EVENT_LIST = list_table_v2(
    {
        "created": Hash(fields=dict.fromkeys(_OPERATORS, Instant())),
        "object_id": Text(),
        "types": Array(Text(), _MAX_TYPES),
    }
)
_INCLUDE = Array(Choice(words=("webhook_endpoint.signing_secret", "webhook_endpoint.url")))
_HOOK = Hash(fields={"url": Text(pattern=r"https?://[^\s]+", code="url_invalid")}, required=("url",))
_NAMED: dict[str, Type] = {"description": Text(), "enabled_events": Array(Text(max_length=100), 300), "name": Text()}
CREATE = table_v2(
    {
        **_NAMED,
        "event_payload": Choice(words=("thin",)),
        "events_from": Array(Choice(words=("@self", "self"))),
        "include": _INCLUDE,
        "metadata": Metadata(),
        "type": Choice(words=("webhook_endpoint",)),
        "webhook_endpoint": _HOOK,
    },
    ("name", "type", "event_payload", "enabled_events", "webhook_endpoint"),
)
UPDATE = table_v2({**_NAMED, "include": _INCLUDE, "metadata": Metadata(), "webhook_endpoint": _HOOK})


def _show(_ctx: Context, destination: Doc) -> Doc:
    times = {name: thin.iso(destination[name]) for name in ("created", "updated")}
    shown = public(destination) | times | {"webhook_endpoint": {"signing_secret": None, "url": destination["url"]}}
    return {key: value for key, value in shown.items() if key != "url"}


EVENT_KIND = Kind(name=thin.EVENT, label="event", render=thin.show)
KIND = Kind(name=thin.DESTINATION, label="event destination", render=_show)


def _create(call: Call) -> Doc:
    sent, now_s = call.params, call.ctx.now()
    secret = "whsec_" + random_text(32)
    destination: Doc = {
        "id": f"ed_test_{random_text(24)}",
        "object": thin.DESTINATION,
        "amazon_eventbridge": None,
        "azure_event_grid": None,
        "created": now_s,
        "description": sent.get("description", ""),
        "enabled_events": sent["enabled_events"],
        "event_payload": "thin",
        "events_from": sent.get("events_from", ["self"]),
        "livemode": False,
        "metadata": sent.get("metadata") or {},
        "name": sent["name"],
        "snapshot_api_version": None,
        "status": "enabled",
        "status_details": None,
        "type": "webhook_endpoint",
        "updated": now_s,
        "url": sent["webhook_endpoint"]["url"],
        "_secret": secret,
    }
    shown = call.ctx.add(destination, None)
    if "webhook_endpoint.signing_secret" in sent.get("include", ()):
        shown["webhook_endpoint"]["signing_secret"] = secret
    return shown


def _update(call: Call) -> Doc:
    destination, sent = call.ctx.get(thin.DESTINATION, call.ids[0]), call.params
    destination |= {name: sent[name] for name in _NAMED if name in sent} | {"updated": call.ctx.now()}
    if "metadata" in sent:
        destination["metadata"] = merge_metadata(destination["metadata"], sent["metadata"])
    if "webhook_endpoint" in sent:
        destination["url"] = sent["webhook_endpoint"]["url"]
    return call.ctx.add(destination, None)


def _enable(call: Call) -> Doc:
    return call.ctx.add(call.ctx.get(thin.DESTINATION, call.ids[0]) | {"status": "enabled"}, None)


def _disable(call: Call) -> Doc:
    return call.ctx.add(call.ctx.get(thin.DESTINATION, call.ids[0]) | {"status": "disabled"}, None)


def _delete(call: Call) -> Doc:
    destination = call.ctx.get(thin.DESTINATION, call.ids[0])
    call.ctx.store.remove(call.ctx.account, destination["id"])
    call.ctx.store.run("DELETE FROM deliveries WHERE account=? AND endpoint=?", call.ctx.account, destination["id"])
    return {"id": destination["id"], "object": thin.DESTINATION}


def _get(call: Call) -> Doc:
    return call.ctx.shown(call.ctx.get(thin.DESTINATION, call.ids[0]))


def _get_event(call: Call) -> Doc:
    return call.ctx.shown(call.ctx.get(thin.EVENT, call.ids[0]))


def _list(call: Call) -> Doc:
    return answer_page(call, thin.DESTINATION, _URL)


def _list_events(call: Call) -> Doc:
    sent = call.params
    where: list[tuple[str, object]] = []
    if "object_id" in sent:
        where.append((f"{json_field('related_object.id')}=?", sent["object_id"]))
    if "types" in sent:
        names = "\x1f" + "\x1f".join(sent["types"]) + "\x1f"
        where.append((f"instr(?, char(31) || {json_field('type')} || char(31)) > 0", names))
    for operator, bound in (sent.get("created") or {}).items():
        where.append((f"created {_OPERATORS[operator]} ?", bound))
    return answer_page(call, thin.EVENT, _EVENTS, tuple(where))


def _ping(call: Call) -> Doc:
    """Stripe: a ping is a thin event about the destination itself, sent to it alone."""
    destination = call.ctx.get(thin.DESTINATION, call.ids[0])
    related = {"id": destination["id"], "type": thin.DESTINATION, "url": f"{_URL}/{destination['id']}"}
    return call.ctx.shown(thin.record(call.ctx, "v2.core.event_destination.ping", related, None, to=destination))


ENDPOINTS = (
    Endpoint("POST", _URL, CREATE, _create),
    Endpoint("GET", _URL, list_table_v2({"include": _INCLUDE}), _list),
    Endpoint("GET", f"{_URL}/*", table_v2({"include": _INCLUDE}), _get),
    Endpoint("POST", f"{_URL}/*", UPDATE, _update),
    Endpoint("DELETE", f"{_URL}/*", table_v2(), _delete),
    Endpoint("POST", f"{_URL}/*/enable", table_v2(), _enable),
    Endpoint("POST", f"{_URL}/*/disable", table_v2(), _disable),
    Endpoint("POST", f"{_URL}/*/ping", table_v2(), _ping),
    Endpoint("GET", _EVENTS, _EVENT_LIST, _list_events),
    Endpoint("GET", f"{_EVENTS}/*", table_v2(), _get_event),
)

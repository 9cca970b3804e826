"""Webhook endpoints. Stripe: the signing secret is shown only in the answer to the creation.

Events are written in one version of the API alone, so an endpoint that wants another is refused.
"""

from __future__ import annotations

from stripe_sandbox import API_VERSION
from stripe_sandbox.documents import Call, Doc, Kind, Params, deleted_stub, new_id, random_text
from stripe_sandbox.wire.paging import Listing, answer_list
from stripe_sandbox.wire.routing import Endpoint
from stripe_sandbox.wire.schema import (
    Array,
    Boolean,
    Choice,
    Metadata,
    NotSimulated,
    Text,
    Type,
    list_table,
    merge_metadata,
    table,
)

KIND = Kind(name="webhook_endpoint", label="webhook endpoint")
_SECRET_LENGTH = 32
_URL = Text(pattern=r"https?://[^\s]+", code="url_invalid")
_EVENTS = Array(Text(max_length=100), max_length=300)
_SHARED: dict[str, Type] = {
    "url": _URL,
    "enabled_events": _EVENTS,
    "description": Text(clearable=True),
    "metadata": Metadata(),
}
CREATE = table(
    {**_SHARED, "api_version": Choice(words=(API_VERSION,)), "connect": NotSimulated(("false",))},
    required=("url", "enabled_events"),
)
UPDATE = table({**_SHARED, "disabled": Boolean()})
_LISTING = Listing(kind="webhook_endpoint", url="/v1/webhook_endpoints")


def new_endpoint(params: Params, secret: str, now_s: int) -> Doc:
    """Return a new endpoint document."""
    return {
        "id": new_id("we"),
        "object": "webhook_endpoint",
        "api_version": params.get("api_version"),
        "application": None,
        "created": now_s,
        "description": params.get("description"),
        "enabled_events": params["enabled_events"],
        "livemode": False,
        "metadata": merge_metadata({}, params.get("metadata", {})),
        "status": "enabled",
        "url": params["url"],
        "_secret": secret,
    }


def _create(call: Call) -> Doc:
    secret = "whsec_" + random_text(_SECRET_LENGTH)
    endpoint = new_endpoint(call.params, secret, call.ctx.now())
    return call.ctx.add(endpoint, None) | {"secret": secret}


def _get(call: Call) -> Doc:
    return call.ctx.shown(call.ctx.get("webhook_endpoint", call.ids[0]))


def _update(call: Call) -> Doc:
    endpoint = call.ctx.get("webhook_endpoint", call.ids[0])
    sent = call.params
    endpoint |= {name: sent[name] for name in ("url", "enabled_events", "description") if name in sent}
    if "metadata" in sent:
        endpoint["metadata"] = merge_metadata(endpoint["metadata"], sent["metadata"])
    if "disabled" in sent:
        endpoint["status"] = "disabled" if sent["disabled"] else "enabled"
    return call.ctx.add(endpoint, None)


def _delete(call: Call) -> Doc:
    endpoint = call.ctx.get("webhook_endpoint", call.ids[0])
    call.ctx.store.remove(call.ctx.account, endpoint["id"])
    call.ctx.store.run("DELETE FROM deliveries WHERE account=? AND endpoint=?", call.ctx.account, endpoint["id"])
    return deleted_stub(endpoint)


def _list(call: Call) -> Doc:
    return answer_list(call, _LISTING)


ENDPOINTS = (
    Endpoint("POST", "/v1/webhook_endpoints", CREATE, _create),
    Endpoint("GET", "/v1/webhook_endpoints", list_table(), _list),
    Endpoint("GET", "/v1/webhook_endpoints/*", table(), _get),
    Endpoint("POST", "/v1/webhook_endpoints/*", UPDATE, _update),
    Endpoint("DELETE", "/v1/webhook_endpoints/*", table(), _delete),
)

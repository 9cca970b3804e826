"""Meter events and their cancellation, version 1.

Stripe: an unknown customer or a value that is no number is accepted here and reported later by a thin event; such
events count nowhere (``GET /_sandbox/meter_faults`` lists them). Everything else that is wrong is refused at once.
"""

from __future__ import annotations

from stripe_sandbox.documents import Call, Doc
from stripe_sandbox.engine import ingest
from stripe_sandbox.engine.ingest import Fault, Usage
from stripe_sandbox.wire.errors import BadRequest, missing_param
from stripe_sandbox.wire.routing import Endpoint
from stripe_sandbox.wire.schema import Choice, Hash, Integer, StringMap, Text, Type, table

_TOLD_LATER = frozenset({"meter_event_customer_not_found", "meter_event_invalid_value"})
_CODES = {
    "archived_meter": "resource_missing",
    "no_meter": "resource_missing",
    "meter_event_no_customer_defined": "parameter_missing",
    "meter_event_value_not_found": "parameter_missing",
}
EVENT_NAME = Text(max_length=100)
USAGE: dict[str, Type] = {"event_name": EVENT_NAME, "payload": StringMap(), "identifier": Text(max_length=100)}
CREATE = table({**USAGE, "timestamp": Integer(minimum=0)}, ("event_name", "payload"))
CANCEL: dict[str, Type] = {
    "event_name": EVENT_NAME,
    "type": Choice(words=("cancel",)),
    "cancel": Hash(fields={"identifier": Text(max_length=100)}),
}
ADJUST = table(CANCEL, ("event_name", "type"))


def _create(call: Call) -> Doc:
    usage = ingest.judge(call.ctx, call.params)
    created_at = ingest.take(call.ctx, usage, _refuse_at_once(usage))
    return {
        "object": "billing.meter_event",
        "created": created_at,
        "event_name": usage.event_name,
        "identifier": usage.identifier,
        "livemode": False,
        "payload": usage.payload,
        "timestamp": usage.timestamp,
    }


def _refuse_at_once(usage: Usage) -> Fault | None:
    """Return the fault to be told later, unless one is there that is refused now."""
    for fault in usage.faults:
        if fault.code not in _TOLD_LATER:
            raise BadRequest(fault.message, code=_CODES.get(fault.code, fault.code), param=fault.param)
    return next((one for one in reversed(usage.faults)), None)


def cancelled(call: Call) -> Doc:
    """Take back a piece of usage and return what both versions of the API say of it."""
    sent = call.params
    meter = ingest.meter_of(call.ctx, sent["event_name"])
    if meter is None or meter["status"] != "active":
        message = f"No active meter found for event name {sent['event_name']}."
        raise BadRequest(message, code="resource_missing", param="event_name")
    identifier = (sent.get("cancel") or {}).get("identifier")
    if not identifier:
        raise missing_param("cancel[identifier]")
    ingest.cancel(call.ctx, meter["event_name"], identifier)
    return {
        "cancel": {"identifier": identifier},
        "event_name": meter["event_name"],
        "livemode": False,
        "status": "complete",
        "type": "cancel",
    }


def _adjust(call: Call) -> Doc:
    return {"object": "billing.meter_event_adjustment"} | cancelled(call)


ENDPOINTS = (
    Endpoint("POST", "/v1/billing/meter_events", CREATE, _create),
    Endpoint("POST", "/v1/billing/meter_event_adjustments", ADJUST, _adjust),
)

"""Billing meters and their summaries.

Stripe: one active meter per event name; only the display name can change; summary times lie on a minute, or on the
hour or (UTC) day of the grouping window; ``end_time`` is exclusive; newest first.
"""

from __future__ import annotations

import hashlib
from decimal import Decimal

from stripe_sandbox.documents import Call, Doc, Kind, new_id
from stripe_sandbox.engine import ingest, usage
from stripe_sandbox.wire.errors import BadRequest
from stripe_sandbox.wire.paging import Listing, answer_list, json_field, slice_list
from stripe_sandbox.wire.routing import Endpoint
from stripe_sandbox.wire.schema import Choice, Hash, Integer, Text, list_table, table

KIND = Kind(name="billing.meter", label="billing meter")
_MINUTE_S = 60
_NAME = Text(max_length=250)
CREATE = table(
    {
        "display_name": _NAME,
        "event_name": Text(max_length=100),
        "default_aggregation": Hash(fields={"formula": Choice(words=("count", "last", "sum"))}, required=("formula",)),
        "customer_mapping": Hash(
            fields={"type": Choice(words=("by_id",)), "event_payload_key": Text(max_length=100)},
            required=("event_payload_key", "type"),
        ),
        "value_settings": Hash(fields={"event_payload_key": Text(max_length=100)}, required=("event_payload_key",)),
        "event_time_window": Choice(words=("day", "hour")),
    },
    ("display_name", "event_name", "default_aggregation"),
)
SUMMARIES = list_table(
    {
        "customer": Text(),
        "start_time": Integer(minimum=0),
        "end_time": Integer(minimum=0),
        "value_grouping_window": Choice(words=("day", "hour")),
    },
    ("customer", "start_time", "end_time"),
)
_LISTING = Listing(kind="billing.meter", url="/v1/billing/meters", equals={"status": json_field("status")})


def _is_active(meter: Doc | None) -> bool:
    return meter is not None and meter["status"] == "active"


def _refuse_second(call: Call, event_name: str) -> None:
    if _is_active(ingest.meter_of(call.ctx, event_name)):
        message = f"An active meter already exists for event name {event_name}."
        raise BadRequest(message, code="resource_already_exists", param="event_name")


def _create(call: Call) -> Doc:
    sent, now_s = call.params, call.ctx.now()
    _refuse_second(call, sent["event_name"])
    meter: Doc = {
        "id": new_id("mtr"),
        "object": "billing.meter",
        "created": now_s,
        "customer_mapping": {"event_payload_key": "stripe_customer_id", "type": "by_id"}
        | (sent.get("customer_mapping") or {}),
        "default_aggregation": sent["default_aggregation"],
        "display_name": sent["display_name"],
        "event_name": sent["event_name"],
        "event_time_window": sent.get("event_time_window"),
        "livemode": False,
        "status": "active",
        "status_transitions": {"deactivated_at": None},
        "updated": now_s,
        "value_settings": sent.get("value_settings") or {"event_payload_key": "value"},
    }
    return call.ctx.add(meter, "billing.meter.created")


def _get(call: Call) -> Doc:
    return call.ctx.shown(call.ctx.get("billing.meter", call.ids[0]))


def _update(call: Call) -> Doc:
    meter = call.ctx.get("billing.meter", call.ids[0])
    if "display_name" in call.params:
        meter |= {"display_name": call.params["display_name"], "updated": call.ctx.now()}
    return call.ctx.update(meter, "billing.meter.updated")


def _deactivate(call: Call) -> Doc:
    meter, now_s = call.ctx.get("billing.meter", call.ids[0]), call.ctx.now()
    if meter["status"] == "inactive":
        message = "The meter is already inactive."
        raise BadRequest(message, code="status_transition_invalid")
    changed = {"status": "inactive", "status_transitions": {"deactivated_at": now_s}, "updated": now_s}
    return call.ctx.update(meter | changed, "billing.meter.deactivated")


def _reactivate(call: Call) -> Doc:
    meter, now_s = call.ctx.get("billing.meter", call.ids[0]), call.ctx.now()
    if meter["status"] == "active":
        message = "The meter is already active."
        raise BadRequest(message, code="status_transition_invalid")
    _refuse_second(call, meter["event_name"])
    changed = {"status": "active", "status_transitions": {"deactivated_at": None}, "updated": now_s}
    return call.ctx.update(meter | changed, "billing.meter.reactivated")


def _list(call: Call) -> Doc:
    return answer_list(call, _LISTING)


def _summaries(call: Call) -> Doc:
    sent = call.params
    meter = call.ctx.get("billing.meter", call.ids[0])
    call.ctx.get("customer", sent["customer"], "customer")
    window_s = usage.WINDOW_S.get(sent.get("value_grouping_window", ""))
    _check_alignment(sent["start_time"], sent["end_time"], window_s or _MINUTE_S)
    found = usage.readings(call.ctx, meter, sent["customer"], sent["start_time"], sent["end_time"])
    url = f"/v1/billing/meters/{meter['id']}/event_summaries"
    span_s = window_s or sent["end_time"] - sent["start_time"]
    groups: dict[int, list[usage.Reading]] = {}
    for reading in found:
        index = (reading.timestamp - sent["start_time"]) // span_s
        groups.setdefault(index, []).append(reading)
    summaries = [
        _summary(meter, sent["customer"], (sent["start_time"] + index * span_s, span_s), groups[index])
        for index in sorted(groups, reverse=True)
    ]
    return slice_list(url, summaries, sent)


def _check_alignment(start_at: int, end_at: int, grain_s: int) -> None:
    for name, value in (("start_time", start_at), ("end_time", end_at)):
        if value % grain_s:
            message = f"{name} must be aligned with {grain_s} second boundaries."
            raise BadRequest(message, param=name)
    if end_at <= start_at:
        message = "end_time must be after start_time."
        raise BadRequest(message, param="end_time")


def _summary(meter: Doc, customer: str, span: tuple[int, int], found: list[usage.Reading]) -> Doc:
    start_at, span_s = span
    digest = hashlib.sha256(f"{meter['id']}:{customer}:{start_at}:{span_s}".encode()).hexdigest()
    value = usage.aggregate(meter, found)
    return {
        "id": f"mtrsumm_{digest[:24]}",
        "object": "billing.meter_event_summary",
        "aggregated_value": _json_number(value),
        "end_time": start_at + span_s,
        "livemode": False,
        "meter": meter["id"],
        "start_time": start_at,
    }


def _json_number(value: Decimal) -> int | float:
    """Stripe sends the figure as a JSON number; a caller that needs it exact reads its own ledger."""
    return int(value) if value == value.to_integral_value() else float(value)


ENDPOINTS = (
    Endpoint("POST", "/v1/billing/meters", CREATE, _create),
    Endpoint("GET", "/v1/billing/meters", list_table({"status": Choice(words=("active", "inactive"))}), _list),
    Endpoint("GET", "/v1/billing/meters/*", table(), _get),
    Endpoint("POST", "/v1/billing/meters/*", table({"display_name": _NAME}), _update),
    Endpoint("POST", "/v1/billing/meters/*/deactivate", table(), _deactivate),
    Endpoint("POST", "/v1/billing/meters/*/reactivate", table(), _reactivate),
    Endpoint("GET", "/v1/billing/meters/*/event_summaries", SUMMARIES, _summaries),
)

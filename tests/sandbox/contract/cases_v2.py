"""Version 2: usage, thin events, and where they go."""

from __future__ import annotations

from typing import Any

from sandbox.contract.case import case
from sandbox.contract.stage import Stage

_DESTINATION = {
    "name": "contract",
    "description": "d",
    "type": "webhook_endpoint",
    "event_payload": "thin",
    "enabled_events": ["v1.billing.meter.error_report_triggered"],
    "webhook_endpoint": {"url": "https://example.com/thin"},
}
_SECRET = {"include": ["webhook_endpoint.signing_secret", "webhook_endpoint.url"]}
_LATE = "Stripe gathers rejected usage for minutes, and only the sandbox's clock can be moved"
_AT = "v2.core.event_destinations"


def _disabled(stage: Stage) -> str:
    return stage.v2.core.event_destinations.disable(stage.new_destination()).id


def _usage(stage: Stage) -> dict[str, Any]:
    payload = {"stripe_customer_id": stage.customer, "value": "2.5"}
    return {"event_name": stage.meter.event_name, "payload": payload, "identifier": stage.name()}


def _cancelling(stage: Stage) -> dict[str, Any]:
    return {"event_name": stage.meter.event_name, "type": "cancel", "cancel": {"identifier": stage.used()}}


def _streamed(stage: Stage) -> tuple[dict[str, Any], dict[str, Any]]:
    token = stage.v2.billing.meter_event_session.create().authentication_token
    return {"events": [_usage(stage), _usage(stage)]}, {"api_key": token}


CASES = (
    case("POST /v2/billing/meter_events", "v2.billing.meter_events.create", lambda s: (_usage(s),)),
    case(
        "POST /v2/billing/meter_event_adjustments",
        "v2.billing.meter_event_adjustments.create",
        lambda s: (_cancelling(s),),
    ),
    case("POST /v2/billing/meter_event_session", "v2.billing.meter_event_session.create", lambda _: ()),
    case(
        "POST /v2/billing/meter_event_stream",
        "v2.billing.meter_event_stream.create",
        _streamed,
        alone="Stripe has the stream in live mode only",
    ),
    case("POST /v2/core/event_destinations/*/ping", f"{_AT}.ping", lambda s: (s.new_destination(),)),
    case("POST /v2/core/event_destinations", f"{_AT}.create", lambda _: (_DESTINATION | _SECRET,), "with its secret"),
    case("GET /v2/core/events/*", "v2.core.events.retrieve", lambda s: (s.thin_event(),), alone=_LATE),
    case(
        "GET /v2/core/events",
        "v2.core.events.list",
        lambda s: (s.thin_event() and {"object_id": s.meter.id},),
        alone=_LATE,
    ),
    case("POST /v2/core/event_destinations", f"{_AT}.create", lambda _: (_DESTINATION,)),
    case("GET /v2/core/event_destinations", f"{_AT}.list", lambda s: (s.new_destination() and {"limit": 1},)),
    case("GET /v2/core/event_destinations/*", f"{_AT}.retrieve", lambda s: (s.new_destination(),)),
    case("POST /v2/core/event_destinations/*", f"{_AT}.update", lambda s: (s.new_destination(), {"name": "other"})),
    case("DELETE /v2/core/event_destinations/*", f"{_AT}.delete", lambda s: (s.new_destination(),)),
    case("POST /v2/core/event_destinations/*/enable", f"{_AT}.enable", lambda s: (_disabled(s),)),
    case("POST /v2/core/event_destinations/*/disable", f"{_AT}.disable", lambda s: (s.new_destination(),)),
)

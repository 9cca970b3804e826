"""Version 2: usage, thin events, and where they go."""

from __future__ import annotations

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


CASES = (
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

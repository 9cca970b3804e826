"""Meters and usage, events and where they go, test clocks, the account."""

from __future__ import annotations

import time
from typing import Any

from sandbox.contract.case import case
from sandbox.contract.stage import Stage

HOUR = 3600


def _usage(stage: Stage) -> dict[str, Any]:
    payload = {"stripe_customer_id": stage.customer, "value": "2.5"}
    return {"event_name": stage.meter.event_name, "payload": payload, "identifier": stage.name()}


def _cancelling(stage: Stage) -> dict[str, Any]:
    return {"event_name": stage.meter.event_name, "type": "cancel", "cancel": {"identifier": stage.used()}}


def _summaries(stage: Stage) -> tuple[str, dict[str, Any]]:
    stage.used()
    hour = int(time.time()) // HOUR * HOUR
    span = {"start_time": hour - HOUR, "end_time": hour + HOUR, "value_grouping_window": "hour"}
    return stage.meter.id, {"customer": stage.customer, **span}


def _inactive(stage: Stage) -> str:
    return stage.v1.billing.meters.deactivate(stage.new_meter().id).id


_METERS = (
    case(
        "POST /v1/billing/meters",
        "v1.billing.meters.create",
        lambda s: (
            {"display_name": "Usage", "event_name": s.name(), "default_aggregation": {"formula": "count"}}
            | {"customer_mapping": {"type": "by_id", "event_payload_key": "who"}},
        ),
    ),
    case("GET /v1/billing/meters", "v1.billing.meters.list", lambda s: (s.meter and {"status": "active"},)),
    case("GET /v1/billing/meters/*", "v1.billing.meters.retrieve", lambda s: (s.meter.id,)),
    case("POST /v1/billing/meters/*", "v1.billing.meters.update", lambda s: (s.new_meter().id, {"display_name": "X"})),
    case("POST /v1/billing/meters/*/deactivate", "v1.billing.meters.deactivate", lambda s: (s.new_meter().id,)),
    case("POST /v1/billing/meters/*/reactivate", "v1.billing.meters.reactivate", lambda s: (_inactive(s),)),
    case("GET /v1/billing/meters/*/event_summaries", "v1.billing.meters.event_summaries.list", _summaries),
    case("POST /v1/billing/meter_events", "v1.billing.meter_events.create", lambda s: (_usage(s),)),
    case(
        "POST /v1/billing/meter_event_adjustments",
        "v1.billing.meter_event_adjustments.create",
        lambda s: (_cancelling(s),),
    ),
)
_EVENTS = (
    case("GET /v1/events", "v1.events.list", lambda s: (s.subscription and {"limit": 100},)),
    case(
        "GET /v1/events/*",
        "v1.events.retrieve",
        lambda s: (s.customer and s.v1.events.list({"type": "customer.updated", "limit": 1}).data[0].id,),
    ),
    case(
        "POST /v1/webhook_endpoints",
        "v1.webhook_endpoints.create",
        lambda _: (
            {"url": "https://example.com/hook", "enabled_events": ["invoice.paid"], "metadata": {"a": "1"}}
            | {"api_version": "2026-10-28.endive", "description": "d"},
        ),
    ),
    case("GET /v1/webhook_endpoints", "v1.webhook_endpoints.list", lambda s: (s.new_endpoint() and {"limit": 2},)),
    case("GET /v1/webhook_endpoints/*", "v1.webhook_endpoints.retrieve", lambda s: (s.new_endpoint(),)),
    case(
        "POST /v1/webhook_endpoints/*",
        "v1.webhook_endpoints.update",
        lambda s: (s.new_endpoint(), {"disabled": True, "description": "d"}),
    ),
    case("DELETE /v1/webhook_endpoints/*", "v1.webhook_endpoints.delete", lambda s: (s.new_endpoint(),)),
)
_CLOCKS = "v1.test_helpers.test_clocks"
_OTHERS = (
    case("POST /v1/test_helpers/test_clocks", f"{_CLOCKS}.create", lambda _: ({"frozen_time": 1_767_225_600},)),
    case("GET /v1/test_helpers/test_clocks", f"{_CLOCKS}.list", lambda s: (s.new_clock() and {"limit": 2},)),
    case("GET /v1/test_helpers/test_clocks/*", f"{_CLOCKS}.retrieve", lambda s: (s.new_clock(),)),
    case(
        "POST /v1/test_helpers/test_clocks/*/advance",
        f"{_CLOCKS}.advance",
        lambda s: (s.new_clock(), {"frozen_time": 1_767_225_600 + HOUR}),
    ),
    case("DELETE /v1/test_helpers/test_clocks/*", f"{_CLOCKS}.delete", lambda s: (s.new_clock(),)),
    case("GET /v1/account", "v1.accounts.retrieve_current", lambda _: ()),
)
CASES = (*_METERS, *_EVENTS, *_OTHERS)

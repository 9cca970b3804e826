"""Stripe's meter and meter event summary → ours."""

from decimal import Decimal

from helvetia.kernel.clock import from_unix_s
from helvetia.stripe_gateway.fields import Json, read_own_id, read_path
from helvetia.stripe_gateway.model import Meter, MeterSummary

_MICRO_UNIT = Decimal("0.000001")


def from_stripe_meter(raw: Json) -> Meter:
    return Meter(
        meter_id=read_own_id(raw, "billing.meter"),
        event_name=raw["event_name"],
        is_active=raw["status"] == "active",
        formula=raw["default_aggregation"]["formula"],
        event_time_window=raw.get("event_time_window"),
        customer_key=read_path(raw, "customer_mapping", "event_payload_key") or "stripe_customer_id",
        value_key=read_path(raw, "value_settings", "event_payload_key") or "value",
    )


def from_stripe_meter_summary(raw: Json) -> MeterSummary:
    """The value comes as a JSON number that may carry binary noise; what we send has at most 6 places."""
    return MeterSummary(
        starts_at=from_unix_s(raw["start_time"]),
        ends_at=from_unix_s(raw["end_time"]),
        value=Decimal(str(raw["aggregated_value"])).quantize(_MICRO_UNIT),
    )

"""Meter events and their cancellation.

Stripe: an identifier is unique for at least 24 h; the timestamp lies within the past 35 days and at most 5 minutes
ahead; a value has at most 15 significant digits and may be negative. An unknown customer or a value that is no number
is accepted here and reported later by a thin event; such events count nowhere (``GET /_sandbox/meter_faults`` lists
them).
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from decimal import Decimal

from stripe_sandbox.clock import DAY_S
from stripe_sandbox.context import Context
from stripe_sandbox.documents import Call, Doc, random_text
from stripe_sandbox.engine import meter_errors
from stripe_sandbox.engine.amounts import EXACT
from stripe_sandbox.objects.meter import active_meter
from stripe_sandbox.wire.errors import BadRequest, missing_param
from stripe_sandbox.wire.routing import Endpoint
from stripe_sandbox.wire.schema import Choice, Hash, Integer, StringMap, Text, table

OLDEST_S = 35 * DAY_S
AHEAD_S = 5 * 60
UNIQUE_S = DAY_S
MAX_DIGITS = 15
_NUMBER = re.compile(r"[+-]?([0-9]+(\.[0-9]*)?|\.[0-9]+)")
CREATE = table(
    {
        "event_name": Text(max_length=100),
        "payload": StringMap(),
        "identifier": Text(max_length=100),
        "timestamp": Integer(minimum=0),
    },
    ("event_name", "payload"),
)
ADJUST = table(
    {
        "event_name": Text(max_length=100),
        "type": Choice(words=("cancel",)),
        "cancel": Hash(fields={"identifier": Text(max_length=100)}),
    },
    ("event_name", "type"),
)


@dataclass(frozen=True, slots=True, kw_only=True)
class _Reported:
    customer: str
    value: str
    fault: str | None
    test_clock: str | None


def _meter(call: Call) -> Doc:
    name = call.params["event_name"]
    meter = active_meter(call, name)
    if meter is None:
        message = f"No active meter found for event name {name}."
        raise BadRequest(message, code="resource_missing", param="event_name")
    return meter


def _create(call: Call) -> Doc:
    ctx, sent = call.ctx, call.params
    meter = _meter(call)
    reported = _read_payload(ctx, meter, sent["payload"])
    now_s = ctx.now()
    timestamp = sent.get("timestamp")
    if timestamp is None:
        timestamp = ctx.now(reported.test_clock)
    _check_time(timestamp, ctx.now(reported.test_clock))
    identifier = sent.get("identifier") or random_text(32)
    _check_unique(ctx, identifier, now_s)
    ctx.store.run(
        "INSERT INTO meter_events (account, event_name, identifier, customer, value, timestamp, received_at, fault)"
        " VALUES (?,?,?,?,?,?,?,?)",
        *(ctx.account, meter["event_name"], identifier, reported.customer, reported.value),
        *(timestamp, now_s, reported.fault),
    )
    if reported.fault:
        meter_errors.expect_report(ctx, meter)
    return {
        "object": "billing.meter_event",
        "created": now_s,
        "event_name": meter["event_name"],
        "identifier": identifier,
        "livemode": False,
        "payload": sent["payload"],
        "timestamp": timestamp,
    }


def _read_payload(ctx: Context, meter: Doc, payload: dict[str, str]) -> _Reported:
    customer_id = payload.get(meter["customer_mapping"]["event_payload_key"])
    if not customer_id:
        raise missing_param(f"payload[{meter['customer_mapping']['event_payload_key']}]")
    counts_only = meter["default_aggregation"]["formula"] == "count"
    key = meter["value_settings"]["event_payload_key"]
    value = payload.get(key, "1" if counts_only else "")
    if not value:
        raise missing_param(f"payload[{key}]")
    fault = None
    if not _NUMBER.fullmatch(value):
        fault = "meter_event_invalid_value"
    elif _significant_digits(value) > MAX_DIGITS:
        message = f"Meter event values can have at most {MAX_DIGITS} significant digits: {value}"
        raise BadRequest(message, code="meter_event_value_too_many_digits", param=f"payload[{key}]")
    customer = ctx.find("customer", customer_id)
    if customer is None or customer.get("deleted"):
        return _Reported(customer=customer_id, value=value, fault="meter_event_customer_not_found", test_clock=None)
    return _Reported(customer=customer_id, value=value, fault=fault, test_clock=customer["test_clock"])


def _significant_digits(value: str) -> int:
    """Return how many digits carry the value: no leading zeros, no trailing zeros after the point."""
    return len(Decimal(value).normalize(EXACT).as_tuple().digits)


def _check_time(timestamp: int, now_s: int) -> None:
    if timestamp < now_s - OLDEST_S:
        message = "The timestamp must be within the past 35 calendar days."
        raise BadRequest(message, code="timestamp_too_far_in_past", param="timestamp")
    if timestamp > now_s + AHEAD_S:
        message = "The timestamp must be at most 5 minutes in the future."
        raise BadRequest(message, code="timestamp_in_future", param="timestamp")


def _check_unique(ctx: Context, identifier: str, now_s: int) -> None:
    if ctx.store.row(
        "SELECT 1 FROM meter_events WHERE account=? AND identifier=? AND received_at>?",
        *(ctx.account, identifier, now_s - UNIQUE_S),
    ):
        message = f"An event already exists with identifier {identifier}."
        raise BadRequest(message, param="identifier")


def _adjust(call: Call) -> Doc:
    ctx, sent = call.ctx, call.params
    meter = _meter(call)
    identifier = (sent.get("cancel") or {}).get("identifier")
    if not identifier:
        raise missing_param("cancel[identifier]")
    touched = ctx.store.run(
        "UPDATE meter_events SET cancelled=1 WHERE account=? AND event_name=? AND identifier=? AND received_at>?",
        *(ctx.account, meter["event_name"], identifier, ctx.now() - UNIQUE_S),
    )
    if not touched:
        message = f"No meter event of the past 24 hours has the identifier {identifier}."
        raise BadRequest(message, code="resource_missing", param="cancel[identifier]")
    return {
        "object": "billing.meter_event_adjustment",
        "cancel": {"identifier": identifier},
        "event_name": meter["event_name"],
        "livemode": False,
        "status": "complete",
        "type": "cancel",
    }


ENDPOINTS = (
    Endpoint("POST", "/v1/billing/meter_events", CREATE, _create),
    Endpoint("POST", "/v1/billing/meter_event_adjustments", ADJUST, _adjust),
)

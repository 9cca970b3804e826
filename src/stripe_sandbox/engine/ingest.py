"""Reported usage → a row that counts, or one that carries the reason why it does not.

Stripe: an identifier is unique for at least 24 h; the timestamp lies within the past 35 days and at most 5 minutes
ahead; a value has at most 15 significant digits and may be negative. Which faults are refused at once and which are
told later by a thin event depends on the endpoint, not on the fault.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from decimal import Decimal

from stripe_sandbox import faults
from stripe_sandbox.clock import DAY_S
from stripe_sandbox.context import Context
from stripe_sandbox.documents import Doc, random_text
from stripe_sandbox.engine import meter_errors
from stripe_sandbox.engine.amounts import EXACT
from stripe_sandbox.store import Page
from stripe_sandbox.wire.errors import BadRequest

OLDEST_S = 35 * DAY_S
AHEAD_S = 5 * 60
UNIQUE_S = DAY_S
MAX_DIGITS = 15
_IDENTIFIER_LENGTH = 32
_NUMBER = re.compile(r"[+-]?([0-9]+(\.[0-9]*)?|\.[0-9]+)")


@dataclass(frozen=True, slots=True, kw_only=True)
class Fault:
    """Why a piece of usage does not count: Stripe's code, the field, and the words."""

    code: str
    param: str
    message: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Usage:
    """One judged piece of usage, ready to be stored."""

    event_name: str
    payload: dict[str, str]
    identifier: str
    timestamp: int
    customer: str | None
    value: str | None
    meter: Doc | None
    faults: tuple[Fault, ...]


def judge(ctx: Context, sent: Doc) -> Usage:
    """Return what was sent with everything that is wrong with it, the gravest first."""
    name, payload = sent["event_name"], sent["payload"]
    meter = meter_of(ctx, name)
    mapped = (meter or {}).get("customer_mapping", {}).get("event_payload_key", "stripe_customer_id")
    customer = payload.get(mapped) or None
    value = _value(meter, payload)
    known = ctx.find("customer", customer) if customer else None
    now_s = ctx.now(known["test_clock"] if known and not known.get("deleted") else None)
    timestamp = sent.get("timestamp")
    timestamp = now_s if timestamp is None else timestamp
    faults = [*_of_meter(name, meter), *_of_payload(meter, customer, value, known), *_of_time(timestamp, now_s)]
    return Usage(
        event_name=name,
        payload=payload,
        identifier=sent.get("identifier") or random_text(_IDENTIFIER_LENGTH),
        timestamp=timestamp,
        customer=customer,
        value=value,
        meter=meter,
        faults=tuple(faults),
    )


def meter_of(ctx: Context, event_name: str) -> Doc | None:
    """Return the meter that listens to an event name: the active one, else one that no longer does."""
    page = Page(kind="billing.meter", conditions=("json_extract(body,'$.event_name')=?",), arguments=(event_name,))
    found = ctx.select(page)
    return next((meter for meter in found if meter["status"] == "active"), found[0] if found else None)


def take(ctx: Context, usage: Usage, fault: Fault | None) -> int:
    """Store a piece of usage, have its fault reported, and return when it was received.

    Usage without a fault of its own may be struck by a fault switch: it is taken like any other and rejected later.
    """
    now_s = ctx.now()
    _check_unique(ctx, usage.identifier, now_s)
    code = fault.code if fault else faults.for_usage(ctx, usage.event_name, usage.identifier)
    ctx.store.run(
        "INSERT INTO meter_events (account, event_name, identifier, customer, value, timestamp, received_at, fault)"
        " VALUES (?,?,?,?,?,?,?,?)",
        *(ctx.account, usage.event_name, usage.identifier, usage.customer, usage.value),
        *(usage.timestamp, now_s, code),
    )
    if code:
        meter_errors.expect_report(ctx, usage.meter)
    return now_s


def cancel(ctx: Context, event_name: str, identifier: str) -> None:
    """Take back a piece of usage. Stripe: within 24 hours of its receipt."""
    touched = ctx.store.run(
        "UPDATE meter_events SET cancelled=1 WHERE account=? AND event_name=? AND identifier=? AND received_at>?",
        *(ctx.account, event_name, identifier, ctx.now() - UNIQUE_S),
    )
    if not touched:
        message = f"No meter event of the past 24 hours has the identifier {identifier}."
        raise BadRequest(message, code="resource_missing", param="cancel[identifier]")


def _value(meter: Doc | None, payload: dict[str, str]) -> str | None:
    counts_only = meter is not None and meter["default_aggregation"]["formula"] == "count"
    key = (meter or {}).get("value_settings", {}).get("event_payload_key", "value")
    return payload.get(key, "1" if counts_only else "") or None


def _of_meter(event_name: str, meter: Doc | None) -> Iterator[Fault]:
    message = f"No active meter found for event name {event_name}."
    if meter is None:
        yield Fault(code="no_meter", param="event_name", message=message)
    elif meter["status"] != "active":
        yield Fault(code="archived_meter", param="event_name", message=message)


def _of_payload(meter: Doc | None, customer: str | None, value: str | None, known: Doc | None) -> Iterator[Fault]:
    if meter is None:
        return
    who = f"payload[{meter['customer_mapping']['event_payload_key']}]"
    what = f"payload[{meter['value_settings']['event_payload_key']}]"
    if customer is None:
        yield Fault(code="meter_event_no_customer_defined", param=who, message=f"Missing required param: {who}.")
    if value is None:
        yield Fault(code="meter_event_value_not_found", param=what, message=f"Missing required param: {what}.")
    elif _NUMBER.fullmatch(value) is None:
        message = "The value of the event is not a number."
        yield Fault(code="meter_event_invalid_value", param=what, message=message)
    elif _significant_digits(value) > MAX_DIGITS:
        message = f"Meter event values can have at most {MAX_DIGITS} significant digits: {value}"
        yield Fault(code="meter_event_value_too_many_digits", param=what, message=message)
    if customer is not None and (known is None or known.get("deleted")):
        message = "The customer of the event was not found."
        yield Fault(code="meter_event_customer_not_found", param=who, message=message)


def _significant_digits(value: str) -> int:
    """Return how many digits carry the value: no leading zeros, no trailing zeros after the point."""
    return len(Decimal(value).normalize(EXACT).as_tuple().digits)


def _of_time(timestamp: int, now_s: int) -> Iterator[Fault]:
    if timestamp < now_s - OLDEST_S:
        message = "The timestamp must be within the past 35 calendar days."
        yield Fault(code="timestamp_too_far_in_past", param="timestamp", message=message)
    if timestamp > now_s + AHEAD_S:
        message = "The timestamp must be at most 5 minutes in the future."
        yield Fault(code="timestamp_in_future", param="timestamp", message=message)


def _check_unique(ctx: Context, identifier: str, now_s: int) -> None:
    if ctx.store.row(
        "SELECT 1 FROM meter_events WHERE account=? AND identifier=? AND received_at>?",
        *(ctx.account, identifier, now_s - UNIQUE_S),
    ):
        message = f"An event already exists with identifier {identifier}."
        raise BadRequest(message, param="identifier")

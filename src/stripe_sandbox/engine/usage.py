"""Meter events → the quantity of a period.

Stripe: sum = Σ values; count = number of events; last = value of the greatest timestamp (0 if none); periods are
half-open; with an event time window a later event replaces the earlier one of the same UTC hour or day.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from decimal import Decimal

from stripe_sandbox.clock import DAY_S, HOUR_S
from stripe_sandbox.context import Context
from stripe_sandbox.documents import Doc
from stripe_sandbox.engine.amounts import EXACT

WINDOW_S = {"hour": HOUR_S, "day": DAY_S}


@dataclass(frozen=True, slots=True)
class Reading:
    """One counted meter event."""

    timestamp: int
    value: Decimal


def readings(ctx: Context, meter: Doc, customer: str, start_at: int, end_at: int) -> list[Reading]:
    """Return the counted events in [start, end), in time order."""
    rows = ctx.store.rows(
        "SELECT timestamp, value FROM meter_events WHERE account=? AND event_name=? AND customer=?"
        " AND timestamp>=? AND timestamp<? AND cancelled=0 AND fault IS NULL ORDER BY timestamp, seq",
        *(ctx.account, meter["event_name"], customer, start_at, end_at),
    )
    found = [Reading(row["timestamp"], Decimal(row["value"])) for row in rows]
    window_s = WINDOW_S.get(meter.get("event_time_window", ""))
    if window_s is None:
        return found
    return list({reading.timestamp // window_s: reading for reading in found}.values())


def aggregate(meter: Doc, found: Iterable[Reading]) -> Decimal:
    """Return the meter's figure over some readings."""
    values = [reading.value for reading in found]
    match meter["default_aggregation"]["formula"]:
        case "count":
            return Decimal(len(values))
        case "last":
            return values[-1] if values else Decimal(0)
        case _:
            total = Decimal(0)
            for value in values:
                total = EXACT.add(total, value)
            return total


def total(ctx: Context, meter_id: str, customer: str, start_at: int, end_at: int) -> Decimal:
    """Return the quantity of [start, end) of one customer on one meter."""
    meter = ctx.get("billing.meter", meter_id)
    return aggregate(meter, readings(ctx, meter, customer, start_at, end_at))

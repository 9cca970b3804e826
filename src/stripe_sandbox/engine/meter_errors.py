"""Rejected usage → a thin event. Stripe: ingestion is asynchronous; rejections are gathered, then reported at once.

Usage of a meter is reported with the meter as the related object; usage that no meter listens to has none.
"""

from __future__ import annotations

from sqlite3 import Row

from stripe_sandbox import thin
from stripe_sandbox.context import Context
from stripe_sandbox.documents import Doc
from stripe_sandbox.engine import timers
from stripe_sandbox.store import Page

TIMER = "report_meter_errors"
NO_METER_TIMER = "report_no_meter"
REPORTED = "v1.billing.meter.error_report_triggered"
NO_METER_FOUND = "v1.billing.meter.no_meter_found"
NO_METER = "no_meter"
GATHERED_S = 5
_SAMPLES = 5
_ROWS = "SELECT seq, identifier, fault, received_at FROM meter_events WHERE account=? AND seq>? AND"
_MESSAGES = {
    "archived_meter": "The meter of the event has been archived.",
    "meter_event_customer_not_found": "The customer of the event was not found.",
    "meter_event_invalid_value": "The value of the event is not a number.",
    "meter_event_no_customer_defined": "The payload of the event names no customer.",
    "meter_event_value_not_found": "The payload of the event has no value.",
    "meter_event_value_too_many_digits": "The value of the event has too many digits.",
    NO_METER: "No meter listens to the name of the event.",
    "timestamp_in_future": "The timestamp of the event lies more than 5 minutes ahead.",
    "timestamp_too_far_in_past": "The timestamp of the event lies more than 35 days back.",
}

# What usage of a meter can be rejected for.
CODES = tuple(sorted(_MESSAGES.keys() - {NO_METER}))


def expect_report(ctx: Context, meter: Doc | None) -> None:
    """Have the rejections of the next seconds reported together."""
    about, name = (meter, TIMER) if meter else ({"id": ctx.account}, NO_METER_TIMER)
    if not ctx.store.row(
        "SELECT 1 FROM timers WHERE account=? AND object=? AND name=?", ctx.account, about["id"], name
    ):
        timers.arm(ctx, about, name, ctx.now() + GATHERED_S)


def report(ctx: Context, meter_id: str) -> None:
    """Tell of everything of a meter that was rejected since the last report."""
    meter = ctx.get("billing.meter", meter_id)
    rows = ctx.store.rows(
        f"{_ROWS} event_name=? AND fault IS NOT NULL AND fault<>? ORDER BY seq",
        *(ctx.account, meter.get("_reported", 0), meter["event_name"], NO_METER),
    )
    if rows:
        ctx.write(meter | {"_reported": rows[-1]["seq"]})
        related = {"id": meter_id, "type": "billing.meter", "url": f"/v1/billing/meters/{meter_id}"}
        thin.record(ctx, REPORTED, related, _data(ctx, rows))


def report_no_meter(ctx: Context, _account: str) -> None:
    """Tell of everything that no meter listened to since the last report."""
    condition = "json_extract(body,'$.type')=?"
    told = ctx.select(Page(kind=thin.EVENT, conditions=(condition,), arguments=(NO_METER_FOUND,), limit=1))
    since = told[0]["_upto"] if told else 0
    rows = ctx.store.rows(f"{_ROWS} fault=? ORDER BY seq", ctx.account, since, NO_METER)
    if rows:
        event = thin.record(ctx, NO_METER_FOUND, None, _data(ctx, rows))
        ctx.write(event | {"_upto": rows[-1]["seq"]})


def _data(ctx: Context, rows: list[Row]) -> Doc:
    codes = sorted({str(row["fault"]) for row in rows})
    kinds = [_error_type(code, [row["identifier"] for row in rows if row["fault"] == code]) for code in codes]
    return {
        "developer_message_summary": f"Rejected meter events: {len(rows)}",
        "reason": {"error_count": len(rows), "error_types": kinds},
        "validation_start": thin.iso(rows[0]["received_at"]),
        "validation_end": thin.iso(ctx.now()),
    }


def _error_type(code: str, identifiers: list[str]) -> Doc:
    samples = [
        {"error_message": _MESSAGES[code], "request": {"identifier": identifier}}
        for identifier in identifiers[:_SAMPLES]
    ]
    return {"code": code, "error_count": len(identifiers), "sample_errors": samples}

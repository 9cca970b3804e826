"""Rejected usage → a thin event. Stripe: ingestion is asynchronous; rejections are gathered, then reported at once."""

from __future__ import annotations

from stripe_sandbox import thin
from stripe_sandbox.context import Context
from stripe_sandbox.documents import Doc
from stripe_sandbox.engine import timers

TIMER = "report_meter_errors"
GATHERED_S = 5
_SAMPLES = 5
_MESSAGES = {
    "meter_event_customer_not_found": "The customer of the event was not found.",
    "meter_event_invalid_value": "The value of the event is not a number.",
}


def expect_report(ctx: Context, meter: Doc) -> None:
    """Have the rejections of the next seconds reported together."""
    if not ctx.store.row(
        "SELECT 1 FROM timers WHERE account=? AND object=? AND name=?", ctx.account, meter["id"], TIMER
    ):
        timers.arm(ctx, meter, TIMER, ctx.now() + GATHERED_S)


def report(ctx: Context, meter_id: str) -> None:
    """Tell of everything that was rejected since the last report."""
    meter = ctx.get("billing.meter", meter_id)
    rows = ctx.store.rows(
        "SELECT seq, identifier, fault, received_at FROM meter_events"
        " WHERE account=? AND event_name=? AND fault IS NOT NULL AND seq>? ORDER BY seq",
        *(ctx.account, meter["event_name"], meter.get("_reported", 0)),
    )
    if not rows:
        return
    ctx.write(meter | {"_reported": rows[-1]["seq"]})
    codes = sorted({str(row["fault"]) for row in rows})
    kinds = [_error_type(code, [row["identifier"] for row in rows if row["fault"] == code]) for code in codes]
    data = {
        "developer_message_summary": f"Rejected meter events: {len(rows)}",
        "reason": {"error_count": len(rows), "error_types": kinds},
        "validation_start": thin.iso(rows[0]["received_at"]),
        "validation_end": thin.iso(ctx.now()),
    }
    related = {"id": meter_id, "type": "billing.meter", "url": f"/v1/billing/meters/{meter_id}"}
    thin.record(ctx, "v1.billing.meter.error_report_triggered", related, data)


def _error_type(code: str, identifiers: list[str]) -> Doc:
    samples = [
        {"error_message": _MESSAGES[code], "request": {"identifier": identifier}}
        for identifier in identifiers[:_SAMPLES]
    ]
    return {"code": code, "error_count": len(identifiers), "sample_errors": samples}

"""Thin events: small signed notices that a thing happened, with the details to be fetched.

Stripe: meters report rejected usage only this way; times are ISO 8601; a destination of type ``webhook_endpoint``
with payload ``thin`` gets them.
"""

from __future__ import annotations

from datetime import UTC, datetime

from stripe_sandbox.clock import wall_s
from stripe_sandbox.context import Context
from stripe_sandbox.documents import Doc, new_id
from stripe_sandbox.store import Page

EVENT = "v2.core.event"
DESTINATION = "v2.core.event_destination"
_NOTICE = ("id", "object", "type", "created", "livemode", "context", "reason", "related_object")


def iso(at_s: int) -> str:
    """Return an instant as version 2 of the API writes it."""
    return f"{datetime.fromtimestamp(at_s, UTC):%Y-%m-%dT%H:%M:%S}.000Z"


def record(ctx: Context, event_type: str, related: Doc | None, data: Doc) -> Doc:
    """Store a thin event and queue its deliveries."""
    event: Doc = {
        "id": new_id("evt"),
        "object": EVENT,
        "changes": None,
        "context": None,
        "created": ctx.now(),
        "data": data,
        "livemode": False,
        "reason": None,
        "related_object": related,
        "snapshot_event": None,
        "type": event_type,
    }
    ctx.write(event)
    for destination in ctx.select(Page(kind=DESTINATION)):
        wanted = destination["enabled_events"]
        if destination["status"] == "enabled" and ("*" in wanted or event_type in wanted):
            ctx.store.run(
                "INSERT INTO deliveries (account, event, endpoint, attempts, next_at) VALUES (?,?,?,0,?)",
                *(ctx.account, event["id"], destination["id"], wall_s()),
            )
    return event


def show(_ctx: Context, event: Doc) -> Doc:
    """Return a thin event as it is fetched; without a related object the key is left out."""
    shown = event | {"created": iso(event["created"])}
    return {key: value for key, value in shown.items() if key != "related_object" or value is not None}


def notice(event: Doc) -> Doc:
    """Return the body that is delivered."""
    shown = event | {"created": iso(event["created"])}
    return {name: shown[name] for name in _NOTICE if name != "related_object" or shown[name] is not None}

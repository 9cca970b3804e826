"""Thin events: small signed notices that a thing happened, with the details to be fetched.

Stripe: meters report rejected usage only this way; times are ISO 8601; a destination of type ``webhook_endpoint``
with payload ``thin`` gets them.
"""

from __future__ import annotations

from stripe_sandbox.clock import wall_s
from stripe_sandbox.context import Context
from stripe_sandbox.documents import Doc, new_id, public
from stripe_sandbox.store import Page
from stripe_sandbox.wire.v2 import iso

__all__ = ["DESTINATION", "EVENT", "iso", "notice", "record", "show"]

EVENT = "v2.core.event"
DESTINATION = "v2.core.event_destination"
_NOTICE = ("id", "object", "type", "created", "livemode", "context", "reason", "related_object")


def record(ctx: Context, event_type: str, related: Doc | None, data: Doc | None, *, to: Doc | None = None) -> Doc:
    """Store a thin event and queue its deliveries: to every destination that wants it, or to one alone."""
    event: Doc = {
        "id": new_id("evt"),
        "object": EVENT,
        "changes": None,
        "context": None,
        "created": ctx.now(),
        **({} if data is None else {"data": data}),
        "livemode": False,
        "reason": None,
        "related_object": related,
        "snapshot_event": None,
        "type": event_type,
    }
    ctx.write(event)
    for destination in [to] if to else [one for one in ctx.select(Page(kind=DESTINATION)) if _wants(one, event_type)]:
        ctx.store.run(
            "INSERT INTO deliveries (account, event, endpoint, attempts, next_at) VALUES (?,?,?,0,?)",
            *(ctx.account, event["id"], destination["id"], wall_s()),
        )
    return event


def _wants(destination: Doc, event_type: str) -> bool:
    wanted = destination["enabled_events"]
    return destination["status"] == "enabled" and ("*" in wanted or event_type in wanted)


def show(_ctx: Context, event: Doc) -> Doc:
    """Return a thin event as it is fetched; without a related object the key is left out."""
    shown = public(event) | {"created": iso(event["created"])}
    return {key: value for key, value in shown.items() if key != "related_object" or value is not None}


def notice(event: Doc) -> Doc:
    """Return the body that is delivered."""
    shown = event | {"created": iso(event["created"])}
    return {name: shown[name] for name in _NOTICE if name != "related_object" or shown[name] is not None}

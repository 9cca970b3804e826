"""Every change → one event object, and one delivery per webhook endpoint that wants it.

Stripe: ``previous_attributes`` only on updates, with the old values of changed keys, nested under their hash;
``created`` follows the account's own clock even for objects of a test clock; events are kept 30 days.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from stripe_sandbox import API_VERSION, faults
from stripe_sandbox.clock import DAY_S
from stripe_sandbox.documents import Doc, new_id
from stripe_sandbox.store import Page

if TYPE_CHECKING:
    from stripe_sandbox.context import Context

KEPT_S = 30 * DAY_S


def changes(before: Doc, after: Doc) -> Doc:
    """Return the old values of what differs; hashes are compared key by key, lists as a whole."""
    previous: Doc = {}
    for key in before.keys() | after.keys():
        old, new = before.get(key), after.get(key)
        if old == new:
            continue
        if isinstance(old, dict) and isinstance(new, dict):
            previous[key] = changes(old, new)
        else:
            previous[key] = old
    return previous


def record(ctx: Context, event_type: str, shown: Doc, previous: Doc | None) -> None:
    """Store the event and queue its deliveries."""
    endpoints = [endpoint for endpoint in _endpoints(ctx) if _wants(endpoint, event_type)]
    data: Doc = {"object": shown}
    if previous:
        data["previous_attributes"] = previous
    event: Doc = {
        "id": new_id("evt"),
        "object": "event",
        "api_version": API_VERSION,
        "created": ctx.now(),
        "data": data,
        "livemode": False,
        "pending_webhooks": len(endpoints),
        "request": {"id": ctx.cause.request_id, "idempotency_key": ctx.cause.idempotency_key},
        "type": event_type,
    }
    ctx.write(event)
    for endpoint in endpoints:
        _queue(ctx, event, endpoint["id"])


def _queue(ctx: Context, event: Doc, endpoint_id: str) -> None:
    """Queue the event for one endpoint, as often and as late as the account's webhook faults say."""
    shipment = faults.for_webhook(ctx, event)
    for _ in range(shipment.copies):
        ctx.store.run(
            "INSERT INTO deliveries (account, event, endpoint, attempts, next_at) VALUES (?,?,?,0,?)",
            *(ctx.account, event["id"], endpoint_id, shipment.next_at),
        )


def _endpoints(ctx: Context) -> list[Doc]:
    return ctx.select(Page(kind="webhook_endpoint"))


def _wants(endpoint: Doc, event_type: str) -> bool:
    wanted = endpoint["enabled_events"]
    return endpoint["status"] == "enabled" and ("*" in wanted or event_type in wanted)

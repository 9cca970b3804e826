"""The part of the gateway that reads events back. Only the client inherits from it."""

import json
from datetime import datetime
from typing import Any

import stripe

from helvetia.kernel.clock import to_unix_s
from helvetia.stripe_gateway.convert_event import from_stripe_event, from_stripe_meter_error_report
from helvetia.stripe_gateway.events import EventPage, MeterErrorReport
from helvetia.stripe_gateway.fields import read_rows
from helvetia.stripe_gateway.transport import call, plain_list, refuse_transaction

API_VERSION: str = stripe.api_version
EVENTS_PER_PAGE = 100


class EventReader:
    """Wants `_client` of its heir."""

    _client: stripe.StripeClient

    async def list_events(self, *, created_from: datetime | None, after_event: str | None) -> EventPage:
        refuse_transaction()
        wanted: Any = {"limit": EVENTS_PER_PAGE}
        if created_from is not None:
            wanted["created"] = {"gte": to_unix_s(created_from)}
        if after_event is not None:
            wanted["starting_after"] = after_event
        answer = await call(plain_list(self._client, "/v1/events")(wanted))
        events = tuple(from_stripe_event(raw, json.dumps(raw, default=str).encode()) for raw in read_rows(answer))
        return EventPage(events=events, has_more=bool(answer["has_more"]))

    async def retrieve_meter_error_report(self, event_id: str) -> MeterErrorReport:
        refuse_transaction()
        return from_stripe_meter_error_report(await call(self._client.v2.core.events.retrieve_async(event_id)))

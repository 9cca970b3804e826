"""Stripe's events in our own words: what one is about, a page of Stripe's list, and a report of refused usage.

Frozen data only. An event is read alike from a webhook's body and from Stripe's list; both kinds exist, snapshots
(`event`, with the object as it was) and thin ones (`v2.core.event`, which only name it).
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Protocol

from helvetia.kernel.period import Period

NO_CUSTOMER = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class StripeEvent:
    """An event; `customer_id` is NO_CUSTOMER when it names none. `body` is what Stripe sent, byte for byte."""

    event_id: str
    event_type: str
    created_at: datetime
    is_live: bool
    is_thin: bool
    api_version: str | None
    connected_account_id: str | None
    customer_id: str
    object_id: str | None
    body: bytes


@dataclass(frozen=True, slots=True, kw_only=True)
class EventPage:
    """A page of Stripe's list, newest first."""

    events: Sequence[StripeEvent]
    has_more: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class MeterErrorReport:
    """Usage that Stripe took in and refused afterwards: codes, and the identifiers it names as samples.

    `validated`: when it looked at what it tells of, by its own clock; None where it does not say.
    """

    meter_id: str | None
    summary: str
    error_count: int
    codes: Sequence[str]
    identifiers: Sequence[str]
    validated: Period | None = None

    @property
    def names_all(self) -> bool:
        """Whether every refused event is among the samples."""
        return self.error_count <= len(self.identifiers)


class StripeEvents(Protocol):
    """Reading events back; raises as every call of the gateway does."""

    async def list_events(self, *, created_from: datetime | None, after_event: str | None) -> EventPage:
        """A page of events created at or after an instant (Stripe's clock), going on after one of them."""
        ...

    async def retrieve_meter_error_report(self, event_id: str) -> MeterErrorReport:
        """What a thin event about refused usage is about. Raises StripeObjectMissing."""
        ...

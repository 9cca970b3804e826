"""What is known of a report that went to another customer, and whether it may still be taken back. Pure."""

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime, timedelta
from decimal import Decimal
from enum import StrEnum
from uuid import UUID

from helvetia.kernel.errors import HelvetiaError
from helvetia.kernel.identity import AccountId
from helvetia.kernel.quantity import UsageMetric
from helvetia.meter_reports.model import SUMMARY_SETTLES_IN, MeterReport, ReportState
from helvetia.meter_reports.redirection.errors import (
    RedirectionTooLate,
    ReportBusy,
    ReportNotAtStripe,
    ReportNotMisdirected,
)
from helvetia.stripe_gateway.model import Invoice

# From Stripe's receipt of the event, in real time; not verified with a real key to the second.
TAKEN_BACK_WITHIN = timedelta(hours=24)
# Stripe answers a repeated key as the first time for at least 24 h; a little less.
KEY_LASTS = timedelta(hours=23, minutes=30)

_AT_STRIPE = frozenset({ReportState.DUE, ReportState.SENT, ReportState.CONFIRMED, ReportState.UNKNOWN})
_IN_DOUBT = frozenset({ReportState.DUE, ReportState.UNKNOWN})


class RedirectionState(StrEnum):
    """open → done, or refused by Stripe: then the report stands where it is."""

    OPEN = "open"
    DONE = "done"
    REFUSED = "refused"


@dataclass(frozen=True, slots=True, kw_only=True)
class Redirection:
    """The wish to take one report back, on record before Stripe is asked; `key_at` and `settled_at` are real time."""

    account_id: AccountId
    redirection_id: UUID
    identifier: str
    metric: UsageMetric
    value: Decimal
    wrong_customer_id: str
    right_customer_id: str | None
    state: RedirectionState
    requested_by: str
    reason: str
    requested_at: datetime
    key_at: datetime
    settled_at: datetime | None = None
    last_error: str | None = None

    @property
    def key(self) -> str:
        """The idempotency key: the same in every repetition of this wish."""
        return f"redirection:{self.redirection_id}"


def why_not(report: MeterReport, right_customer_id: str | None, wall: datetime) -> HelvetiaError | None:
    """What keeps a report from being taken back, as far as our own facts tell."""
    if report.state not in _AT_STRIPE:
        return ReportNotAtStripe(state=report.state.value)
    if report.stripe_customer_id == right_customer_id:
        return ReportNotMisdirected(customer=right_customer_id)
    if report.first_sent_at is None:
        return None
    tried_at = report.last_sent_at or report.first_sent_at
    if report.state in _IN_DOUBT and wall - tried_at < SUMMARY_SETTLES_IN:
        return ReportBusy(sentAt=tried_at)
    if wall - report.first_sent_at >= TAKEN_BACK_WITHIN:
        return RedirectionTooLate(sentAt=report.first_sent_at)
    return None


def final_invoice(invoices: Iterable[Invoice], price_id: str, occurred_at: datetime) -> str | None:
    """The final invoice that bills usage of this moment and price, if there is one."""
    for invoice in invoices:
        if invoice.finalized_at is not None and any(
            line.price_id == price_id and line.starts_at <= occurred_at < line.ends_at for line in invoice.lines
        ):
            return invoice.invoice_id
    return None

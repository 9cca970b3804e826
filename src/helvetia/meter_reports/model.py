"""Reports of usage to Stripe: what is still to be reported, under which identifier, and in which state. Pure.

The value of a new report is the period's closed total, cut to 6 places, minus everything reported before in every
state but rejected. So the values telescope: their sum is always the cut total, whatever the order of events.
"""

import hashlib
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from decimal import Decimal
from enum import StrEnum
from typing import Self

from helvetia.kernel.identity import AccountId
from helvetia.kernel.period import HOUR, Period, floor_hour
from helvetia.kernel.quantity import UsageMetric, to_sold_quantity
from helvetia.subscriptions.model import BillingPeriod

# Stripe takes usage of the last 35 days; a little less, so that none is refused on its way.
REPORTABLE_FOR = timedelta(days=35) - timedelta(minutes=10)
# Stripe keeps identifiers at least 24 h after it took them; real time, a little less.
IDENTIFIER_HOLDS_FOR = timedelta(hours=23, minutes=30)
# Longer than one call with all its repetitions: until then another sender may be at it.
SENDING_LASTS = timedelta(seconds=60)
# Summaries are eventually consistent: what was sent this recently may not be in them yet.
SUMMARY_SETTLES_IN = timedelta(minutes=15)
# What was sent and is in no summary after this much real time, nobody at Stripe will count by itself.
COUNTED_WITHIN = timedelta(days=1)
REJECTED_WAIT_MIN = timedelta(minutes=1)
REJECTED_WAIT_MAX = timedelta(hours=6)


@dataclass(frozen=True, slots=True, kw_only=True)
class ReportsConfig:
    """How fast Stripe is called: a live account allows 1,000 meter calls a second, a sandbox 25 calls in all."""

    calls_per_second: int = 25
    streams_at_once: int = 4
    batch_max: int = 100

    @classmethod
    def of_rate(cls, calls_per_second: int) -> Self:
        """Streams side by side and batches that suit the rate."""
        return cls(
            calls_per_second=calls_per_second,
            streams_at_once=max(4, min(64, calls_per_second // 12)),
            batch_max=max(100, min(1_000, calls_per_second)),
        )


class ReportState(StrEnum):
    """due → sent → confirmed; rejected by Stripe; unknown: sent perhaps; dead: the operator's."""

    DUE = "due"
    SENT = "sent"
    CONFIRMED = "confirmed"
    REJECTED = "rejected"
    UNKNOWN = "unknown"
    DEAD = "dead"


@dataclass(frozen=True, slots=True, kw_only=True)
class MeterReport:
    """One row of the outbox. `first_sent_at`, `last_sent_at` and `settled_at` are real time."""

    account_id: AccountId
    metric: UsageMetric
    piece_start: datetime
    revision: int
    billing_period_start: datetime
    billing_period_end: datetime
    stripe_customer_id: str
    event_name: str
    identifier: str
    value: Decimal
    state: ReportState
    attempt_count: int
    created_at: datetime
    first_sent_at: datetime | None
    last_sent_at: datetime | None
    settled_at: datetime | None
    last_error: str | None

    @property
    def occurred_at(self) -> datetime:
        """The event's time: the piece's start to the whole second, never before the period."""
        return max(self.piece_start.replace(microsecond=0), self.billing_period_start)

    @property
    def is_in_doubt(self) -> bool:
        """Whether an attempt without an answer may have arrived though the row is due."""
        return self.state is ReportState.DUE and self.first_sent_at is not None

    def is_uncounted(self, wall: datetime) -> bool:
        """Whether Stripe took it, and its summaries should have confirmed it long ago."""
        is_sent = self.state is ReportState.SENT and self.settled_at is not None
        return is_sent and wall - (self.settled_at or wall) > COUNTED_WITHIN

    @property
    def stream(self) -> tuple[str, str]:
        """Events of one customer to one meter go one after another."""
        return (self.stripe_customer_id, self.event_name)


@dataclass(frozen=True, slots=True, kw_only=True)
class ReportedSoFar:
    """What the outbox holds for a metric of a period: the sum that counts, and how often it was rejected lately."""

    value: Decimal
    rejected_count: int
    last_rejected_at: datetime | None

    def may_retry_at(self, wall: datetime) -> bool:
        """After a rejection, a new revision waits: 1 minute, doubling with each, at most 6 hours."""
        if self.last_rejected_at is None:
            return True
        doublings = max(0, min(self.rejected_count - 1, 16))
        return wall >= self.last_rejected_at + min(REJECTED_WAIT_MAX, REJECTED_WAIT_MIN * (1 << doublings))


def value_to_report(metric: UsageMetric, closed_total: int, reported: Decimal) -> Decimal:
    """What is still to be reported, in the sold unit; negative when less was used than was reported."""
    return to_sold_quantity(metric, closed_total) - reported


def make_identifier(
    account_id: AccountId, metric: UsageMetric, period: Period, piece_start: datetime, revision: int
) -> str:
    """The name Stripe knows a report by: the same in every attempt, and no other's."""
    parts = (str(account_id), metric.value, period.starts_at.isoformat(), piece_start.isoformat(), str(revision))
    return "hv_" + hashlib.sha256("|".join(parts).encode()).hexdigest()


def is_too_old(occurred_at: datetime, now: datetime) -> bool:
    """Whether Stripe takes the usage no more; both in business time."""
    return now - occurred_at > REPORTABLE_FOR


class NextStep(StrEnum):
    """What to do with a row whose turn it is."""

    SEND = "send"
    BURY = "bury"
    ASK_SUMMARY = "ask_summary"


def next_step(report: MeterReport, *, now: datetime, wall: datetime, final_at: datetime | None = None) -> NextStep:
    """Send it; or, when a former attempt may have arrived too long ago to repeat it, ask Stripe's summary first.

    `final_at`: when the invoice of its period became final; what was never sent until then would be billed nowhere.
    """
    if report.first_sent_at is not None and wall - report.first_sent_at >= IDENTIFIER_HOLDS_FOR:
        return NextStep.ASK_SUMMARY
    is_missed = is_too_old(report.occurred_at, now) or (final_at is not None and report.first_sent_at is None)
    return NextStep.BURY if is_missed else NextStep.SEND


def period_before(periods: Sequence[BillingPeriod], through: datetime) -> BillingPeriod | None:
    """The billing period that the moments just before an instant belong to; at its very first moment, itself."""
    started = [billed for billed in periods if billed.period.starts_at < through]
    started = started or [billed for billed in periods if billed.period.starts_at == through]
    return started[-1] if started else None


def whole_hours(instants: Iterable[datetime]) -> Period:
    """The range of whole UTC hours that holds these instants; there is at least one."""
    hours = sorted(floor_hour(instant) for instant in instants)
    return Period(starts_at=hours[0], ends_at=hours[-1] + HOUR)


def whole_minutes(period: Period) -> Period:
    """The range of whole minutes around a period, which summaries are asked for; it may hold a neighbour's event."""
    starts_at = period.starts_at.replace(second=0, microsecond=0)
    last_minute_at = (period.ends_at - timedelta(microseconds=1)).replace(second=0, microsecond=0)
    return Period(starts_at=starts_at, ends_at=last_minute_at + timedelta(minutes=1))


@dataclass(frozen=True, slots=True, kw_only=True)
class SendRound:
    """What one round of sending did."""

    sent_count: int = 0
    rejected_count: int = 0
    dead_count: int = 0
    unknown_count: int = 0
    failed_count: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class Confirmation:
    """One metric of a period at Stripe: what we sent, what it counted, and whether all is confirmed."""

    metric: UsageMetric
    sent: Decimal
    counted: Decimal
    is_confirmed: bool

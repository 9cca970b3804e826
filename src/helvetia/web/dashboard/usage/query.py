"""What a usage page is asked for: its address, read and written. Pure.

Everything that a page shows is told by its address, so a link can be kept and shared. What the address says wrong (a
day that is none, a range that ends before it starts) falls back to the current period, with a complaint to show.
Days are those of UTC, as on the invoice: the reader's zone never changes which day a figure belongs to. A range told by
instants instead of days is taken as it is: such is the period of an invoice's line.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, date, datetime, time, timedelta
from enum import StrEnum
from typing import Any
from urllib.parse import urlencode
from uuid import UUID

from helvetia.kernel.identity import ServiceId
from helvetia.kernel.period import Period, calendar_month
from helvetia.kernel.quantity import UsageMetric
from helvetia.metering.history.model import Grain, UsageFilter
from helvetia.web.middleware.authenticate import ORGANIZATION_PARAMETER

HOURS_UP_TO = timedelta(days=2)
HOURS_MAX = timedelta(days=14)
DAYS_UP_TO = timedelta(days=93)
DAYS_RANGE_MAX = 731
MONTHS_BACK = 24
EXPORT_PATH = "/api/v1/billing/usage/export"


class PeriodKind(StrEnum):
    """Which stretch of time; the words of the address."""

    CURRENT = "current"
    PREVIOUS = "previous"
    MONTH = "month"
    CUSTOM = "custom"


class Complaint(StrEnum):
    """What is wrong with an address."""

    NOT_A_DAY = "not_a_day"
    REVERSED = "reversed"
    TOO_LONG = "too_long"
    IN_FUTURE = "in_future"
    NOT_A_FILTER = "not_a_filter"


@dataclass(frozen=True, slots=True, kw_only=True)
class UsageQuery:
    """The filters of a usage page; `first` and `last` are both included, and only told for a custom range.

    `exact`: a custom range to the second, instead of days.
    """

    kind: PeriodKind = PeriodKind.CURRENT
    month: date | None = None
    first: date | None = None
    last: date | None = None
    exact: Period | None = None
    service_id: ServiceId | None = None
    metric: UsageMetric | None = None
    grain: Grain | None = None
    is_compared: bool = False
    organization: str | None = None
    complaint: Complaint | None = None

    @property
    def metrics(self) -> Sequence[UsageMetric]:
        return tuple(UsageMetric) if self.metric is None else (self.metric,)

    def parameters(self) -> dict[str, str]:
        """The address's parameters, in an order that never changes; what is the default is left out."""
        told: dict[str, str | None] = {
            "period": None if self.kind is PeriodKind.CURRENT else self.kind.value,
            "month": None if self.month is None else f"{self.month:%Y-%m}",
            **self._range(),
            "service": None if self.service_id is None else str(self.service_id),
            "metric": None if self.metric is None else self.metric.value,
            "grain": None if self.grain is None else self.grain.value,
            "compare": "before" if self.is_compared else None,
            ORGANIZATION_PARAMETER: self.organization,
        }
        return {name: value for name, value in told.items() if value is not None}

    def _range(self) -> dict[str, str | None]:
        if self.exact is not None:
            return {"from": instant_text(self.exact.starts_at), "to": instant_text(self.exact.ends_at)}
        first, last = [None if day is None else day.isoformat() for day in (self.first, self.last)]
        return {"from": first, "to": last}

    def href(self, path: str, **more: str) -> str:
        return href(path, {**self.parameters(), **more})

    def with_period(self, kind: PeriodKind, **days: date) -> "UsageQuery":
        """The same filters over another stretch of time, by the grain that fits it."""
        chosen: dict[str, Any] = {"month": None, "first": None, "last": None, "exact": None, **days}
        return replace(self, kind=kind, grain=None, complaint=None, **chosen)

    def of_day(self, day: date) -> "UsageQuery":
        return self.with_period(PeriodKind.CUSTOM, first=day, last=day)

    def of_month(self, month: date) -> "UsageQuery":
        return self.with_period(PeriodKind.MONTH, month=month)

    def period(self, current: Period, previous: Period) -> Period:
        """The stretch of time, its end not included."""
        if self.kind is PeriodKind.PREVIOUS:
            return previous
        if self.exact is not None:
            return self.exact
        if self.month is not None:
            return calendar_month(_midnight(self.month))
        if self.first is not None and self.last is not None:
            return Period(starts_at=_midnight(self.first), ends_at=_midnight(self.last + timedelta(days=1)))
        return current

    def to_filter(self, period: Period) -> UsageFilter:
        return UsageFilter(
            period=period, grain=self.fitting_grain(period), metrics=self.metrics, service_id=self.service_id
        )

    def fitting_grain(self, period: Period) -> Grain:
        """The grain asked for where it can be drawn, else the one that fits the length."""
        length = period.ends_at - period.starts_at
        if self.grain is Grain.HOUR and length <= HOURS_MAX:
            return Grain.HOUR
        if self.grain is Grain.DAY and length <= DAYS_UP_TO:
            return Grain.DAY
        if length <= HOURS_UP_TO:
            return Grain.HOUR
        return Grain.DAY if length <= DAYS_UP_TO else Grain.MONTH


def instant_text(instant: datetime) -> str:
    """ISO 8601 in UTC, as addresses tell it."""
    return instant.astimezone(UTC).isoformat().replace("+00:00", "Z")


def href(path: str, told: Mapping[str, str]) -> str:
    query = urlencode(told)
    return f"{path}?{query}" if query else path


def export_href(wanted: UsageFilter, export_format: str, organization: str | None) -> str:
    """The address of exactly these rows as a file."""
    told = [
        ("from", instant_text(wanted.period.starts_at)),
        ("to", instant_text(wanted.period.ends_at)),
        ("grain", wanted.grain.value),
        ("format", export_format),
    ]
    if len(wanted.metrics) < len(UsageMetric):
        told += [("metric", metric.value) for metric in wanted.metrics]
    if wanted.service_id is not None:
        told.append(("serviceId", str(wanted.service_id)))
    if organization is not None:
        told.append((ORGANIZATION_PARAMETER, organization))
    return f"{EXPORT_PATH}?{urlencode(told)}"


def read_query(told: Mapping[str, str], now: datetime) -> UsageQuery:
    """The filters that an address tells; see the module for what it tells wrong."""
    filters = UsageQuery(
        service_id=_service(told.get("service", "")),
        metric=next((metric for metric in UsageMetric if metric.value == told.get("metric")), None),
        grain=next((grain for grain in Grain if grain.value == told.get("grain")), None),
        is_compared=told.get("compare") == "before",
        organization=told.get(ORGANIZATION_PARAMETER),
    )
    if (told.get("service") and filters.service_id is None) or (told.get("metric") and filters.metric is None):
        filters = replace(filters, complaint=Complaint.NOT_A_FILTER)
    kind = told.get("period", "")
    if kind == PeriodKind.PREVIOUS:
        return replace(filters, kind=PeriodKind.PREVIOUS)
    if kind == PeriodKind.MONTH:
        return _of_month(filters, told.get("month", ""), now)
    if kind == PeriodKind.CUSTOM and "T" in told.get("from", ""):
        return _of_instants(filters, told.get("from", ""), told.get("to", ""), now)
    if kind == PeriodKind.CUSTOM:
        return _of_days(filters, told.get("from", ""), told.get("to", ""), now)
    return filters


def _of_month(filters: UsageQuery, month: str, now: datetime) -> UsageQuery:
    try:
        first = date.fromisoformat(f"{month}-01")
    except ValueError:
        return replace(filters, complaint=Complaint.NOT_A_DAY)
    if _midnight(first) > now:
        return replace(filters, complaint=Complaint.IN_FUTURE)
    return replace(filters, kind=PeriodKind.MONTH, month=first)


def _of_days(filters: UsageQuery, first_text: str, last_text: str, now: datetime) -> UsageQuery:
    try:
        first = date.fromisoformat(first_text)
        last = date.fromisoformat(last_text) if last_text else first
    except ValueError:
        return replace(filters, complaint=Complaint.NOT_A_DAY)
    if last < first:
        return replace(filters, complaint=Complaint.REVERSED)
    if _midnight(first) > now or last.year >= date.max.year:
        return replace(filters, complaint=Complaint.IN_FUTURE)
    if (last - first).days >= DAYS_RANGE_MAX:
        return replace(filters, complaint=Complaint.TOO_LONG)
    return replace(filters, kind=PeriodKind.CUSTOM, first=first, last=last)


def _of_instants(filters: UsageQuery, start_text: str, end_text: str, now: datetime) -> UsageQuery:
    try:
        starts_at, ends_at = datetime.fromisoformat(start_text), datetime.fromisoformat(end_text)
    except ValueError:
        return replace(filters, complaint=Complaint.NOT_A_DAY)
    if starts_at.tzinfo is None or ends_at.tzinfo is None:
        return replace(filters, complaint=Complaint.NOT_A_DAY)
    if ends_at <= starts_at:
        return replace(filters, complaint=Complaint.REVERSED)
    if starts_at > now or ends_at.year >= date.max.year:
        return replace(filters, complaint=Complaint.IN_FUTURE)
    if ends_at - starts_at > timedelta(days=DAYS_RANGE_MAX):
        return replace(filters, complaint=Complaint.TOO_LONG)
    exact = Period(starts_at=starts_at.astimezone(UTC), ends_at=ends_at.astimezone(UTC))
    return replace(filters, kind=PeriodKind.CUSTOM, exact=exact)


def _service(text: str) -> ServiceId | None:
    try:
        return ServiceId(UUID(text)) if text else None
    except ValueError:
        return None


def _midnight(day: date) -> datetime:
    return datetime.combine(day, time(), UTC)

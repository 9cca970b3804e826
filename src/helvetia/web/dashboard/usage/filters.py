"""The bar that chooses the stretch of time, and the filters beneath it: links and one form without scripts. Pure."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import UTC, date, datetime, timedelta

from helvetia.kernel.quantity import UsageMetric
from helvetia.metering.history.model import Grain
from helvetia.web.dashboard.usage.facts import UsageFacts
from helvetia.web.dashboard.usage.query import DAYS_UP_TO, HOURS_MAX, Complaint, PeriodKind
from helvetia.web.dashboard.usage.words import metric_title
from helvetia.web.dashboard.voice import Voice

_MONTHS_SHOWN = 3
_MICROSECOND = timedelta(microseconds=1)


@dataclass(frozen=True, slots=True, kw_only=True)
class Choice:
    title: str
    href: str
    is_chosen: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class Option:
    value: str
    title: str
    is_chosen: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class FilterView:
    """`periods` and `grains` are links; the form holds days, service and metric; `kept` are its hidden fields."""

    action: str
    periods: Sequence[Choice]
    grains: Sequence[Choice]
    first: str
    last: str
    today: str
    services: Sequence[Option]
    metrics: Sequence[Option]
    kept: Sequence[tuple[str, str]]
    complaint: str | None
    clear_href: str | None
    compare: Choice


def to_filters(facts: UsageFacts, path: str, *, with_services: bool = True) -> FilterView:
    query, voice = facts.query, facts.voice
    last = facts.period.ends_at - _MICROSECOND
    services = sorted(((name, str(service_id)) for service_id, name in facts.names.items()), key=lambda one: one)
    is_filtered = query.metric is not None or (with_services and query.service_id is not None)
    bare = replace(query, metric=None, service_id=None if with_services else query.service_id)
    return FilterView(
        action=path,
        periods=_periods(facts, path),
        grains=_grains(facts, path),
        first=f"{facts.period.starts_at.astimezone(UTC):%Y-%m-%d}",
        last=f"{last.astimezone(UTC):%Y-%m-%d}",
        today=f"{voice.now.astimezone(UTC):%Y-%m-%d}",
        services=[_all(voice.say("All services"), is_chosen=query.service_id is None)]
        + [Option(value=one, title=name, is_chosen=one == str(query.service_id)) for name, one in services]
        if with_services
        else [],
        metrics=[_all(voice.say("All metrics"), is_chosen=query.metric is None)]
        + [
            Option(value=metric.value, title=metric_title(metric, voice), is_chosen=metric is query.metric)
            for metric in UsageMetric
        ],
        kept=[(name, value) for name, value in query.parameters().items() if name in {"organizationId", "compare"}],
        complaint=None if query.complaint is None else complaint_words(query.complaint, voice),
        clear_href=bare.href(path) if is_filtered else None,
        compare=Choice(
            title=voice.say("Compare with the time before"),
            href=replace(query, is_compared=not query.is_compared).href(path),
            is_chosen=query.is_compared,
        ),
    )


def complaint_words(complaint: Complaint, voice: Voice) -> str:
    return {
        Complaint.NOT_A_DAY: voice.say("That is not a day of the calendar; the current period is shown."),
        Complaint.REVERSED: voice.say("The last day is before the first; the current period is shown."),
        Complaint.TOO_LONG: voice.say("At most 24 months at once; the current period is shown."),
        Complaint.IN_FUTURE: voice.say("These days are still to come; the current period is shown."),
        Complaint.NOT_A_FILTER: voice.say("There is no such service or metric; all are shown."),
    }[complaint]


def _periods(facts: UsageFacts, path: str) -> list[Choice]:
    query, voice = facts.query, facts.voice

    def of_kind(title: str, kind: PeriodKind) -> Choice:
        is_chosen = query.kind is kind and query.month is None and query.first is None
        return Choice(title=title, href=query.with_period(kind).href(path), is_chosen=is_chosen)

    months = [
        Choice(
            title=facts.utc.month(month),
            href=query.of_month(month).href(path),
            is_chosen=query.kind is PeriodKind.MONTH and query.month == month,
        )
        for month in _months(voice.now, query.month)
    ]
    return [
        of_kind(voice.say("Current period"), PeriodKind.CURRENT),
        of_kind(voice.say("Previous period"), PeriodKind.PREVIOUS),
        *months,
    ]


def _months(now: datetime, chosen: date | None) -> list[date]:
    """The last months, and the chosen one if it is older."""
    month = now.astimezone(UTC).date().replace(day=1)
    found = []
    for _ in range(_MONTHS_SHOWN):
        found.append(month)
        month = (month - timedelta(days=1)).replace(day=1)
    return found if chosen is None or chosen in found else [*found, chosen]


def _grains(facts: UsageFacts, path: str) -> list[Choice]:
    length = facts.period.ends_at - facts.period.starts_at
    voice = facts.voice
    words = {Grain.HOUR: voice.say("Hours"), Grain.DAY: voice.say("Days"), Grain.MONTH: voice.say("Months")}
    fitting = [Grain.HOUR] if length <= HOURS_MAX else []
    fitting += [Grain.DAY] if length <= DAYS_UP_TO else [Grain.MONTH]
    choices = [
        Choice(title=words[grain], href=replace(facts.query, grain=grain).href(path), is_chosen=grain is facts.grain)
        for grain in fitting
    ]
    return choices if len(choices) > 1 else []


def _all(title: str, *, is_chosen: bool) -> Option:
    return Option(value="", title=title, is_chosen=is_chosen)

"""Figures with a line each: what is reserved and used beside the plan's limits, and where the period will end. Pure."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal

from helvetia.catalogue.plans import UNLIMITED, ResourceLimits
from helvetia.containers.model import HoldCause, Service, Wish
from helvetia.costs.forecasts.model import AccountForecast, LimitOutlook
from helvetia.costs.model import LimitUse, UsageLine
from helvetia.kernel.quantity import BYTES_PER_GB, NS_PER_S, UsageMetric
from helvetia.web.dashboard.overview.facts import OverviewFacts
from helvetia.web.dashboard.usage.words import metric_title
from helvetia.web.dashboard.voice import Voice

_FULL = Decimal(100)
_DAY_NS = 86_400 * NS_PER_S
_FULL_DAYS_MIN = 3


@dataclass(frozen=True, slots=True, kw_only=True)
class Reading:
    """A figure with its line; `fill` is the filled part of 100, None where there is no limit to fill.

    `mark`: the part of 100 expected at the period's end; `warning`: words in red after the note.
    """

    title: str
    quantity: str
    cost: str | None
    note: str
    fill: str | None
    is_over: bool
    price: str | None = None
    mark: str | None = None
    warning: str | None = None


def readings(facts: OverviewFacts) -> list[Reading]:
    """Services and memory reserved, for who may see them, then bandwidth and storage."""
    shown = [] if facts.services is None else reserved_readings(facts.services, facts.limits, facts.voice)
    limited = [line for line in facts.usage.lines if line.limit_use is not None]
    return shown + [usage_reading(line, facts) for line in limited]


def usage_reading(line: UsageLine, facts: OverviewFacts) -> Reading:
    """One metric that the plan limits: the line fills towards the limit, the mark is where the period will end."""
    voice, use = facts.voice, line.limit_use
    used = Decimal(0) if use is None else use.used
    limit = None if use is None else use.limit
    expected, warning = _expected(line.metric, facts.forecast), _warning(line.metric, facts)
    return Reading(
        title=metric_title(line.metric, voice),
        quantity=f"{voice.quantity(used)} GB",
        cost=voice.money(line.amount_minor, facts.usage.currency),
        note=_limit_note(use, expected if warning is None else None, facts.period.ends_at, voice),
        fill=None if limit is None else _fill(used / limit),
        is_over=limit is not None and used >= limit,
        mark=None if limit is None or expected is None else _fill(expected / limit),
        warning=warning,
    )


def _expected(metric: UsageMetric, forecast: AccountForecast | None) -> Decimal | None:
    """GB at the period's end: bandwidth adds up; storage is what a full day of the days to come holds on the mean."""
    if forecast is None:
        return None
    found = forecast.metrics[metric].forecast
    if metric is UsageMetric.BANDWIDTH_GB:
        return None if found.p50 is None else Decimal(found.p50) / BYTES_PER_GB
    if len(found.expected_days) < _FULL_DAYS_MIN:
        return None
    return Decimal(found.expected_days[-2]) / _DAY_NS / BYTES_PER_GB


def _warning(metric: UsageMetric, facts: OverviewFacts) -> str | None:
    limit = None if facts.forecast is None else facts.forecast.metrics[metric].limit
    if limit is None or limit.outlook is not LimitOutlook.EXPECTED or limit.about is None:
        return None
    return facts.voice.say("limit about {day}", day=facts.voice.shortest_day(limit.about))


def reserved_readings(services: Sequence[Service], limits: ResourceLimits, voice: Voice) -> list[Reading]:
    """What counts against the limits of the plan: held services keep their reservation unless held for quota."""
    counted = [service for service in services if HoldCause.QUOTA not in service.holds]
    wished = [service.definition for service in counted if service.wish is Wish.RUNNING]
    memory_mb = sum(definition.memory_mb * definition.replicas for definition in wished)
    cores = sum((definition.cpu_cores * definition.replicas for definition in wished), Decimal(0))
    services_limit, memory_limit = voice.plain(Decimal(limits.services_max)), voice.megabytes(limits.memory_mb_max)
    return [
        _reservation(
            voice.say("Services"),
            voice.plain(Decimal(len(counted))),
            share=(Decimal(len(counted)), Decimal(limits.services_max)),
            limit_words=services_limit,
            voice=voice,
        ),
        _reservation(
            voice.say("Memory reserved"),
            voice.megabytes(memory_mb),
            share=(Decimal(memory_mb), Decimal(limits.memory_mb_max)),
            limit_words=memory_limit,
            voice=voice,
            more=_cores_note(cores, limits, voice),
        ),
    ]


def _cores_note(cores: Decimal, limits: ResourceLimits, voice: Voice) -> str:
    if limits.cpu_cores_max == UNLIMITED:
        return voice.say("{cores} cores reserved", cores=voice.plain(cores))
    return voice.say(
        "{cores} of {limit} cores reserved", cores=voice.plain(cores), limit=voice.plain(limits.cpu_cores_max)
    )


def _reservation(
    title: str,
    quantity: str,
    *,
    share: tuple[Decimal, Decimal],
    limit_words: str,
    voice: Voice,
    more: str | None = None,
) -> Reading:
    value, limit = share
    if limit == UNLIMITED:
        note = voice.say("no limit")
        return Reading(title=title, quantity=quantity, cost=None, note=note, fill=None, is_over=False, price=more)
    return Reading(
        title=title,
        quantity=quantity,
        cost=None,
        note=voice.say("{share} of {limit}", share=voice.percent(value, limit), limit=limit_words),
        fill=_fill(value / limit),
        is_over=value > limit,
        price=more,
    )


def _limit_note(use: LimitUse | None, expected: Decimal | None, ends_at: datetime, voice: Voice) -> str:
    if use is None or use.limit is None:
        return voice.say("no limit")
    words = {"share": voice.percent(use.used, use.limit), "limit": f"{voice.plain(use.limit)} {use.unit}"}
    if expected is None or use.used >= use.limit:
        return voice.say("{share} of {limit}", **words)
    later = voice.percent(expected, use.limit)
    return voice.say(
        "{share} of {limit}, about {later} by {day}", later=later, day=voice.shortest_day(ends_at), **words
    )


def _fill(share: Decimal) -> str:
    return f"{round(min(_FULL, max(Decimal(0), share * 100)), 2).normalize():f}"

"""The explorer's drawings: what each hour, day or month cost, and how the sum grew towards its limit. Pure."""

from collections.abc import Sequence
from datetime import datetime
from decimal import Decimal

from helvetia.catalogue.plans import UNLIMITED
from helvetia.catalogue.prices import CURRENCY
from helvetia.kernel.quantity import UsageMetric
from helvetia.metering.history.model import Grain
from helvetia.web.dashboard.charts.rising_line import LineAxes, Point, RisingLine, draw_rising_line
from helvetia.web.dashboard.charts.stacked_bars import Bar, ChartWords, StackedBars, axis_values, draw_stacked_bars
from helvetia.web.dashboard.usage.changes.view import mark_words
from helvetia.web.dashboard.usage.facts import NOTHING, Bucket, UsageFacts, amount_minor, by_metric, to_cents
from helvetia.web.dashboard.usage.words import (
    bucket_words,
    exact_cost,
    exact_quantity,
    metric_title,
    metric_unit,
)
from helvetia.web.dashboard.voice import Voice

_LIMIT_IN_SIGHT = 5
_LABELS_MAX = 6


def cost_chart(facts: UsageFacts, found: Sequence[Bucket], path: str) -> StackedBars | None:
    """Bars of cost, by metric; None where there is nothing to draw."""
    if facts.history is None:
        return None
    metrics, voice = facts.query.metrics, facts.voice
    bars = [
        Bar(
            label=bucket_words(bucket, facts),
            parts=[bucket.sums.get(metric, NOTHING).cost_minor for metric in metrics],
            cells=[*_cells(bucket, metrics, voice)],
            link=_drill(bucket, facts, path),
            mark=mark_words(bucket, facts),
        )
        for bucket in found
    ]
    highest = max((bucket.cost_minor for bucket in found), default=Decimal(0))
    said = ChartWords(
        name=_name(facts),
        caption=_finding(found, facts),
        legend=[metric_title(metric, voice) for metric in metrics],
        head=[
            {Grain.HOUR: voice.say("Hour (UTC)"), Grain.DAY: voice.say("Day (UTC)"), Grain.MONTH: voice.say("Month")}[
                facts.grain
            ],
            *(metric_title(metric, voice) for metric in metrics),
            voice.say("Cost"),
        ],
        expected_word="",
        mark_word=voice.say("Changes"),
    )
    return draw_stacked_bars(bars, said, money_ticks(highest, voice))


def rising_chart(facts: UsageFacts, found: Sequence[Bucket]) -> RisingLine | None:
    """The sum so far of one metric against its limit, else of all cost."""
    if facts.history is None:
        return None
    limited_gb = _bandwidth_limit_gb(facts)
    metric = facts.query.metric or (UsageMetric.BANDWIDTH_GB if limited_gb else None)
    limit = limited_gb if metric is UsageMetric.BANDWIDTH_GB else None
    points = _points(facts, found, metric)
    total = points[-1].value
    is_near = limit is not None and total * _LIMIT_IN_SIGHT >= limit
    highest = max(total, limit) if is_near and limit is not None else total
    voice, unit = facts.voice, "" if metric is None else metric_unit(metric, facts.voice)
    words = ChartWords(
        name=voice.say("Cost so far")
        if metric is None
        else voice.say("{metric} so far", metric=metric_title(metric, voice)),
        caption=_towards(facts, metric, total, limit),
        legend=(),
        head=[
            voice.say("Until (UTC)"),
            voice.say("Cost") if metric is None else f"{metric_title(metric, voice)} {unit}",
        ],
        expected_word="",
    )
    ticks = (
        money_ticks(highest, voice)
        if metric is None
        else [(v, f"{voice.plain(v)} {unit}") for v in axis_values(highest)]
    )
    axes = LineAxes(
        starts_at=facts.period.starts_at,
        ends_at=facts.period.ends_at,
        ticks=ticks,
        days=axis_days(facts, found),
        unit=unit,
        limit=limit,
        limit_word="" if limit is None else voice.say("limit {limit} GB", limit=voice.plain(limit)),
    )
    return draw_rising_line(points, words, axes)


def money_ticks(highest_minor: Decimal, voice: Voice) -> list[tuple[Decimal, str]]:
    """Round amounts along an axis, in cents where they are whole ones."""
    return [
        (value, voice.money(int(value), CURRENCY) if value == int(value) else voice.exact_money(value, CURRENCY))
        for value in axis_values(highest_minor)
    ]


def _cells(bucket: Bucket, metrics: Sequence[UsageMetric], voice: Voice) -> list[str]:
    costs = [bucket.sums.get(metric, NOTHING).cost_minor for metric in metrics]
    return [exact_cost(cost, to_cents(cost), voice) for cost in (*costs, bucket.cost_minor)]


def _drill(bucket: Bucket, facts: UsageFacts, path: str) -> str | None:
    """A month opens its days, a day its hours; nothing opens the future."""
    if bucket.starts_at > facts.voice.now:
        return None
    if facts.grain is Grain.MONTH:
        return facts.query.of_month(bucket.starts_at.date().replace(day=1)).href(path)
    if facts.grain is Grain.DAY:
        return facts.query.of_day(bucket.starts_at.date()).href(path)
    return None


def _name(facts: UsageFacts) -> str:
    return {
        Grain.HOUR: facts.voice.say("Cost per hour"),
        Grain.DAY: facts.voice.say("Cost per day"),
        Grain.MONTH: facts.voice.say("Cost per month"),
    }[facts.grain]


def _finding(found: Sequence[Bucket], facts: UsageFacts) -> str:
    """The finding: the dearest bucket, and what the others come to on average."""
    voice = facts.voice
    used = [bucket for bucket in found if bucket.cost_minor > 0]
    if not used:
        return voice.say("Nothing was used in this time.")
    dearest = max(used, key=lambda bucket: bucket.cost_minor)
    cost = voice.money(to_cents(dearest.cost_minor), CURRENCY)
    words = bucket_words(dearest, facts)
    if len(used) == 1:
        return voice.say("All of it: {bucket}, {cost}.", bucket=words, cost=cost)
    mean = sum((bucket.cost_minor for bucket in used), Decimal(0)) / len(used)
    return voice.say(
        "Most: {bucket}, {cost}. The mean is {mean}.",
        bucket=words,
        cost=cost,
        mean=voice.money(to_cents(mean), CURRENCY),
    )


def _bandwidth_limit_gb(facts: UsageFacts) -> Decimal | None:
    """The limit counts over a billing period and all services; elsewhere a line towards it would mean nothing."""
    limit_gb = facts.limits.bandwidth_gb_max
    is_shown = facts.is_billing_period and facts.query.service_id is None
    return Decimal(limit_gb) if is_shown and limit_gb != UNLIMITED else None


def _points(facts: UsageFacts, found: Sequence[Bucket], metric: UsageMetric | None) -> list[Point]:
    voice, total = facts.voice, Decimal(0)
    points = [Point(at=facts.period.starts_at, value=total, label=_until(facts.period.starts_at, facts.utc), cell="0")]
    for bucket in found:
        if bucket.starts_at > voice.now:
            break
        total += bucket.cost_minor if metric is None else bucket.sums.get(metric, NOTHING).quantity
        at = min(bucket.ends_at, facts.until)
        cell = exact_cost(total, to_cents(total), voice) if metric is None else exact_quantity(total, voice)
        points.append(Point(at=at, value=total, label=_until(at, facts.utc), cell=cell))
    return points


def _until(at: datetime, utc: Voice) -> str:
    return f"{utc.shortest_day(at)} {at.astimezone(utc.zone):%H:%M}"


def axis_days(facts: UsageFacts, found: Sequence[Bucket]) -> list[tuple[datetime, str]]:
    """A few buckets with their words, for marks along the axis."""
    every = max(1, -(-len(found) // _LABELS_MAX))
    return [(bucket.starts_at, bucket_words(bucket, facts)) for bucket in found[::every]]


def _towards(facts: UsageFacts, metric: UsageMetric | None, total: Decimal, limit: Decimal | None) -> str:
    voice = facts.voice
    if metric is None:
        return voice.say(
            "{amount} by {at}.", amount=voice.money(_billed_minor(facts), CURRENCY), at=voice.full_instant(facts.until)
        )
    quantity = f"{voice.quantity(total)} {metric_unit(metric, voice)}"
    if limit is None:
        return voice.say("{quantity} by {at}.", quantity=quantity, at=voice.full_instant(facts.until))
    return voice.say(
        "{quantity} of {limit} GB, {share}, by {at}.",
        quantity=quantity,
        limit=voice.plain(limit),
        share=voice.percent(total, limit),
        at=voice.full_instant(facts.until),
    )


def _billed_minor(facts: UsageFacts) -> int:
    return sum(amount_minor(facts, metric) for metric in by_metric(facts))

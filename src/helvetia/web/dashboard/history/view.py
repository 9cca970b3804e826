"""Months behind and the period ahead, ready for their template: sums, years, a forecast with its record. Pure."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, date
from decimal import Decimal
from itertools import groupby

from helvetia.catalogue.prices import CURRENCY
from helvetia.costs.forecasts.model import MICRO, AccountForecast, LimitForecast, LimitOutlook, SeriesForecast
from helvetia.kernel.quantity import UsageMetric, to_sold_quantity
from helvetia.rating.forecast import PPM, ForecastMethod
from helvetia.web.dashboard.charts.stacked_bars import Bar, ChartWords, StackedBars, draw_stacked_bars
from helvetia.web.dashboard.usage.charts import money_ticks
from helvetia.web.dashboard.usage.facts import NOTHING, Bucket, Sum, UsageFacts, buckets, cost_of, to_cents
from helvetia.web.dashboard.usage.query import export_href
from helvetia.web.dashboard.usage.view import EXPLORER
from helvetia.web.dashboard.usage.words import exact_cost, metric_title, metric_unit
from helvetia.web.dashboard.voice import Voice

HISTORY = "/billing/history"


@dataclass(frozen=True, slots=True, kw_only=True)
class MonthLine:
    """A month, or (`href` None) the sum of a year's months that are shown."""

    title: str
    href: str | None
    costs: Sequence[str]
    total: str
    is_year: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class SeriesLine:
    title: str
    used: str
    expected: str
    band: str
    limit: str
    is_warning: bool
    method: str
    record: str


@dataclass(frozen=True, slots=True, kw_only=True)
class ForecastView:
    """`sentence` first; `band_sentence` says what the range means."""

    sentence: str
    note: str
    lines: Sequence[SeriesLine]
    band_sentence: str


@dataclass(frozen=True, slots=True, kw_only=True)
class HistoryView:
    sentence: str
    note: str
    spans: Sequence[tuple[str, str, bool]]
    chart: StackedBars | None
    heads: Sequence[str]
    lines: Sequence[MonthLine]
    csv_href: str
    json_href: str
    forecast: ForecastView | None
    is_empty: bool


def to_history_view(
    facts: UsageFacts, forecast: AccountForecast | None, months: int, spans: Sequence[int]
) -> HistoryView:
    """Everything that the page says; `facts` are of whole months."""
    voice, found = facts.voice, buckets(facts)
    metrics = facts.query.metrics
    wanted = facts.query.to_filter(facts.period)
    is_empty = not facts.blocks
    return HistoryView(
        sentence=_sentence(facts, found),
        note=voice.say("Months are UTC months, at today's prices; what was invoiced stands on each invoice."),
        spans=[
            (
                voice.many("{count} month", "{count} months", count),
                facts.query.href(HISTORY, months=str(count)),
                count == months,
            )
            for count in spans
        ],
        chart=None if is_empty else _chart(facts, found),
        heads=[metric_title(metric, voice) for metric in metrics],
        lines=_lines(facts, found),
        csv_href=export_href(wanted, "csv", facts.query.organization),
        json_href=export_href(wanted, "json", facts.query.organization),
        forecast=None if forecast is None else to_forecast_view(forecast, voice),
        is_empty=is_empty,
    )


def to_forecast_view(found: AccountForecast, voice: Voice) -> ForecastView:
    cost = found.cost.forecast
    until = voice.day(found.period.ends_at)
    if cost.p50 is None:
        sentence = voice.say("There is less than a full day of use to tell the period's end from.")
    elif cost.p10 is None or cost.p90 is None:
        sentence = voice.say(
            "About {amount} of usage by {day}; too few days for a range.", amount=_micro(cost.p50, voice), day=until
        )
    else:
        sentence = voice.say(
            "About {amount} of usage by {day}, between {low} and {high} in four cases of five.",
            amount=_micro(cost.p50, voice),
            day=until,
            low=_micro(cost.p10, voice),
            high=_micro(cost.p90, voice),
        )
    lines = [
        _series_line(metric_title(metric, voice), series, metric, voice) for metric, series in found.metrics.items()
    ]
    return ForecastView(
        sentence=sentence,
        note=voice.say(
            "Made on {day} from full days before it. A forecast never enters a bill.", day=voice.day(found.made_on)
        ),
        lines=[*lines, _series_line(voice.say("All cost"), found.cost, None, voice)],
        band_sentence=voice.say("The range is how far this way of telling would have been off on your own past days."),
    )


def method_words(method: ForecastMethod, voice: Voice) -> str:
    return {
        ForecastMethod.NONE: voice.say("No full day yet."),
        ForecastMethod.STRAIGHT_LINE: voice.say("The mean day so far goes on."),
        ForecastMethod.LEVEL: voice.say("The mean of the last 28 days goes on."),
        ForecastMethod.WEEKLY: voice.say("The mean of the last 28 days goes on, by weekday."),
        ForecastMethod.TYPICAL_WEEK: voice.say("The typical day of the last 28 goes on, by weekday."),
        ForecastMethod.TREND: voice.say("The rise or fall of the last 28 days goes on, by weekday."),
    }[method]


def limit_words(limit: LimitForecast | None, voice: Voice) -> str:
    if limit is None:
        return "–"
    if limit.outlook is LimitOutlook.REACHED:
        return voice.say("limit reached")
    if limit.outlook is LimitOutlook.EXPECTED and limit.about is not None:
        return voice.say("limit about {day}", day=voice.day(limit.about))
    if limit.outlook is LimitOutlook.POSSIBLE and limit.earliest is not None:
        return voice.say("limit possible from {day}", day=voice.day(limit.earliest))
    return voice.say("limit not reached")


def _series_line(title: str, series: SeriesForecast, metric: UsageMetric | None, voice: Voice) -> SeriesLine:
    forecast = series.forecast

    def figure(value: int | None) -> str:
        if value is None:
            return "–"
        if metric is None:
            return _micro(value, voice)
        return f"{voice.quantity(to_sold_quantity(metric, value))} {metric_unit(metric, voice)}"

    is_banded = forecast.p10 is not None and forecast.p90 is not None
    warned = (LimitOutlook.REACHED, LimitOutlook.EXPECTED)
    return SeriesLine(
        title=title,
        used=figure(forecast.used),
        expected=figure(forecast.p50),
        band=f"{figure(forecast.p10)} – {figure(forecast.p90)}" if is_banded else "–",
        limit=limit_words(series.limit, voice),
        is_warning=series.limit is not None and series.limit.outlook in warned,
        method=method_words(forecast.method, voice),
        record=record_words(series, voice),
    )


def record_words(series: SeriesForecast, voice: Voice) -> str:
    """How past forecasts turned out; before any period has ended, how the method does on past days."""
    kept, forecast = series.record, series.forecast
    if kept.count and kept.median_error_ppm is not None:
        return voice.many(
            "off by {error} in the middle, over {count} forecast",
            "off by {error} in the middle, over {count} forecasts",
            kept.count,
            error=_percent(kept.median_error_ppm, voice),
        )
    if forecast.replay_count and forecast.past_error_ppm is not None:
        return voice.say(
            "off by {error} in the middle, tried on your past days", error=_percent(forecast.past_error_ppm, voice)
        )
    return voice.say("no record yet")


def _sentence(facts: UsageFacts, found: Sequence[Bucket]) -> str:
    voice, whole = facts.voice, cost_of(_sums(found))
    used = [bucket for bucket in found if bucket.cost_minor > 0]
    if not used:
        return voice.say("Nothing used in this time.")
    return voice.say(
        "{amount} of usage from {first} to {last}.",
        amount=voice.money(to_cents(whole), CURRENCY),
        first=facts.utc.month(used[0].starts_at),
        last=facts.utc.month(used[-1].starts_at),
    )


def _chart(facts: UsageFacts, found: Sequence[Bucket]) -> StackedBars:
    voice, metrics = facts.voice, facts.query.metrics
    dearest = max(found, key=lambda bucket: bucket.cost_minor)
    bars = [
        Bar(
            label=facts.utc.month(bucket.starts_at),
            parts=[bucket.sums.get(metric, NOTHING).cost_minor for metric in metrics],
            cells=_costs(bucket.sums, metrics, voice),
            link=_month_href(facts, bucket),
        )
        for bucket in found
    ]
    said = ChartWords(
        name=voice.say("Cost per month"),
        caption=voice.say(
            "Most: {bucket}, {cost}.",
            bucket=facts.utc.month(dearest.starts_at),
            cost=voice.money(to_cents(dearest.cost_minor), CURRENCY),
        ),
        legend=[metric_title(metric, voice) for metric in metrics],
        head=[voice.say("Month"), *(metric_title(metric, voice) for metric in metrics), voice.say("Cost")],
        expected_word="",
    )
    return draw_stacked_bars(bars, said, money_ticks(dearest.cost_minor, voice))


def _lines(facts: UsageFacts, found: Sequence[Bucket]) -> list[MonthLine]:
    """Months, the newest first, from the first that anything was used in; each year closed by its sum."""
    voice, metrics, lines = facts.voice, facts.query.metrics, []
    first_used_at = next((bucket.starts_at for bucket in found if bucket.sums), voice.now)
    newest_first = [bucket for bucket in reversed(found) if first_used_at <= bucket.starts_at <= voice.now]
    for year, of_year in groupby(newest_first, key=lambda bucket: bucket.starts_at.astimezone(UTC).year):
        months = list(of_year)
        for bucket in months:
            *costs, total = _costs(bucket.sums, metrics, voice)
            title = facts.utc.month(bucket.starts_at)
            lines.append(MonthLine(title=title, href=_month_href(facts, bucket), costs=costs, total=total))
        *costs, total = _costs(_sums(months), metrics, voice)
        title = voice.many("{year}, {count} month", "{year}, {count} months", len(months), year=year)
        lines.append(MonthLine(title=title, href=None, costs=costs, total=total, is_year=True))
    return lines


def _month_href(facts: UsageFacts, bucket: Bucket) -> str:
    month: date = bucket.starts_at.astimezone(UTC).date().replace(day=1)
    return facts.query.of_month(month).href(EXPLORER)


def _costs(sums: Mapping[UsageMetric, Sum], metrics: Sequence[UsageMetric], voice: Voice) -> list[str]:
    costs = [sums.get(metric, NOTHING).cost_minor for metric in metrics]
    return [exact_cost(cost, to_cents(cost), voice) for cost in (*costs, cost_of(sums))]


def _sums(found: Sequence[Bucket]) -> Mapping[UsageMetric, Sum]:
    sums: dict[UsageMetric, Sum] = {}
    for bucket in found:
        for metric, one in bucket.sums.items():
            sums[metric] = sums.get(metric, NOTHING) + one
    return sums


def _micro(value: int, voice: Voice) -> str:
    return voice.money(to_cents(Decimal(value) / MICRO), CURRENCY)


def _percent(ppm: int, voice: Voice) -> str:
    return f"{voice.number(Decimal(ppm) * 100 / PPM, 1)} %"

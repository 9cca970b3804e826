"""Cost by day of the period: what it was, what is expected, and the finding in words. Pure.

Days are UTC days, as they are counted; the last of them that has begun is not over, so it is no usual day.
"""

from collections.abc import Mapping, Sequence
from datetime import UTC, date, timedelta
from decimal import ROUND_HALF_UP, Decimal
from statistics import median_low

from helvetia.costs.forecasts.model import AccountForecast
from helvetia.costs.history import UsageHistory
from helvetia.kernel.quantity import UsageMetric, to_sold_quantity
from helvetia.web.dashboard.charts.stacked_bars import Bar, ChartWords, StackedBars, axis_values, draw_stacked_bars
from helvetia.web.dashboard.overview.facts import OverviewFacts
from helvetia.web.dashboard.usage.words import metric_title
from helvetia.web.dashboard.voice import Voice

_USUAL_DAYS_MIN = 3
_UNUSUAL = Decimal("1.25")
_ONE = Decimal(1)

Parts = Mapping[UsageMetric, Decimal]


def cost_chart(facts: OverviewFacts) -> StackedBars | None:
    """None where nothing was used in the period, or it could not be read."""
    if facts.days is None or facts.days.cost_minor == 0:
        return None
    voice, today = facts.voice, facts.now.astimezone(UTC).date()
    past = past_days(facts, today)
    coming = expected_days(facts, facts.days, today)
    bars = [_bar(day, parts, facts, is_expected=False) for day, parts in past.items()]
    bars += [_bar(day, parts, facts, is_expected=True) for day, parts in coming.items()]
    ticks = axis_values(max(sum(bar.parts, Decimal(0)) for bar in bars))
    said = ChartWords(
        name=voice.say("Cost per day"),
        caption=finding(past, today, facts),
        legend=[metric_title(metric, voice) for metric in UsageMetric],
        head=[voice.say("Day (UTC)"), *(metric_title(metric, voice) for metric in UsageMetric), voice.say("Together")],
        expected_word=voice.say("expected"),
    )
    return draw_stacked_bars(bars, said, [(value, _tick(value, ticks, facts)) for value in ticks])


def past_days(facts: OverviewFacts, today: date) -> dict[date, Parts]:
    """Every day of the period that has begun, zeros filled in; minor units with all their places."""
    first = facts.period.starts_at.astimezone(UTC).date()
    days = {
        first + timedelta(days=number): dict.fromkeys(UsageMetric, Decimal(0))
        for number in range((today - first).days + 1)
    }
    for row in () if facts.days is None else facts.days.rows:
        day = row.starts_at.astimezone(UTC).date()
        if day in days:
            days[day][row.metric] += row.cost_minor
    return dict(days)


def expected_days(facts: OverviewFacts, history: UsageHistory, today: date) -> dict[date, Parts]:
    """The days after today, as the forecast has them; the last one ends with the period."""
    forecast: AccountForecast | None = facts.forecast
    if forecast is None:
        return {}
    prices = {total.metric: total.unit_price_minor for total in history.totals}
    count = max(len(series.forecast.expected_days) for series in forecast.metrics.values())
    return {
        today + timedelta(days=number): {
            metric: to_sold_quantity(metric, _at(forecast, metric, number)) * prices[metric] for metric in UsageMetric
        }
        for number in range(1, count)
    }


def _at(forecast: AccountForecast, metric: UsageMetric, number: int) -> int:
    days = forecast.metrics[metric].forecast.expected_days
    return days[number] if number < len(days) else 0


def finding(days: Mapping[date, Parts], today: date, facts: OverviewFacts) -> str:
    """The day that stands out and what made it so, or that none does."""
    voice = facts.voice
    totals = {day: sum(parts.values(), Decimal(0)) for day, parts in days.items() if day != today}
    full = dict(list(totals.items())[1:])  # the first may be a part of a day
    if len(full) < _USUAL_DAYS_MIN:
        return voice.say(
            "{amount} so far. From the fourth day on, unusual days are named here.",
            amount=facts.money(facts.usage.usage_minor),
        )
    usual = median_low(full.values())
    top = max(full, key=lambda day: full[day])
    over_minor = _rounded(full[top] - usual)
    if over_minor < 1 or full[top] < usual * _UNUSUAL:
        return voice.say("The usual day costs {amount}; none stands out.", amount=facts.money(_rounded(usual)))
    metric = max(UsageMetric, key=lambda one: days[top][one] - _usual_of(one, full, days))
    return voice.say(
        "{day} was {amount} above the usual day, most of it {metric}.",
        day=voice.shortest_day(top),
        amount=facts.money(over_minor),
        metric=metric_title(metric, voice),
    )


def _usual_of(metric: UsageMetric, full: Mapping[date, Decimal], days: Mapping[date, Parts]) -> Decimal:
    return median_low(days[day][metric] for day in full)


def _bar(day: date, parts: Parts, facts: OverviewFacts, *, is_expected: bool) -> Bar:
    values = [parts[metric] for metric in UsageMetric]
    return Bar(
        label=facts.voice.shortest_day(day),
        parts=values,
        cells=[small_money(value, facts.usage.currency, facts.voice) for value in (*values, sum(values, Decimal(0)))],
        is_expected=is_expected,
        link=None if is_expected else facts.address(f"/billing/usage?period=custom&from={day}&to={day}"),
    )


def _tick(value: Decimal, ticks: Sequence[Decimal], facts: OverviewFacts) -> str:
    if all(one == one.to_integral_value() for one in ticks):
        return facts.money(int(value))
    return facts.voice.exact_money(value, facts.usage.currency)


def small_money(amount_minor: Decimal, currency: str, voice: Voice) -> str:
    """Whole cents; what is less than one says so, instead of reading as nothing."""
    if 0 < amount_minor < _ONE:
        return voice.say("under {amount}", amount=voice.money(1, currency))
    return voice.money(_rounded(amount_minor), currency)


def _rounded(amount_minor: Decimal) -> int:
    return int(amount_minor.quantize(_ONE, rounding=ROUND_HALF_UP))

"""The arrow past days → what the period will come to: each metric, all cost, and when a limit is reached. Pure."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta
from decimal import Decimal
from enum import StrEnum

from helvetia.costs.model import LimitUse
from helvetia.kernel.period import Period
from helvetia.kernel.quantity import BYTES_PER_GB, SOLD_UNITS, UsageMetric
from helvetia.metering.history.model import UsageBlock
from helvetia.rating.forecast import DAYS_MAX, Forecast, ForecastMethod, forecast_period

MICRO = 10**6
COST = "COST"
"""The series of all metrics' cost, in millionths of a minor unit."""

SENTENCES: Mapping[ForecastMethod, str] = {
    ForecastMethod.NONE: "There is less than a full day of usage to forecast from.",
    ForecastMethod.STRAIGHT_LINE: "The mean day so far goes on; the range is from the least to the most used day.",
    ForecastMethod.LEVEL: "The mean of the last 28 days goes on.",
    ForecastMethod.WEEKLY: "The mean of the last 28 days goes on, with each weekday's usual share.",
    ForecastMethod.TYPICAL_WEEK: "The typical day of the last 28 goes on, with each weekday's usual share.",
    ForecastMethod.TREND: "The rise or fall of the last 28 days goes on, with each weekday's usual share.",
}
BAND_SENTENCE = "The range is how far this method would have been off on your own past days."


class LimitOutlook(StrEnum):
    """Whether a limit will be reached."""

    REACHED = "reached"
    EXPECTED = "expected"
    POSSIBLE = "possible"
    UNLIKELY = "unlikely"


@dataclass(frozen=True, slots=True, kw_only=True)
class LimitForecast:
    """When the limit is reached: about, at the earliest (P90) and at the latest (P10) of the range; UTC days."""

    outlook: LimitOutlook
    about: date | None
    earliest: date | None
    latest: date | None


@dataclass(frozen=True, slots=True, kw_only=True)
class PastRecord:
    """How earlier forecasts of the same series turned out: the median distance, and how many ranges held."""

    count: int
    median_error_ppm: int | None
    coverage_ppm: int | None


@dataclass(frozen=True, slots=True, kw_only=True)
class SeriesForecast:
    """One series: a metric in base units, or the cost in millionths of a minor unit."""

    series: str
    forecast: Forecast
    limit: LimitForecast | None
    record: PastRecord


@dataclass(frozen=True, slots=True, kw_only=True)
class AccountForecast:
    """What a period will come to, made from the full UTC days before `made_on`."""

    period: Period
    made_on: date
    as_of: datetime
    metrics: Mapping[UsageMetric, SeriesForecast]
    cost: SeriesForecast
    fee_minor: int


@dataclass(frozen=True, slots=True, kw_only=True)
class PastDays:
    """What a forecast is made from: full days before today by metric (none before the first use), and the period."""

    period: Period
    now: datetime
    used: Mapping[UsageMetric, int]
    days: Mapping[UsageMetric, Sequence[int]]


def history_span(now: datetime) -> Period:
    """The full UTC days that forecasts are made from."""
    today = datetime.combine(now.astimezone(UTC).date(), time(), UTC)
    return Period(starts_at=today - timedelta(days=DAYS_MAX), ends_at=today)


def to_days(blocks: Sequence[UsageBlock], span: Period) -> Mapping[UsageMetric, Sequence[int]]:
    """Daily base units of each metric, zeros filled in, from the first day that anything was used on."""
    count = (span.ends_at - span.starts_at).days
    days = {metric: [0] * count for metric in UsageMetric}
    for block in blocks:
        days[block.metric][(block.starts_at - span.starts_at).days] += sum(block.quantities)
    used = [day for day in range(count) if any(days[metric][day] for metric in UsageMetric)]
    first = used[0] if used else count
    return {metric: of_metric[first:] for metric, of_metric in days.items()}


def forecast_series(past: PastDays, unit_prices_minor: Mapping[UsageMetric, Decimal]) -> Mapping[str, Forecast]:
    """Every metric and the cost of all, each by the method that fits its own past best."""
    today = datetime.combine(past.now.astimezone(UTC).date(), time(), UTC)
    remaining_s = max(0, (past.period.ends_at - past.now) // timedelta(seconds=1))
    today_left_s = (today + timedelta(days=1) - past.now) // timedelta(seconds=1)

    def of(days: Sequence[int], used: int) -> Forecast:
        return forecast_period(days, used=used, remaining_s=remaining_s, today_left_s=today_left_s)

    series = {metric.value: of(past.days[metric], past.used[metric]) for metric in UsageMetric}
    daily = zip(*(past.days[metric] for metric in UsageMetric), strict=True)
    costs = [cost_micro(dict(zip(UsageMetric, day, strict=True)), unit_prices_minor) for day in daily]
    return {**series, COST: of(costs, cost_micro(past.used, unit_prices_minor))}


def cost_micro(base_totals: Mapping[UsageMetric, int], unit_prices_minor: Mapping[UsageMetric, Decimal]) -> int:
    """What base units cost, in millionths of a minor unit, cut down; for forecasts only, never billed."""
    total = 0
    for metric, base_quantity in base_totals.items():
        numerator, denominator = unit_prices_minor[metric].as_integer_ratio()
        total += base_quantity * numerator * MICRO // (SOLD_UNITS[metric].base_per_unit * denominator)
    return total


def limit_forecast(forecast: Forecast, limit_use: LimitUse | None, today: date) -> LimitForecast | None:
    """When the period's use reaches a limit in GB; None where there is no limit."""
    if limit_use is None or limit_use.limit is None:
        return None
    limit = int(limit_use.limit) * BYTES_PER_GB

    def day(total: int | None) -> date | None:
        reached = forecast.day_reached(limit, total)
        return None if reached is None else today + timedelta(days=reached)

    about, earliest, latest = day(forecast.p50), day(forecast.p90), day(forecast.p10)
    if forecast.used >= limit:
        outlook = LimitOutlook.REACHED
    elif about is not None:
        outlook = LimitOutlook.EXPECTED
    else:
        outlook = LimitOutlook.POSSIBLE if earliest is not None else LimitOutlook.UNLIKELY
    return LimitForecast(outlook=outlook, about=about, earliest=earliest, latest=latest)

"""Forecasts on the wire."""

from datetime import date
from decimal import Decimal

from helvetia.costs.forecasts.model import (
    BAND_SENTENCE,
    MICRO,
    SENTENCES,
    AccountForecast,
    LimitForecast,
    SeriesForecast,
)
from helvetia.kernel.money import Money
from helvetia.kernel.quantity import SOLD_UNITS, UsageMetric, to_sold_quantity
from helvetia.web.api.schemas.wire import WireAnswer, WireDecimal, WireInstant

_SHARE = Decimal("0.000001")


class PastAnswer(WireAnswer):
    """Forecasts of ended periods: how many, their median distance from what came, and the share of ranges that held.

    `replays`, `replayError` and `replayCoverage` are the same of the method tried on the account's past days.
    """

    forecasts: int
    median_error: WireDecimal | None
    coverage: WireDecimal | None
    replays: int
    replay_error: WireDecimal | None
    replay_coverage: WireDecimal | None


class LimitForecastAnswer(WireAnswer):
    """`outlook` is reached, expected (by P50), possible (by P90) or unlikely; days are UTC, null where not reached."""

    outlook: str
    about: date | None
    earliest: date | None
    latest: date | None


class SeriesForecastAnswer(WireAnswer):
    """The whole period's figure in `unit`; `used` is what it has by now. Null: no forecast, or no range, yet."""

    unit: str
    used: WireDecimal
    p10: WireDecimal | None
    p50: WireDecimal | None
    p90: WireDecimal | None
    method: str
    sentence: str
    days: int
    past: PastAnswer


class MetricForecastAnswer(WireAnswer):
    metric: str
    forecast: SeriesForecastAnswer
    limit: LimitForecastAnswer | None


class ForecastAnswer(WireAnswer):
    """The current period; `usageCost` is usage alone, `fee` what the next period's plan costs (0 where none is)."""

    period_start: WireInstant
    period_end: WireInstant
    made_on: date
    as_of: WireInstant
    currency: str
    fee: WireDecimal
    usage_cost: SeriesForecastAnswer
    metrics: list[MetricForecastAnswer]
    range_sentence: str


def to_wire_forecast(found: AccountForecast, currency: str) -> ForecastAnswer:
    return ForecastAnswer(
        period_start=found.period.starts_at,
        period_end=found.period.ends_at,
        made_on=found.made_on,
        as_of=found.as_of,
        currency=currency,
        fee=Money(amount_minor=found.fee_minor, currency=currency).to_decimal(),
        usage_cost=_series(found.cost, None, currency),
        metrics=[
            MetricForecastAnswer(
                metric=metric.value,
                forecast=_series(series, metric, SOLD_UNITS[metric].name),
                limit=_limit(series.limit),
            )
            for metric, series in found.metrics.items()
        ],
        range_sentence=BAND_SENTENCE,
    )


def _series(found: SeriesForecast, metric: UsageMetric | None, unit: str) -> SeriesForecastAnswer:
    forecast = found.forecast

    def figure(value: int | None) -> Decimal | None:
        if value is None:
            return None
        return to_sold_quantity(metric, value) if metric else Decimal(value // MICRO).scaleb(-2)

    return SeriesForecastAnswer(
        unit=unit,
        used=figure(forecast.used) or Decimal(0),
        p10=figure(forecast.p10),
        p50=figure(forecast.p50),
        p90=figure(forecast.p90),
        method=forecast.method.value,
        sentence=SENTENCES[forecast.method],
        days=forecast.day_count,
        past=PastAnswer(
            forecasts=found.record.count,
            median_error=_share(found.record.median_error_ppm),
            coverage=_share(found.record.coverage_ppm),
            replays=forecast.replay_count,
            replay_error=_share(forecast.past_error_ppm),
            replay_coverage=_share(forecast.past_coverage_ppm),
        ),
    )


def _share(ppm: int | None) -> Decimal | None:
    return None if ppm is None else (Decimal(ppm) * _SHARE).quantize(_SHARE)


def _limit(limit: LimitForecast | None) -> LimitForecastAnswer | None:
    if limit is None:
        return None
    return LimitForecastAnswer(
        outlook=limit.outlook.value, about=limit.about, earliest=limit.earliest, latest=limit.latest
    )

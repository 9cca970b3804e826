"""The arrow usage so far → usage at the period's end, with a range. Pure, in integers: the same days, the same answer.

Four ways to continue the days are replayed on
the account's own past; the one that would have been off least is used, and how far it was off there is the range
(80 % of outcomes are meant to fall between P10 and P90). With too few days to replay, the mean day is continued; with
less than a day nothing is said. A forecast never enters a bill.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from enum import StrEnum
from functools import lru_cache
from itertools import accumulate
from statistics import median_low

SECONDS_PER_DAY = 86_400
DAYS_MAX = 90
PPM = 1_000_000

_REPLAY_FROM_DAY = 10
_REPLAYS_MIN = 5
_REPLAYS_MAX = 60
_REPLAYS_KEPT = 512
_RECENT_DAYS = 28
_LEVEL_DAYS = 14
_WEEK = 7
_WEEKS_MIN = 3
_BAND_DAYS_MIN = 3
_MARGIN_PERCENT = 95
"""A finer way must beat the plainer one by this much, or the plainer stays."""


class ForecastMethod(StrEnum):
    """How the days were continued."""

    NONE = "none"
    STRAIGHT_LINE = "straight_line"
    LEVEL = "level"
    WEEKLY = "weekly"
    TYPICAL_WEEK = "typical_week"
    TREND = "trend"


@dataclass(frozen=True, slots=True, kw_only=True)
class Forecast:
    """What a period will come to, in the unit of the days it was made from.

    `p50` is None without a day of history, `p10` and `p90` without the days to tell a range from. `expected_days`:
    what each of the remaining days (the last one maybe a part) adds to `p50`. `past_error_ppm`: the median distance of
    the replayed forecasts from what came, `past_coverage_ppm`: the share of them whose range held it.
    """

    method: ForecastMethod
    day_count: int
    used: int
    p10: int | None = None
    p50: int | None = None
    p90: int | None = None
    expected_days: tuple[int, ...] = ()
    replay_count: int = 0
    past_error_ppm: int | None = None
    past_coverage_ppm: int | None = None

    def day_reached(self, limit: int, total: int | None) -> int | None:
        """On which remaining day (0 is the first) the limit is reached if the period ends at `total`; None if never."""
        rest, expected = (total or 0) - self.used, sum(self.expected_days)
        if self.used >= limit:
            return 0
        if total is None or total < limit or not expected:
            return None
        sums = accumulate(self.expected_days)
        return next((day for day, so_far in enumerate(sums) if self.used + so_far * rest // expected >= limit), None)


_Continue = Callable[[Sequence[int], int], Sequence[int]]


def forecast_period(
    days: Sequence[int], *, used: int, remaining_s: int, today_left_s: int = SECONDS_PER_DAY
) -> Forecast:
    """What the period comes to if the days go on.

    `days`: what each full day used, oldest first; `used`: what the period used so far; `remaining_s`: what is left of
    it; `today_left_s`: what is left of the day after the last full one.
    """
    days = days[-DAYS_MAX:]
    if not days or remaining_s <= 0:
        total = used if remaining_s <= 0 else None
        return Forecast(method=ForecastMethod.NONE, day_count=len(days), used=used, p10=total, p50=total, p90=total)
    parts_s = _parts_s(remaining_s, today_left_s)
    replay = _best_replay(tuple(days), len(parts_s))
    if replay is None:
        return _straight_line(days, used, parts_s)
    expected = _for_time(replay.way(days, len(parts_s)), parts_s)
    rest = sum(expected)
    low_ppm, high_ppm = replay.band()
    return Forecast(
        method=replay.method,
        day_count=len(days),
        used=used,
        p10=used + rest * low_ppm // PPM,
        p50=used + rest,
        p90=used + rest * high_ppm // PPM,
        expected_days=expected,
        replay_count=len(replay.outcomes),
        past_error_ppm=median_low(abs(ratio - PPM) for ratio in replay.ratios_ppm()),
        past_coverage_ppm=sum(low_ppm <= r <= high_ppm for r in replay.ratios_ppm()) * PPM // len(replay.outcomes),
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class _Replay:
    """One way, tried at past days: what came, and what it had said."""

    method: ForecastMethod
    way: _Continue
    widen_percent: int
    outcomes: Sequence[tuple[int, int]]

    @property
    def distance(self) -> int:
        return sum(abs(came - said) for came, said in self.outcomes)

    def ratios_ppm(self) -> Sequence[int]:
        """What came per what was said."""
        return [came * PPM // said if said else (PPM if not came else 4 * PPM) for came, said in self.outcomes]

    def band(self) -> tuple[int, int]:
        """P10 and P90 per what is said. Replays overlap, so they vary too little: their tails are stretched."""
        ratios = sorted(self.ratios_ppm())
        low = min(PPM, _quantile(ratios, 5))
        high = max(PPM, _quantile(ratios, 95))
        return max(0, PPM - (PPM - low) * self.widen_percent // 100), PPM + (high - PPM) * self.widen_percent // 100


@lru_cache(maxsize=_REPLAYS_KEPT)
def _best_replay(days: tuple[int, ...], horizon: int) -> _Replay | None:
    """Kept by the days themselves: full days rarely change, and a page asks for the same ones with every view."""
    span = min(horizon, max(1, len(days) // 3))
    starts = range(max(_REPLAY_FROM_DAY, len(days) - _REPLAYS_MAX), len(days) - span + 1)
    if len(starts) < _REPLAYS_MIN:
        return None
    best: _Replay | None = None
    for method, way, widen_percent in _WAYS:
        outcomes = [(sum(days[at : at + span]), sum(way(days[:at], span))) for at in starts]
        tried = _Replay(method=method, way=way, widen_percent=widen_percent, outcomes=outcomes)
        if best is None or tried.distance * 100 < best.distance * _MARGIN_PERCENT:
            best = tried
    return best


def _straight_line(days: Sequence[int], used: int, parts_s: Sequence[int]) -> Forecast:
    def rest(per_day: int) -> int:
        return sum(_for_time([per_day] * len(parts_s), parts_s))

    expected = _for_time([sum(days) // len(days)] * len(parts_s), parts_s)
    has_band = len(days) >= _BAND_DAYS_MIN
    return Forecast(
        method=ForecastMethod.STRAIGHT_LINE,
        day_count=len(days),
        used=used,
        p10=used + rest(min(days)) if has_band else None,
        p50=used + sum(expected),
        p90=used + rest(max(days)) if has_band else None,
        expected_days=expected,
    )


def _parts_s(remaining_s: int, today_left_s: int) -> Sequence[int]:
    """What is left of today, then whole days, then a part of the last."""
    first_s = min(remaining_s, today_left_s)
    whole, last_s = divmod(remaining_s - first_s, SECONDS_PER_DAY)
    return [first_s, *[SECONDS_PER_DAY] * whole, *[last_s] * bool(last_s)]


def _for_time(expected: Sequence[int], parts_s: Sequence[int]) -> tuple[int, ...]:
    """Each day counts for the part of it that is left."""
    return tuple(day * part_s // SECONDS_PER_DAY for day, part_s in zip(expected, parts_s, strict=True))


def _continue_level(days: Sequence[int], horizon: int) -> Sequence[int]:
    recent = days[-_RECENT_DAYS:]
    return [sum(recent) // len(recent)] * horizon


def _continue_weekly(days: Sequence[int], horizon: int) -> Sequence[int]:
    factors_ppm, recent = _without_week(days)
    level = sum(recent) // len(recent)
    return [level * factors_ppm[day % _WEEK] // PPM for day in range(horizon)]


def _continue_typical_week(days: Sequence[int], horizon: int) -> Sequence[int]:
    factors_ppm, recent = _without_week(days)
    level = median_low(recent)
    return [level * factors_ppm[day % _WEEK] // PPM for day in range(horizon)]


def _continue_trend(days: Sequence[int], horizon: int) -> Sequence[int]:
    factors_ppm, recent = _without_week(days)
    slope = _significant_slope(recent)
    if not slope:
        return _continue_weekly(days, horizon)
    last = recent[-_LEVEL_DAYS:]
    level = median_low(value + slope * (len(last) - 1 - day) for day, value in enumerate(last))
    return [max(0, level + slope * (day + 1)) * factors_ppm[day % _WEEK] // PPM for day in range(horizon)]


_WAYS: tuple[tuple[ForecastMethod, _Continue, int], ...] = (
    (ForecastMethod.LEVEL, _continue_level, 165),
    (ForecastMethod.WEEKLY, _continue_weekly, 132),
    (ForecastMethod.TYPICAL_WEEK, _continue_typical_week, 195),
    (ForecastMethod.TREND, _continue_trend, 120),
)
"""The ways, plainest first, and by how many percent the tails of their replays are stretched: set so that the range
holds 80 % of the outcomes of flat, weekly, rising and spiky traces (tests/unit/test_forecast.py)."""


def _without_week(days: Sequence[int]) -> tuple[Sequence[int], Sequence[int]]:
    """The factor of each day of the coming week, and the recent days with theirs taken out."""
    factors_ppm = _week_factors_ppm(days)
    first = max(0, len(days) - _RECENT_DAYS)
    recent = []
    for index in range(first, len(days)):
        factor = factors_ppm[(index - len(days)) % _WEEK]
        recent.append(days[index] * PPM // factor if factor else days[index])
    return factors_ppm, recent


def _week_factors_ppm(days: Sequence[int]) -> Sequence[int]:
    """What each day of a week is to its mean day, the first being the day after the last; needs three weeks."""
    week_count = min(len(days) // _WEEK, 8)
    if week_count < _WEEKS_MIN:
        return [PPM] * _WEEK
    weeks = [days[len(days) - _WEEK * (back + 1) : len(days) - _WEEK * back] for back in range(week_count)]
    busy = [week for week in weeks if sum(week)]
    if not busy:
        return [PPM] * _WEEK
    factors = [median_low(week[day] * _WEEK * PPM // sum(week) for week in busy) for day in range(_WEEK)]
    return [factor * _WEEK * PPM // sum(factors) for factor in factors] if sum(factors) else [PPM] * _WEEK


def _significant_slope(values: Sequence[int]) -> int:
    """The median slope per day (Theil and Sen) where the Mann-Kendall test rules out chance at 95 %; else 0."""
    count = len(values)
    pairs = [(values[b] - values[a], b - a) for a in range(count) for b in range(a + 1, count)]
    if not pairs:
        return 0
    score = sum((rise > 0) - (rise < 0) for rise, _ in pairs)
    variance_18 = count * (count - 1) * (2 * count + 5)
    return median_low(rise // apart for rise, apart in pairs) if score * score * 18 > 4 * variance_18 else 0


def _quantile(ordered: Sequence[int], percent: int) -> int:
    """Between the two nearest values of an ordered sequence."""
    index, part = divmod((len(ordered) - 1) * percent, 100)
    if not part:
        return ordered[index]
    return ordered[index] + (ordered[index + 1] - ordered[index]) * part // 100

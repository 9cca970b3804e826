"""Forecasts: honest with little history, better than a straight line with more, and a range that holds what it says."""

import random
from collections.abc import Sequence
from statistics import median

import pytest
from hypothesis import given
from hypothesis import strategies as st

from helvetia.rating.forecast import SECONDS_PER_DAY, ForecastMethod, forecast_period
from support import trials

GB = 2**30
PERIOD_DAYS = 30


def trace(kind: str, luck: random.Random, count: int) -> list[int]:
    """Daily bytes of a flat, weekly, rising or spiky service."""
    week = [luck.uniform(0.3, 1.7) for _ in range(7)]
    shapes = {
        "flat": lambda _: 1.0,
        "seasonal": lambda day: week[day % 7],
        "ramp": lambda day: 0.3 + day * 0.03,
        "spike": lambda _: luck.uniform(4, 10) if luck.random() < 0.06 else 1.0,
    }
    return [int(GB * shapes[kind](day) * luck.lognormvariate(0, 0.12)) for day in range(count)]


def outcome(kind: str, luck: random.Random) -> tuple[bool, float, float]:
    """Whether the range held the period, and how far the forecast and the straight line were off."""
    before, passed = luck.randint(30, 60), luck.randint(3, 27)
    days = trace(kind, luck, before + PERIOD_DAYS)
    used, came = sum(days[before : before + passed]), sum(days[before:])
    forecast = forecast_period(days[: before + passed], used=used, remaining_s=(PERIOD_DAYS - passed) * SECONDS_PER_DAY)
    assert forecast.p10 is not None
    assert forecast.p50 is not None
    assert forecast.p90 is not None
    line = used * PERIOD_DAYS // passed
    return forecast.p10 <= came <= forecast.p90, abs(forecast.p50 - came) / came, abs(line - came) / came


@pytest.mark.parametrize("seed", [20260310])
def test_forecast_of_known_traces_covers_and_beats_the_straight_line(seed: int) -> None:
    count, wins = trials.choose(small=120, full=1_000), 0
    for kind in ("flat", "seasonal", "ramp", "spike"):
        luck = random.Random(f"{seed} {kind}")
        outcomes = [outcome(kind, luck) for _ in range(count)]
        coverage = sum(held for held, _, _ in outcomes) / count
        error, error_of_line = median(o for _, o, _ in outcomes), median(o for _, _, o in outcomes)
        print(f"{kind}: coverage {coverage:.3f}, median error {error:.4f}, straight line {error_of_line:.4f}")
        assert 0.75 <= coverage <= 0.90
        wins += error < error_of_line
        trials.record(
            f"back-test of {count} {kind} traces: the 80 % range holds 75 to 90 % of them", count=1, seed=seed
        )
    assert wins >= 3


def test_no_history_says_nothing() -> None:
    forecast = forecast_period([], used=5, remaining_s=SECONDS_PER_DAY)
    assert (forecast.method, forecast.p10, forecast.p50, forecast.p90) == (ForecastMethod.NONE, None, None, None)


def test_one_day_continues_it_without_a_range() -> None:
    forecast = forecast_period([100], used=100, remaining_s=9 * SECONDS_PER_DAY)
    assert (forecast.method, forecast.p50) == (ForecastMethod.STRAIGHT_LINE, 1_000)
    assert (forecast.p10, forecast.p90) == (None, None)


def test_few_days_give_the_straight_line_between_the_least_and_the_most() -> None:
    forecast = forecast_period([80, 100, 120], used=300, remaining_s=SECONDS_PER_DAY // 2)
    assert (forecast.p10, forecast.p50, forecast.p90) == (340, 350, 360)
    assert forecast.expected_days == (50,)


def test_rest_of_today_counts_by_its_part() -> None:
    hour_s = SECONDS_PER_DAY // 24
    forecast = forecast_period([240] * 40, used=0, remaining_s=50 * hour_s, today_left_s=20 * hour_s)
    assert forecast.expected_days == (200, 240, 60)


def test_period_that_is_over_is_what_was_used() -> None:
    forecast = forecast_period([100] * 40, used=777, remaining_s=0)
    assert (forecast.p10, forecast.p50, forecast.p90) == (777, 777, 777)


def test_steady_days_forecast_exactly_and_reach_the_limit_on_the_day() -> None:
    forecast = forecast_period([100] * 40, used=1_000, remaining_s=10 * SECONDS_PER_DAY)
    assert (forecast.p10, forecast.p50, forecast.p90) == (2_000, 2_000, 2_000)
    assert forecast.day_reached(1_350, forecast.p50) == 3
    assert forecast.day_reached(2_001, forecast.p50) is None
    assert forecast.day_reached(900, forecast.p50) == 0


def test_idle_account_forecasts_nothing() -> None:
    forecast = forecast_period([0] * 60, used=0, remaining_s=5 * SECONDS_PER_DAY)
    assert (forecast.p10, forecast.p50, forecast.p90) == (0, 0, 0)


AMOUNTS = st.lists(st.integers(0, 10**30), max_size=100)


@given(days=AMOUNTS, used=st.integers(0, 10**30), remaining_s=st.integers(0, 40 * SECONDS_PER_DAY))
def test_any_days_give_an_ordered_range_above_what_was_used(days: Sequence[int], used: int, remaining_s: int) -> None:
    forecast = forecast_period(days, used=used, remaining_s=remaining_s)
    if forecast.p50 is None:
        assert forecast.p10 is None
        assert forecast.p90 is None
        return
    assert forecast.p50 >= used
    assert forecast.p50 == used + sum(forecast.expected_days)
    if forecast.p10 is not None and forecast.p90 is not None:
        assert used <= forecast.p10 <= forecast.p50 <= forecast.p90
    assert forecast == forecast_period(days, used=used, remaining_s=remaining_s)

from datetime import UTC, datetime, timedelta
from decimal import Decimal
from fractions import Fraction
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from helvetia.kernel.clock import ManualClock, ShiftedClock, SystemClock, from_ns, to_ns
from helvetia.kernel.money import round_metered_line, round_proration_line
from helvetia.kernel.period import Period, calendar_month, cut_into_windows
from helvetia.kernel.quantity import SOLD_UNITS, UsageMetric, to_sold_quantity

instants = st.datetimes(datetime(2020, 1, 1), datetime(2040, 1, 1)).map(lambda naive: naive.replace(tzinfo=UTC))  # noqa: DTZ001


@given(instants)
def test_instant_survives_the_way_to_nanoseconds_and_back(instant: datetime) -> None:
    assert from_ns(to_ns(instant)) == instant


@given(st.integers(0, 10**15), st.integers(0, 10**9))
def test_metered_line_rounds_half_up_like_a_fraction(micro_units: int, price_nano_cents: int) -> None:
    quantity, price = Decimal(micro_units).scaleb(-6), Decimal(price_nano_cents).scaleb(-9)
    exact = Fraction(micro_units, 10**6) * Fraction(price_nano_cents, 10**9)
    assert round_metered_line(quantity, price) == (2 * exact + 1) // 2


@pytest.mark.parametrize(
    ("quantity", "price", "cents"), [("1.5", "1", 2), ("0.4", "1", 0), ("2.5", "1", 3), ("-3", "1", 0)]
)
def test_metered_line_follows_stripe(quantity: str, price: str, cents: int) -> None:
    assert round_metered_line(Decimal(quantity), Decimal(price)) == cents


@pytest.mark.parametrize(("exact", "cents"), [("-2.5", -3), ("4.5", 4), ("-666.67", -667), ("333.33", 333)])
def test_proration_line_floors_like_stripe(exact: str, cents: int) -> None:
    assert round_proration_line(Decimal(exact)) == cents


@given(st.sampled_from(UsageMetric), st.integers(0, 10**27))
def test_sold_quantity_is_never_more_than_the_usage_and_less_than_a_millionth_below(
    metric: UsageMetric, base: int
) -> None:
    exact = Fraction(base, SOLD_UNITS[metric].base_per_unit)
    sold = Fraction(to_sold_quantity(metric, base))
    assert 0 <= exact - sold < Fraction(1, 10**6)


@given(instants, st.timedeltas(timedelta(microseconds=1), timedelta(days=3)), st.lists(instants, max_size=5), st.data())
def test_windows_tile_a_period_without_gap_or_overlap(
    start: datetime, length: timedelta, cuts: list[datetime], data: st.DataObject
) -> None:
    near = data.draw(st.lists(st.timedeltas(timedelta(), length).map(lambda offset: start + offset), max_size=5))
    period = Period(starts_at=start, ends_at=start + length)
    windows = list(cut_into_windows(period, [*cuts, *near]))
    assert windows[0].starts_at == period.starts_at
    assert windows[-1].ends_at == period.ends_at
    assert all(a.ends_at == b.starts_at for a, b in pairwise(windows))
    assert all(window.ends_at - window.starts_at <= timedelta(hours=1) for window in windows)
    assert {cut for cut in near if cut in period and cut != start} <= {window.starts_at for window in windows}


@pytest.mark.parametrize(
    ("instant", "start", "end"),
    [
        (datetime(2028, 2, 29, 12, tzinfo=UTC), datetime(2028, 2, 1, tzinfo=UTC), datetime(2028, 3, 1, tzinfo=UTC)),
        (datetime(2026, 12, 31, tzinfo=UTC), datetime(2026, 12, 1, tzinfo=UTC), datetime(2027, 1, 1, tzinfo=UTC)),
    ],
)
def test_calendar_month_holds_its_instant(instant: datetime, start: datetime, end: datetime) -> None:
    assert calendar_month(instant) == Period(starts_at=start, ends_at=end)


def test_empty_or_reversed_period_is_refused() -> None:
    now = SystemClock().now()
    for end in (now, now - timedelta(seconds=1)):
        with pytest.raises(ValueError, match="ends after it starts"):
            Period(starts_at=now, ends_at=end)


def test_business_time_moves_ahead_only() -> None:
    manual, shifted = ManualClock(datetime(2026, 1, 1, tzinfo=UTC)), ShiftedClock()
    manual.advance_to(datetime(2026, 1, 2, tzinfo=UTC))
    manual.advance_to(datetime(2026, 1, 1, tzinfo=UTC))
    assert manual.now() == datetime(2026, 1, 2, tzinfo=UTC)
    shifted.advance(timedelta(days=30))
    assert timedelta(days=29) < shifted.now() - shifted.wall() <= timedelta(days=30)
    for clock in (manual, shifted):
        with pytest.raises(ValueError, match="never goes back"):
            clock.advance(timedelta(seconds=-1))

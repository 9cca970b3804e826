"""Period boundaries and rounding against independent oracles."""

from __future__ import annotations

import calendar
from datetime import UTC, datetime
from decimal import Decimal
from fractions import Fraction

from hypothesis import given
from hypothesis import strategies as st

from stripe_sandbox.engine.amounts import line_amount, plain, truncate
from stripe_sandbox.engine.periods import boundary, next_boundary
from stripe_sandbox.wire.forms import decode_form

ANCHORS = st.integers(1_600_000_000, 2_000_000_000)
UNITS = st.sampled_from(["day", "week", "month", "year"])
COUNTS = st.integers(1, 6)


def moment(at: int) -> datetime:
    return datetime.fromtimestamp(at, UTC)


@given(ANCHORS, st.integers(0, 60))
def test_monthly_boundary_keeps_the_anchors_day_or_the_last_of_the_month(anchor_at: int, index: int) -> None:
    anchor, found = moment(anchor_at), moment(boundary(anchor_at, "month", 1, index))
    months = found.year * 12 + found.month - anchor.year * 12 - anchor.month
    assert months == index
    assert found.time() == anchor.time()
    assert found.day == min(anchor.day, calendar.monthrange(found.year, found.month)[1])


@given(ANCHORS, UNITS, COUNTS, st.integers(0, 400 * 86_400))
def test_next_boundary_is_the_first_one_after(anchor_at: int, unit: str, count: int, later_s: int) -> None:
    after_at = anchor_at + later_s
    found = next_boundary(anchor_at, unit, count, after_at)
    boundaries = [boundary(anchor_at, unit, count, index) for index in range(402)]
    assert found == min(one for one in boundaries if one > after_at)


def test_anchor_on_the_31st_returns_to_the_31st() -> None:
    anchor = int(datetime(2026, 1, 31, 10, tzinfo=UTC).timestamp())
    days = []
    at = anchor
    for _ in range(5):
        at = next_boundary(anchor, "month", 1, at)
        days.append((moment(at).month, moment(at).day))
    assert days == [(2, 28), (3, 31), (4, 30), (5, 31), (6, 30)]


@given(
    st.decimals(0, 10**9, allow_nan=False, allow_infinity=False, places=6),
    st.decimals(0, 10**6, allow_nan=False, allow_infinity=False, places=12),
)
def test_line_amount_rounds_half_up_like_exact_fractions(quantity: Decimal, unit: Decimal) -> None:
    exact = Fraction(quantity) * Fraction(unit)
    assert line_amount(quantity, str(unit)) == (2 * exact + 1) // 2


@given(st.integers(0, 10**9))
def test_half_a_cent_rounds_up(whole: int) -> None:
    assert line_amount(Decimal(whole) + Decimal("0.5"), "1") == whole + 1


@given(st.decimals(0, 10**9, allow_nan=False, allow_infinity=False, places=6))
def test_plain_keeps_the_value_and_truncate_the_whole_part(number: Decimal) -> None:
    text = plain(number)
    assert Decimal(text) == number
    assert "E" not in text
    assert truncate(number) == int(number)


@given(st.text())
def test_any_text_decodes_or_is_refused(text: str) -> None:
    from stripe_sandbox.wire.errors import BadRequest

    try:
        tree = decode_form(text)
    except BadRequest:
        return
    assert isinstance(tree, dict)

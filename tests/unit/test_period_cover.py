"""A period out of months, days and a rest: the same sum as its pieces, and never much to read."""

from datetime import UTC, datetime, timedelta

from hypothesis import given
from hypothesis import strategies as st

from helvetia.kernel.period_cover import Part, cover_period, floor_day, floor_month

FIRST = datetime(2023, 11, 20, tzinfo=UTC)
MINUTES = st.integers(min_value=0, max_value=500 * 24 * 60)


def at(minute: int) -> datetime:
    return FIRST + timedelta(minutes=minute)


@given(MINUTES, MINUTES, st.lists(MINUTES, max_size=60))
def test_every_piece_is_counted_once_in_a_period_and_not_at_all_outside(one: int, two: int, pieces: list[int]) -> None:
    starts_at, ends_at = at(min(one, two)), at(max(one, two) + 1)
    cover = cover_period(starts_at, ends_at)
    edges = [edge for part in (*cover.months, *cover.days, *cover.rest) for edge in (part.starts_at, part.ends_at)]
    for instant in (*(at(piece) for piece in pieces), *edges):
        count = sum(
            part.sign for part in (*cover.months, *cover.days, *cover.rest) if part.starts_at <= instant < part.ends_at
        )
        assert count == (starts_at <= instant < ends_at)


@given(MINUTES, MINUTES)
def test_a_rest_is_at_most_a_day_and_days_at_most_a_month(one: int, two: int) -> None:
    cover = cover_period(at(min(one, two)), at(max(one, two) + 1))
    assert all(part.starts_at == floor_day(part.starts_at) for part in (*cover.months, *cover.days))
    assert all(part.starts_at == floor_month(part.starts_at) for part in cover.months)
    assert sum((part.length for part in cover.rest), timedelta()) <= timedelta(hours=24)
    assert sum((part.length for part in cover.days), timedelta()) <= timedelta(days=31)
    assert (len(cover.months), len(cover.days), len(cover.rest)) <= (1, 2, 2)


def test_a_month_that_begins_in_the_small_hours_is_its_months_less_a_few_days_and_hours() -> None:
    cover = cover_period(datetime(2026, 11, 6, 4, 43, tzinfo=UTC), datetime(2026, 12, 6, 4, 43, tzinfo=UTC))
    assert cover.months == [part("2026-11-01", "2026-12-01")]
    assert cover.days == [part("2026-11-01", "2026-11-06", -1), part("2026-12-01", "2026-12-06")]
    assert cover.rest == [
        part("2026-11-06", "2026-11-06T04:43", -1),
        part("2026-12-06", "2026-12-06T04:43"),
    ]


def part(starts_at: str, ends_at: str, sign: int = 1) -> Part:
    first, last = (datetime.fromisoformat(one).replace(tzinfo=UTC) for one in (starts_at, ends_at))
    return Part(starts_at=first, ends_at=last, sign=sign)

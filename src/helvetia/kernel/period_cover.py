"""How a period is made of whole UTC months and days and a rest, so that the least is read. Pure.

What is kept by month, by day and piece by piece adds up to the same integers, so a part of a day is the pieces in it,
or the day less the pieces outside of it; and a part of a month alike.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from itertools import product

DAY = timedelta(days=1)


@dataclass(frozen=True, slots=True, kw_only=True)
class Part:
    """[starts_at, ends_at), to be added (sign 1) or taken away (-1)."""

    starts_at: datetime
    ends_at: datetime
    sign: int = 1

    @property
    def length(self) -> timedelta:
        return self.ends_at - self.starts_at


@dataclass(frozen=True, slots=True, kw_only=True)
class Cover:
    """Parts whose sum is the period: of whole months, of whole days, and of pieces; at most 1, 2 and 2 of them."""

    months: Sequence[Part]
    days: Sequence[Part]
    rest: Sequence[Part]


def cover_period(starts_at: datetime, ends_at: datetime) -> Cover:
    """The cover of [starts_at, ends_at) with the least that is no whole day, and among those the fewest days."""
    whole = Part(starts_at=starts_at.astimezone(UTC), ends_at=ends_at.astimezone(UTC))
    in_days, rest = _cover(whole, floor_day, next_day)
    months, days = list[Part](), list[Part]()
    for one in in_days:
        in_months, left = _cover(one, floor_month, next_month)
        months, days = months + in_months, days + left
    return Cover(months=months, days=days, rest=rest)


def floor_day(instant: datetime) -> datetime:
    return instant.replace(hour=0, minute=0, second=0, microsecond=0)


def next_day(instant: datetime) -> datetime:
    """The first midnight at or after an instant."""
    return floor_day(instant + DAY - timedelta(microseconds=1))


def floor_month(instant: datetime) -> datetime:
    return floor_day(instant).replace(day=1)


def next_month(instant: datetime) -> datetime:
    """The first start of a month at or after an instant."""
    return floor_month(floor_month(instant - timedelta(microseconds=1)) + 32 * DAY)


def _cover(
    whole: Part, floor: Callable[[datetime], datetime], ceiling: Callable[[datetime], datetime]
) -> tuple[list[Part], list[Part]]:
    """Whole units, and what is added to them or taken away at either edge; the fewest of the latter."""
    begins = {floor(whole.starts_at): -1, ceiling(whole.starts_at): 1}
    ends = {ceiling(whole.ends_at): -1, floor(whole.ends_at): 1}
    found: list[tuple[list[Part], list[Part]]] = [([], [whole])]
    for (begin, head_sign), (end, tail_sign) in product(begins.items(), ends.items()):
        if begin < end:
            head = Part(starts_at=min(begin, whole.starts_at), ends_at=max(begin, whole.starts_at), sign=head_sign)
            tail = Part(starts_at=min(end, whole.ends_at), ends_at=max(end, whole.ends_at), sign=tail_sign)
            edges = [one for one in (head, tail) if one.length]
            found.append(([Part(starts_at=begin, ends_at=end)], edges))
    return min(found, key=lambda one: sum((edge.length for edge in one[1]), timedelta()))

"""Half-open periods of UTC time, and how hours and boundaries cut them."""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

HOUR = timedelta(hours=1)


@dataclass(frozen=True, slots=True, kw_only=True, order=True)
class Period:
    """[starts_at, ends_at): the start belongs to it, the end does not."""

    starts_at: datetime
    ends_at: datetime

    def __post_init__(self) -> None:
        if self.ends_at <= self.starts_at:
            raise ValueError("a period ends after it starts")

    def __contains__(self, instant: datetime) -> bool:
        return self.starts_at <= instant < self.ends_at


def floor_hour(instant: datetime) -> datetime:
    """The start of the UTC hour that holds the instant."""
    return instant.astimezone(UTC).replace(minute=0, second=0, microsecond=0)


def calendar_month(instant: datetime) -> Period:
    """The UTC calendar month that holds the instant."""
    start = instant.astimezone(UTC).replace(day=1, hour=0, minute=0, second=0, microsecond=0)
    return Period(starts_at=start, ends_at=(start + timedelta(days=32)).replace(day=1))


def cut_into_windows(period: Period, cuts: Iterable[datetime]) -> Iterator[Period]:
    """Tile a period with windows: UTC hours, cut at each boundary inside; no gap, no overlap."""
    inside = {cut for cut in cuts if period.starts_at < cut < period.ends_at}
    hour = floor_hour(period.starts_at) + HOUR
    while hour < period.ends_at:
        inside.add(hour)
        hour += HOUR
    start = period.starts_at
    for end in (*sorted(inside), period.ends_at):
        yield Period(starts_at=start, ends_at=end)
        start = end

"""Where the hours, days and months of a zone begin. Pure.

Days and months tile: each ends where the next begins, also where the clocks change at midnight, so that midnight is not
there (the day begins at 01:00) or comes twice (it begins at the first). Hours are those of UTC, as pieces of usage are.
"""

from datetime import UTC, date, datetime, time, timedelta
from zoneinfo import ZoneInfo

from helvetia.metering.history.model import Grain


def first_instant(day: date, zone: ZoneInfo) -> datetime:
    """The first instant (UTC) of a local day; where midnight is left out, that of the clock's change."""
    return datetime.combine(day, time(), zone).astimezone(UTC)


def bucket_end(starts_at: datetime, grain: Grain, zone: ZoneInfo) -> datetime:
    """Where the next hour, day or month begins; a day may have 23 or 25 hours. `starts_at`: where this one does."""
    if grain is Grain.HOUR:
        return starts_at + timedelta(hours=1)
    day = starts_at.astimezone(zone).date()
    if grain is Grain.DAY:
        return first_instant(day + timedelta(days=1), zone)
    return first_instant(next_month(day), zone)


def next_month(day: date) -> date:
    """The first day of the month after that of a day."""
    return (day.replace(day=1) + timedelta(days=32)).replace(day=1)

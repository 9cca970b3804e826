"""Days of every zone tile, also where the clocks change at midnight."""

from datetime import UTC, date, datetime, timedelta
from zoneinfo import ZoneInfo, available_timezones

import pytest

from helvetia.metering.history.local_days import bucket_end, first_instant
from helvetia.metering.history.model import Grain
from support.trials import choose

YEARS = choose(small=1, full=12)
DAYS = [date(2026, 1, 1) + timedelta(days=number) for number in range(366 * YEARS)]
TICK = timedelta(seconds=1)


@pytest.mark.parametrize("initial", sorted({name[0] for name in available_timezones()}))
def test_a_day_begins_with_its_first_instant_in_every_zone(initial: str) -> None:
    for name in available_timezones():
        if not name.startswith(initial):
            continue
        zone = ZoneInfo(name)
        for day in DAYS:
            starts_at = first_instant(day, zone)
            dates = [at.astimezone(zone).date() for at in (starts_at - TICK, starts_at)]
            assert dates == [day - timedelta(days=1), day], (name, day)


@pytest.mark.parametrize(
    ("zone", "day", "hours", "begins"),
    [
        ("America/Santiago", date(2026, 9, 6), 23, "01:00"),  # midnight is left out
        ("Africa/Cairo", date(2026, 4, 24), 23, "01:00"),
        ("America/Havana", date(2026, 3, 8), 23, "01:00"),
        ("America/Havana", date(2026, 11, 1), 25, "00:00"),  # midnight comes twice
        ("Atlantic/Azores", date(2026, 10, 25), 25, "00:00"),
        ("America/Santiago", date(2026, 4, 4), 25, "00:00"),  # its last hour comes twice
        ("Europe/Zurich", date(2026, 3, 29), 23, "00:00"),
        ("Australia/Lord_Howe", date(2026, 4, 5), 24.5, "00:00"),
        ("UTC", date(2026, 3, 29), 24, "00:00"),
    ],
)
def test_a_day_is_as_long_as_its_clock_says(zone: str, day: date, hours: float, begins: str) -> None:
    starts_at = first_instant(day, ZoneInfo(zone))
    assert f"{starts_at.astimezone(ZoneInfo(zone)):%H:%M}" == begins
    assert bucket_end(starts_at, Grain.DAY, ZoneInfo(zone)) - starts_at == timedelta(hours=hours)


def test_a_month_ends_where_the_next_begins() -> None:
    havana = ZoneInfo("America/Havana")
    october = first_instant(date(2026, 10, 1), havana)
    assert bucket_end(october, Grain.MONTH, havana) == datetime(2026, 11, 1, 4, tzinfo=UTC)
    assert bucket_end(datetime(2026, 11, 1, 4, tzinfo=UTC), Grain.MONTH, havana) == datetime(2026, 12, 1, 5, tzinfo=UTC)

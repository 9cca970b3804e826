"""The address of a usage page: read, written, and honest about what it tells wrong."""

from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from urllib.parse import parse_qsl, urlsplit

import pytest
from hypothesis import given
from hypothesis import strategies as st

from helvetia.kernel.identity import new_service_id
from helvetia.kernel.period import Period, calendar_month
from helvetia.kernel.quantity import UsageMetric
from helvetia.metering.history.model import Grain
from helvetia.web.dashboard.charts.stacked_bars import axis_values
from helvetia.web.dashboard.usage.query import Complaint, PeriodKind, UsageQuery, read_query

NOW = datetime(2026, 3, 22, 14, 32, 10, tzinfo=UTC)
CURRENT = calendar_month(NOW)
PREVIOUS = calendar_month(datetime(2026, 2, 1, tzinfo=UTC))


def told_by(address: str) -> dict[str, str]:
    return dict(parse_qsl(urlsplit(address).query))


@pytest.mark.parametrize(
    ("told", "complaint"),
    [
        ({"period": "custom", "from": "2026-02-30"}, Complaint.NOT_A_DAY),
        ({"period": "custom", "from": ""}, Complaint.NOT_A_DAY),
        ({"period": "custom", "from": "2026-03-04", "to": "2026-03-03"}, Complaint.REVERSED),
        ({"period": "custom", "from": "2023-03-04", "to": "2026-03-03"}, Complaint.TOO_LONG),
        ({"period": "custom", "from": "2026-03-23", "to": "2026-03-23"}, Complaint.IN_FUTURE),
        ({"period": "custom", "from": "9999-12-31", "to": "9999-12-31"}, Complaint.IN_FUTURE),
        ({"period": "month", "month": "2026-13"}, Complaint.NOT_A_DAY),
        ({"period": "month", "month": "2026-04"}, Complaint.IN_FUTURE),
        ({"period": "custom", "from": "2026-03-04T10:00:00", "to": "2026-03-05T10:00:00Z"}, Complaint.NOT_A_DAY),
        ({"period": "custom", "from": "2026-03-04T10:00:00Z", "to": "2026-03-05"}, Complaint.NOT_A_DAY),
        ({"period": "custom", "from": "2026-03-04T10:00:00Z", "to": "2026-03-04T10:00:00Z"}, Complaint.REVERSED),
        ({"period": "custom", "from": "2026-03-23T10:00:00Z", "to": "2026-03-24T10:00:00Z"}, Complaint.IN_FUTURE),
        ({"period": "custom", "from": "2023-03-04T10:00:00Z", "to": "2026-03-03T10:00:00Z"}, Complaint.TOO_LONG),
        ({"service": "web"}, Complaint.NOT_A_FILTER),
        ({"metric": "GOLD"}, Complaint.NOT_A_FILTER),
    ],
)
def test_wrong_address_shows_the_current_period_and_says_why(told: dict[str, str], complaint: Complaint) -> None:
    query = read_query(told, NOW)
    assert query.complaint is complaint
    assert query.period(CURRENT, PREVIOUS) == CURRENT


def test_last_day_is_included() -> None:
    query = read_query({"period": "custom", "from": "2026-03-04", "to": "2026-03-05"}, NOW)
    starts_at = datetime(2026, 3, 4, tzinfo=UTC)
    assert query.period(CURRENT, PREVIOUS) == Period(starts_at=starts_at, ends_at=starts_at + timedelta(days=2))


def test_range_of_an_invoice_line_is_taken_to_the_second() -> None:
    told = {"period": "custom", "from": "2026-02-10T10:17:23Z", "to": "2026-03-10T10:17:23Z"}
    query = read_query(told, NOW)
    starts_at = datetime(2026, 2, 10, 10, 17, 23, tzinfo=UTC)
    assert query.period(CURRENT, PREVIOUS) == Period(starts_at=starts_at, ends_at=starts_at + timedelta(days=28))
    assert read_query(told_by(query.href("/billing/usage")), NOW) == query
    assert query.with_period(PeriodKind.CURRENT).exact is None


def test_previous_period_is_the_one_before() -> None:
    assert read_query({"period": "previous"}, NOW).period(CURRENT, PREVIOUS) == PREVIOUS


@given(
    first=st.dates(date(2025, 1, 1), date(2026, 3, 22)),
    days=st.integers(0, 400),
    metric=st.sampled_from([None, *UsageMetric]),
    grain=st.sampled_from([None, *Grain]),
    with_service=st.booleans(),
)
def test_address_tells_everything_that_a_page_shows(
    first: date, days: int, metric: UsageMetric | None, grain: Grain | None, *, with_service: bool
) -> None:
    query = UsageQuery(
        kind=PeriodKind.CUSTOM,
        first=first,
        last=first + timedelta(days=days),
        metric=metric,
        grain=grain,
        service_id=new_service_id() if with_service else None,
        organization="01a204c7-0000-7000-8000-00000000abcd",
    )
    assert read_query(told_by(query.href("/billing/usage")), NOW) == query


@pytest.mark.parametrize(
    ("days", "asked", "grain"),
    [
        (1, None, Grain.HOUR),
        (2, None, Grain.HOUR),
        (3, None, Grain.DAY),
        (14, Grain.HOUR, Grain.HOUR),
        (15, Grain.HOUR, Grain.DAY),
        (93, None, Grain.DAY),
        (94, None, Grain.MONTH),
        (94, Grain.DAY, Grain.MONTH),
        (1, Grain.MONTH, Grain.HOUR),
    ],
)
def test_grain_fits_the_length(days: int, asked: Grain | None, grain: Grain) -> None:
    starts_at = datetime(2025, 1, 1, tzinfo=UTC)
    period = Period(starts_at=starts_at, ends_at=starts_at + timedelta(days=days))
    assert UsageQuery(grain=asked).fitting_grain(period) is grain


@given(st.decimals(min_value="0.000001", max_value="1000000", places=6, allow_nan=False))
def test_axis_reaches_the_highest_bar_in_at_most_five_steps(highest: Decimal) -> None:
    values = axis_values(highest)
    assert values[-1] >= highest
    assert len(values) <= 5

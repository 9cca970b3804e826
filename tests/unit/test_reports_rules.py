"""Reports: values telescope, identifiers are stable, and what an unanswered report becomes."""

import random
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from fractions import Fraction

import pytest
from hypothesis import given
from hypothesis import strategies as st

from helvetia.billing.errors import InvalidCursor, InvalidReport
from helvetia.billing.model import PageCursor, check_reportable
from helvetia.kernel.identity import new_account_id
from helvetia.kernel.period import Period
from helvetia.kernel.quantity import SOLD_UNITS, UsageMetric, to_sold_quantity
from helvetia.meter_reports.judge_summary import judge_hour
from helvetia.meter_reports.model import (
    MeterReport,
    NextStep,
    ReportedSoFar,
    ReportState,
    make_identifier,
    next_step,
    value_to_report,
    whole_minutes,
)
from helvetia.stripe_gateway.model import MeterEvent

NOW = datetime(2026, 3, 20, 12, tzinfo=UTC)
WALL = datetime(2026, 6, 1, tzinfo=UTC)
PERIOD = Period(
    starts_at=datetime(2026, 3, 10, 10, 17, 23, tzinfo=UTC), ends_at=datetime(2026, 4, 10, 10, 17, 23, tzinfo=UTC)
)
REPORT = MeterReport(
    account_id=new_account_id(),
    metric=UsageMetric.COMPUTE_HOURS,
    piece_start=datetime(2026, 3, 20, 11, tzinfo=UTC),
    revision=0,
    billing_period_start=PERIOD.starts_at,
    billing_period_end=PERIOD.ends_at,
    stripe_customer_id="cus_1",
    event_name="helvetia_compute_hours",
    identifier="hv_1",
    value=Decimal("1.5"),
    state=ReportState.DUE,
    attempt_count=0,
    created_at=NOW,
    first_sent_at=None,
    last_sent_at=None,
    settled_at=None,
    last_error=None,
)


@given(
    st.sampled_from(list(UsageMetric)),
    st.lists(st.tuples(st.integers(-(2**62), 2**64), st.booleans(), st.booleans()), max_size=40),
)
def test_m01_reports_always_add_up_to_the_cut_total(metric: UsageMetric, steps: list[tuple[int, bool, bool]]) -> None:
    """Any closes and differences, reported at any moments, some rejected: the sum is floor₆ of the total."""
    total, counted = 0, Decimal(0)
    for quantity, is_reported, is_rejected in steps:
        total += quantity
        if is_reported:
            value = value_to_report(metric, total, counted)
            counted += Decimal(0) if is_rejected else value
    counted += value_to_report(metric, total, counted)
    assert counted == to_sold_quantity(metric, total)
    assert value_to_report(metric, total, counted) == 0
    assert counted * SOLD_UNITS[metric].base_per_unit <= total


def test_identifier_is_stable_short_and_differs_in_every_part() -> None:
    account_id = new_account_id()
    start = PERIOD.starts_at
    name = make_identifier(account_id, UsageMetric.COMPUTE_HOURS, PERIOD, start, 0)
    others = {
        make_identifier(new_account_id(), UsageMetric.COMPUTE_HOURS, PERIOD, start, 0),
        make_identifier(account_id, UsageMetric.STORAGE_GB, PERIOD, start, 0),
        make_identifier(account_id, UsageMetric.COMPUTE_HOURS, replace(PERIOD, starts_at=NOW), start, 0),
        make_identifier(account_id, UsageMetric.COMPUTE_HOURS, PERIOD, NOW, 0),
        make_identifier(account_id, UsageMetric.COMPUTE_HOURS, PERIOD, start, 1),
    }
    assert name == make_identifier(account_id, UsageMetric.COMPUTE_HOURS, PERIOD, start, 0)
    assert len(others | {name}) == 6
    assert len(name) <= 100


def test_event_time_is_the_piece_start_and_never_before_the_period() -> None:
    assert REPORT.occurred_at == REPORT.piece_start
    early = replace(REPORT, piece_start=PERIOD.starts_at - timedelta(minutes=5))
    assert early.occurred_at == PERIOD.starts_at
    fine = replace(REPORT, piece_start=REPORT.piece_start + timedelta(microseconds=7))
    assert fine.occurred_at == REPORT.piece_start


def test_unanswered_report_is_repeated_within_the_identifiers_life_only() -> None:
    tried = replace(REPORT, first_sent_at=WALL - timedelta(hours=23), last_sent_at=WALL - timedelta(hours=1))
    assert next_step(REPORT, now=NOW, wall=WALL) is NextStep.SEND
    assert next_step(tried, now=NOW, wall=WALL) is NextStep.SEND
    forgotten = replace(tried, first_sent_at=WALL - timedelta(hours=24))
    assert next_step(forgotten, now=NOW, wall=WALL) is NextStep.ASK_SUMMARY
    late = NOW + timedelta(days=35)
    assert next_step(REPORT, now=late, wall=WALL) is NextStep.BURY
    assert next_step(forgotten, now=late, wall=WALL) is NextStep.ASK_SUMMARY
    assert next_step(REPORT, now=NOW, wall=WALL, final_at=NOW) is NextStep.BURY
    assert next_step(tried, now=NOW, wall=WALL, final_at=NOW) is NextStep.SEND


def test_summary_of_an_hour_decides_over_unknown_reports() -> None:
    old = WALL - timedelta(days=1)
    sent = replace(REPORT, state=ReportState.SENT, first_sent_at=old, last_sent_at=old)
    unknown = replace(sent, state=ReportState.UNKNOWN, identifier="hv_2", value=Decimal(2))
    both = {"hv_1": ReportState.CONFIRMED, "hv_2": ReportState.CONFIRMED}
    assert judge_hour([sent, unknown], Decimal("3.5"), WALL) == both
    assert judge_hour([sent, unknown], Decimal("1.5"), WALL) == {**both, "hv_2": ReportState.REJECTED}
    assert judge_hour([sent, unknown], Decimal(2), WALL) == {"hv_2": ReportState.CONFIRMED}
    assert judge_hour([sent, unknown], Decimal(9), WALL) == {}
    assert judge_hour([sent], Decimal(1), WALL) == {}
    fresh = replace(sent, last_sent_at=WALL - timedelta(minutes=1))
    assert judge_hour([fresh, unknown], Decimal("1.5"), WALL) == {}
    twin = replace(unknown, identifier="hv_3")
    assert judge_hour([unknown, twin], Decimal(2), WALL) == {
        "hv_2": ReportState.CONFIRMED,
        "hv_3": ReportState.REJECTED,
    }, "either of them: the sum is the same"
    in_doubt = replace(sent, state=ReportState.DUE, identifier="hv_4")
    assert judge_hour([in_doubt, unknown], Decimal(2), WALL) == {}
    dead = replace(sent, state=ReportState.DEAD, value=Decimal(99))
    assert judge_hour([sent, dead], Decimal("1.5"), WALL) == {"hv_1": ReportState.CONFIRMED}
    many = [replace(unknown, identifier=f"hv_{n}", value=Decimal(n)) for n in range(20, 33)]
    assert judge_hour(many, Decimal(20), WALL) == {}, "too many to tell apart"


def test_rejections_are_followed_ever_more_slowly() -> None:
    once = ReportedSoFar(value=Decimal(0), rejected_count=1, last_rejected_at=WALL)
    assert not once.may_retry_at(WALL + timedelta(seconds=59))
    assert once.may_retry_at(WALL + timedelta(minutes=1))
    often = replace(once, rejected_count=99)
    assert not often.may_retry_at(WALL + timedelta(hours=5, minutes=59))
    assert often.may_retry_at(WALL + timedelta(hours=6))
    assert ReportedSoFar(value=Decimal(0), rejected_count=0, last_rejected_at=None).may_retry_at(WALL)


def test_summary_range_is_whole_minutes_around_the_period() -> None:
    asked = whole_minutes(PERIOD)
    assert asked.starts_at == datetime(2026, 3, 10, 10, 17, tzinfo=UTC)
    assert asked.ends_at == datetime(2026, 4, 10, 10, 18, tzinfo=UTC)
    month = Period(starts_at=datetime(2026, 3, 1, tzinfo=UTC), ends_at=datetime(2026, 4, 1, tzinfo=UTC))
    assert whole_minutes(month) == month


@pytest.mark.parametrize(
    ("value", "is_fine"),
    [
        ("0.000001", True),
        ("-3", True),
        ("999999999.999999", True),
        ("1E+3", True),
        ("0.0000001", False),
        ("1234567890.123456", False),
        ("1E+15", False),
    ],
)
def test_reported_value_has_six_places_and_fifteen_digits(value: str, is_fine: bool) -> None:
    event = MeterEvent(event_name="e", customer_id="c", value=Decimal(value), identifier="i", occurred_at=NOW)
    if is_fine:
        check_reportable(event)
    else:
        with pytest.raises(InvalidReport):
            check_reportable(event)
    with pytest.raises(InvalidReport):
        check_reportable(replace(event, value=Decimal(1), identifier="x" * 101))


def test_cursor_survives_the_wire_and_garbage_is_refused() -> None:
    cursor = PageCursor(happened_at=NOW, thing_id="in_1")
    assert PageCursor.from_wire(cursor.to_wire()) == cursor
    for garbage in ("", "é", "%%%", "AAAA", "MjAyNi0wMy0yMHxpbl8x"):
        with pytest.raises(InvalidCursor):
            PageCursor.from_wire(garbage)


def test_m01_no_fleet_loses_more_than_one_quantum_however_often_it_is_reported() -> None:
    chance = random.Random(1)
    for containers in (1, 2, 3, 50):
        total, reported = 0, Decimal(0)
        for _ in range(144):  # ten-minute ticks of a day
            total += containers * chance.randrange(590, 611) * 10**9
            reported += value_to_report(UsageMetric.COMPUTE_HOURS, total, reported)
        assert reported == to_sold_quantity(UsageMetric.COMPUTE_HOURS, total)
        assert 0 <= Fraction(total, 3_600 * 10**9) - Fraction(reported) < Fraction(1, 10**6)

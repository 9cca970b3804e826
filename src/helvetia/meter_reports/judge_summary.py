"""What a summary of Stripe says about the reports behind it: which arrived, which never did, what is open. Pure.

A whole period is judged by its sum. Where the sum differs, each hour is judged by itself: a selection of its reports
that are not confirmed must add up to what Stripe counted, or nothing is decided.
"""

from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime
from decimal import Decimal
from itertools import combinations

from helvetia.meter_reports.model import SUMMARY_SETTLES_IN, MeterReport, ReportState

# More open reports than this in one hour are not told apart: 2^12 selections are looked at.
OPEN_PER_HOUR_MAX = 12

_OPEN = frozenset({ReportState.SENT, ReportState.UNKNOWN})


def open_reports(reports: Sequence[MeterReport]) -> list[MeterReport]:
    """Those that a summary may settle."""
    return [report for report in reports if report.state in _OPEN]


def has_all_arrived(reports: Sequence[MeterReport], counted: Decimal) -> bool:
    """Whether Stripe counted all that was sent.

    While an attempt of a row that is due again may have arrived, it could be what was counted in place of an unknown.
    """
    is_unknown = any(report.state is ReportState.UNKNOWN for report in reports)
    if is_unknown and any(report.is_in_doubt for report in reports):
        return False
    return counted == _sum(report for report in reports if report.state in _OPEN or _is_confirmed(report))


def judge_hour(reports: Sequence[MeterReport], counted: Decimal, wall: datetime) -> Mapping[str, ReportState]:
    """The state that each identifier comes to; one that is left out is not decided.

    An unknown report that surely never arrived is rejected: its usage goes out under a new identifier, so that a late
    word about the old one can never speak of the new. A sent one that is not counted is not touched: Stripe took it.
    """
    waiting = open_reports(reports)
    if has_all_arrived(reports, counted):
        return {report.identifier: ReportState.CONFIRMED for report in waiting}
    is_settled = all(
        report.last_sent_at is None or wall - report.last_sent_at >= SUMMARY_SETTLES_IN for report in reports
    )
    if not is_settled or any(report.is_in_doubt for report in reports):
        return {}
    arrived = _selection(waiting, counted - _sum(report for report in reports if _is_confirmed(report)))
    if arrived is None:
        return {}
    missing = (one for one in waiting if one.identifier not in arrived and one.state is ReportState.UNKNOWN)
    rejected = {report.identifier: ReportState.REJECTED for report in missing}
    return {**dict.fromkeys(arrived, ReportState.CONFIRMED), **rejected}


def _selection(waiting: Sequence[MeterReport], wanted: Decimal) -> frozenset[str] | None:
    """Reports that add up to it, None when none do. What Stripe said it took comes first, then as few as possible.

    Where several selections add up, it does not matter for anybody's bill which of them arrived: the rest comes to the
    same.
    """
    if len(waiting) > OPEN_PER_HOUR_MAX:
        return None
    sent = [report for report in waiting if report.state is ReportState.SENT]
    unknown = [report for report in waiting if report.state is ReportState.UNKNOWN]
    for surely, perhaps in ((sent, unknown), ([], waiting)):
        for size in range(len(perhaps) + 1):
            for chosen in combinations(perhaps, size):
                if _sum((*surely, *chosen)) == wanted:
                    return frozenset(report.identifier for report in (*surely, *chosen))
    return None


def _is_confirmed(report: MeterReport) -> bool:
    return report.state is ReportState.CONFIRMED


def _sum(reports: Iterable[MeterReport]) -> Decimal:
    return sum((report.value for report in reports), Decimal(0))

"""Billing periods counted from an anchor.

Stripe: an anchor on the 31st bills on the last day of shorter months and returns to the 31st; so every boundary is
computed from the anchor, never from the boundary before it.
"""

from __future__ import annotations

import calendar
from datetime import UTC, datetime, timedelta

_DAYS = {"day": 1, "week": 7}
_MONTHS = {"month": 1, "year": 12}
_MONTHS_A_YEAR = 12


def boundary(anchor_at: int, interval: str, interval_count: int, index: int) -> int:
    """Return the instant ``index`` intervals after the anchor, in Unix seconds."""
    anchor = datetime.fromtimestamp(anchor_at, UTC)
    if interval in _DAYS:
        return int((anchor + timedelta(days=_DAYS[interval] * interval_count * index)).timestamp())
    months = anchor.year * _MONTHS_A_YEAR + anchor.month - 1 + _MONTHS[interval] * interval_count * index
    year, month = divmod(months, _MONTHS_A_YEAR)
    day = min(anchor.day, calendar.monthrange(year, month + 1)[1])
    return int(anchor.replace(year=year, month=month + 1, day=day).timestamp())


def next_boundary(anchor_at: int, interval: str, interval_count: int, after_at: int) -> int:
    """Return the first boundary strictly after ``after_at``."""
    length_s = boundary(anchor_at, interval, interval_count, 1) - anchor_at
    index = max(0, (after_at - anchor_at) // max(length_s, 1) - 1)
    while boundary(anchor_at, interval, interval_count, index) > after_at and index > 0:
        index -= 1
    while (found := boundary(anchor_at, interval, interval_count, index)) <= after_at:
        index += 1
    return found

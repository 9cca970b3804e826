"""Lives as bars along one axis of time: when each began and ended, those that go on open to the right. Pure."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal

from helvetia.web.dashboard.charts.stacked_bars import Mark

ROW_PX = 16
_CENTI = Decimal("0.01")


@dataclass(frozen=True, slots=True, kw_only=True)
class Life:
    """From when until when something lived; None: it still does."""

    started_at: datetime
    finished_at: datetime | None


@dataclass(frozen=True, slots=True, kw_only=True)
class DrawnLife:
    """`x` and `width` in percent of the axis, `y` in pixels."""

    x: Decimal
    width: Decimal
    y: int
    goes_on: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class Lifelines:
    name: str
    caption: str
    drawn: Sequence[DrawnLife]
    labels: Sequence[Mark]
    height_px: int


def draw_lifelines(
    lives: Sequence[Life],
    *,
    starts_at: datetime,
    ends_at: datetime,
    now: datetime,
    name: str,
    caption: str,
    labels: Sequence[tuple[datetime, str]],
) -> Lifelines:
    """One row for each life, in the order given; what lies outside the axis is cut off."""
    length_s = Decimal(int((ends_at - starts_at).total_seconds()))

    def percent(at: datetime) -> Decimal:
        inside = min(max(at, starts_at), ends_at)
        return (Decimal(int((inside - starts_at).total_seconds())) * 100 / length_s).quantize(_CENTI)

    drawn = []
    for row, life in enumerate(lives):
        x = percent(life.started_at)
        width = percent(life.finished_at or now) - x
        goes_on = life.finished_at is None
        drawn.append(DrawnLife(x=x, width=width, y=row * ROW_PX, goes_on=goes_on))
    return Lifelines(
        name=name,
        caption=caption,
        drawn=drawn,
        labels=[Mark(at=percent(at), text=text) for at, text in labels],
        height_px=len(lives) * ROW_PX + 4,
    )

"""A sum that grows over time, as a line, with the limit it must not reach as a dashed one. Pure.

Drawn on the server for every reader; a script may draw the same points again so that they can be zoomed into.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal

from helvetia.web.dashboard.charts.stacked_bars import PLOT_HEIGHT_PX, ChartWords, Mark

WIDTH = 1_000
_CENTI = Decimal("0.01")


@dataclass(frozen=True, slots=True, kw_only=True)
class Point:
    """What the sum is at an instant; `label` and `cell` say it in the table."""

    at: datetime
    value: Decimal
    label: str
    cell: str


@dataclass(frozen=True, slots=True, kw_only=True)
class RisingLine:
    """The chart as its template draws it: `path` in WIDTH × height_px, `limit_y` from the top, None: not drawn.

    `starts_s` and `ends_s` are the ends of the axis in seconds since 1970, for the script.
    """

    name: str
    caption: str
    head: Sequence[str]
    points: Sequence[Point]
    path: str
    area: str
    ticks: Sequence[Mark]
    labels: Sequence[Mark]
    limit: Decimal | None
    limit_y: Decimal | None
    limit_word: str
    starts_s: int
    ends_s: int
    unit: str
    height_px: int = PLOT_HEIGHT_PX


@dataclass(frozen=True, slots=True, kw_only=True)
class LineAxes:
    """The ends of the time axis, the values marked along the other (the highest last), and the words under the line."""

    starts_at: datetime
    ends_at: datetime
    ticks: Sequence[tuple[Decimal, str]]
    days: Sequence[tuple[datetime, str]]
    unit: str
    limit: Decimal | None = None
    limit_word: str = ""


def draw_rising_line(points: Sequence[Point], said: ChartWords, axes: LineAxes) -> RisingLine:
    """Points in order of time; the limit is drawn where the axis reaches it."""
    top = axes.ticks[-1][0] if axes.ticks else Decimal(1)
    length_s = Decimal(int((axes.ends_at - axes.starts_at).total_seconds()))

    def x(at: datetime) -> Decimal:
        return (Decimal(int((at - axes.starts_at).total_seconds())) / length_s).quantize(Decimal("0.0001"))

    def y(value: Decimal) -> Decimal:
        return (PLOT_HEIGHT_PX * (1 - value / top)).quantize(_CENTI)

    drawn = [f"{x(point.at) * WIDTH:f} {y(point.value):f}" for point in points]
    path = f"M{' L'.join(drawn)}" if drawn else ""
    first, last = (x(points[0].at) * WIDTH, x(points[-1].at) * WIDTH) if points else (0, 0)
    is_limit_in_sight = axes.limit is not None and axes.limit <= top
    return RisingLine(
        name=said.name,
        caption=said.caption,
        head=said.head,
        points=points,
        path=path,
        area=f"{path} L{last:f} {PLOT_HEIGHT_PX} L{first:f} {PLOT_HEIGHT_PX} Z" if drawn else "",
        ticks=[Mark(at=y(value), text=text) for value, text in axes.ticks],
        labels=[Mark(at=(x(at) * 100).quantize(_CENTI), text=text) for at, text in axes.days],
        limit=axes.limit,
        limit_y=y(axes.limit) if axes.limit is not None and is_limit_in_sight else None,
        limit_word=axes.limit_word,
        starts_s=int(axes.starts_at.timestamp()),
        ends_s=int(axes.ends_at.timestamp()),
        unit=axes.unit,
    )

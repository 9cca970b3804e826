"""Bars of stacked parts over time, with the days still to come drawn faintly after a dotted line. Pure.

The drawing has no fixed width: places along the axis are percents of it and heights are pixels, so that the same SVG
fits a telephone and a desk and its letters keep their size. The figures in the table beside it are the ones drawn.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from decimal import ROUND_CEILING, ROUND_HALF_EVEN, Decimal

PLOT_HEIGHT_PX = 180
_GAP_SHARE = Decimal("0.14")
_TICKS_MAX = 4
_STEPS = (Decimal(1), Decimal(2), Decimal("2.5"), Decimal(5), Decimal(10))
_LABELS_MAX = 6
_FEW_BARS = 24  # beyond it one label less, so that dates keep apart on a telephone
_LONG_LABEL = 9  # letters; a day with its hour, of which a telephone holds three
_CENTI = Decimal("0.01")


@dataclass(frozen=True, slots=True, kw_only=True)
class Bar:
    """One bar: what stands under it, its parts from the bottom up, its row in the table, and where a click leads.

    `mark`: what happened then, for a sign under the bar and a column of the table.
    """

    label: str
    parts: Sequence[Decimal]
    cells: Sequence[str]
    is_expected: bool = False
    link: str | None = None
    mark: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class DrawnPart:
    """A rectangle; `x` and `width` in percent of the plot, `y` and `height` in pixels; `series` counts from 1."""

    series: int
    x: Decimal
    y: Decimal
    width: Decimal
    height: Decimal
    is_expected: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class Mark:
    """A word at a place: along the axis in percent, or a line across in pixels from the top."""

    at: Decimal
    text: str


@dataclass(frozen=True, slots=True, kw_only=True)
class StackedBars:
    """The chart as its template draws it; `caption` states the finding, `head` and `bars` are the table."""

    name: str
    caption: str
    legend: Sequence[str]
    head: Sequence[str]
    bars: Sequence[Bar]
    drawn: Sequence[DrawnPart]
    ticks: Sequence[Mark]
    labels: Sequence[Mark]
    expected_from: Decimal | None
    expected_word: str
    mark_word: str
    marks: Sequence[Mark]
    height_px: int = PLOT_HEIGHT_PX


@dataclass(frozen=True, slots=True, kw_only=True)
class ChartWords:
    """What a chart says: its name, its finding, its series and the head of its table."""

    name: str
    caption: str
    legend: Sequence[str]
    head: Sequence[str]
    expected_word: str
    mark_word: str = ""


def draw_stacked_bars(bars: Sequence[Bar], said: ChartWords, tick_words: Sequence[tuple[Decimal, str]]) -> StackedBars:
    """`tick_words`: values of the axis with their words, the highest last (see `axis_values`)."""
    top = tick_words[-1][0] if tick_words else Decimal(1)
    slot = Decimal(100) / max(1, len(bars))
    drawn = [part for place, bar in enumerate(bars) for part in _draw(bar, place * slot, slot, top)]
    first_expected = next((place for place, bar in enumerate(bars) if bar.is_expected), None)
    every = max(1, -(-len(bars) // _labels_max(bars)))
    return StackedBars(
        name=said.name,
        caption=said.caption,
        legend=said.legend,
        head=said.head,
        bars=bars,
        drawn=drawn,
        ticks=[Mark(at=_y(value, top), text=text) for value, text in tick_words],
        labels=[
            Mark(at=_rounded((place + Decimal("0.5")) * slot), text=bar.label)
            for place, bar in enumerate(bars)
            if place % every == 0
        ],
        expected_from=None if first_expected is None else _rounded(first_expected * slot),
        expected_word=said.expected_word,
        mark_word=said.mark_word,
        marks=[
            Mark(at=_rounded((place + Decimal("0.5")) * slot), text=bar.mark)
            for place, bar in enumerate(bars)
            if bar.mark is not None
        ],
    )


def _labels_max(bars: Sequence[Bar]) -> int:
    if max((len(bar.label) for bar in bars), default=0) > _LONG_LABEL:
        return _LABELS_MAX // 2
    return _LABELS_MAX if len(bars) <= _FEW_BARS else _LABELS_MAX - 1


def axis_values(highest: Decimal) -> list[Decimal]:
    """At most four round values above zero, the last of them at or above the highest bar."""
    if highest <= 0:
        return [Decimal(1)]
    rough = highest / _TICKS_MAX
    power = Decimal(1).scaleb(rough.adjusted())
    step = next(power * one for one in _STEPS if power * one >= rough)
    count = int((highest / step).to_integral_value(rounding=ROUND_CEILING))
    return [step * number for number in range(1, count + 1)]


def _draw(bar: Bar, x: Decimal, slot: Decimal, top: Decimal) -> list[DrawnPart]:
    drawn: list[DrawnPart] = []
    below = Decimal(0)
    for series, value in enumerate(bar.parts, start=1):
        if value <= 0:
            continue
        upper, lower = _y(below + value, top), _y(below, top)
        below += value
        drawn.append(
            DrawnPart(
                series=series,
                x=_rounded(x + slot * _GAP_SHARE / 2),
                y=upper,
                width=_rounded(slot * (1 - _GAP_SHARE)),
                height=lower - upper,
                is_expected=bar.is_expected,
            )
        )
    return drawn


def _y(value: Decimal, top: Decimal) -> Decimal:
    return _rounded(PLOT_HEIGHT_PX * (1 - value / top))


def _rounded(value: Decimal) -> Decimal:
    return value.quantize(_CENTI, rounding=ROUND_HALF_EVEN)

import re
from datetime import UTC, datetime
from decimal import Decimal

import pytest

from helvetia.web.dashboard.render import STATIC_PATH
from helvetia.web.dashboard.voice import Voice
from helvetia.web.problems import to_wire_figure

VOICE = Voice(now=datetime(2026, 4, 10, 12, tzinfo=UTC))


@pytest.mark.parametrize(
    ("amount_minor", "currency", "text"),
    [
        (942, "usd", "$9.42"),
        (0, "usd", "$0.00"),
        (123456789, "usd", "$1,234,567.89"),
        (-300, "usd", "−$3.00"),
        (5, "chf", "CHF\u00a00.05"),
    ],
)
def test_money_has_two_places_and_its_currency(amount_minor: int, currency: str, text: str) -> None:
    assert VOICE.money(amount_minor, currency) == text


@pytest.mark.parametrize(
    ("price", "text"), [("1", "$0.01"), ("0.5", "$0.005"), ("12", "$0.12"), ("2.3", "$0.023"), ("10000", "$100.00")]
)
def test_unit_price_keeps_all_its_places(price: str, text: str) -> None:
    assert VOICE.unit_price(Decimal(price), "usd") == text


@pytest.mark.parametrize(
    ("quantity", "text"),
    [
        ("0", "0"),
        ("0.000001", "0.000001"),
        ("0.25", "0.250"),
        ("3.456", "3.46"),
        ("1037.142857", "1,037.1"),
        ("0.000000", "0"),
    ],
)
def test_quantity_reads_short_but_never_as_zero(quantity: str, text: str) -> None:
    assert VOICE.quantity(Decimal(quantity)) == text


@pytest.mark.parametrize(
    ("value_mb", "text"),
    [(0, "0 MB"), (512, "512 MB"), (1024, "1 GB"), (1536, "1.5 GB"), (1100, "1,100 MB"), (8192, "8 GB")],
)
def test_megabytes_stay_exact(value_mb: int, text: str) -> None:
    assert VOICE.megabytes(value_mb) == text


def test_figures_of_errors_are_json_in_the_wires_form() -> None:
    at = datetime(2026, 3, 10, 10, tzinfo=UTC)
    figures = {"used_gb": Decimal("1E+1"), "at": at, "causes": frozenset({"payment"}), "is_new": True, "none": None}
    assert to_wire_figure(figures) == {
        "usedGb": "10",
        "at": "2026-03-10T10:00:00Z",
        "causes": ["payment"],
        "isNew": True,
        "none": None,
    }


def tokens(theme: str) -> dict[str, str]:
    css = (STATIC_PATH / "helvetia.css").read_text()
    pairs = re.findall(r"--([a-z0-9-]+): light-dark\((#[0-9a-f]{3,6}), (#[0-9a-f]{3,6})\);", css)
    return {name: light if theme == "light" else dark for name, light, dark in pairs}


def contrast(one: str, other: str) -> float:
    def luminance(colour: str) -> float:
        digits = colour[1:] if len(colour) == 7 else "".join(2 * digit for digit in colour[1:])
        channels = [int(digits[at : at + 2], 16) / 255 for at in (0, 2, 4)]
        red, green, blue = (c / 12.92 if c <= 0.04045 else ((c + 0.055) / 1.055) ** 2.4 for c in channels)
        return 0.2126 * red + 0.7152 * green + 0.0722 * blue

    brighter, darker = sorted((luminance(one), luminance(other)), reverse=True)
    return (brighter + 0.05) / (darker + 0.05)


@pytest.mark.parametrize("theme", ["light", "dark"])
def test_text_and_marks_stand_out_from_their_ground(theme: str) -> None:
    palette = tokens(theme)
    for ink in ("ink", "ink-2", "ink-3", "accent-ink", "good", "warn"):
        assert contrast(palette[ink], palette["paper"]) >= 4.5, ink
    for ink in ("ink", "ink-2"):
        assert contrast(palette[ink], palette["wash"]) >= 4.5, ink
    for mark in ("accent", "focus", "ink", "series-1", "series-2", "series-stroke"):
        assert contrast(palette[mark], palette["paper"]) >= 3, mark
        assert contrast(palette["ink"], palette["line-2"]) >= 3


def test_span_within_one_day_is_that_day() -> None:
    starts_at = datetime(2026, 3, 10, 10, 17, 23, tzinfo=UTC)
    assert VOICE.span(starts_at, starts_at) == "10 Mar 2026"
    assert VOICE.span(starts_at, datetime(2026, 4, 10, 10, 17, 23, tzinfo=UTC)) == "10 Mar 2026 – 10 Apr 2026"

"""Exact money arithmetic: Decimal in, whole minor units out.

Stripe: a metered or licensed line rounds half up to whole minor units, each line on its own, then lines are summed.
"""

from __future__ import annotations

from decimal import ROUND_DOWN, ROUND_HALF_UP, Context, Decimal

EXACT = Context(prec=200)
_WHOLE = Decimal(1)


def round_half_up(amount: Decimal) -> int:
    """Return whole minor units; halves go away from zero, which for bills (never negative here) is up."""
    return int(amount.quantize(_WHOLE, rounding=ROUND_HALF_UP, context=EXACT))


def line_amount(quantity: Decimal, unit_amount_decimal: str) -> int:
    """Return the amount of one line in minor units."""
    return round_half_up(EXACT.multiply(quantity, Decimal(unit_amount_decimal)))


def truncate(quantity: Decimal) -> int:
    """Return the whole part, as Stripe shows it in ``quantity``."""
    return int(quantity.quantize(_WHOLE, rounding=ROUND_DOWN, context=EXACT))


def plain(number: Decimal) -> str:
    """Return a decimal without exponent and without trailing zeros."""
    text = format(number, "f")
    return (text.rstrip("0").rstrip(".") or "0") if "." in text else text

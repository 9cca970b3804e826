"""The arrow usage → money: base quantities times unit prices, one rounding per line.

The quantity of a line is the same floor₆ figure that is reported to Stripe, so our line and Stripe's are equal always.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from decimal import Decimal

from helvetia.kernel.money import round_metered_line
from helvetia.kernel.quantity import SOLD_UNITS, UsageMetric, to_sold_quantity


@dataclass(frozen=True, slots=True, kw_only=True)
class RatedLine:
    """One metric of one period: exact base quantity, sold quantity (6 places), price and amount in minor units."""

    metric: UsageMetric
    base_quantity: int
    quantity: Decimal
    unit: str
    unit_price_minor: Decimal
    amount_minor: int


def rate_usage(
    base_totals: Mapping[UsageMetric, int], unit_prices_minor: Mapping[UsageMetric, Decimal]
) -> tuple[RatedLine, ...]:
    """One line per metric, in the catalogue's order; a metric without usage is a line of zero."""
    return tuple(_rate_line(metric, base_totals.get(metric, 0), unit_prices_minor[metric]) for metric in UsageMetric)


def _rate_line(metric: UsageMetric, base_quantity: int, unit_price_minor: Decimal) -> RatedLine:
    quantity = to_sold_quantity(metric, base_quantity)
    return RatedLine(
        metric=metric,
        base_quantity=base_quantity,
        quantity=quantity,
        unit=SOLD_UNITS[metric].name,
        unit_price_minor=unit_price_minor,
        amount_minor=round_metered_line(quantity, unit_price_minor),
    )

"""Money: integer minor units of a currency, and the rounding rules with their source.

Stripe rounds each metered invoice line half-up to a whole minor unit, and each proration line toward minus infinity
(both recorded from Stripe's own invoices). No other rounding of money exists in the product.
"""

from dataclasses import dataclass
from decimal import ROUND_FLOOR, ROUND_HALF_UP, Context, Decimal

# Enough digits for any quantity × price; the default context of 28 would round silently.
EXACT = Context(prec=76)


@dataclass(frozen=True, slots=True, kw_only=True)
class Money:
    """An amount in minor units (cents) of one currency (lower-case ISO code, as Stripe spells it)."""

    amount_minor: int
    currency: str

    def __add__(self, other: "Money") -> "Money":
        if self.currency != other.currency:
            raise ValueError(f"{self.currency} and {other.currency} do not add up")
        return Money(amount_minor=self.amount_minor + other.amount_minor, currency=self.currency)

    def to_decimal(self) -> Decimal:
        """The amount in major units, two places: every currency sold here has cents."""
        return Decimal(self.amount_minor).scaleb(-2)


def round_metered_line(quantity: Decimal, unit_price_minor: Decimal) -> int:
    """Amount of one metered line in minor units: quantity × price, half-up; a negative total bills 0 (Stripe)."""
    exact = EXACT.multiply(quantity, unit_price_minor)
    return max(0, int(exact.to_integral_value(rounding=ROUND_HALF_UP, context=EXACT)))


def round_proration_line(exact_minor: Decimal) -> int:
    """Amount of one proration line in minor units: toward minus infinity (Stripe)."""
    return int(exact_minor.to_integral_value(rounding=ROUND_FLOOR, context=EXACT))

"""Money: integer minor units of a currency, and the rounding rules with their source.

Stripe rounds each metered invoice line half-up to a whole minor unit, and each proration line toward minus infinity
(both recorded from Stripe's own invoices). A percentage off and a tax are rounded half-up, a discount over several
lines is spread downward with the rest to the last. No other rounding of money exists in the product.
"""

from collections.abc import Sequence
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


def round_share(amount_minor: int, share: Decimal, whole: Decimal) -> int:
    """The part share/whole of an amount, half-up: how Stripe counts a percentage off, and the tax of a line."""
    exact = EXACT.divide(EXACT.multiply(Decimal(amount_minor), share), whole)
    return int(exact.to_integral_value(rounding=ROUND_HALF_UP, context=EXACT))


def spread_amount(total_minor: int, amounts_minor: Sequence[int]) -> list[int]:
    """Shares of a total over amounts, none above its amount: each rounded down, the rest to the last (Stripe)."""
    whole = sum(amounts_minor)
    shares = [total_minor * amount // whole if whole else 0 for amount in amounts_minor]
    rest = total_minor - sum(shares)
    for index in reversed(range(len(shares))):
        given = min(rest, amounts_minor[index] - shares[index])
        shares[index] += given
        rest -= given
    return shares

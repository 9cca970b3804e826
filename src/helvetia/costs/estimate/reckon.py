"""Lines, discounts, tax rates and balance → what the invoice comes to, by Stripe's rules. Pure.

A line's own discounts come first, then the invoice's, each on what the ones before left; one over several lines gives
each its share. Tax is counted on what is left, for each line and rate on its own. The balance comes last; what is
below the smallest charge is carried over.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from decimal import Decimal

from helvetia.costs.estimate.model import EstimateLine, Sums
from helvetia.kernel.money import round_share, spread_amount
from helvetia.stripe_gateway.upcoming import Discount, TaxRate

SMALLEST_CHARGE_MINOR = 50  # of USD, the one currency that is sold
_HUNDRED = Decimal(100)


@dataclass(frozen=True, slots=True, kw_only=True)
class Terms:
    """What holds for the whole invoice, which is made at `issued_at`."""

    currency: str
    issued_at: datetime
    discounts: Sequence[Discount] = ()
    tax_rates: Sequence[TaxRate] = ()
    is_tax_exempt: bool = False
    balance_minor: int = 0


def reckon(lines: Iterable[EstimateLine], terms: Terms) -> tuple[tuple[EstimateLine, ...], Sums]:
    """The lines with their discounts and taxes, and their sums."""
    found = [_take_own(line, terms) for line in lines]
    for discount in _running(terms.discounts, terms):
        found = _take_shared(found, discount, terms)
    taxed = tuple(replace(line, taxes_minor=_taxes(line, terms)) for line in found)
    return taxed, _sum_up(taxed, terms)


def _running(discounts: Iterable[Discount], terms: Terms) -> list[Discount]:
    return [one for one in discounts if one.ends_at is None or terms.issued_at < one.ends_at]


def _takes(discount: Discount, line: EstimateLine) -> bool:
    if line.net_minor <= 0 or not line.is_discountable:
        return False
    return discount.product_ids is None or line.product_id in discount.product_ids


def _worth(discount: Discount, amount_minor: int, terms: Terms) -> int:
    if discount.percent is not None:
        return round_share(amount_minor, discount.percent, _HUNDRED)
    if discount.currency != terms.currency:
        return 0
    return min(discount.amount_minor or 0, amount_minor)


def _take_own(line: EstimateLine, terms: Terms) -> EstimateLine:
    for discount in _running(line.own_discounts, terms):
        if _takes(discount, line):
            taken = (discount, _worth(discount, line.net_minor, terms))
            line = replace(line, discounts_minor=(*line.discounts_minor, taken))
    return line


def _take_shared(lines: Sequence[EstimateLine], discount: Discount, terms: Terms) -> list[EstimateLine]:
    places = [index for index, line in enumerate(lines) if _takes(discount, line)]
    nets = [lines[index].net_minor for index in places]
    found = list(lines)
    for index, share in zip(places, spread_amount(_worth(discount, sum(nets), terms), nets), strict=True):
        line = found[index]
        found[index] = replace(line, discounts_minor=(*line.discounts_minor, (discount, share)))
    return found


def _taxes(line: EstimateLine, terms: Terms) -> tuple[tuple[TaxRate, int], ...]:
    rates = [] if terms.is_tax_exempt else line.own_tax_rates or terms.tax_rates
    whole = _HUNDRED + sum((rate.percent for rate in rates if rate.is_inclusive), Decimal(0))
    held = {rate.rate_id: round_share(line.net_minor, rate.percent, whole) for rate in rates if rate.is_inclusive}
    taxable_minor = line.net_minor - sum(held.values())
    return tuple(
        (rate, held[rate.rate_id] if rate.is_inclusive else round_share(taxable_minor, rate.percent, _HUNDRED))
        for rate in rates
    )


def _sum_up(lines: Sequence[EstimateLine], terms: Terms) -> Sums:
    total_minor = sum(line.net_minor + line.added_tax_minor for line in lines)
    owed_minor = total_minor + terms.balance_minor
    if 0 < owed_minor < SMALLEST_CHARGE_MINOR:
        due_minor, after_minor = 0, owed_minor
    else:
        due_minor, after_minor = max(owed_minor, 0), min(owed_minor, 0)
    return Sums(
        subtotal_minor=sum(line.amount_minor for line in lines),
        discounts_minor=_by_discount(lines),
        taxes_minor=_by_rate(lines),
        total_minor=total_minor,
        balance_applied_minor=due_minor - total_minor,
        amount_due_minor=due_minor,
        balance_after_minor=after_minor,
    )


def _by_discount(lines: Iterable[EstimateLine]) -> tuple[tuple[Discount, int], ...]:
    found: dict[str, tuple[Discount, int]] = {}
    for line in lines:
        for discount, amount in line.discounts_minor:
            found[discount.discount_id] = (discount, found.get(discount.discount_id, (discount, 0))[1] + amount)
    return tuple(found.values())


def _by_rate(lines: Iterable[EstimateLine]) -> tuple[tuple[TaxRate, int], ...]:
    found: dict[str, tuple[TaxRate, int]] = {}
    for line in lines:
        for rate, amount in line.taxes_minor:
            found[rate.rate_id] = (rate, found.get(rate.rate_id, (rate, 0))[1] + amount)
    return tuple(found.values())

"""Lines, discounts and tax rates → what each line costs in the end. Pure, so that previews and bills cannot differ.

Stripe: a line's own discounts come first, then the invoice's, each on what the ones before left; a discount over
several lines gives each its share rounded down and the rest to the last; credits and what is not discountable are
left alone. Tax is counted on what is left, rounded half up for each line and rate on its own.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from decimal import Decimal

from stripe_sandbox.documents import Doc
from stripe_sandbox.engine.amounts import EXACT, round_half_up

_HUNDRED = Decimal(100)


@dataclass(frozen=True, slots=True, kw_only=True)
class Off:
    """One discount's terms: a share or an amount off, of all products or of some."""

    id: str
    percent: Decimal | None = None
    amount: int | None = None
    products: frozenset[str] | None = None

    def takes(self, line: Doc, left: int) -> bool:
        """Return whether a line with that much left is discounted."""
        if left <= 0 or not line["discountable"]:
            return False
        return self.products is None or _product(line) in self.products

    def worth(self, total: int) -> int:
        """Return what is taken off a total."""
        if self.percent is not None:
            return round_half_up(EXACT.divide(EXACT.multiply(Decimal(total), self.percent), _HUNDRED))
        return min(self.amount or 0, total)


@dataclass(frozen=True, slots=True, kw_only=True)
class Rate:
    """One tax rate as it applies to a line."""

    id: str
    percent: Decimal
    inclusive: bool
    reason: str


def _product(line: Doc) -> str | None:
    found: str | None = ((line["pricing"] or {}).get("price_details") or {}).get("product")
    return found


def spread(total: int, amounts: list[int]) -> list[int]:
    """Return the shares of a total over amounts: each rounded down, the rest to the last that has room."""
    whole = sum(amounts)
    shares = [total * amount // whole if whole else 0 for amount in amounts]
    rest = total - sum(shares)
    for index in range(len(amounts) - 1, -1, -1):
        given = min(rest, amounts[index] - shares[index])
        shares[index] += given
        rest -= given
    return shares


def discount(lines: list[Doc], own: Callable[[Doc], list[Off]], whole: list[Off]) -> list[Doc]:
    """Return the lines with their discount amounts: first each line's own, then those of the whole invoice."""
    found = []
    for line in lines:
        offs, left = [], line["amount"]
        for off in own(line):
            taken = off.worth(left) if off.takes(line, left) else 0
            left -= taken
            offs.append({"amount": taken, "discount": off.id})
        found.append(line | {"discount_amounts": offs, "subtotal": line["amount"], "_own_off": line["amount"] - left})
    for off in whole:
        _take(found, off)
    for line in found:
        line["pretax_credit_amounts"] = pretax(line["discount_amounts"])
    return found


def _take(lines: list[Doc], off: Off) -> None:
    taken = [line for line in lines if off.takes(line, net(line))]
    lefts = [net(line) for line in taken]
    for line, share in zip(taken, spread(off.worth(sum(lefts)), lefts), strict=True):
        line["discount_amounts"] = [*line["discount_amounts"], {"amount": share, "discount": off.id}]


def pretax(amounts: Iterable[Doc]) -> list[Doc]:
    """Return discount amounts as pretax credits show them."""
    return [
        {"amount": one["amount"], "credit_balance_transaction": None, "discount": one["discount"], "type": "discount"}
        for one in amounts
    ]


def net(line: Doc) -> int:
    """Return what a line costs after its discounts, before any exclusive tax."""
    return int(line["amount"] - sum(taken["amount"] for taken in line["discount_amounts"]))


def tax(line: Doc, rates: list[Rate]) -> Doc:
    """Return a line with its taxes."""
    taxes = [_entry(rate, amount, net(line) - included) for rate, amount, included in _shares(net(line), rates)]
    return line | {"taxes": taxes, "_included_before": included(line["amount"] - line.get("_own_off", 0), rates)}


def included(amount: int, rates: list[Rate]) -> int:
    """Return the tax an amount already holds."""
    return sum(share for rate, share, _ in _shares(amount, rates) if rate.inclusive)


def _shares(amount: int, rates: list[Rate]) -> list[tuple[Rate, int, int]]:
    """Return each rate with its tax, and with all the tax the amount already holds."""
    within = sum((rate.percent for rate in rates if rate.inclusive), Decimal(0))
    held = {id(rate): _part(amount, rate.percent, _HUNDRED + within) for rate in rates if rate.inclusive}
    inside = sum(held.values())
    return [
        (rate, held[id(rate)] if rate.inclusive else _part(amount - inside, rate.percent, _HUNDRED), inside)
        for rate in rates
    ]


def _part(amount: int, percent: Decimal, whole: Decimal) -> int:
    return round_half_up(EXACT.divide(EXACT.multiply(Decimal(amount), percent), whole))


def _entry(rate: Rate, amount: int, taxable: int) -> Doc:
    return {
        "amount": amount,
        "tax_behavior": "inclusive" if rate.inclusive else "exclusive",
        "tax_rate_details": {"tax_rate": rate.id},
        "taxability_reason": rate.reason,
        "taxable_amount": taxable,
        "type": "tax_rate_details",
    }


def totals(lines: list[Doc]) -> Doc:
    """Return the sums of an invoice from its reckoned lines."""
    total = sum(net(line) for line in lines)
    subtotal = total + sum(_whole_off(line) for line in lines)
    taxes = [entry for line in lines for entry in line["taxes"]]
    added = sum(entry["amount"] for entry in taxes if entry["tax_behavior"] == "exclusive")
    held = sum(entry["amount"] for entry in taxes) - added
    return {
        "subtotal": subtotal,
        "subtotal_excluding_tax": subtotal - sum(line.get("_included_before", 0) for line in lines),
        "total": total + added,
        "total_excluding_tax": total - held,
        "total_taxes": sum_taxes(taxes),
    }


def _whole_off(line: Doc) -> int:
    """Return what the invoice's own discounts took off a line."""
    return int(line["amount"] - line.get("_own_off", 0) - net(line))


def sum_taxes(taxes: Iterable[Doc]) -> list[Doc]:
    """Return tax entries added up by rate, behaviour and reason."""
    found: dict[tuple[str, str, str], Doc] = {}
    for entry in taxes:
        key = (entry["tax_rate_details"]["tax_rate"], entry["tax_behavior"], entry["taxability_reason"])
        known = found.get(key)
        if known is None:
            found[key] = dict(entry)
        else:
            known["amount"] += entry["amount"]
            known["taxable_amount"] += entry["taxable_amount"]
    return list(found.values())


def sum_discounts(lines: Iterable[Doc], ids: Iterable[str]) -> list[Doc]:
    """Return what each discount took off all lines, also those of ``ids`` that took nothing."""
    found = dict.fromkeys(ids, 0)
    for line in lines:
        for taken in line["discount_amounts"]:
            found[taken["discount"]] = found.get(taken["discount"], 0) + taken["amount"]
    return [{"amount": amount, "discount": discount_id} for discount_id, amount in found.items()]

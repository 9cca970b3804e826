"""What Stripe Tax says in a preview → the rates of its lines.

A line names its rates by id; the percentage that was really used is the rate's `effective_percentage` where it has one.
A line of 0 may be told no rates, which says nothing; a line that is taxed by anything but a percentage is left out.
"""

from collections.abc import Iterator, Mapping

from helvetia.stripe_gateway.fields import Json, read_decimal, read_id, read_path
from helvetia.stripe_gateway.upcoming import AutomaticTax, TaxRate


def from_stripe_automatic_tax(raw: Json, rates: Mapping[str, Json]) -> AutomaticTax:
    """`rates`: the tax rates that the preview names, by id."""
    if read_path(raw, "automatic_tax", "status") != "complete":
        return AutomaticTax(is_placed=False, rates=())
    found = []
    for line in raw["lines"]["data"]:
        key, of_line = _key(line), _rates(line, rates)
        if key is not None and of_line is not None:
            found.append((key, of_line))
    return AutomaticTax(is_placed=True, rates=tuple(found))


def named_rates(raw: Json) -> set[str]:
    """The ids of the tax rates that a preview's lines name."""
    return {rate_id for line in raw["lines"]["data"] for tax in _taxes(line) if (rate_id := _rate_id(tax))}


def _taxes(line: Json) -> Iterator[Json]:
    yield from line.get("taxes") or ()


def _rate_id(tax: Json) -> str | None:
    return read_id(read_path(tax, "tax_rate_details", "tax_rate"))


def _key(line: Json) -> str | None:
    waiting = read_id(read_path(line, "parent", "invoice_item_details", "invoice_item"))
    return waiting or read_id(read_path(line, "pricing", "price_details", "price"))


def _rates(line: Json, rates: Mapping[str, Json]) -> tuple[TaxRate, ...] | None:
    """None where the line does not tell by what it is taxed."""
    taxes = list(_taxes(line))
    if not taxes and not line["amount"]:
        return None
    found = []
    for tax in taxes:
        rate = rates.get(_rate_id(tax) or "", {})
        effective = read_decimal(rate.get("effective_percentage"))
        percent = read_decimal(rate.get("percentage")) if effective is None else effective
        if percent is None or rate.get("rate_type") == "flat_amount":
            return None
        is_inclusive = tax["tax_behavior"] == "inclusive"
        found.append(
            TaxRate(rate_id=rate["id"], title=rate.get("display_name"), percent=percent, is_inclusive=is_inclusive)
        )
    return tuple(found)

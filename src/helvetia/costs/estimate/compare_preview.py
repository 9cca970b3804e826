"""The arrow estimate ↔ Stripe's preview: where our reckoning and Stripe's part. Pure.

What is measured goes on while Stripe is asked, so usage is rated here by the quantities that the preview names: fee,
prices, rounding, discounts, taxes, balance and order are ours. Quantities are compared hop by hop elsewhere.
"""

from decimal import Decimal

from helvetia.costs.estimate.estimate_invoice import EstimateParts, plain_lines, terms_of, with_quantity
from helvetia.costs.estimate.model import EstimateDifference, EstimateLine, Sums
from helvetia.costs.estimate.reckon import reckon
from helvetia.stripe_gateway.upcoming import PreviewInvoice, PreviewLine


def compare_preview(parts: EstimateParts, preview: PreviewInvoice | None) -> tuple[EstimateDifference, ...]:
    """Every figure that differs; a preview that does not come is one of nothing."""
    lines, sums = reckon(_with_stripes_quantities(parts, preview), terms_of(parts))
    if preview is None:
        return _pairs_of_whole(sums, 0, 0) if any(line.amount_minor for line in lines) else ()
    found = list(_pairs_of_whole(sums, preview.total_minor, preview.amount_due_minor))
    if len(lines) != len(preview.lines):
        found.append(_difference("lines", len(lines), len(preview.lines)))
    for number, (ours, stripes) in enumerate(zip(lines, preview.lines, strict=False), start=1):
        found += _pairs_of_line(number, ours, stripes)
    return tuple(found)


def _with_stripes_quantities(parts: EstimateParts, preview: PreviewInvoice | None) -> list[EstimateLine]:
    named = {} if preview is None else {line.price_id: line.quantity for line in preview.lines}
    return [with_quantity(line, named.get(line.price_id) or Decimal(0)) for line in plain_lines(parts)]


def _pairs_of_whole(sums: Sums, total_minor: int, due_minor: int) -> tuple[EstimateDifference, ...]:
    pairs = (("total", sums.total_minor, total_minor), ("amountDue", sums.amount_due_minor, due_minor))
    return tuple(_difference(place, ours, stripes) for place, ours, stripes in pairs if ours != stripes)


def _pairs_of_line(number: int, ours: EstimateLine, stripes: PreviewLine) -> list[EstimateDifference]:
    pairs = (
        ("price", ours.price_id or stripes.price_id, stripes.price_id),
        ("amount", ours.amount_minor, stripes.amount_minor),
        ("discount", ours.discount_minor, stripes.discount_minor),
        ("tax", ours.added_tax_minor, stripes.tax_minor),
    )
    return [_difference(f"line {number} {name}", mine, theirs) for name, mine, theirs in pairs if mine != theirs]


def _difference(place: str, ours: object, stripes: object) -> EstimateDifference:
    return EstimateDifference(place=place, ours=str(ours), stripes=str(stripes))

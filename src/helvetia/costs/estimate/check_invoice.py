"""The arrow invoice → our own count: each of its lines of usage beside what our ledger holds of the very same period.

Stripe's figure and ours are equal always (floor₆ of the same pieces, one rounding a line); where they are not, a line
says why, and nothing is changed: what is to be done is the operator's decision (`meter_reports.settlement`). Pure.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from decimal import Decimal
from enum import StrEnum

from helvetia.billing.model import InvoiceLineRecord
from helvetia.kernel.money import round_metered_line
from helvetia.kernel.period import Period
from helvetia.kernel.quantity import UsageMetric, to_sold_quantity


class Verdict(StrEnum):
    """How an invoice's line stands to our own count."""

    EQUAL = "equal"
    NOT_AT_STRIPE_YET = "not_at_stripe_yet"
    """The invoice is a draft, and not all that was used has reached it."""
    KNOWN_AFTER_INVOICE = "known_after_invoice"
    """The invoice has all that was known when it became final; usage of its period became known, or was taken back,
    later."""
    UNEXPLAINED = "unexplained"


@dataclass(frozen=True, slots=True, kw_only=True)
class Counted:
    """What we hold of a period: base units, and what Stripe has taken of it in the sold unit."""

    base_quantities: Mapping[UsageMetric, int]
    at_stripe: Mapping[UsageMetric, Decimal]


@dataclass(frozen=True, slots=True, kw_only=True)
class CheckedLine:
    """A line as invoiced and as we count it; quantities in the sold unit, amounts in minor units."""

    metric: UsageMetric
    period: Period
    quantity: Decimal
    amount_minor: int
    own_quantity: Decimal
    own_amount_minor: int
    verdict: Verdict


def lines_of_usage(
    lines: Sequence[InvoiceLineRecord], metrics: Mapping[str, UsageMetric]
) -> Sequence[tuple[InvoiceLineRecord, UsageMetric, Period]]:
    """The lines that bill usage, with what they bill and of when; `metrics` by the id of their price."""
    billing = [(line, metrics.get(line.stripe_price_id or "")) for line in lines if line.quantity is not None]
    return [
        (line, metric, Period(starts_at=line.period_start, ends_at=line.period_end))
        for line, metric in billing
        if metric is not None and line.period_start < line.period_end
    ]


def check_line(
    line: InvoiceLineRecord, metric: UsageMetric, period: Period, counted: Counted, *, is_final: bool
) -> CheckedLine:
    """One line; its own unit price holds, so that a price that changed since makes no difference."""
    quantity, own = line.quantity or Decimal(0), to_sold_quantity(metric, counted.base_quantities[metric])
    price = line.unit_price_minor
    own_minor = line.amount_minor if price is None and own == quantity else round_metered_line(own, price or Decimal(0))
    at_stripe = counted.at_stripe.get(metric, Decimal(0))
    return CheckedLine(
        metric=metric,
        period=period,
        quantity=quantity,
        amount_minor=line.amount_minor,
        own_quantity=own,
        own_amount_minor=own_minor,
        verdict=_verdict(quantity, own, at_stripe, is_final=is_final, is_amount_equal=own_minor == line.amount_minor),
    )


def _verdict(quantity: Decimal, own: Decimal, at_stripe: Decimal, *, is_final: bool, is_amount_equal: bool) -> Verdict:
    if quantity == own:
        return Verdict.EQUAL if is_amount_equal else Verdict.UNEXPLAINED
    if not is_final:
        return Verdict.NOT_AT_STRIPE_YET if own > quantity else Verdict.UNEXPLAINED
    return Verdict.KNOWN_AFTER_INVOICE if at_stripe in {quantity, own} else Verdict.UNEXPLAINED

"""The arrow invoice → our own count: each of its lines of usage beside what our ledger holds of the very same period.

Stripe's figure and ours are equal always (floor₆ of the same pieces, one rounding a line); where they are not, a line
says why, and nothing is changed: what is to be done is the operator's decision (`meter_reports.settlement`). Discounts,
taxes, credits and credit notes are no part of it: they are Stripe's, and the line is compared before them. Pure.
"""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field
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
    """The invoice is a draft, and something that we hold waits to be reported."""
    NOT_COUNTED_YET = "not_counted_yet"
    """The invoice is a draft, Stripe has taken every report, and has not put them on it."""
    REFUSED = "refused"
    """Stripe refused a report of just this much."""
    BILLED_SEPARATELY = "billed_separately"
    """The operator put it on another invoice."""
    WAIVED = "waived"
    """The operator charges nothing for it, or gave nothing back."""
    KNOWN_AFTER_INVOICE = "known_after_invoice"
    """The invoice has all that was known when it became final; usage of its period became known, or was taken back,
    later."""
    UNEXPLAINED = "unexplained"


@dataclass(frozen=True, slots=True, kw_only=True)
class Counted:
    """What we hold of a period: base units, and what is known of its way to Stripe, in the sold unit.

    `at_stripe`: what Stripe has taken. `refused`: the values of reports that it refused. `billed` and `waived`: what
    the operator decided about usage that the period's invoice did not have.
    """

    base_quantities: Mapping[UsageMetric, int]
    at_stripe: Mapping[UsageMetric, Decimal] = field(default_factory=dict)
    refused: Mapping[UsageMetric, Collection[Decimal]] = field(default_factory=dict)
    billed: Mapping[UsageMetric, Decimal] = field(default_factory=dict)
    waived: Mapping[UsageMetric, Decimal] = field(default_factory=dict)


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

    @property
    def difference_minor(self) -> int:
        """What we count more than the invoice has."""
        return self.own_amount_minor - self.amount_minor


@dataclass(frozen=True, slots=True, kw_only=True)
class InvoiceCheck:
    """Every line of usage of an invoice. `is_possible` is False while prices are not verified: a line of usage is known
    by its price.
    """

    lines: Sequence[CheckedLine]
    is_possible: bool = True

    @property
    def is_equal(self) -> bool:
        return all(line.verdict is Verdict.EQUAL for line in self.lines)

    @property
    def difference_minor(self) -> int:
        """What we count more than the invoice has, in all."""
        return sum(line.difference_minor for line in self.lines)


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
    if own == quantity:
        verdict = Verdict.EQUAL if own_minor == line.amount_minor else Verdict.UNEXPLAINED
    else:
        judge = _of_final if is_final else _of_draft
        verdict = judge(metric, counted, quantity, own)
    return CheckedLine(
        metric=metric,
        period=period,
        quantity=quantity,
        amount_minor=line.amount_minor,
        own_quantity=own,
        own_amount_minor=own_minor,
        verdict=verdict,
    )


def _of_draft(metric: UsageMetric, counted: Counted, quantity: Decimal, own: Decimal) -> Verdict:
    more, at_stripe = own - quantity, counted.at_stripe.get(metric, Decimal(0))
    if more in counted.refused.get(metric, ()):
        return Verdict.REFUSED
    if at_stripe == own:
        return Verdict.NOT_COUNTED_YET
    return Verdict.NOT_AT_STRIPE_YET if more > 0 or at_stripe == quantity else Verdict.UNEXPLAINED


def _of_final(metric: UsageMetric, counted: Counted, quantity: Decimal, own: Decimal) -> Verdict:
    more, at_stripe = own - quantity, counted.at_stripe.get(metric, Decimal(0))
    billed, waived = counted.billed.get(metric, Decimal(0)), counted.waived.get(metric, Decimal(0))
    if more == billed + waived:
        return Verdict.BILLED_SEPARATELY if billed else Verdict.WAIVED
    if more in counted.refused.get(metric, ()):
        return Verdict.REFUSED
    return Verdict.KNOWN_AFTER_INVOICE if at_stripe in {quantity, own} else Verdict.UNEXPLAINED

"""The estimate of the next invoice on the wire."""

from collections.abc import Iterable, Mapping
from decimal import Decimal

from helvetia.costs.estimate.model import Estimate, EstimateLine, TaxBasis
from helvetia.kernel.money import Money
from helvetia.stripe_gateway.upcoming import Discount, TaxRate
from helvetia.web.api.schemas.usage import GapAnswer, to_wire_gap
from helvetia.web.api.schemas.wire import WireAnswer, WireDecimal, WireInstant

TAX_NOTES: Mapping[TaxBasis, str] = {
    TaxBasis.RATES: "Taxed by the rates that are set for this subscription, if any.",
    TaxBasis.STRIPE_TAX: "Stripe Tax decides when the invoice is made; these are the rates of its latest preview.",
    TaxBasis.NOT_PLACED: "Stripe does not know where you are taxed, so no tax is in these figures; enter an address.",
    TaxBasis.NOT_TOLD: "Stripe Tax has not told a rate for every line, so no tax is in these figures.",
    TaxBasis.NOT_READ: "Taxes were not read from Stripe yet, so no tax is in these figures.",
}


class EstimateLineAnswer(WireAnswer):
    """One line: `kind` is fee (of the next period, so without `end`), usage (of this one) or other.

    `amount` less `discount` is what the line costs; `tax` is what is added to it. `notAtStripe` is the part of
    `quantity` that Stripe has not taken yet; null where nothing is reported.
    """

    kind: str
    metric: str | None
    description: str | None
    quantity: WireDecimal | None
    unit: str | None
    unit_price: WireDecimal | None
    amount: WireDecimal
    discount: WireDecimal
    tax: WireDecimal | None
    start: WireInstant
    end: WireInstant | None
    not_at_stripe: WireDecimal | None


class EstimateDiscountAnswer(WireAnswer):
    """One discount: a `percentOff` or an `amountOff`, and what it takes off this invoice."""

    name: str | None
    percent_off: WireDecimal | None
    amount_off: WireDecimal | None
    amount: WireDecimal


class EstimateTaxAnswer(WireAnswer):
    """One tax; an inclusive one is held by the prices and not added."""

    name: str | None
    percent: WireDecimal
    inclusive: bool
    amount: WireDecimal


class EstimateDifferenceAnswer(WireAnswer):
    """A figure in which Stripe's own preview differed."""

    place: str
    ours: str
    stripes: str


class EstimateAnswer(WireAnswer):
    """The next invoice: `subtotal` − discounts + added taxes = `total`; + `balanceApplied` = `amountDue`.

    `issuedAt` is when it will be made, null where none will. `asOf` is the moment of the usage, `stripeAsOf` when
    discounts, taxes and balance were read from Stripe: null when they were not, then they are missing here.
    `complete`: nothing is known to be missing. `taxNote` says where the taxes come from; with `taxKnown` false none is
    in any figure, and the tax of a line is null. `checkedAt` is when it was compared with Stripe's own preview (null:
    not yet), `differences` what that found: none, if all is well.
    """

    is_charged: bool
    period_start: WireInstant
    period_end: WireInstant
    issued_at: WireInstant | None
    as_of: WireInstant
    stripe_as_of: WireInstant | None
    complete: bool
    tax_known: bool
    tax_basis: str
    tax_note: str
    currency: str
    lines: list[EstimateLineAnswer]
    subtotal: WireDecimal
    discounts: list[EstimateDiscountAnswer]
    taxes: list[EstimateTaxAnswer]
    total: WireDecimal
    balance_applied: WireDecimal
    amount_due: WireDecimal
    balance_after: WireDecimal
    gaps: list[GapAnswer]
    checked_at: WireInstant | None
    differences: list[EstimateDifferenceAnswer]


def to_wire_estimate(estimate: Estimate) -> EstimateAnswer:
    sums, currency, is_tax_known = estimate.sums, estimate.currency, estimate.tax_basis.is_known
    return EstimateAnswer(
        is_charged=estimate.is_charged,
        period_start=estimate.period.starts_at,
        period_end=estimate.period.ends_at,
        issued_at=estimate.issued_at,
        as_of=estimate.as_of,
        stripe_as_of=estimate.facts_at,
        complete=estimate.is_complete,
        tax_known=is_tax_known,
        tax_basis=estimate.tax_basis.value,
        tax_note=TAX_NOTES[estimate.tax_basis],
        currency=currency,
        lines=[_line(line, currency, is_tax_known=is_tax_known) for line in estimate.lines],
        subtotal=_amount(sums.subtotal_minor, currency),
        discounts=_discounts(sums.discounts_minor, currency),
        taxes=_taxes(sums.taxes_minor, currency),
        total=_amount(sums.total_minor, currency),
        balance_applied=_amount(sums.balance_applied_minor, currency),
        amount_due=_amount(sums.amount_due_minor, currency),
        balance_after=_amount(sums.balance_after_minor, currency),
        gaps=[to_wire_gap(gap) for gap in estimate.gaps],
        checked_at=estimate.checked_at,
        differences=[
            EstimateDifferenceAnswer(place=one.place, ours=one.ours, stripes=one.stripes)
            for one in estimate.differences
        ],
    )


def _line(line: EstimateLine, currency: str, *, is_tax_known: bool) -> EstimateLineAnswer:
    return EstimateLineAnswer(
        kind=line.kind.value,
        metric=None if line.metric is None else line.metric.value,
        description=line.description,
        quantity=line.quantity,
        unit=line.unit,
        unit_price=None if line.unit_price_minor is None else line.unit_price_minor.scaleb(-2),
        amount=_amount(line.amount_minor, currency),
        discount=_amount(line.discount_minor, currency),
        tax=_amount(line.added_tax_minor, currency) if is_tax_known else None,
        start=line.starts_at,
        end=line.ends_at,
        not_at_stripe=line.not_at_stripe,
    )


def _discounts(found: Iterable[tuple[Discount, int]], currency: str) -> list[EstimateDiscountAnswer]:
    return [
        EstimateDiscountAnswer(
            name=discount.title,
            percent_off=discount.percent,
            amount_off=None if discount.amount_minor is None else _amount(discount.amount_minor, currency),
            amount=_amount(amount, currency),
        )
        for discount, amount in found
    ]


def _taxes(found: Iterable[tuple[TaxRate, int]], currency: str) -> list[EstimateTaxAnswer]:
    return [
        EstimateTaxAnswer(
            name=rate.title, percent=rate.percent, inclusive=rate.is_inclusive, amount=_amount(amount, currency)
        )
        for rate, amount in found
    ]


def _amount(amount_minor: int, currency: str) -> Decimal:
    return Money(amount_minor=amount_minor, currency=currency).to_decimal()

"""The next invoice before it is made: our lines, what of them Stripe has, and whether its preview agrees. Pure."""

from collections.abc import Sequence
from dataclasses import dataclass
from decimal import Decimal

from helvetia.catalogue.plans import PLANS, SubscriptionPlan
from helvetia.costs.estimate.model import Estimate, EstimateLine, LineKind
from helvetia.kernel.money import round_metered_line
from helvetia.kernel.period import Period
from helvetia.web.dashboard.invoices.detail_view import Sum, usage_link
from helvetia.web.dashboard.invoices.query import PATH, InvoiceQuery
from helvetia.web.dashboard.usage.words import metric_title, metric_unit
from helvetia.web.dashboard.voice import Voice

NEXT_PATH = f"{PATH}/next"
_PLAN_NAMES = {plan.value: PLANS[plan].title for plan in SubscriptionPlan}


@dataclass(frozen=True, slots=True, kw_only=True)
class NextRow:
    """`at_stripe`: the part of the quantity that Stripe has taken; "" where nothing is reported."""

    text: str
    link: str | None
    period: str
    quantity: str
    at_stripe: str
    amount: str


@dataclass(frozen=True, slots=True, kw_only=True)
class DifferenceRow:
    place: str
    ours: str
    stripes: str


@dataclass(frozen=True, slots=True, kw_only=True)
class NextInvoiceView:
    sentence: str
    as_of: str
    rows: Sequence[NextRow]
    sums: Sequence[Sum]
    finding: str
    preview: str
    differences: Sequence[DifferenceRow]
    back: str


def next_sentence(estimate: Estimate, voice: Voice) -> str | None:
    """None where no invoice will come."""
    if not estimate.is_charged or estimate.issued_at is None:
        return None
    words = {
        "day": voice.day(estimate.issued_at),
        "amount": voice.money(estimate.sums.amount_due_minor, estimate.currency),
    }
    return voice.say("Next invoice on {day}: {amount} as things stand.", **words)


def to_next_view(estimate: Estimate, query: InvoiceQuery, voice: Voice) -> NextInvoiceView:
    return NextInvoiceView(
        sentence=next_sentence(estimate, voice) or voice.say("No invoice will come: nothing is charged."),
        as_of=_as_of(estimate, voice),
        rows=[_row(line, estimate, query, voice) for line in estimate.lines],
        sums=_sums(estimate, voice),
        finding=_finding(estimate, voice),
        preview=_preview(estimate, voice),
        differences=[
            DifferenceRow(place=one.place, ours=one.ours, stripes=one.stripes) for one in estimate.differences
        ],
        back=query.address(PATH),
    )


def _as_of(estimate: Estimate, voice: Voice) -> str:
    usage = voice.say("Usage complete to {instant}.", instant=voice.instant(estimate.as_of))
    if estimate.facts_at is None:
        terms = voice.say("Discounts, taxes and balance have not been read from Stripe; they are missing here.")
    else:
        instant = voice.instant(estimate.facts_at)
        terms = voice.say("Discounts, taxes and balance as of {instant}.", instant=instant)
    return f"{usage} {terms}"


def _row(line: EstimateLine, estimate: Estimate, query: InvoiceQuery, voice: Voice) -> NextRow:
    metric, unit = line.metric, "" if line.metric is None else f" {metric_unit(line.metric, voice)}"
    is_usage = line.quantity is not None and metric is not None
    period = None if line.ends_at is None else Period(starts_at=line.starts_at, ends_at=line.ends_at)
    return NextRow(
        text=_text(line, voice) if metric is None else metric_title(metric, voice),
        link=None if metric is None or period is None else usage_link(period, metric, query),
        period=voice.say("from {day}", day=voice.short_day(line.starts_at))
        if line.ends_at is None
        else voice.span(line.starts_at, line.ends_at),
        quantity=f"{voice.plain(line.quantity or Decimal(0))}{unit}" if is_usage else "",
        at_stripe=f"{voice.plain(_at_stripe(line))}{unit}" if is_usage and line.not_at_stripe is not None else "",
        amount=voice.money(line.amount_minor, estimate.currency),
    )


def _text(line: EstimateLine, voice: Voice) -> str:
    if line.kind is LineKind.FEE:
        code = line.description or ""
        return voice.say("{plan} plan, next period", plan=_PLAN_NAMES.get(code, code))
    return line.description or voice.say("Other")


def _at_stripe(line: EstimateLine) -> Decimal:
    return (line.quantity or Decimal(0)) - (line.not_at_stripe or Decimal(0))


def _waiting_minor(line: EstimateLine) -> int:
    """What the line would be less if Stripe made the invoice with what it has."""
    if line.not_at_stripe is None or line.unit_price_minor is None:
        return 0
    return line.amount_minor - round_metered_line(_at_stripe(line), line.unit_price_minor)


def _finding(estimate: Estimate, voice: Voice) -> str:
    if all(line.not_at_stripe is None for line in estimate.lines):
        return voice.say("Nothing is reported to Stripe for this period.")
    if not any(line.not_at_stripe for line in estimate.lines):
        return voice.say("Stripe has all of this usage, to the last digit.")
    amount = voice.money(sum(_waiting_minor(line) for line in estimate.lines), estimate.currency)
    return voice.say("{amount} of this usage is not at Stripe yet; it follows hour by hour.", amount=amount)


def _preview(estimate: Estimate, voice: Voice) -> str:
    if estimate.checked_at is None:
        return voice.say("It has not been compared with Stripe's own preview yet.")
    words = {"instant": voice.full_instant(estimate.checked_at)}
    if not estimate.differences:
        return voice.say("Stripe's own preview agreed line by line on {instant}.", **words)
    return voice.many(
        "Stripe's own preview differed in one figure on {instant}; the operator knows.",
        "Stripe's own preview differed in {count} figures on {instant}; the operator knows.",
        len(estimate.differences),
        **words,
    )


def _sums(estimate: Estimate, voice: Voice) -> list[Sum]:
    def money(amount_minor: int) -> str:
        return voice.money(amount_minor, estimate.currency)

    sums = estimate.sums
    rows: list[Sum] = []
    discount_minor = sum(amount for _, amount in sums.discounts_minor)
    tax_minor = sum(amount for rate, amount in sums.taxes_minor if not rate.is_inclusive)
    if discount_minor:
        rows.append(Sum(label=voice.say("Discounts"), amount=money(-discount_minor)))
    if tax_minor:
        rows.append(Sum(label=voice.say("Taxes"), amount=money(tax_minor)))
    if rows:
        rows.insert(0, Sum(label=voice.say("Subtotal"), amount=money(sums.subtotal_minor)))
    if sums.balance_applied_minor:
        rows.append(Sum(label=voice.say("From the balance"), amount=money(sums.balance_applied_minor)))
    return [*rows, Sum(label=voice.say("To pay"), amount=money(sums.amount_due_minor), is_total=True)]

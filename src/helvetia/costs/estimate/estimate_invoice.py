"""The arrow usage, fee and Stripe's facts → the next invoice. Pure.

Own figures are those of the current period's page; Stripe's facts count only while they tell of this very period of
this very subscription. Without them the estimate stands, says so, and is not complete. An account that Stripe bills
nothing sees its usage in lines of 0.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from decimal import Decimal

from helvetia.catalogue.plans import PLANS, SubscriptionPlan
from helvetia.costs.estimate.model import Estimate, EstimateLine, KnownFacts, LineKind, TaxBasis
from helvetia.costs.estimate.reckon import Terms, reckon
from helvetia.costs.model import CurrentUsage, UsageLine
from helvetia.kernel.money import round_metered_line
from helvetia.stripe_gateway.model import PriceBook
from helvetia.stripe_gateway.upcoming import AutomaticTax, TaxRate, UpcomingFacts, UpcomingItem, WaitingItem
from helvetia.subscriptions.model import SubscriptionRecord


@dataclass(frozen=True, slots=True, kw_only=True)
class EstimateParts:
    """What one estimate is made of, read at one moment. `known` is None where nothing read speaks of this period.

    `scheduled`: the plan that is to hold from the period's end on, as agreed with us.
    """

    record: SubscriptionRecord
    usage: CurrentUsage
    book: PriceBook | None
    known: KnownFacts | None
    scheduled: SubscriptionPlan | None = None

    @property
    def facts(self) -> UpcomingFacts | None:
        """Stripe's part, usable only with prices that are verified: by these its items are told apart."""
        return None if self.known is None or self.book is None else self.known.facts

    @property
    def is_ending(self) -> bool:
        """Whether the subscription ends with the period, or before: no further fee then."""
        return self.record.cancel_at is not None and self.record.cancel_at <= self.usage.period.ends_at

    @property
    def issued_at(self) -> datetime:
        """When the invoice will be made: the end of the period, or of the subscription if that is sooner."""
        end_at = self.usage.period.ends_at
        return end_at if self.record.cancel_at is None else min(self.record.cancel_at, end_at)


def choose_facts(record: SubscriptionRecord, known: KnownFacts | None) -> KnownFacts | None:
    """What was read, if it is of the subscription, period and end that the account is known to have."""
    if known is None or not record.is_live_at_stripe:
        return None
    facts = known.facts
    ours = (record.stripe_subscription_id, record.period, record.cancel_at)
    return known if ours == (facts.subscription_id, facts.period, facts.cancel_at) else None


def estimate_invoice(parts: EstimateParts) -> Estimate:
    """The next invoice by our own usage."""
    usage, facts = parts.usage, parts.facts
    known = None if facts is None else parts.known
    lines, sums = reckon(plain_lines(parts), terms_of(parts))
    tax_basis = tax_basis_of(parts)
    return Estimate(
        account_id=usage.account_id,
        is_charged=usage.is_charged,
        period=usage.period,
        issued_at=parts.issued_at if usage.is_charged else None,
        as_of=usage.as_of,
        facts_at=None if known is None else known.read_at,
        is_complete=usage.is_complete and (not usage.is_charged or facts is not None) and tax_basis.is_known,
        tax_basis=tax_basis,
        are_prices_verified=usage.are_prices_verified,
        lines=lines,
        sums=sums,
        currency=usage.currency,
        gaps=usage.gaps,
        checked_at=None if known is None else known.checked_at,
        differences=() if known is None else known.differences,
    )


def due_if_used(parts: EstimateParts, usage_minor: int) -> int:
    """What the next invoice would charge if all usage of the period came to this, before discounts and taxes."""
    lines = plain_lines(parts)
    places = [place for place, line in enumerate(lines) if line.kind is LineKind.USAGE]
    if not places:
        return reckon(lines, terms_of(parts))[1].amount_due_minor
    largest = max(places, key=lambda place: lines[place].amount_minor)
    more_minor = usage_minor - sum(lines[place].amount_minor for place in places)
    lines[largest] = replace(lines[largest], amount_minor=lines[largest].amount_minor + more_minor)
    return reckon(lines, terms_of(parts))[1].amount_due_minor


def terms_of(parts: EstimateParts) -> Terms:
    facts = parts.facts
    if facts is None:
        return Terms(currency=parts.usage.currency, issued_at=parts.issued_at)
    return Terms(
        currency=facts.currency,
        issued_at=parts.issued_at,
        discounts=facts.discounts,
        tax_rates=() if facts.has_automatic_tax else facts.tax_rates,
        is_tax_exempt=facts.is_tax_exempt,
        balance_minor=facts.balance_minor,
    )


def tax_basis_of(parts: EstimateParts) -> TaxBasis:
    """By what the invoice is taxed, as far as that is known now."""
    facts = parts.facts
    if facts is None:
        return TaxBasis.NOT_READ if parts.usage.is_charged else TaxBasis.RATES
    if not facts.has_automatic_tax or facts.is_tax_exempt:
        return TaxBasis.RATES
    if facts.automatic_tax is not None and not facts.automatic_tax.is_placed:
        return TaxBasis.NOT_PLACED
    lines = _lines(parts)
    told = all(automatic_rates(facts.automatic_tax, line) is not None for line in lines if line.amount_minor)
    return TaxBasis.STRIPE_TAX if told else TaxBasis.NOT_TOLD


def plain_lines(parts: EstimateParts) -> list[EstimateLine]:
    """The lines in the invoice's order with the tax rates that hold for them, before discounts and taxes."""
    lines, facts = _lines(parts), parts.facts
    if facts is None or not facts.has_automatic_tax:
        return lines
    told = facts.automatic_tax if tax_basis_of(parts).is_known else None
    return [replace(line, own_tax_rates=automatic_rates(told, line) or ()) for line in lines]


def automatic_rates(told: AutomaticTax | None, line: EstimateLine) -> Sequence[TaxRate] | None:
    """The rates that Stripe Tax told of this line; of a line it told nothing of, those that all others share.

    None where neither is known.
    """
    rates = {} if told is None else dict(told.rates)
    key = line.item_id or line.price_id
    if key in rates:
        return rates[key]
    shared = set(rates.values())
    return shared.pop() if len(shared) == 1 else None


def _lines(parts: EstimateParts) -> list[EstimateLine]:
    usage, facts = parts.usage, parts.facts
    used = {line.metric: _usage_line(line, usage) for line in usage.lines}
    if facts is None or parts.book is None:
        plan, fee_minor = _next_fee(parts)
        is_due = usage.is_charged and not parts.is_ending and plan is not SubscriptionPlan.FREE
        return [*([_fee_line(parts, None, plan, fee_minor)] if is_due else []), *used.values()]
    by_price = {price.price_id: used[metric] for metric, price in parts.book.meters.items()}
    own = [_item_line(parts, item, by_price.get(item.price_id)) for item in facts.items]
    return [*_waiting_lines(parts, facts), *(line for line in own if line is not None)]


def with_quantity(line: EstimateLine, quantity: Decimal) -> EstimateLine:
    """A line of usage for another quantity; other lines have none to change."""
    if line.kind is not LineKind.USAGE or line.unit_price_minor is None:
        return line
    return replace(line, quantity=quantity, amount_minor=round_metered_line(quantity, line.unit_price_minor))


def _item_line(parts: EstimateParts, item: UpcomingItem, used: EstimateLine | None) -> EstimateLine | None:
    """None for the fee of a period that will not come, and for a metered price that we do not sell by."""
    if item.fee_minor is not None:
        plans = {} if parts.book is None else {price.price_id: plan for plan, price in parts.book.plans.items()}
        plan = plans.get(item.price_id, parts.usage.plan)
        return None if parts.is_ending else _fee_line(parts, item, plan, item.fee_minor)
    if used is None:
        return None
    return replace(
        used,
        price_id=item.price_id,
        product_id=item.product_id,
        own_discounts=item.discounts,
        own_tax_rates=item.tax_rates,
    )


def _next_fee(parts: EstimateParts) -> tuple[SubscriptionPlan, int]:
    """The plan of the next period and its fee, where Stripe told nothing: by our own record of what is scheduled."""
    plan = parts.scheduled
    if plan is None or plan is parts.usage.plan:
        return parts.usage.plan, parts.usage.fee_minor
    price = None if parts.book is None else parts.book.plans.get(plan)
    return plan, PLANS[plan].fee_minor if price is None else price.fee_minor


def _fee_line(parts: EstimateParts, item: UpcomingItem | None, plan: SubscriptionPlan, fee_minor: int) -> EstimateLine:
    return EstimateLine(
        kind=LineKind.FEE,
        metric=None,
        price_id=None if item is None else item.price_id,
        product_id=None if item is None else item.product_id,
        description=plan.value,
        quantity=Decimal(1),
        unit="month",
        unit_price_minor=Decimal(fee_minor),
        amount_minor=fee_minor,
        starts_at=parts.issued_at,
        ends_at=None,
        own_discounts=() if item is None else item.discounts,
        own_tax_rates=() if item is None else item.tax_rates,
    )


def _usage_line(line: UsageLine, usage: CurrentUsage) -> EstimateLine:
    return EstimateLine(
        kind=LineKind.USAGE,
        metric=line.metric,
        price_id=None,
        product_id=None,
        description=None,
        quantity=line.quantity,
        unit=line.unit,
        unit_price_minor=line.unit_price_minor if usage.is_charged else Decimal(0),
        amount_minor=line.amount_minor if usage.is_charged else 0,
        starts_at=usage.period.starts_at,
        ends_at=usage.period.ends_at,
        not_at_stripe=line.not_at_stripe,
    )


def _waiting_lines(parts: EstimateParts, facts: UpcomingFacts) -> list[EstimateLine]:
    """What waits, newest first as Stripe lists it; the last invoice takes only what is the subscription's own."""
    taken = {facts.subscription_id} if parts.is_ending else {facts.subscription_id, None}
    return [
        _waiting_line(item)
        for item in facts.waiting
        if item.subscription_id in taken and item.currency == facts.currency
    ]


def _waiting_line(item: WaitingItem) -> EstimateLine:
    return EstimateLine(
        kind=LineKind.OTHER,
        metric=None,
        item_id=item.item_id,
        price_id=None,
        product_id=item.product_id,
        description=item.description,
        quantity=None,
        unit=None,
        unit_price_minor=None,
        amount_minor=item.amount_minor,
        starts_at=item.starts_at,
        ends_at=item.ends_at,
        is_discountable=item.is_discountable,
        own_discounts=item.discounts,
        own_tax_rates=item.tax_rates,
    )

"""The arrow usage → what it costs so far: totals of the ledger, rated as the invoice will be. Pure."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal

from helvetia.costs.model import CurrentUsage, LimitUse, UsageLine, limit_uses
from helvetia.kernel.period import Period
from helvetia.kernel.quantity import UsageMetric
from helvetia.metering.model import UsageTotals
from helvetia.rating.rate_usage import RatedLine, rate_usage
from helvetia.subscriptions.model import SubscriptionRecord, limits_of


@dataclass(frozen=True, slots=True, kw_only=True)
class Facts:
    """What was read at one moment, in one transaction."""

    record: SubscriptionRecord
    period: Period
    totals: UsageTotals
    at_stripe: Mapping[UsageMetric, Decimal]
    storage_held_bytes: int


def current_usage(
    facts: Facts, unit_prices_minor: Mapping[UsageMetric, Decimal], *, are_prices_verified: bool, now: datetime
) -> CurrentUsage:
    """What the facts come to at these prices."""
    record = facts.record
    rated = rate_usage(facts.totals.quantities, unit_prices_minor)
    quantities = {line.metric: line.quantity for line in rated}
    uses = limit_uses(limits_of(record), quantities[UsageMetric.BANDWIDTH_GB], facts.storage_held_bytes)
    is_charged = record.is_live_at_stripe
    return CurrentUsage(
        account_id=record.account_id,
        plan=record.plan,
        period=facts.period,
        as_of=facts.totals.as_of or now,
        is_complete=facts.totals.is_complete,
        is_closed=facts.totals.is_closed,
        is_charged=is_charged,
        are_prices_verified=are_prices_verified,
        lines=tuple(_line(line, uses.get(line.metric), facts.at_stripe if is_charged else None) for line in rated),
        usage_minor=sum(line.amount_minor for line in rated),
        fee_minor=record.fee_minor,
        currency=record.currency,
        gaps=facts.totals.gaps,
    )


def _line(line: RatedLine, limit_use: LimitUse | None, at_stripe: Mapping[UsageMetric, Decimal] | None) -> UsageLine:
    return UsageLine(
        metric=line.metric,
        base_quantity=line.base_quantity,
        quantity=line.quantity,
        unit=line.unit,
        unit_price_minor=line.unit_price_minor,
        amount_minor=line.amount_minor,
        limit_use=limit_use,
        not_at_stripe=None if at_stripe is None else line.quantity - at_stripe.get(line.metric, Decimal(0)),
    )

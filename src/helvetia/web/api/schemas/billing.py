"""Subscription and usage on the wire, with the mission's field names."""

from datetime import datetime
from decimal import Decimal

from helvetia.billing.plan_change.model import PlanChangeRecord
from helvetia.catalogue.plans import UNLIMITED, ResourceLimits
from helvetia.costs.model import CurrentUsage, UsageLine
from helvetia.kernel.money import Money
from helvetia.subscriptions.model import SubscriptionRecord, limits_of
from helvetia.web.api.schemas.usage import GapAnswer, LateHostAnswer, to_wire_gap, to_wire_late_host
from helvetia.web.api.schemas.wire import WireAnswer, WireDecimal, WireInstant


class LimitsAnswer(WireAnswer):
    """What the plan in force allows; null is unlimited. 1 GB = 2^30 bytes, 1 MB = 2^20 bytes."""

    max_services: int | None
    max_memory_mb: int | None
    max_cpu_cores: WireDecimal | None
    max_bandwidth_gb: int | None
    max_storage_gb: int | None


class PendingChangeAnswer(WireAnswer):
    """A change that is confirmed and has not come about: `scheduled` for `effectiveAt`, `pending` until the customer
    pays, or `applying` while Stripe's answer is awaited. Until then plan and limits stay what they are.
    """

    plan: str
    state: str
    effective_at: WireInstant


class SubscriptionAnswer(WireAnswer):
    """The subscription of the selected account; one of `userId` and `organizationId` is null.

    `asOf` is when Stripe was last read; null where there is nothing to read.
    """

    id: str
    user_id: str | None
    organization_id: str | None
    plan: str
    status: str
    stripe_customer_id: str | None
    stripe_subscription_id: str | None
    current_period_start: WireInstant
    current_period_end: WireInstant
    cancel_at: WireInstant | None
    ended_at: WireInstant | None
    fee: WireDecimal
    currency: str
    limits: LimitsAnswer
    pending_change: PendingChangeAnswer | None
    as_of: WireInstant | None


class UsageLineAnswer(WireAnswer):
    """One metric: `quantity` in `unit`, `unitPrice` per unit, `cost` in the currency of the whole.

    `limit` (null: none) and `limitUsed` are in `limitUnit`: bandwidth counts the period, storage what is held now;
    `limitPercent` is the one of the other, cut to 4 places, 100 when it is full. `notAtStripe` is the part of
    `quantity` that Stripe has not taken yet; null where nothing is reported.
    """

    metric: str
    quantity: WireDecimal
    unit: str
    unit_price: WireDecimal
    cost: WireDecimal
    limit: WireDecimal | None
    limit_used: WireDecimal | None
    limit_unit: str | None
    limit_percent: WireDecimal | None
    not_at_stripe: WireDecimal | None


class UsageAnswer(WireAnswer):
    """The current period so far; `total` is the sum of the lines, `isCharged` whether Stripe bills it.

    `complete`: no gap touches the period; `gaps` are the newest few. `closed`: only a fact learnt late can change it.
    `lateHosts`: hosts of which nothing was heard for five minutes, so that `asOf` is long ago.
    """

    usage: list[UsageLineAnswer]
    period_start: WireInstant
    period_end: WireInstant
    as_of: WireInstant
    complete: bool
    closed: bool
    gaps: list[GapAnswer]
    late_hosts: list[LateHostAnswer]
    currency: str
    total: WireDecimal
    is_charged: bool


class ConfigAnswer(WireAnswer):
    """What a client needs to know of payments."""

    publishable_key: str
    currency: str
    is_sandbox: bool


def to_wire_subscription(
    record: SubscriptionRecord, pending: PlanChangeRecord | None, now: datetime
) -> SubscriptionAnswer:
    period = record.period_at(now)
    return SubscriptionAnswer(
        id=str(record.id),
        user_id=None if record.user_id is None else str(record.user_id),
        organization_id=None if record.organization_id is None else str(record.organization_id),
        plan=record.plan.value,
        status=record.status.value,
        stripe_customer_id=record.stripe_customer_id,
        stripe_subscription_id=record.stripe_subscription_id,
        current_period_start=period.starts_at,
        current_period_end=period.ends_at,
        cancel_at=record.cancel_at,
        ended_at=record.ended_at,
        fee=_amount(record.fee_minor, record.currency),
        currency=record.currency,
        limits=to_wire_limits(limits_of(record)),
        pending_change=None
        if pending is None
        else PendingChangeAnswer(plan=pending.plan.value, state=pending.state.value, effective_at=pending.effective_at),
        as_of=record.synced_at,
    )


def to_wire_usage(usage: CurrentUsage) -> UsageAnswer:
    return UsageAnswer(
        usage=[_to_wire_line(line, usage.currency) for line in usage.lines],
        period_start=usage.period.starts_at,
        period_end=usage.period.ends_at,
        as_of=usage.as_of,
        complete=usage.is_complete,
        closed=usage.is_closed,
        gaps=[to_wire_gap(gap) for gap in usage.gaps],
        late_hosts=[to_wire_late_host(host) for host in usage.late_hosts],
        currency=usage.currency,
        total=_amount(usage.usage_minor, usage.currency),
        is_charged=usage.is_charged,
    )


def _to_wire_line(line: UsageLine, currency: str) -> UsageLineAnswer:
    use = line.limit_use
    return UsageLineAnswer(
        metric=line.metric.value,
        quantity=line.quantity,
        unit=line.unit,
        unit_price=line.unit_price_minor.scaleb(-2),
        cost=_amount(line.amount_minor, currency),
        limit=None if use is None else use.limit,
        limit_used=None if use is None else use.used,
        limit_unit=None if use is None else use.unit,
        limit_percent=None if use is None or use.share is None else use.share.scaleb(2),
        not_at_stripe=line.not_at_stripe,
    )


def to_wire_limits(limits: ResourceLimits) -> LimitsAnswer:
    def known(value: int) -> int | None:
        return None if value == UNLIMITED else value

    return LimitsAnswer(
        max_services=known(limits.services_max),
        max_memory_mb=known(limits.memory_mb_max),
        max_cpu_cores=None if limits.cpu_cores_max == UNLIMITED else limits.cpu_cores_max,
        max_bandwidth_gb=known(limits.bandwidth_gb_max),
        max_storage_gb=known(limits.storage_gb_max),
    )


def _amount(amount_minor: int, currency: str) -> Decimal:
    return Money(amount_minor=amount_minor, currency=currency).to_decimal()

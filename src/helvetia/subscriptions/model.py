"""The subscription of an account, its billing periods, and what one read of Stripe said. Pure."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from uuid import UUID

from helvetia.catalogue.plans import PLANS, ResourceLimits, SubscriptionPlan
from helvetia.kernel.identity import AccountId
from helvetia.kernel.period import Period, calendar_month
from helvetia.kernel.status import SubscriptionStatus
from helvetia.stripe_gateway.model import PriceBook, Subscription


@dataclass(frozen=True, slots=True, kw_only=True)
class SubscriptionRecord:
    """The one row of an account. `period` is Stripe's while a subscription lives, else the calendar month (UTC).

    `plan_problem`: why the plan is in doubt; the former plan stands until somebody looks.
    """

    id: UUID
    account_id: AccountId
    user_id: UUID | None
    organization_id: UUID | None
    stripe_customer_id: str | None
    stripe_subscription_id: str | None
    stripe_status: str | None
    plan: SubscriptionPlan
    status: SubscriptionStatus
    period: Period
    started_at: datetime
    cancel_at: datetime | None
    ended_at: datetime | None
    fee_minor: int
    currency: str
    fetch_seq: int
    synced_at: datetime | None
    plan_problem: str | None
    created_at: datetime
    updated_at: datetime

    @property
    def is_live_at_stripe(self) -> bool:
        """Whether a subscription at Stripe goes on, paid or not: its usage is reported and billed."""
        return self.stripe_subscription_id is not None and self.status is not SubscriptionStatus.CANCELED

    def period_at(self, now: datetime) -> Period:
        """The current period: Stripe's as last read, or without a live subscription the month that `now` is in."""
        return self.period if self.is_live_at_stripe else unsubscribed_period(now, self.ended_at)


@dataclass(frozen=True, slots=True, kw_only=True)
class BillingPeriod:
    """A period that Stripe bills: usage inside it is reported to that customer."""

    account_id: AccountId
    period: Period
    stripe_subscription_id: str
    stripe_customer_id: str
    plan: SubscriptionPlan


@dataclass(frozen=True, slots=True, kw_only=True)
class PlanIndex:
    """Which plan a price or a product stands for."""

    by_price: Mapping[str, SubscriptionPlan] = field(default_factory=dict)
    by_product: Mapping[str, SubscriptionPlan] = field(default_factory=dict)

    @classmethod
    def from_price_book(cls, book: PriceBook | None) -> "PlanIndex":
        """Empty when the prices are not verified: plans are then found by metadata or stay what they were."""
        plans = {} if book is None else book.plans
        return cls(
            by_price={price.price_id: plan for plan, price in plans.items()},
            by_product={price.product_id: plan for plan, price in plans.items()},
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class StripeReading:
    """One read of a customer: begun at `began_at` (business time), numbered before it began."""

    fetch_seq: int
    began_at: datetime
    customer_id: str
    subscriptions: Sequence[Subscription]
    periods: Sequence[BillingPeriod]
    plans: PlanIndex


@dataclass(frozen=True, slots=True, kw_only=True)
class SubscriptionState:
    """What a read means for the account's row."""

    stripe_subscription_id: str | None
    stripe_status: str | None
    plan: SubscriptionPlan
    status: SubscriptionStatus
    period: Period
    started_at: datetime
    cancel_at: datetime | None
    ended_at: datetime | None
    fee_minor: int
    currency: str
    plan_problem: str | None


@dataclass(frozen=True, slots=True, kw_only=True)
class SyncOutcome:
    """What a sync did: `is_stale` when a newer read was already stored, and nothing was written.

    `has_own_card`: a subscription was read that has a card of its own, which is to be made the customer's.
    """

    record: SubscriptionRecord
    is_stale: bool
    has_own_card: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class SyncRound:
    """What one poll did."""

    synced_count: int
    failed_count: int
    rolled_count: int


def unsubscribed_period(now: datetime, ended_at: datetime | None) -> Period:
    """The calendar month (UTC) of `now`; in the month a subscription ended, only what follows its end."""
    month = calendar_month(now)
    if ended_at is not None and month.starts_at < ended_at <= now:
        return Period(starts_at=ended_at, ends_at=month.ends_at)
    return month


def limits_of(record: SubscriptionRecord) -> ResourceLimits:
    """The limits in force: the plan's; after the end of a subscription, those of FREE."""
    plan = SubscriptionPlan.FREE if record.status is SubscriptionStatus.CANCELED else record.plan
    return PLANS[plan].limits

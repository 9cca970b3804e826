"""What an account used in its current period and what it costs so far. Pure."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from decimal import ROUND_FLOOR, Decimal

from helvetia.catalogue.plans import UNLIMITED, ResourceLimits, SubscriptionPlan
from helvetia.kernel.identity import AccountId
from helvetia.kernel.period import Period
from helvetia.kernel.quantity import BYTES_PER_GB, UsageMetric
from helvetia.metering.model import LateHost, UsageGap

LATE_AFTER = timedelta(minutes=5)
"""Usage as of longer ago is late: many of the default sampling intervals, and room for a slow sweep."""

_SHARE_PLACES = Decimal("0.000001")


@dataclass(frozen=True, slots=True, kw_only=True)
class LimitUse:
    """A limit of the plan and how much of it is taken: `used` and `limit` in `unit`, `share` 1 when it is full,
    cut down, so that it is never full too early.

    `limit` and `share` are None where there is no limit.
    """

    used: Decimal
    limit: Decimal | None
    unit: str
    share: Decimal | None


@dataclass(frozen=True, slots=True, kw_only=True)
class UsageLine:
    """One metric of the period. `quantity` and `unit_price_minor` are per sold `unit`.

    `limit_use` is None for a metric that plans do not limit. `not_at_stripe` is the part of the quantity that Stripe
    has not taken yet; None where nothing is reported (no live subscription).
    """

    metric: UsageMetric
    base_quantity: int
    quantity: Decimal
    unit: str
    unit_price_minor: Decimal
    amount_minor: int
    limit_use: LimitUse | None
    not_at_stripe: Decimal | None


@dataclass(frozen=True, slots=True, kw_only=True)
class CurrentUsage:
    """The current period so far.

    `usage_minor` is what the lines come to; `is_charged` says whether Stripe bills it (FREE is metered, not charged).
    `as_of`: everything that lives was looked at then or later. `is_complete`: no gap touches the period.
    `is_closed`: only a fact learnt late can change the figures. `late_hosts`: why `as_of` is long ago, if it is.
    """

    account_id: AccountId
    plan: SubscriptionPlan
    period: Period
    as_of: datetime
    is_complete: bool
    is_closed: bool
    is_charged: bool
    are_prices_verified: bool
    lines: Sequence[UsageLine]
    usage_minor: int
    fee_minor: int
    currency: str
    gaps: Sequence[UsageGap]
    late_hosts: Sequence[LateHost] = ()

    @property
    def total_minor(self) -> int:
        """Fee and usage of the period as they stand; nothing where nothing is charged."""
        return self.fee_minor + self.usage_minor if self.is_charged else 0


def limit_uses(
    limits: ResourceLimits, bandwidth_gb: Decimal, storage_held_bytes: int
) -> Mapping[UsageMetric, LimitUse]:
    """Bandwidth is limited by the period's use, storage by what is held now; time and memory by reservation only."""
    return {
        UsageMetric.BANDWIDTH_GB: _limit_use(bandwidth_gb, limits.bandwidth_gb_max),
        UsageMetric.STORAGE_GB: _limit_use(_to_gb(storage_held_bytes), limits.storage_gb_max),
    }


def _to_gb(size_bytes: int) -> Decimal:
    """GB (2^30 bytes), cut to 6 places."""
    return Decimal(size_bytes * 10**6 // BYTES_PER_GB).scaleb(-6)


def _limit_use(used_gb: Decimal, limit_gb: int) -> LimitUse:
    if limit_gb == UNLIMITED:
        return LimitUse(used=used_gb, limit=None, unit="GB", share=None)
    limit = Decimal(limit_gb)
    share = (used_gb / limit).quantize(_SHARE_PLACES, rounding=ROUND_FLOOR)
    return LimitUse(used=used_gb, limit=limit, unit="GB", share=share)

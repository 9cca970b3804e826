"""A change of plan: what it is, what it costs now, and what of the account would not fit. Pure."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from decimal import Decimal
from enum import StrEnum
from uuid import UUID

from helvetia.catalogue.plans import PLANS, UNLIMITED, ResourceLimits, SubscriptionPlan
from helvetia.kernel.identity import AccountId
from helvetia.kernel.period import Period
from helvetia.kernel.quantity import BYTES_PER_GB

PREVIEW_HOLDS_FOR = timedelta(minutes=10)
# Stripe keeps idempotency keys for 24 h of real time; a little less.
KEY_HOLDS_FOR = timedelta(hours=23)
BANDWIDTH = "bandwidth"
_ORDER = tuple(SubscriptionPlan)


class Direction(StrEnum):
    """Upgrade: now, against payment. Downgrade: at the end of the period. End: to FREE, at the end of the period."""

    UPGRADE = "upgrade"
    DOWNGRADE = "downgrade"
    END = "end"


class ChangeState(StrEnum):
    """previewed → applying → applied | pending (waits for the customer's payment) | declined | refused;
    previewed → applying → scheduled → undone.
    """

    PREVIEWED = "previewed"
    APPLYING = "applying"
    PENDING = "pending"
    SCHEDULED = "scheduled"
    APPLIED = "applied"
    DECLINED = "declined"
    REFUSED = "refused"
    UNDONE = "undone"


def direction_of(from_plan: SubscriptionPlan, plan: SubscriptionPlan) -> Direction | None:
    """None when nothing changes."""
    if plan is from_plan:
        return None
    if plan is SubscriptionPlan.FREE:
        return Direction.END
    return Direction.UPGRADE if _ORDER.index(plan) > _ORDER.index(from_plan) else Direction.DOWNGRADE


@dataclass(frozen=True, slots=True, kw_only=True)
class PlanChangeRecord:
    """A change as previewed, and what became of it; `change_id` is the token that confirms it.

    `amount_due_minor` is what is charged at once, after the customer's credit; `total_minor` before it.
    """

    account_id: AccountId
    change_id: UUID
    state: ChangeState
    direction: Direction
    plan: SubscriptionPlan
    from_plan: SubscriptionPlan
    stripe_subscription_id: str
    item_id: str
    from_price_id: str
    price_id: str | None
    prorated_at: datetime
    effective_at: datetime
    period_start: datetime
    period_end: datetime
    total_minor: int
    amount_due_minor: int
    currency: str
    stripe_invoice_id: str | None
    created_at: datetime
    confirmed_at: datetime | None
    settled_at: datetime | None

    @property
    def period(self) -> Period:
        return Period(starts_at=self.period_start, ends_at=self.period_end)

    def is_awaited(self, plan: SubscriptionPlan, now: datetime) -> bool:
        """Whether it is confirmed and has not come about, while the account is on `plan`."""
        if self.state is ChangeState.SCHEDULED:
            return now < self.effective_at
        return (
            self.state in {ChangeState.PENDING, ChangeState.APPLYING}
            and plan is not self.plan
            and (now < self.period_end)
        )

    @property
    def valid_until(self) -> datetime:
        """After this a new preview is due; never beyond the period it was made in."""
        return min(self.created_at + PREVIEW_HOLDS_FOR, self.period_end)


@dataclass(frozen=True, slots=True, kw_only=True)
class PreviewLine:
    """One line of what would be invoiced now."""

    description: str | None
    amount_minor: int


@dataclass(frozen=True, slots=True, kw_only=True)
class AccountUse:
    """What an account holds of what plans limit. Bandwidth is the running period's, the rest is held now."""

    services: int
    memory_mb: int
    cpu_cores: Decimal
    bandwidth_bytes: int
    storage_bytes: int

    @classmethod
    def nothing(cls) -> "AccountUse":
        return cls(services=0, memory_mb=0, cpu_cores=Decimal(0), bandwidth_bytes=0, storage_bytes=0)

    @property
    def bandwidth_gb(self) -> Decimal:
        """Cut to 6 places."""
        return _gb(self.bandwidth_bytes)

    @property
    def storage_gb(self) -> Decimal:
        """Cut to 6 places."""
        return _gb(self.storage_bytes)


@dataclass(frozen=True, slots=True, kw_only=True)
class Misfit:
    """A limit that the account's present use exceeds; both figures in the limit's unit, the use cut to 6 places."""

    limit: str
    allowed: Decimal
    used: Decimal
    unit: str


def misfits_then(found: Sequence[Misfit]) -> Sequence[Misfit]:
    """Those of a plan that begins with the next period: bandwidth counts anew there."""
    return [one for one in found if one.limit != BANDWIDTH]


def misfits(use: AccountUse, limits: ResourceLimits) -> tuple[Misfit, ...]:
    """What would not fit these limits; empty when everything does."""
    rows = (
        ("services", limits.services_max, Decimal(use.services), "services"),
        ("memory", limits.memory_mb_max, Decimal(use.memory_mb), "MB"),
        ("cpu", limits.cpu_cores_max, use.cpu_cores, "cores"),
        (BANDWIDTH, limits.bandwidth_gb_max, use.bandwidth_gb, "GB"),
        ("storage", limits.storage_gb_max, use.storage_gb, "GB"),
    )
    return tuple(
        Misfit(limit=name, allowed=Decimal(allowed), used=used, unit=unit)
        for name, allowed, used, unit in rows
        if allowed != UNLIMITED and used > allowed
    )


def _gb(size_bytes: int) -> Decimal:
    return Decimal(size_bytes * 10**6 // BYTES_PER_GB).scaleb(-6)


@dataclass(frozen=True, slots=True, kw_only=True)
class PlanPreview:
    """What a change would do: shown to the customer, who confirms exactly this."""

    change: PlanChangeRecord
    lines: Sequence[PreviewLine]
    will_not_fit: Sequence[Misfit]
    next_fee_minor: int


@dataclass(frozen=True, slots=True, kw_only=True)
class ChangeOutcome:
    """What a confirmed change came to; `confirm_url` is where the customer confirms a pending payment."""

    change: PlanChangeRecord
    charged_minor: int
    confirm_url: str | None


@dataclass(frozen=True, slots=True, kw_only=True)
class PlanOffer:
    """A plan as this account sees it."""

    plan: SubscriptionPlan
    title: str
    fee_minor: int
    currency: str
    is_current: bool
    is_sold: bool
    limits: ResourceLimits
    will_not_fit: Sequence[Misfit]


def offers(
    current: SubscriptionPlan, use: AccountUse, fees_minor: dict[SubscriptionPlan, int], currency: str, *, is_sold: bool
) -> tuple[PlanOffer, ...]:
    """Every plan in the order they are sold, with Stripe's fees where they are known."""
    return tuple(
        PlanOffer(
            plan=plan.code,
            title=plan.title,
            fee_minor=fees_minor.get(plan.code, plan.fee_minor),
            currency=currency,
            is_current=plan.code is current,
            is_sold=is_sold or plan.code is SubscriptionPlan.FREE,
            limits=plan.limits,
            will_not_fit=misfits(use, plan.limits),
        )
        for plan in PLANS.values()
    )

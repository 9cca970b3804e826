"""What enforcement knows of an account, and what it decides about it. Frozen data only."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from decimal import Decimal
from enum import StrEnum
from uuid import UUID

from helvetia.catalogue.plans import SubscriptionPlan
from helvetia.kernel.identity import AccountId, ServiceId
from helvetia.kernel.period import Period
from helvetia.kernel.status import SubscriptionStatus
from helvetia.subscriptions.model import unsubscribed_period

ACTOR = "enforcement"
"""Who the record names for what this package decides by itself."""


class EnforcementMode(StrEnum):
    """observe: decide and record only. warn: also tell the customer. enforce: also refuse and hold."""

    OBSERVE = "observe"
    WARN = "warn"
    ENFORCE = "enforce"


@dataclass(frozen=True, slots=True, kw_only=True)
class EnforcementConfig:
    """How enforcement behaves in this installation.

    The brake: a pass that would hold at least `brake_accounts_min` accounts and more than `brake_share_percent` of all
    holds nobody. `stale_after`: how old our knowledge of Stripe may be before nobody is held on it. `is_mode_chosen`:
    not so where a live key left the mode to its default.
    """

    mode: EnforcementMode = EnforcementMode.ENFORCE
    is_mode_chosen: bool = True
    brake_share_percent: int = 5
    brake_accounts_min: int = 5
    stale_after: timedelta = timedelta(minutes=30)


class PaymentState(StrEnum):
    """Where an account stands with its payments, by the facts and the clock."""

    CURRENT = "current"
    GRACE = "grace"
    LOCKED = "locked"
    OVERDUE = "overdue"
    ENDED = "ended"
    EXEMPT = "exempt"


class NewWork(StrEnum):
    """What becomes of a start, a create, a scale or a deploy."""

    WITHIN_LIMITS = "within limits"
    WITH_WARNING = "within limits, with a warning"
    REFUSED = "402"


class QuotaAction(StrEnum):
    """What happens when an account's bandwidth or storage is used up."""

    WARN = "warn"
    BLOCK_NEW = "block_new"
    SUSPEND = "suspend"


class OverrideKind(StrEnum):
    """extend: held for payment no earlier than `until_at`. exempt: payment state is not asked until then."""

    EXTEND = "extend"
    EXEMPT = "exempt"


@dataclass(frozen=True, slots=True, kw_only=True)
class Override:
    """An operator's exception for one account."""

    override_id: UUID
    kind: OverrideKind
    until_at: datetime
    reason: str
    actor: str


@dataclass(frozen=True, slots=True, kw_only=True)
class PaymentFacts:
    """What the objects at Stripe said of failed payments, in a read begun at `read_at` (business time)."""

    stripe_subscription_id: str
    failed_invoice_id: str | None
    first_failed_at: datetime | None
    ended_by_failure: bool
    read_at: datetime


@dataclass(frozen=True, slots=True, kw_only=True)
class AccountFacts:
    """Everything the policy asks of an account, read in one statement.

    `period` is the stored one (see `period_at`). `known_until`: a read of this account's subscriptions began then, so
    nothing earlier at Stripe is unknown.
    """

    account_id: AccountId
    plan: SubscriptionPlan
    status: SubscriptionStatus
    stripe_customer_id: str | None = None
    stripe_subscription_id: str | None = None
    stripe_status: str | None = None
    ended_at: datetime | None = None
    period: Period | None = None
    known_until: datetime | None = None
    payment: PaymentFacts | None = None
    free_chosen_at: datetime | None = None
    overrides: Sequence[Override] = ()
    service_count: int = 0
    payment_held_count: int = 0
    noticed_failure_at: datetime | None = None
    noticed_hold_at: datetime | None = None

    @property
    def first_failed_at(self) -> datetime | None:
        return None if self.payment is None else self.payment.first_failed_at

    def period_at(self, now: datetime) -> Period:
        """The period whose use counts: Stripe's while a subscription lives, else the month that `now` is in."""
        is_live = self.stripe_subscription_id is not None and self.status is not SubscriptionStatus.CANCELED
        return self.period if is_live and self.period is not None else unsubscribed_period(now, self.ended_at)

    @property
    def ended_by_failure(self) -> bool:
        return self.payment is not None and self.payment.ended_by_failure

    @property
    def effective_plan(self) -> SubscriptionPlan:
        """The plan whose limits hold: after the end of a subscription, FREE."""
        return SubscriptionPlan.FREE if self.status is SubscriptionStatus.CANCELED else self.plan


@dataclass(frozen=True, slots=True, kw_only=True)
class Verdict:
    """What the policy says of an account's payments at one instant, and why, in a sentence a customer can read.

    `hold_due_at`: when running services are (or were to be) held; None when nothing is planned.
    `is_certain`: false while it is not known when a failure began; then nothing is held, and nothing lifted.
    """

    state: PaymentState
    new_work: NewWork
    services_run: bool
    reason: str
    hold_due_at: datetime | None = None
    is_certain: bool = True


class StepKind(StrEnum):
    """What a step does."""

    REMINDER = "reminder"
    EXEMPTION_ENDS = "exemption_ends"
    HOLD = "hold"


@dataclass(frozen=True, slots=True, kw_only=True)
class Step:
    """What happens next, and when."""

    at: datetime
    kind: StepKind
    what: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Resources:
    """An amount of what plans limit by reservation."""

    services: int = 0
    memory_mb: int = 0
    cpu_cores: Decimal = Decimal(0)

    def __add__(self, other: "Resources") -> "Resources":
        return Resources(
            services=self.services + other.services,
            memory_mb=self.memory_mb + other.memory_mb,
            cpu_cores=self.cpu_cores + other.cpu_cores,
        )

    def __sub__(self, other: "Resources") -> "Resources":
        return Resources(
            services=self.services - other.services,
            memory_mb=self.memory_mb - other.memory_mb,
            cpu_cores=self.cpu_cores - other.cpu_cores,
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class QuotaUse:
    """What of the period's bandwidth and of the storage is used, in bytes."""

    bandwidth_bytes: int = 0
    storage_bytes: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class Admitting:
    """All that an admission asks of an account, read at once under its lock."""

    facts: AccountFacts
    used: Resources
    use: QuotaUse


@dataclass(frozen=True, slots=True, kw_only=True)
class ServiceFacts:
    """A service as enforcement sees it, in the order in which services are kept (the first is stopped last)."""

    service_id: ServiceId
    name: str
    reserved: Resources
    is_wished: bool
    causes: frozenset[str] = frozenset()


@dataclass(frozen=True, slots=True, kw_only=True)
class Intent:
    """What a pass wants to do with one account."""

    facts: AccountFacts
    verdict: Verdict

    @property
    def wants_hold(self) -> bool:
        return not self.verdict.services_run

    @property
    def is_idle(self) -> bool:
        """Whether everything is as it should be, or as long as it is not certain, stays as it is."""
        if self.wants_hold:
            return self.facts.payment_held_count >= self.facts.service_count
        return self.facts.payment_held_count == 0 or not self.verdict.is_certain

    @property
    def is_new_hold(self) -> bool:
        """Whether an account that runs would be held: what the brake counts."""
        return self.wants_hold and self.facts.payment_held_count == 0 and self.facts.service_count > 0


@dataclass(frozen=True, slots=True, kw_only=True)
class PassOutcome:
    """What one pass did; `brake` says why it held nobody."""

    pass_id: UUID
    mode: EnforcementMode
    account_count: int
    would_hold: Sequence[AccountId] = ()
    held: Sequence[AccountId] = ()
    resumed: Sequence[AccountId] = ()
    waiting: Sequence[AccountId] = field(default=())
    brake: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Standing:
    """Where one account stands with its payments at one instant."""

    facts: AccountFacts
    verdict: Verdict
    mode: EnforcementMode
    at: datetime


@dataclass(frozen=True, slots=True, kw_only=True)
class Explanation:
    """What is in force for one account, why, until when, and what happens next, in order."""

    facts: AccountFacts
    verdict: Verdict
    mode: EnforcementMode
    at: datetime
    steps: Sequence[Step]
    services: Sequence[ServiceFacts]
    bandwidth_action: QuotaAction
    storage_action: QuotaAction
    over_quota: Sequence[str]

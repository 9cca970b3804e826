"""Usage that no invoice billed, as a task with a price, and a difference between two hops. Pure."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from decimal import Decimal
from enum import StrEnum
from uuid import UUID

from helvetia.kernel.identity import AccountId
from helvetia.kernel.money import round_metered_line
from helvetia.kernel.period import Period
from helvetia.kernel.quantity import UsageMetric, to_sold_quantity

# Stripe lists a draft as soon as it exists: an invoice that this much later is not listed was never made.
ABSENT_AFTER = timedelta(minutes=5)


class TaskCause(StrEnum):
    """late: after the invoice was final; ended: the end billed nothing of it; after_end: between end and hold."""

    LATE = "late"
    ENDED = "ended"
    AFTER_END = "after_end"


class TaskState(StrEnum):
    """open → billing → billed | waived by the operator; gone: the difference went away by itself."""

    OPEN = "open"
    BILLING = "billing"
    BILLED = "billed"
    WAIVED = "waived"
    GONE = "gone"


@dataclass(frozen=True, slots=True, kw_only=True)
class UsageTask:
    """Usage of a range that no invoice bills, and the invoice item that would; negative: Stripe billed too much."""

    account_id: AccountId
    task_id: UUID
    cause: TaskCause
    metric: UsageMetric
    starts_at: datetime
    ends_at: datetime
    stripe_subscription_id: str
    stripe_customer_id: str
    quantity: Decimal
    unit_price_minor: Decimal
    amount_minor: int
    currency: str
    detail: str
    state: TaskState
    opened_at: datetime
    decided_by: str | None = None
    decided_at: datetime | None = None
    reason: str | None = None
    key_at: datetime | None = None
    stripe_invoice_item_id: str | None = None
    last_error: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Billed:
    """What final invoices billed of a metric in a period: quantity in the sold unit, amount in minor units."""

    quantity: Decimal = Decimal(0)
    amount_minor: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class Unbilled:
    """What a range has over what was billed and decided."""

    quantity: Decimal
    amount_minor: int


def unbilled(metric: UsageMetric, used: int, price_minor: Decimal, billed: Billed, decided: Billed) -> Unbilled:
    """Our figure of the whole range (one rounding) minus what invoices and earlier decisions cover."""
    quantity = to_sold_quantity(metric, used)
    return Unbilled(
        quantity=quantity - billed.quantity - decided.quantity,
        amount_minor=round_metered_line(quantity, price_minor) - billed.amount_minor - decided.amount_minor,
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class EndFacts:
    """How the billing of a period stands, as mirrored: `complete_at` is when the last whole read of invoices began.

    `ended_at`: when its subscription ended, None while it lives. `is_unclear`: its invoice has usage at prices that
    are not ours any more, so nothing can be compared.
    """

    period: Period
    final_at: datetime | None
    has_draft: bool
    ended_at: datetime | None
    complete_at: datetime | None
    is_unclear: bool

    @property
    def cause(self) -> TaskCause | None:
        """Why what is missing now will never be billed by itself; None while it still may be."""
        if self.is_unclear or self.has_draft:
            return None
        if self.final_at is not None:
            return TaskCause.LATE
        if self.ended_at is None or self.complete_at is None:
            return None
        over_at = max(self.period.ends_at, self.ended_at)
        return TaskCause.ENDED if self.complete_at > over_at + ABSENT_AFTER else None


class Hop(StrEnum):
    """The four steps of usage on its way to money."""

    ENGINE = "engine → ledger"
    OUTBOX = "ledger → outbox"
    STRIPE = "outbox → Stripe"
    INVOICE = "ledger → invoice"


@dataclass(frozen=True, slots=True, kw_only=True)
class UsageDifference:
    """Two figures that should be equal: at which hop, for which hour or period, how much, and what it costs.

    `ours` is what came from before the hop, `theirs` what is after it, in the sold unit; `amount_minor` is what the
    customer would pay less (positive) or more (negative) than he used.
    """

    account_id: AccountId
    hop: Hop
    metric: UsageMetric
    starts_at: datetime
    ends_at: datetime
    ours: Decimal
    theirs: Decimal
    amount_minor: Decimal
    repair: str

    @property
    def quantity(self) -> Decimal:
        return self.ours - self.theirs


@dataclass(frozen=True, slots=True, kw_only=True)
class UsageComparison:
    """What a comparison of accounts found; `failed` names those that could not be read, with the reason."""

    compared_count: int
    differences: Sequence[UsageDifference]
    failed: Mapping[AccountId, str] = field(default_factory=dict)

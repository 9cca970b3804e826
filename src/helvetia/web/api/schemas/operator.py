"""What only the operator sees: tasks about unbilled usage, ends that wait, and the comparison of hops."""

from collections.abc import Mapping
from decimal import Decimal
from typing import Any, Literal
from uuid import UUID

from pydantic import Field

from helvetia.billing.plan_change.store import Cancellation
from helvetia.kernel.money import Money
from helvetia.meter_reports.redirection.model import Redirection
from helvetia.meter_reports.settlement.model import UsageTask
from helvetia.web.api.schemas.wire import WireAnswer, WireDecimal, WireInstant, WireRequest


class UsageTaskAnswer(WireAnswer):
    """Usage that no invoice bills, and the invoice item that would; a negative amount is a credit."""

    id: UUID
    account_id: UUID
    cause: str
    metric: str
    starts_at: WireInstant
    ends_at: WireInstant
    quantity: WireDecimal
    unit_price_minor: WireDecimal
    amount: WireDecimal
    currency: str
    detail: str
    state: str
    opened_at: WireInstant
    decided_by: str | None
    reason: str | None
    stripe_invoice_item_id: str | None
    last_error: str | None


class StuckEndAnswer(WireAnswer):
    """A cancellation that something keeps."""

    account_id: UUID
    stripe_subscription_id: str
    requested_at: WireInstant
    last_error: str | None


class OperatorTasksAnswer(WireAnswer):
    usage_tasks: list[UsageTaskAnswer]
    stuck_cancellations: list[StuckEndAnswer]


class PassAnswer(WireAnswer):
    """What one pass of enforcement did, or would have done in another mode or without the brake."""

    id: UUID
    began_at: WireInstant
    mode: str
    accounts: int
    would_hold: int
    held: int
    resumed: int
    brake: str | None
    lifted_at: WireInstant | None


class EnforcementStateAnswer(WireAnswer):
    """`warning`: what the operator is to know of the mode. `brake`: why nobody is held."""

    mode: str
    warning: str | None
    brake: str | None
    passes: list[PassAnswer]


class DecisionRequest(WireRequest):
    """`amount` is the one that was seen: a task whose amount moved is not decided by it."""

    decision: Literal["bill", "waive"]
    amount: str = Field(pattern=r"^-?[0-9]{1,12}\.[0-9]{2}$")
    reason: str = Field(min_length=1, max_length=500)

    @property
    def amount_minor(self) -> int:
        return int(Decimal(self.amount).scaleb(2))


class EndAnywayRequest(WireRequest):
    reason: str = Field(min_length=1, max_length=500)


class RedirectRequest(WireRequest):
    reason: str = Field(min_length=1, max_length=500)


class RedirectionAnswer(WireAnswer):
    """A report that went to another customer's meter, and what came of taking it back."""

    identifier: str
    account_id: UUID
    metric: str
    quantity: WireDecimal
    from_customer: str
    to_customer: str | None
    state: str
    requested_at: WireInstant
    requested_by: str
    reason: str


class UsageComparisonAnswer(WireAnswer):
    """The last comparison of every account; `comparedFrom` is when the one compared longest ago was."""

    compared_from: WireInstant | None
    differences: list[dict[str, object]]


def to_wire_task(task: UsageTask) -> UsageTaskAnswer:
    return UsageTaskAnswer(
        id=task.task_id,
        account_id=task.account_id,
        cause=task.cause.value,
        metric=task.metric.value,
        starts_at=task.starts_at,
        ends_at=task.ends_at,
        quantity=task.quantity,
        unit_price_minor=task.unit_price_minor.normalize(),
        amount=Money(amount_minor=task.amount_minor, currency=task.currency).to_decimal(),
        currency=task.currency,
        detail=task.detail,
        state=task.state.value,
        opened_at=task.opened_at,
        decided_by=task.decided_by,
        reason=task.reason,
        stripe_invoice_item_id=task.stripe_invoice_item_id,
        last_error=task.last_error,
    )


def to_wire_redirection(one: Redirection) -> RedirectionAnswer:
    return RedirectionAnswer(
        identifier=one.identifier,
        account_id=one.account_id,
        metric=one.metric.value,
        quantity=one.value,
        from_customer=one.wrong_customer_id,
        to_customer=one.right_customer_id,
        state=one.state.value,
        requested_at=one.requested_at,
        requested_by=one.requested_by,
        reason=one.reason,
    )


def to_wire_stuck(stuck: Cancellation) -> StuckEndAnswer:
    return StuckEndAnswer(
        account_id=stuck.account_id,
        stripe_subscription_id=stuck.stripe_subscription_id,
        requested_at=stuck.requested_at,
        last_error=stuck.last_error,
    )


def to_wire_pass(row: Mapping[str, Any]) -> PassAnswer:
    return PassAnswer(
        id=row["pass_id"],
        began_at=row["began_at"],
        mode=row["mode"],
        accounts=row["account_count"],
        would_hold=row["would_hold_count"],
        held=row["held_count"],
        resumed=row["resumed_count"],
        brake=row["brake"],
        lifted_at=row["lifted_at"],
    )

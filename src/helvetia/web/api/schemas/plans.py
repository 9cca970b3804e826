"""Plans, checkout, portal and changes of plan on the wire. A client sends a plan's code, never a price."""

from decimal import Decimal
from enum import StrEnum
from typing import Annotated
from uuid import UUID

from pydantic import Field

from helvetia.billing.open_portal import PortalPage
from helvetia.billing.plan_change.model import ChangeOutcome, Misfit, PlanOffer, PlanPreview
from helvetia.catalogue.plans import SubscriptionPlan
from helvetia.kernel.money import Money
from helvetia.web.api.schemas.billing import LimitsAnswer, to_wire_limits
from helvetia.web.api.schemas.wire import WireAnswer, WireDecimal, WireInstant, WireRequest

PlanCode = Annotated[SubscriptionPlan, Field(strict=False, description="The code of a plan.")]


class CheckoutRequest(WireRequest):
    """The plan to buy."""

    plan: PlanCode


class CheckoutAnswer(WireAnswer):
    """Where to pay: send the browser to `url`."""

    session_id: str
    url: str


class PortalRequest(WireRequest):
    """Where in the portal to begin; its first page when left out."""

    flow: Annotated[PortalPage | None, Field(strict=False)] = None


class PortalAnswer(WireAnswer):
    """A link that is good for minutes and for one visit: send the browser to `url` at once."""

    url: str


class MisfitAnswer(WireAnswer):
    """A limit that the present use exceeds; both in `unit`."""

    limit: str
    allowed: WireDecimal
    used: WireDecimal
    unit: str


class PlanAnswer(WireAnswer):
    """A plan as this account sees it: `fee` a month as Stripe charges it; `willNotFit` is empty when all fits."""

    plan: str
    title: str
    fee: WireDecimal
    currency: str
    is_current: bool
    is_sold: bool
    limits: LimitsAnswer
    fits: bool
    will_not_fit: list[MisfitAnswer]


class PlanListAnswer(WireAnswer):
    plans: list[PlanAnswer]


class PreviewRequest(WireRequest):
    """The plan to change to; FREE means the end of the subscription with the period."""

    plan: PlanCode


class PreviewLineAnswer(WireAnswer):
    description: str | None
    amount: WireDecimal


class PreviewAnswer(WireAnswer):
    """What the change would do: `amountDue` is charged at once, `nextFee` from the next period on.

    Send `previewToken` back to confirm exactly this, until `validUntil`.
    """

    preview_token: str
    plan: str
    from_plan: str
    direction: str
    effective_at: WireInstant
    amount_due: WireDecimal
    total: WireDecimal
    currency: str
    lines: list[PreviewLineAnswer]
    next_fee: WireDecimal
    period_end: WireInstant
    valid_until: WireInstant
    will_not_fit: list[MisfitAnswer]


class ChangeRequest(WireRequest):
    """The plan, and the token of the preview that was confirmed."""

    plan: PlanCode
    preview_token: Annotated[UUID, Field(strict=False)]


class ChangeAnswer(WireAnswer):
    """`state`: applied, scheduled (for `effectiveAt`), or pending: the customer confirms at `confirmUrl` first."""

    plan: str
    direction: str
    state: str
    effective_at: WireInstant
    charged: WireDecimal
    currency: str
    confirm_url: str | None


class CancelWhen(StrEnum):
    PERIOD_END = "period_end"
    NOW = "now"


class CancelRequest(WireRequest):
    """When to end: with the period that is paid (the default), or now, after the open usage is billed."""

    when: Annotated[CancelWhen, Field(strict=False)] = CancelWhen.PERIOD_END


def to_wire_plan(offer: PlanOffer) -> PlanAnswer:
    return PlanAnswer(
        plan=offer.plan.value,
        title=offer.title,
        fee=_amount(offer.fee_minor, offer.currency),
        currency=offer.currency,
        is_current=offer.is_current,
        is_sold=offer.is_sold,
        limits=to_wire_limits(offer.limits),
        fits=not offer.will_not_fit,
        will_not_fit=[_misfit(one) for one in offer.will_not_fit],
    )


def to_wire_preview(preview: PlanPreview) -> PreviewAnswer:
    change = preview.change
    return PreviewAnswer(
        preview_token=str(change.change_id),
        plan=change.plan.value,
        from_plan=change.from_plan.value,
        direction=change.direction.value,
        effective_at=change.effective_at,
        amount_due=_amount(change.amount_due_minor, change.currency),
        total=_amount(change.total_minor, change.currency),
        currency=change.currency,
        lines=[
            PreviewLineAnswer(description=line.description, amount=_amount(line.amount_minor, change.currency))
            for line in preview.lines
        ],
        next_fee=_amount(preview.next_fee_minor, change.currency),
        period_end=change.period_end,
        valid_until=change.valid_until,
        will_not_fit=[_misfit(one) for one in preview.will_not_fit],
    )


def to_wire_outcome(outcome: ChangeOutcome) -> ChangeAnswer:
    change = outcome.change
    return ChangeAnswer(
        plan=change.plan.value,
        direction=change.direction.value,
        state=change.state.value,
        effective_at=change.effective_at,
        charged=_amount(outcome.charged_minor, change.currency),
        currency=change.currency,
        confirm_url=outcome.confirm_url,
    )


def _misfit(one: Misfit) -> MisfitAnswer:
    return MisfitAnswer(limit=one.limit, allowed=one.allowed, used=one.used, unit=one.unit)


def _amount(amount_minor: int, currency: str) -> Decimal:
    return Money(amount_minor=amount_minor, currency=currency).to_decimal()

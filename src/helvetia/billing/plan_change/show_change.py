"""The arrow token → what its page shows: the preview while it holds, afterwards what became of it. Changes nothing."""

from uuid import UUID

from helvetia.billing.errors import PreviewNotFound
from helvetia.billing.parts import BillingParts
from helvetia.billing.plan_change import store
from helvetia.billing.plan_change.measure_use import measure_use
from helvetia.billing.plan_change.model import (
    ChangeState,
    Direction,
    PlanChangeRecord,
    PlanPreview,
    PreviewLine,
    misfits,
)
from helvetia.billing.plan_change.preview_change import invoice_of
from helvetia.catalogue.plans import PLANS, SubscriptionPlan
from helvetia.kernel.identity import AccountId
from helvetia.stripe_gateway.errors import StripeRefused


async def show_change(parts: BillingParts, account_id: AccountId, change_id: UUID) -> tuple[PlanPreview, bool]:
    """The change of this token as it stands, and whether it can still be confirmed as it was shown.

    Its lines are those of its frozen moment; an invoice that would come out otherwise by now no longer holds.

    Raises:
        PreviewNotFound, and as the gateway does
    """
    async with parts.database.transaction() as tx:
        change = await store.find_change(tx, account_id, change_id)
    if change is None:
        raise PreviewNotFound
    holds = change.state is ChangeState.PREVIEWED and parts.clock.now() < change.valid_until
    lines: tuple[PreviewLine, ...] = ()
    if holds and change.direction is Direction.UPGRADE:
        found = await _lines(parts, change)
        holds, lines = found is not None, found or ()
    fee = _fee_minor(parts, change.plan)
    left_over = misfits(await measure_use(parts, account_id), PLANS[change.plan].limits)
    return PlanPreview(change=change, lines=lines, will_not_fit=left_over, next_fee_minor=fee), holds


async def _lines(parts: BillingParts, change: PlanChangeRecord) -> tuple[PreviewLine, ...] | None:
    try:
        invoice = await invoice_of(parts, change)
    except StripeRefused:
        return None
    if (invoice.total_minor, invoice.amount_due_minor) != (change.total_minor, change.amount_due_minor):
        return None
    return tuple(PreviewLine(description=line.description, amount_minor=line.amount_minor) for line in invoice.lines)


def _fee_minor(parts: BillingParts, plan: SubscriptionPlan) -> int:
    book = parts.prices.book
    if plan is SubscriptionPlan.FREE:
        return 0
    return PLANS[plan].fee_minor if book is None else book.plans[plan].fee_minor

"""The arrow wish → preview: what a change of plan would do and charge now, to the cent, kept under a token.

The subscription is read afresh and the moment of proration frozen, so that the change, which names the same moment, is
invoiced alike. Changes nothing at Stripe.
"""

from dataclasses import replace

from helvetia.audit import record
from helvetia.billing.errors import (
    CancellationScheduled,
    CancellationUnderWay,
    NotSubscribed,
    PeriodTurning,
    PlanUnchanged,
    PlanUnclear,
    UnpaidInvoices,
)
from helvetia.billing.parts import BillingParts
from helvetia.billing.plan_change import store
from helvetia.billing.plan_change.measure_use import measure_use
from helvetia.billing.plan_change.model import (
    ChangeState,
    Direction,
    PlanChangeRecord,
    PlanPreview,
    PreviewLine,
    direction_of,
    misfits,
)
from helvetia.catalogue.plans import PLANS, SubscriptionPlan
from helvetia.kernel.identity import AccountId, new_id
from helvetia.stripe_gateway.actions import PlanChange
from helvetia.stripe_gateway.model import Invoice, PriceBook, Subscription
from helvetia.subscriptions.lifecycle import CANCELED, find_plan, main_item
from helvetia.subscriptions.model import PlanIndex

CHECKOUT_ROUTE = "/api/v1/billing/checkout"


async def read_live(parts: BillingParts, account_id: AccountId) -> Subscription:
    """The account's live subscription as Stripe has it now.

    Raises:
        NotSubscribed, CancellationUnderWay
    """
    known = await parts.subscriptions.get_subscription(account_id)
    if known.stripe_subscription_id is None or not known.is_live_at_stripe:
        raise NotSubscribed(checkout_at=CHECKOUT_ROUTE)
    async with parts.database.transaction() as tx:
        if await store.open_cancellation(tx, account_id) is not None:
            raise CancellationUnderWay
    live = await parts.gateway.retrieve_subscription(known.stripe_subscription_id)
    if live.status == CANCELED:
        await parts.subscriptions.sync_subscription(account_id)
        raise NotSubscribed(checkout_at=CHECKOUT_ROUTE)
    return live


async def preview_change(
    parts: BillingParts, account_id: AccountId, plan: SubscriptionPlan, *, actor: str
) -> PlanPreview:
    """Preview and keep it.

    Raises:
        PricesNotVerified, NotSubscribed, PlanUnchanged, PlanUnclear, UnpaidInvoices, CancellationScheduled,
        CancellationUnderWay, PeriodTurning, and as the gateway does
    """
    book = parts.prices.require()
    live = await read_live(parts, account_id)
    change = _describe(parts, book, live, account_id, plan)
    await _check_allowed(parts, live, change)
    lines: tuple[PreviewLine, ...] = ()
    if change.direction is Direction.UPGRADE:
        invoice = await invoice_of(parts, change)
        change = replace(change, total_minor=invoice.total_minor, amount_due_minor=invoice.amount_due_minor)
        lines = tuple(
            PreviewLine(description=line.description, amount_minor=line.amount_minor) for line in invoice.lines
        )
    use = await measure_use(parts, account_id)
    async with parts.database.transaction() as tx:
        await store.insert_change(tx, change)
        detail = {"change": str(change.change_id), "plan": plan.value, "amount_due_minor": change.amount_due_minor}
        await record(
            tx,
            account_id=account_id,
            actor=actor,
            action="billing.change_previewed",
            detail=detail,
            at=change.created_at,
        )
    return PlanPreview(
        change=change,
        lines=lines,
        will_not_fit=misfits(use, PLANS[plan].limits),
        next_fee_minor=0 if plan is SubscriptionPlan.FREE else book.plans[plan].fee_minor,
    )


async def invoice_of(parts: BillingParts, change: PlanChangeRecord) -> Invoice:
    """What Stripe would invoice now for this change at its frozen moment."""
    return await parts.gateway.preview_change(to_gateway(change))


def to_gateway(change: PlanChangeRecord) -> PlanChange:
    return PlanChange(
        subscription_id=change.stripe_subscription_id,
        item_id=change.item_id,
        price_id=change.price_id or change.from_price_id,
        prorated_at=change.prorated_at,
    )


def _describe(
    parts: BillingParts, book: PriceBook, live: Subscription, account_id: AccountId, plan: SubscriptionPlan
) -> PlanChangeRecord:
    now = parts.clock.now()
    item = main_item(live.items)
    from_plan = find_plan(live.items, PlanIndex.from_price_book(book))
    if item is None or from_plan is None:
        raise PlanUnclear
    direction = direction_of(from_plan, plan)
    if direction is None:
        raise PlanUnchanged(plan=plan)
    if now >= item.period.ends_at:
        raise PeriodTurning
    moment = max(now.replace(microsecond=0), item.period.starts_at)
    return PlanChangeRecord(
        account_id=account_id,
        change_id=new_id(),
        state=ChangeState.PREVIEWED,
        direction=direction,
        plan=plan,
        from_plan=from_plan,
        stripe_subscription_id=live.subscription_id,
        item_id=item.item_id,
        from_price_id=item.price_id,
        price_id=None if direction is Direction.END else book.plans[plan].price_id,
        prorated_at=moment,
        effective_at=moment if direction is Direction.UPGRADE else item.period.ends_at,
        period_start=item.period.starts_at,
        period_end=item.period.ends_at,
        total_minor=0,
        amount_due_minor=0,
        currency=live.currency,
        stripe_invoice_id=None,
        created_at=now,
        confirmed_at=None,
        settled_at=None,
    )


async def _check_allowed(parts: BillingParts, live: Subscription, change: PlanChangeRecord) -> None:
    """An end may always be planned; another plan only while everything is paid and nothing ends."""
    if change.direction is Direction.END:
        return
    if live.status not in {"active", "trialing"}:
        record = (await parts.subscriptions.sync_subscription(change.account_id)).record
        raise UnpaidInvoices(subscription_status=record.status)
    if live.cancel_at is not None:
        raise CancellationScheduled(cancel_at=live.cancel_at)

"""The arrow preview → change: exactly what was previewed, or nothing.

An upgrade is invoiced at the preview's frozen moment and takes hold only if it is paid; a smaller plan is scheduled for
the end of the period; FREE is an end at that time, with the choice recorded. Before anything is charged the preview is
made again; when it says something else, the customer gets the new one and nothing happens. The attempt is on record
before it leaves, under a key of Stripe's that is the change's own: repeated, it is the same change.
"""

from decimal import Decimal
from typing import Any
from uuid import UUID

import structlog

from helvetia.audit import record
from helvetia.billing.errors import PaymentInDoubt, PreviewOutdated
from helvetia.billing.model import checked_address
from helvetia.billing.parts import BillingParts, charging, nothing_charged, one_at_a_time
from helvetia.billing.plan_change import store
from helvetia.billing.plan_change.model import (
    KEY_HOLDS_FOR,
    ChangeOutcome,
    ChangeState,
    Direction,
    PlanChangeRecord,
    PlanPreview,
)
from helvetia.billing.plan_change.preview_change import invoice_of, preview_change, read_live, to_gateway
from helvetia.billing.plan_change.release_schedule import release_schedule
from helvetia.billing.plan_change.schedule_change import schedule_change
from helvetia.catalogue.plans import SubscriptionPlan
from helvetia.database.pool import Transaction
from helvetia.kernel.identity import AccountId
from helvetia.kernel.money import Money
from helvetia.stripe_gateway.errors import CardDeclined, StripeRefused
from helvetia.stripe_gateway.model import Invoice, Subscription
from helvetia.subscriptions.lifecycle import main_item

_log = structlog.get_logger()
_WAITS_FOR_CUSTOMER = "requires_action"


async def change_plan(
    parts: BillingParts, account_id: AccountId, plan: SubscriptionPlan, token: UUID, *, actor: str
) -> ChangeOutcome:
    """Do what the preview of this token showed.

    Raises:
        PreviewOutdated (with the new preview), CardDeclined, PaymentInDoubt, NothingCharged, CheckoutBusy, and what
        `preview_change` raises
    """
    async with one_at_a_time(parts, account_id):
        with nothing_charged():
            change = await _confirmed(parts, account_id, plan, token, actor)
        if change.state in {ChangeState.APPLYING, ChangeState.PREVIEWED}:
            return await _carry_out(parts, change, actor)
        return await _outcome_of_settled(parts, change)


async def _confirmed(
    parts: BillingParts, account_id: AccountId, plan: SubscriptionPlan, token: UUID, actor: str
) -> PlanChangeRecord:
    """The change of this token, if it still is what was shown; one that was begun before is simply gone on with."""
    async with parts.database.transaction() as tx:
        change = await store.find_change(tx, account_id, token)
    if change is None or change.plan is not plan:
        raise await _outdated(parts, account_id, plan, actor)
    if change.state is ChangeState.REFUSED:
        raise await _outdated(parts, account_id, plan, actor)
    if change.state is not ChangeState.PREVIEWED:
        return change
    if not await _still_holds(parts, change):
        raise await _outdated(parts, account_id, plan, actor)
    return change


async def _still_holds(parts: BillingParts, change: PlanChangeRecord) -> bool:
    """Whether the subscription, its period and the amount are those of the preview, to the cent."""
    if parts.clock.now() >= change.valid_until:
        return False
    live = await read_live(parts, change.account_id)
    item = main_item(live.items)
    known = (change.stripe_subscription_id, change.item_id, change.from_price_id, change.period)
    if item is None or (live.subscription_id, item.item_id, item.price_id, item.period) != known:
        return False
    if change.direction is not Direction.UPGRADE:
        return True
    try:
        invoice = await invoice_of(parts, change)
    except StripeRefused:
        return False
    return (invoice.total_minor, invoice.amount_due_minor) == (change.total_minor, change.amount_due_minor)


async def _outdated(parts: BillingParts, account_id: AccountId, plan: SubscriptionPlan, actor: str) -> PreviewOutdated:
    preview = await preview_change(parts, account_id, plan, actor=actor)
    return PreviewOutdated(**figures_of(preview))


def figures_of(preview: PlanPreview) -> dict[str, Any]:
    """The new preview as the figures of a refusal; amounts in major units of the currency."""
    change = preview.change

    def amount(minor: int) -> Decimal:
        return Money(amount_minor=minor, currency=change.currency).to_decimal()

    return {
        "preview_token": change.change_id,
        "plan": change.plan,
        "direction": change.direction,
        "amount_due": amount(change.amount_due_minor),
        "currency": change.currency,
        "effective_at": change.effective_at,
        "valid_until": change.valid_until,
        "lines": [{"description": line.description, "amount": amount(line.amount_minor)} for line in preview.lines],
        "will_not_fit": [one.limit for one in preview.will_not_fit],
    }


async def _carry_out(parts: BillingParts, change: PlanChangeRecord, actor: str) -> ChangeOutcome:
    with nothing_charged():
        live = await read_live(parts, change.account_id)
        async with parts.database.transaction() as tx:
            await store.mark_applying(tx, change, parts.clock.wall())
            await _audit(parts, tx, change, actor, "billing.change_confirmed")
        if change.direction is not Direction.UPGRADE:
            return await schedule_change(parts, change, live)
        await release_schedule(parts, change.account_id, live)
    return await _upgrade(parts, change, actor)


async def _upgrade(parts: BillingParts, change: PlanChangeRecord, actor: str) -> ChangeOutcome:
    try:
        with charging():
            changed = await _at_stripe(parts, change)
    except CardDeclined:
        await _settle(parts, change, ChangeState.DECLINED, None, actor)
        raise
    except StripeRefused as error:
        await _settle(parts, change, ChangeState.REFUSED, None, actor)
        _log.warning("plan_change.refused", change_id=str(change.change_id), detail=error.detail)
        with nothing_charged():
            raise await _outdated(parts, change.account_id, change.plan, actor) from error
    with charging():
        invoice = await parts.gateway.retrieve_invoice(changed.latest_invoice_id or "")
        if changed.pending_update is not None and invoice.status == "open":
            return await _wait_or_drop(parts, change, invoice, actor)
        await parts.subscriptions.sync_subscription(change.account_id)
    if (invoice.total_minor, invoice.amount_due_minor) != (change.total_minor, change.amount_due_minor):
        _log.error("plan_change.amount_differs", change_id=str(change.change_id), invoice_id=invoice.invoice_id)
    done = await _settle(parts, change, ChangeState.APPLIED, invoice, actor)
    return ChangeOutcome(change=done, charged_minor=invoice.amount_paid_minor, confirm_url=None)


async def _at_stripe(parts: BillingParts, change: PlanChangeRecord) -> Subscription:
    """Change it; when Stripe's memory of the key is over, only look whether it came about.

    Raises:
        StripeRefused: it did not.
    """
    began_at = change.confirmed_at or parts.clock.wall()
    if parts.clock.wall() - began_at < KEY_HOLDS_FOR:
        return await parts.gateway.change_plan(to_gateway(change), f"plan-change:{change.change_id}")
    live = await parts.gateway.retrieve_subscription(change.stripe_subscription_id)
    item = main_item(live.items)
    if item is None or item.price_id != change.price_id:
        raise StripeRefused("The change did not come about within a day.")
    return live


async def _wait_or_drop(parts: BillingParts, change: PlanChangeRecord, invoice: Invoice, actor: str) -> ChangeOutcome:
    """Not paid: wait where the customer has to confirm, else void the invoice, so that nothing of it is left."""
    reason = None
    for payment_intent_id in invoice.payment_intent_ids:
        intent = await parts.gateway.retrieve_payment_intent(payment_intent_id)
        if intent.status == _WAITS_FOR_CUSTOMER:
            pending = await _settle(parts, change, ChangeState.PENDING, invoice, actor)
            url = checked_address(invoice.hosted_url, parts.config)
            return ChangeOutcome(change=pending, charged_minor=0, confirm_url=url)
        reason = intent.failure_code or reason
    await parts.gateway.void_invoice(invoice.invoice_id)
    await _settle(parts, change, ChangeState.DECLINED, invoice, actor)
    raise CardDeclined(decline_code=reason, charged="no", plan=change.from_plan)


async def _outcome_of_settled(parts: BillingParts, change: PlanChangeRecord) -> ChangeOutcome:
    """The answer to a change that was carried out before."""
    if change.state is ChangeState.DECLINED:
        raise CardDeclined(charged="no", plan=change.from_plan)
    if change.stripe_invoice_id is None:
        return ChangeOutcome(change=change, charged_minor=0, confirm_url=None)
    with nothing_charged():
        invoice = await parts.gateway.retrieve_invoice(change.stripe_invoice_id)
    waits = change.state is ChangeState.PENDING and invoice.status == "open"
    url = checked_address(invoice.hosted_url, parts.config) if waits else None
    return ChangeOutcome(change=change, charged_minor=invoice.amount_paid_minor, confirm_url=url)


async def _settle(
    parts: BillingParts, change: PlanChangeRecord, state: ChangeState, invoice: Invoice | None, actor: str
) -> PlanChangeRecord:
    invoice_id = None if invoice is None else invoice.invoice_id
    async with parts.database.transaction() as tx:
        await store.settle_change(tx, change, state, invoice_id=invoice_id, at=parts.clock.now())
        await _audit(parts, tx, change, actor, f"billing.change_{state.value}")
        found = await store.find_change(tx, change.account_id, change.change_id)
    if found is None:
        raise PaymentInDoubt
    return found


async def _audit(parts: BillingParts, tx: Transaction, change: PlanChangeRecord, actor: str, action: str) -> None:
    detail = {
        "change": str(change.change_id),
        "from": change.from_plan.value,
        "to": change.plan.value,
        "amount_due_minor": change.amount_due_minor,
    }
    await record(tx, account_id=change.account_id, actor=actor, action=action, detail=detail, at=parts.clock.now())

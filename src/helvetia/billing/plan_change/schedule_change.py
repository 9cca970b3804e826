"""The arrow change → end of the period: a smaller plan by a schedule of Stripe's, FREE by an end with the choice kept.

Nothing is charged or credited. Every step is safe to repeat: a schedule that is there is taken over, its phases are
written anew as a whole.
"""

from helvetia.billing.errors import PlanUnclear
from helvetia.billing.parts import BillingParts
from helvetia.billing.plan_change import store
from helvetia.billing.plan_change.model import ChangeOutcome, ChangeState, Direction, PlanChangeRecord
from helvetia.billing.plan_change.release_schedule import release_schedule
from helvetia.stripe_gateway.actions import Schedule, ScheduledChange, SchedulePhase
from helvetia.stripe_gateway.model import Subscription


async def schedule_change(parts: BillingParts, change: PlanChangeRecord, live: Subscription) -> ChangeOutcome:
    """Plan it for `change.effective_at`. Raises as the gateway does, with nothing charged."""
    if change.direction is Direction.END:
        await release_schedule(parts, change.account_id, live)
        await parts.gateway.set_cancel_at_period_end(live.subscription_id, wanted=True)
    else:
        await _write_phases(parts, change, live, await _schedule_of(parts, live))
    await parts.subscriptions.sync_subscription(change.account_id)
    at = parts.clock.now()
    async with parts.database.transaction() as tx:
        await store.undo_scheduled(tx, change.account_id, at)
        await store.settle_change(tx, change, ChangeState.SCHEDULED, invoice_id=None, at=at)
        found = await store.find_change(tx, change.account_id, change.change_id)
    return ChangeOutcome(change=found or change, charged_minor=0, confirm_url=None)


async def _schedule_of(parts: BillingParts, live: Subscription) -> Schedule:
    if live.schedule_id is not None:
        known = await parts.gateway.retrieve_schedule(live.schedule_id)
        if known.is_in_force:
            return known
    return await parts.gateway.create_schedule(live.subscription_id)


async def _write_phases(parts: BillingParts, change: PlanChangeRecord, live: Subscription, schedule: Schedule) -> None:
    """The running phase as it is, up to the end of the period; then the same items at the new fixed price."""
    if change.price_id is None or not schedule.phases:
        raise PlanUnclear
    price_ids = tuple(item.price_id for item in live.items)
    await parts.gateway.schedule_change(
        ScheduledChange(
            schedule_id=schedule.schedule_id,
            running=SchedulePhase(
                price_ids=price_ids, starts_at=schedule.phases[0].starts_at, ends_at=change.period_end
            ),
            next_price_ids=tuple(change.price_id if one == change.from_price_id else one for one in price_ids),
            metered_price_ids=frozenset(item.price_id for item in live.items if item.is_metered),
        )
    )

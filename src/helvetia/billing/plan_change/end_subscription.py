"""The arrows live → ending, ending → live: cancel at the end of the period or now, and take either plan back.

An end now never touches Stripe here: it is written down, and `meter_reports.finish_cancellation` bills the open usage
before it ends the subscription. A scheduled downgrade is dropped first. Every step is safe to repeat.
"""

from helvetia.audit import record
from helvetia.billing.errors import NothingToResume
from helvetia.billing.parts import BillingParts, nothing_charged, one_at_a_time
from helvetia.billing.plan_change import store
from helvetia.billing.plan_change.preview_change import read_live
from helvetia.billing.plan_change.release_schedule import release_schedule
from helvetia.kernel.identity import AccountId
from helvetia.subscriptions.model import SubscriptionRecord


async def cancel_at_period_end(parts: BillingParts, account_id: AccountId, *, actor: str) -> SubscriptionRecord:
    """Plan the end; a choice of FREE for afterwards is dropped.

    Raises:
        NotSubscribed, CancellationUnderWay, CheckoutBusy, NothingCharged
    """
    with nothing_charged():
        async with one_at_a_time(parts, account_id):
            live = await read_live(parts, account_id)
            await release_schedule(parts, account_id, live)
            await parts.gateway.set_cancel_at_period_end(live.subscription_id, wanted=True)
            found = (await parts.subscriptions.sync_subscription(account_id)).record
    await _remember(parts, account_id, actor, "billing.cancel_planned")
    return found


async def cancel_now(parts: BillingParts, account_id: AccountId, *, actor: str) -> SubscriptionRecord:
    """Write the intent down and wake the job that carries it out, in one transaction.

    Raises:
        NotSubscribed, CheckoutBusy, NothingCharged
    """
    known = await parts.subscriptions.get_subscription(account_id)
    async with parts.database.transaction() as tx:
        if await store.open_cancellation(tx, account_id) is not None:
            return known
    with nothing_charged():
        async with one_at_a_time(parts, account_id):
            live = await read_live(parts, account_id)
            await release_schedule(parts, account_id, live)
    at = parts.clock.now()
    async with parts.database.transaction() as tx:
        await store.insert_cancellation(tx, account_id, live.subscription_id, requested_by=actor, at=at)
        await record(tx, account_id=account_id, actor=actor, action="billing.cancel_now_asked", at=at)
        await parts.queue.defer(
            tx, "meter_reports.finish_cancellation", key=str(account_id), account_id=str(account_id)
        )
    return known


async def resume(parts: BillingParts, account_id: AccountId, *, actor: str) -> SubscriptionRecord:
    """Take back a planned end or a scheduled downgrade: the subscription goes on as it is.

    Raises:
        NotSubscribed, NothingToResume, CancellationUnderWay, CheckoutBusy, NothingCharged
    """
    with nothing_charged():
        async with one_at_a_time(parts, account_id):
            live = await read_live(parts, account_id)
            if live.schedule_id is None and live.cancel_at is None:
                raise NothingToResume
            await release_schedule(parts, account_id, live)
            if live.cancel_at is not None:
                await parts.gateway.set_cancel_at_period_end(live.subscription_id, wanted=False)
            found = (await parts.subscriptions.sync_subscription(account_id)).record
    await _remember(parts, account_id, actor, "billing.resumed")
    return found


async def _remember(parts: BillingParts, account_id: AccountId, actor: str, action: str) -> None:
    at = parts.clock.now()
    async with parts.database.transaction() as tx:
        await store.undo_scheduled(tx, account_id, at)
        await record(tx, account_id=account_id, actor=actor, action=action, at=at)

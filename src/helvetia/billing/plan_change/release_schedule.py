"""The arrow scheduled downgrade → none: let the subscription go on as it is. Safe to repeat at any point."""

from helvetia.billing.parts import BillingParts
from helvetia.billing.plan_change import store
from helvetia.kernel.identity import AccountId
from helvetia.stripe_gateway.errors import StripeObjectMissing, StripeRefused
from helvetia.stripe_gateway.model import Subscription


async def release_schedule(parts: BillingParts, account_id: AccountId, live: Subscription) -> bool:
    """Says whether there was one. Raises as the gateway does; repeating it goes on from there."""
    if live.schedule_id is not None:
        try:
            await parts.gateway.release_schedule(live.schedule_id)
        except (StripeRefused, StripeObjectMissing):
            # A former attempt may have released it: only one that is still in force is a refusal.
            if (await parts.gateway.retrieve_schedule(live.schedule_id)).is_in_force:
                raise
    async with parts.database.transaction() as tx:
        await store.undo_scheduled(tx, account_id, parts.clock.now())
    return live.schedule_id is not None

"""The arrow account → paid subscription, with a payment method at hand.

One at a time per account, by a lease whose number also makes the idempotency key: attempts that overlap are one, and
a new attempt after a decline is a new request. Paid at once or not created at all. When Stripe does not answer, the
lease is left to run out, and the next attempt first looks whether the subscription came to be.
"""

from dataclasses import dataclass
from datetime import timedelta

from helvetia.billing.errors import AlreadySubscribed, SubscribingInProgress
from helvetia.catalogue.plans import SubscriptionPlan
from helvetia.database.lease import Lease, give_up_lease, take_lease
from helvetia.database.pool import Database
from helvetia.kernel.clock import Clock
from helvetia.kernel.errors import HelvetiaError
from helvetia.kernel.identity import AccountId, new_id
from helvetia.stripe_gateway.errors import StripeUnavailable
from helvetia.stripe_gateway.model import NewSubscription, PriceBook, StripeGateway
from helvetia.subscriptions.model import SubscriptionRecord
from helvetia.subscriptions.service import SubscriptionService

# Longer than every call of one attempt with all their repetitions together.
LEASE_LASTS = timedelta(minutes=5)


@dataclass(frozen=True, slots=True, kw_only=True)
class SubscribeParts:
    """What subscribing works with."""

    database: Database
    clock: Clock
    gateway: StripeGateway
    subscriptions: SubscriptionService


@dataclass(frozen=True, slots=True, kw_only=True)
class SubscribeWish:
    """Who wants which plan, and pays how; `payment_method` is one of Stripe's ids or test tokens."""

    account_id: AccountId
    customer_id: str
    plan: SubscriptionPlan
    payment_method: str


async def create_subscription(parts: SubscribeParts, book: PriceBook, wish: SubscribeWish) -> SubscriptionRecord:
    """Subscribe, then read the result back.

    Raises:
        AlreadySubscribed, SubscribingInProgress, CardDeclined, StripeRefused, StripeUnavailable
    """
    lease = await _take(parts, wish.account_id)
    try:
        record = await _subscribe(parts, book, wish, lease)
    except StripeUnavailable:
        raise
    except HelvetiaError:
        await _give_up(parts, lease)
        raise
    await _give_up(parts, lease)
    return record


async def _subscribe(parts: SubscribeParts, book: PriceBook, wish: SubscribeWish, lease: Lease) -> SubscriptionRecord:
    before = await parts.subscriptions.sync_subscription(wish.account_id)
    if before.record.is_live_at_stripe:
        raise AlreadySubscribed
    await parts.gateway.attach_payment_method(wish.customer_id, wish.payment_method)
    await parts.gateway.create_subscription(
        NewSubscription(
            account_id=wish.account_id,
            plan=wish.plan,
            customer_id=wish.customer_id,
            fixed_price_id=book.plans[wish.plan].price_id,
            metered_price_ids=[price.price_id for price in book.meters.values()],
            idempotency_key=f"subscribe:{wish.account_id}:{wish.plan}:{lease.fencing_number}",
        )
    )
    return (await parts.subscriptions.sync_subscription(wish.account_id)).record


async def _take(parts: SubscribeParts, account_id: AccountId) -> Lease:
    async with parts.database.transaction() as tx:
        lease = await take_lease(
            tx,
            f"subscribe:{account_id}",
            holder=f"attempt/{new_id()}",
            wall=parts.clock.wall(),
            lasts=LEASE_LASTS,
        )
    if lease is None:
        raise SubscribingInProgress
    return lease


async def _give_up(parts: SubscribeParts, lease: Lease) -> None:
    async with parts.database.transaction() as tx:
        await give_up_lease(tx, lease)

"""The arrow Stripe → subscription: read one customer's subscriptions afresh and store what they mean.

The read is numbered and its begin noted before it starts; a read that is overtaken by a newer one writes nothing.
What is stored, in one transaction under the account's lock: the row, every billing period discovered (also missed
months, from the renewal invoices), the cuts of usage at each boundary, and until when boundaries are surely known.
Fails as the gateway fails, with nothing written but the attempt.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta

import structlog

from helvetia.accounts.store import lock_account
from helvetia.catalogue.plans import SubscriptionPlan
from helvetia.database.pool import Database, Transaction
from helvetia.kernel.clock import Clock
from helvetia.kernel.identity import AccountId
from helvetia.metering import store as metering
from helvetia.observability.metrics import PLAN_PROBLEMS
from helvetia.stripe_gateway.errors import StripeObjectMissing
from helvetia.stripe_gateway.model import StripeGateway, Subscription
from helvetia.stripe_gateway.price_book_holder import PriceBookHolder
from helvetia.subscriptions import store
from helvetia.subscriptions.disjoint_periods import make_disjoint
from helvetia.subscriptions.lifecycle import (
    boundaries,
    derive_state,
    earlier_periods,
    find_plan,
    is_covered,
    read_plan_hint,
    running_period,
    speaking,
)
from helvetia.subscriptions.model import (
    BillingPeriod,
    PlanIndex,
    StripeReading,
    SubscriptionRecord,
    SubscriptionState,
    SyncOutcome,
)

SUBSCRIPTIONS_MAX = 10
PRODUCTS_MAX = 20
# Usage of periods that ended earlier can no longer be reported, so nobody asks for them.
PERIODS_MATTER_FOR = timedelta(days=60)

_log = structlog.get_logger()


@dataclass(frozen=True, slots=True, kw_only=True)
class SyncParts:
    """What a sync works with."""

    database: Database
    clock: Clock
    gateway: StripeGateway
    prices: PriceBookHolder


async def sync_subscription(parts: SyncParts, account_id: AccountId) -> SyncOutcome:
    """Read the account's subscriptions from Stripe and store them; an account without a customer is left as it is.

    Raises:
        SubscriptionNotFound, StripeUnavailable, StripeRateLimited, StripeNotAuthorized
    """
    began_at = parts.clock.now()
    async with parts.database.transaction() as tx:
        await store.mark_sync_attempt(tx, account_id, began_at)
        fetch_seq = await store.next_fetch_seq(tx)
        former = await store.find(tx, account_id)
        known = await store.billing_periods(tx, account_id)
    if former.stripe_customer_id is None:
        return SyncOutcome(record=former, is_stale=False)
    said = await parts.gateway.list_subscriptions(former.stripe_customer_id)
    relevant = speaking(said)[:SUBSCRIPTIONS_MAX]
    plans = await _plan_index(parts, relevant)
    reading = StripeReading(
        fetch_seq=fetch_seq,
        began_at=began_at,
        customer_id=former.stripe_customer_id,
        subscriptions=said,
        periods=await _periods(parts.gateway, former, relevant, plans, known, began_at=began_at),
        plans=plans,
    )
    async with parts.database.transaction() as tx:
        return await store_reading(tx, account_id, reading, at=parts.clock.now())


async def store_reading(tx: Transaction, account_id: AccountId, reading: StripeReading, *, at: datetime) -> SyncOutcome:
    """Store a read under the account's lock, unless it is stale."""
    await lock_account(tx, account_id)
    former = await store.find(tx, account_id)
    has_own_card = any(one.default_payment_method_id is not None for one in reading.subscriptions)
    state = derive_state(former, reading.subscriptions, reading.plans, at)
    if not await store.save_state(tx, account_id, state, fetch_seq=reading.fetch_seq, at=at):
        return SyncOutcome(record=former, is_stale=True, has_own_card=has_own_card)
    _alarm_new_doubt(former, state)
    relevant = speaking(reading.subscriptions)[:SUBSCRIPTIONS_MAX]
    await _store_boundaries(tx, account_id, reading, relevant, at)
    await metering.set_known_until(tx, account_id, reading.began_at, waits_for_stripe=True)
    return SyncOutcome(record=await store.find(tx, account_id), is_stale=False, has_own_card=has_own_card)


def _alarm_new_doubt(former: SubscriptionRecord, state: SubscriptionState) -> None:
    """Once per doubt, however often it is read again: an unknown price or status, or a second live subscription."""
    if state.plan_problem is None or state.plan_problem == former.plan_problem:
        return
    PLAN_PROBLEMS.inc()
    _log.error("subscriptions.plan_in_doubt", account_id=str(former.account_id), problem=state.plan_problem)


async def _store_boundaries(
    tx: Transaction, account_id: AccountId, reading: StripeReading, relevant: Sequence[Subscription], at: datetime
) -> None:
    for subscription in relevant:
        if subscription.ended_at is not None:
            await store.delete_periods_from(tx, account_id, subscription.subscription_id, subscription.ended_at)
    known = await store.billing_periods(tx, account_id)
    disjoint = [billed for billed in make_disjoint(known, reading.periods, relevant) if billed not in known]
    await store.save_periods(tx, disjoint, at)
    by_reason: dict[str, list[datetime]] = {}
    for cut_at, reason in boundaries(relevant, [*reading.periods, *disjoint]).items():
        by_reason.setdefault(reason, []).append(cut_at)
    for reason, cuts in by_reason.items():
        await metering.write_cuts(tx, account_id, cuts, reason=reason, recorded_at=at)


async def _plan_index(parts: SyncParts, relevant: Sequence[Subscription]) -> PlanIndex:
    """Prices and products of the price book; products are asked for their metadata only where these say nothing."""
    index = PlanIndex.from_price_book(parts.prices.book)
    unknown = [subscription for subscription in relevant if find_plan(subscription.items, index) is None]
    product_ids = {item.product_id for subscription in unknown for item in subscription.items}
    hinted: dict[str, SubscriptionPlan] = {}
    for product_id in sorted(product_ids)[:PRODUCTS_MAX]:
        try:
            product = await parts.gateway.retrieve_product(product_id)
        except StripeObjectMissing:
            continue  # a product that is gone says nothing; the plan stays what it was, and is flagged
        plan = read_plan_hint(product.plan_hint)
        if plan is not None:
            hinted[product_id] = plan
    return replace(index, by_product={**hinted, **index.by_product})


async def _periods(
    gateway: StripeGateway,
    former: SubscriptionRecord,
    relevant: Sequence[Subscription],
    plans: PlanIndex,
    known: Sequence[BillingPeriod],
    *,
    began_at: datetime,
) -> tuple[BillingPeriod, ...]:
    """The running period of each subscription, and its earlier ones where ours do not reach back to its start."""
    found: list[BillingPeriod] = []
    for subscription in relevant:
        plan = find_plan(subscription.items, plans) or former.plan
        running = running_period(former.account_id, subscription, plan)
        if running is None or running.period.ends_at < began_at - PERIODS_MATTER_FOR:
            continue
        ours = [entry.period for entry in known if entry.stripe_subscription_id == subscription.subscription_id]
        if not is_covered(subscription.started_at, running.period.starts_at, ours):
            invoices = await gateway.list_invoices(
                customer_id=subscription.customer_id, subscription_id=subscription.subscription_id
            )
            found += earlier_periods(former.account_id, subscription, plan, invoices)
        found.append(running)
    return tuple(found)

"""The arrow Stripe → what the next invoice depends on: read by the worker after each sync, checked against the preview.

The read is numbered before it begins; one that was overtaken writes nothing. A check follows new facts, and each
account's at least daily. Fails as the gateway fails, with the former facts in place and the account due again.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import timedelta

import structlog

from helvetia.audit import store as audit
from helvetia.billing.plan_change import store as plan_changes
from helvetia.costs.estimate import store
from helvetia.costs.estimate.compare_preview import compare_preview
from helvetia.costs.estimate.estimate_invoice import EstimateParts, choose_facts, tax_basis_of
from helvetia.costs.estimate.model import EstimateDifference, KnownFacts
from helvetia.costs.read_current import read_current
from helvetia.database.pool import Database, Transaction
from helvetia.kernel.clock import Clock
from helvetia.kernel.identity import AccountId
from helvetia.observability.metrics import ESTIMATE_DIFFERENCES
from helvetia.stripe_gateway.actions import StripeActions
from helvetia.stripe_gateway.price_book_holder import PriceBookHolder
from helvetia.subscriptions import store as subscriptions

CHECK_EVERY = timedelta(hours=24)

_log = structlog.get_logger()


@dataclass(frozen=True, slots=True, kw_only=True)
class EstimateTools:
    """What reading and estimating work with."""

    database: Database
    clock: Clock
    gateway: StripeActions
    prices: PriceBookHolder


async def read_parts(tools: EstimateTools, tx: Transaction, account_id: AccountId) -> EstimateParts:
    """Everything one estimate is made of, of one moment. Raises SubscriptionNotFound."""
    record, usage = await read_current(tx, account_id, tools.prices, now=tools.clock.now())
    known = choose_facts(record, await store.find_facts(tx, account_id))
    scheduled = await plan_changes.scheduled_at(tx, account_id, usage.period.ends_at)
    if scheduled is None:
        return EstimateParts(record=record, usage=usage, book=tools.prices.book, known=known)
    if known is not None and scheduled.settled_at is not None and known.read_at < scheduled.settled_at:
        known = None  # what was read before the change was agreed on tells the fee of the plan that goes
    return EstimateParts(record=record, usage=usage, book=tools.prices.book, known=known, scheduled=scheduled.plan)


async def read_facts(tools: EstimateTools, account_id: AccountId) -> bool:
    """Read and store; says whether the check is due. An account without a subscription is left as it is.

    Raises:
        SubscriptionNotFound, StripeObjectMissing, StripeUnavailable, StripeRateLimited, StripeNotAuthorized
    """
    read_at = tools.clock.now()
    async with tools.database.transaction() as tx:
        record = await subscriptions.find(tx, account_id)
        await store.mark_attempt(tx, account_id, read_at)
        fetch_seq = await subscriptions.next_fetch_seq(tx)
        former = await store.find_facts(tx, account_id)
    if record.stripe_customer_id is None or record.stripe_subscription_id is None or not record.is_live_at_stripe:
        return False
    facts = await tools.gateway.read_upcoming(record.stripe_customer_id, record.stripe_subscription_id)
    async with tools.database.transaction() as tx:
        is_stored = await store.save_facts(
            tx, account_id, facts, fetch_seq=fetch_seq, read_at=read_at, followed_sync_at=record.synced_at
        )
    if not is_stored or former is None or former.facts != facts:
        return is_stored
    return former.checked_at is None or read_at - former.checked_at >= CHECK_EVERY


async def check_estimate(tools: EstimateTools, account_id: AccountId) -> Sequence[EstimateDifference]:
    """Compare with Stripe's preview and keep what differs; nothing where the two cannot be compared.

    Raises:
        SubscriptionNotFound, and as the gateway does
    """
    async with tools.database.transaction() as tx:
        parts = await read_parts(tools, tx, account_id)
    facts = parts.facts
    if facts is None or parts.known is None or not tax_basis_of(parts).is_known:
        return ()
    preview = await tools.gateway.preview_upcoming(facts.subscription_id)
    if preview is not None and preview.has_more_lines:
        return ()
    differences = compare_preview(parts, preview)
    async with tools.database.transaction() as tx:
        await _keep(tools, tx, account_id, parts.known, differences)
    return differences


async def _keep(
    tools: EstimateTools,
    tx: Transaction,
    account_id: AccountId,
    known: KnownFacts,
    differences: Sequence[EstimateDifference],
) -> None:
    """The finding, on the account's record once for as long as it stays the same."""
    at = tools.clock.now()
    await store.save_check(tx, account_id, differences, at)
    ESTIMATE_DIFFERENCES.set(await store.count_different(tx))
    if not differences or tuple(differences) == tuple(known.differences):
        return
    found = [dict(one.to_row()) for one in differences]
    _log.error("costs.estimate_differs", account_id=str(account_id), differences=found)
    await audit.record(
        tx,
        account_id=account_id,
        actor="estimate",
        action="costs.estimate_differs",
        reason="our estimate of the next invoice and Stripe's preview differ",
        detail={"differences": found},
        at=at,
    )

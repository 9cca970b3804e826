"""Stripe → facts: when did this account's failure begin, and did its subscription end by it?

Read from the objects: subscription, its invoices, the customer's charges. The read is numbered before it begins, so an
overtaken one never overwrites a newer. Fails as the gateway fails, with nothing written.
"""

from dataclasses import dataclass
from datetime import datetime

from helvetia.database.pool import Database
from helvetia.enforcement import store
from helvetia.enforcement.find_failure import find_failure
from helvetia.enforcement.model import AccountFacts
from helvetia.kernel.clock import Clock
from helvetia.kernel.identity import AccountId
from helvetia.stripe_gateway.actions import StripeActions
from helvetia.subscriptions import store as subscriptions
from helvetia.subscriptions.service import SubscriptionService


@dataclass(frozen=True, slots=True, kw_only=True)
class ReadParts:
    """What reading works with."""

    database: Database
    clock: Clock
    gateway: StripeActions
    subscriptions: SubscriptionService


async def read_failure(parts: ReadParts, account_id: AccountId) -> None:
    """Read one account's payments from Stripe and store what they mean. Raises as the gateway does."""
    read_at = parts.clock.now()
    async with parts.database.transaction() as tx:
        fetch_seq = await subscriptions.next_fetch_seq(tx)
        record = await subscriptions.find(tx, account_id)
    if record.stripe_subscription_id is None or record.stripe_customer_id is None:
        return
    subscription = await parts.gateway.retrieve_subscription(record.stripe_subscription_id)
    invoices = await parts.gateway.list_invoices(
        customer_id=record.stripe_customer_id, subscription_id=record.stripe_subscription_id
    )
    charges = await parts.gateway.list_charges(record.stripe_customer_id)
    facts = find_failure(subscription, invoices, charges, read_at=read_at)
    async with parts.database.transaction() as tx:
        await store.save_payment_facts(tx, account_id, facts, stripe_status=subscription.status, fetch_seq=fetch_seq)


def is_confirmed(facts: AccountFacts, due_at: datetime) -> bool:
    """Whether subscription and payments were both read at or after the moment from which services are held."""
    payment = facts.payment
    return (
        payment is not None
        and payment.read_at >= due_at
        and facts.known_until is not None
        and facts.known_until >= due_at
    )


async def read_again(parts: ReadParts, account_id: AccountId) -> None:
    """Subscription and payments, afresh: done right before an account is held. Raises as the gateway does."""
    await parts.subscriptions.sync_subscription(account_id)
    await read_failure(parts, account_id)

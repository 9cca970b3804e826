"""The arrow account → Stripe customer: one per account, however many ask at once.

Stripe answers the same customer to the same idempotency key; our row, under the account's lock, remembers the first.
From then on the closing of usage waits for Stripe's boundaries. One that was deleted at Stripe is replaced, when
something is to be bought and its end has been read; it stays on record. Fails as the gateway fails, nothing stored.
"""

from datetime import datetime

import structlog

from helvetia.accounts import store as accounts
from helvetia.accounts.errors import AccountNotFound
from helvetia.audit import record
from helvetia.billing.errors import AlreadySubscribed
from helvetia.billing.model import BillingConfig
from helvetia.database.pool import Database
from helvetia.kernel.clock import Clock
from helvetia.kernel.identity import AccountId
from helvetia.metering import store as metering
from helvetia.stripe_gateway.model import NewCustomer, StripeGateway
from helvetia.subscriptions import store as subscriptions
from helvetia.subscriptions.service import SubscriptionService

_log = structlog.get_logger()


async def get_or_create_customer(
    database: Database, clock: Clock, gateway: StripeGateway, config: BillingConfig, account_id: AccountId
) -> str:
    """The customer's id. Raises AccountNotFound, and as the gateway does."""
    async with database.transaction() as tx:
        known = (await subscriptions.find(tx, account_id)).stripe_customer_id
        account = await accounts.find_account(tx, account_id)
        user = await accounts.find_user(tx, account_id)
    if account is None:
        raise AccountNotFound
    if known is not None:
        return known
    began_at = clock.now()
    made = await gateway.get_or_create_customer(
        NewCustomer(
            account_id=account_id,
            name=account.name,
            email=None if user is None else user.email,
            test_clock=config.test_clock,
        )
    )
    return await _remember(database, clock, account_id, made.customer_id, began_at)


async def _remember(
    database: Database, clock: Clock, account_id: AccountId, customer_id: str, began_at: datetime
) -> str:
    async with database.transaction() as tx:
        await accounts.lock_account(tx, account_id)
        first = (await subscriptions.find(tx, account_id)).stripe_customer_id
        if first is None:
            await subscriptions.save_customer(tx, account_id, customer_id, clock.now())
            await metering.set_known_until(tx, account_id, began_at, waits_for_stripe=True)
            return customer_id
    if first != customer_id:
        _log.warning("billing.customer_superfluous", account_id=str(account_id), customer_id=customer_id, kept=first)
    return first


async def get_usable_customer(
    database: Database,
    clock: Clock,
    gateway: StripeGateway,
    config: BillingConfig,
    subscriptions_service: SubscriptionService,
    account_id: AccountId,
) -> str:
    """A customer that can buy: as `get_or_create_customer`, but never one that was deleted at Stripe."""
    known = await get_or_create_customer(database, clock, gateway, config, account_id)
    if not (await gateway.retrieve_customer(known)).is_deleted:
        return known
    if (await subscriptions_service.sync_subscription(account_id)).record.is_live_at_stripe:
        raise AlreadySubscribed
    async with database.transaction() as tx:
        account = await accounts.lock_account(tx, account_id)
        user = await accounts.find_user(tx, account_id)
    email = None if user is None else user.email
    made = await gateway.get_or_create_customer(
        NewCustomer(account_id=account_id, name=account.name, email=email, test_clock=config.test_clock, replaces=known)
    )
    at = clock.now()
    async with database.transaction() as tx:
        await accounts.lock_account(tx, account_id)
        if await subscriptions.replace_customer(tx, account_id, known, made.customer_id, at):
            detail = {"former": known, "new": made.customer_id}
            await record(
                tx, account_id=account_id, actor="billing", action="billing.customer_replaced", detail=detail, at=at
            )
        return (await subscriptions.find(tx, account_id)).stripe_customer_id or made.customer_id

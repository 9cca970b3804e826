"""The arrow account → Stripe customer: one per account, however many ask at once.

Stripe answers the same customer to the same idempotency key; our row, under the account's lock, remembers the first.
From then on the closing of usage waits for Stripe's boundaries. Fails as the gateway fails, with nothing stored.
"""

from datetime import datetime

import structlog

from helvetia.accounts import store as accounts
from helvetia.accounts.errors import AccountNotFound
from helvetia.billing.model import BillingConfig
from helvetia.database.pool import Database
from helvetia.kernel.clock import Clock
from helvetia.kernel.identity import AccountId
from helvetia.metering import store as metering
from helvetia.stripe_gateway.model import NewCustomer, StripeGateway
from helvetia.subscriptions import store as subscriptions

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

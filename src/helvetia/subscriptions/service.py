"""The use cases of subscriptions, and what an account gets from its first moment.

Whoever changes state here hands over a numbered read; nothing is ever set from the content of an event.
"""

from uuid import UUID

import structlog

from helvetia.accounts.model import Account
from helvetia.accounts.store import lock_account
from helvetia.catalogue.plans import ResourceLimits
from helvetia.database.pool import Database, Transaction
from helvetia.kernel.clock import Clock
from helvetia.kernel.errors import HelvetiaError
from helvetia.kernel.identity import AccountId
from helvetia.kernel.status import SubscriptionStatus
from helvetia.metering import store as metering
from helvetia.stripe_gateway.errors import StripeNotAuthorized, StripeRateLimited, StripeUnavailable
from helvetia.stripe_gateway.model import StripeGateway
from helvetia.stripe_gateway.price_book_holder import PriceBookHolder
from helvetia.subscriptions import store
from helvetia.subscriptions.errors import SubscriptionStillLive
from helvetia.subscriptions.lifecycle import STATUS_TABLE
from helvetia.subscriptions.model import (
    BillingPeriod,
    StripeReading,
    SubscriptionRecord,
    SyncOutcome,
    SyncRound,
    limits_of,
)
from helvetia.subscriptions.sync_subscription import SyncParts, store_reading, sync_subscription

_log = structlog.get_logger()


class SubscriptionHooks:
    """What `accounts` asks for when an account is made or is to go; in the same transaction."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock

    async def account_created(self, tx: Transaction, account: Account) -> None:
        """The FREE row and the account's place in metering."""
        await store.insert_free(tx, account, self._clock.now())
        await metering.create_metering_account(tx, account.account_id)

    async def check_deletable(self, tx: Transaction, account_id: AccountId) -> None:
        """Raises SubscriptionStillLive."""
        if (await store.find(tx, account_id)).is_live_at_stripe:
            raise SubscriptionStillLive


class SubscriptionService(SubscriptionHooks):
    """Plan, status, period and limits of an account, and learning them from Stripe."""

    def __init__(self, database: Database, clock: Clock, gateway: StripeGateway, prices: PriceBookHolder) -> None:
        super().__init__(clock)
        self._database = database
        self._parts = SyncParts(database=database, clock=clock, gateway=gateway, prices=prices)

    async def get_subscription(self, account_id: AccountId) -> SubscriptionRecord:
        """Raises SubscriptionNotFound."""
        async with self._database.transaction() as tx:
            return await store.find(tx, account_id)

    async def upsert_subscription(self, account_id: AccountId, reading: StripeReading) -> SyncOutcome:
        """Store a numbered read of Stripe; a stale one changes nothing."""
        async with self._database.transaction() as tx:
            return await store_reading(tx, account_id, reading, at=self._clock.now())

    async def update_subscription_status(self, account_id: AccountId, stripe_status: str, *, fetch_seq: int) -> bool:
        """Store a status that a numbered read told; says whether it was.

        Not when the read is stale, when the word has no say or is unknown, and not an end: that takes a whole read.
        """
        status = STATUS_TABLE.get(stripe_status)
        if status is None or status is SubscriptionStatus.CANCELED:
            return False
        async with self._database.transaction() as tx:
            await lock_account(tx, account_id)
            return await store.save_status(
                tx,
                account_id,
                stripe_status=stripe_status,
                status=status,
                fetch_seq=fetch_seq,
                at=self._clock.now(),
            )

    async def has_active_subscription(self, account_id: AccountId) -> bool:
        """Whether the status is ACTIVE; FREE counts. What a past-due account may still do is enforcement's policy."""
        return (await self.get_subscription(account_id)).status is SubscriptionStatus.ACTIVE

    async def get_resource_limits(self, account_id: AccountId) -> ResourceLimits:
        return limits_of(await self.get_subscription(account_id))

    async def billing_periods(self, account_id: AccountId) -> tuple[BillingPeriod, ...]:
        """Every period that Stripe bills or billed, oldest first."""
        async with self._database.transaction() as tx:
            return await store.billing_periods(tx, account_id)

    async def next_fetch_seq(self) -> int:
        """The number of a read, to be taken before it begins."""
        async with self._database.transaction() as tx:
            return await store.next_fetch_seq(tx)

    async def sync_subscription(self, account_id: AccountId) -> SyncOutcome:
        """Read this account from Stripe now. Raises as the gateway does."""
        return await sync_subscription(self._parts, account_id)

    async def sync_account_job(self, account_id: str) -> None:
        """The job of this name: read one account from Stripe."""
        await self.sync_subscription(AccountId(UUID(account_id)))

    async def sync_all_due(self, limit: int = 100) -> SyncRound:
        """The poll: roll calendar months, and sync the accounts that waited longest; stops when Stripe is away."""
        async with self._database.transaction() as tx:
            rolled_count = await store.roll_months(tx, self._clock.now(), limit)
            due = await store.accounts_to_sync(tx, limit)
        synced_count = failed_count = 0
        for account_id in due:
            try:
                await self.sync_subscription(account_id)
                synced_count += 1
            except (StripeUnavailable, StripeRateLimited, StripeNotAuthorized):
                raise
            except HelvetiaError as error:
                failed_count += 1
                _log.warning("subscriptions.sync_failed", account_id=str(account_id), code=error.code)
        return SyncRound(synced_count=synced_count, failed_count=failed_count, rolled_count=rolled_count)

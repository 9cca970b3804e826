"""The use cases of reporting: queue, send, confirm, and flush an account through an instant.

Nothing is reported while the prices at Stripe are not verified: every method raises PricesNotVerified then.
"""

from collections.abc import Sequence
from datetime import datetime
from uuid import UUID

import structlog

from helvetia.billing.plan_change.store import accounts_to_cancel
from helvetia.billing.service import BillingService
from helvetia.database.pool import Database
from helvetia.kernel.clock import Clock
from helvetia.kernel.errors import HelvetiaError
from helvetia.kernel.identity import AccountId
from helvetia.kernel.turns import Turns
from helvetia.meter_reports import store
from helvetia.meter_reports.confirm_reports import confirm_reports
from helvetia.meter_reports.errors import FlushInFuture, ReportsStillDue
from helvetia.meter_reports.finish_cancellation import CancelParts, finish_cancellation
from helvetia.meter_reports.model import REPORTABLE_FOR, Confirmation, SendRound
from helvetia.meter_reports.queue_reports import queue_reports
from helvetia.meter_reports.reject_reports import reject_reports
from helvetia.meter_reports.send_reports import BATCH_MAX, Pace, SendParts, send_reports
from helvetia.metering.service import MeteringService
from helvetia.stripe_gateway.actions import StripeActions
from helvetia.stripe_gateway.errors import StripeNotAuthorized, StripeRateLimited, StripeUnavailable
from helvetia.stripe_gateway.price_book_holder import PriceBookHolder
from helvetia.subscriptions.service import SubscriptionService

ACCOUNTS_PER_PAGE = 200
PAGES_MAX = 500
BATCHES_PER_FLUSH = 10

_log = structlog.get_logger()


class MeterReportService:
    """Usage → Stripe, once."""

    def __init__(
        self,
        database: Database,
        clock: Clock,
        gateway: StripeActions,
        prices: PriceBookHolder,
        subscriptions: SubscriptionService,
        billing: BillingService,
        metering: MeteringService,
    ) -> None:
        self._database = database
        self._clock = clock
        self._gateway = gateway
        self._prices = prices
        self._subscriptions = subscriptions
        self._metering = metering
        self._queued = Turns()
        self._send = SendParts(database=database, clock=clock, billing=billing, pace=Pace(clock))
        self._cancel = CancelParts(
            database=database,
            clock=clock,
            gateway=gateway,
            subscriptions=subscriptions,
            billing=billing,
            metering=metering,
            flush=self.flush,
            confirm=self.confirm,
        )

    async def queue(self, account_id: AccountId) -> int:
        """Put what Stripe has not been told yet into the outbox; says how many rows that made."""
        book = self._prices.require()
        async with self._database.transaction() as tx:
            return await queue_reports(tx, self._clock, book, account_id)

    async def queue_all(self) -> int:
        """Queue every account that has a billing period still open to reports; one account's failure stops no other."""
        self._prices.require()
        after: AccountId | None = None
        account_ids: list[AccountId] = []
        for _ in range(PAGES_MAX):
            async with self._database.transaction() as tx:
                page = await store.accounts_to_queue(
                    tx, ended_after=self._clock.now() - REPORTABLE_FOR, after=after, limit=ACCOUNTS_PER_PAGE
                )
            account_ids += page
            if len(page) < ACCOUNTS_PER_PAGE:
                break
            after = page[-1]
        return sum([await self._queue_or_log(account_id) for account_id in self._queued.rotate(account_ids)])

    async def _queue_or_log(self, account_id: AccountId) -> int:
        try:
            return await self.queue(account_id)
        except HelvetiaError as error:
            _log.warning("meter_reports.queue_failed", account_id=str(account_id), code=error.code)
            return 0

    async def send_due(self, limit: int = BATCH_MAX) -> SendRound:
        """Send one batch of due rows, oldest first. An unanswered row stays due; nothing raises for one row's sake."""
        self._prices.require()
        return await send_reports(self._send, limit=limit)

    async def confirm(self, account_id: AccountId, period_start: datetime) -> tuple[Confirmation, ...]:
        """Compare one billing period with Stripe's summaries, and settle what they settle."""
        book = self._prices.require()
        for billed in await self._subscriptions.billing_periods(account_id):
            if billed.period.starts_at == period_start:
                return await confirm_reports(self._database, self._clock, self._gateway, book, billed)
        return ()

    async def confirm_all(self, limit: int = 50) -> int:
        """Confirm periods that wait for it, at most `limit` in one go; says how many were asked for.

        One account's failure stops no other; Stripe's being away stops all.
        """
        async with self._database.transaction() as tx:
            waiting = await store.periods_to_confirm(tx, limit)
        for account_id, period_start in waiting:
            try:
                await self.confirm(account_id, period_start)
            except (StripeUnavailable, StripeRateLimited, StripeNotAuthorized):
                raise
            except HelvetiaError as error:
                _log.warning("meter_reports.confirm_failed", account_id=str(account_id), code=error.code)
        return len(waiting)

    async def reject(self, identifiers: Sequence[str], reason: str) -> int:
        """Stripe took these in and refused them afterwards; says how many rows that changed. Repeating it is fine."""
        return await reject_reports(self._database, self._clock, identifiers, reason)

    async def flush(self, account_id: AccountId, through: datetime) -> None:
        """Hand everything used before `through` to Stripe now: sync, forced reading, cut and close, queue, send.

        Raises:
            FlushInFuture: `through` has not passed.
            ReportsStillDue: Stripe did not take all of it; calling again goes on from there.
        """
        through = through.replace(microsecond=0)
        if through > self._clock.now():
            raise FlushInFuture
        self._prices.require()
        await self._subscriptions.sync_subscription(account_id)
        await self._metering.sample()
        await self._metering.sample_storage()
        await self._metering.sweep()
        await self._metering.close_through(account_id, through)
        await self.queue(account_id)
        for _ in range(BATCHES_PER_FLUSH):
            done = await send_reports(self._send, account_id=account_id)
            if done.failed_count or not done.sent_count + done.rejected_count + done.dead_count + done.unknown_count:
                break
        async with self._database.transaction() as tx:
            if await store.count_open(tx, account_id):
                raise ReportsStillDue

    async def finish_cancellation(self, account_id: AccountId) -> bool:
        """Bill what is open and end the subscription, if that was asked for; says whether it is done."""
        return await finish_cancellation(self._cancel, account_id)

    async def finish_cancellation_job(self, account_id: str) -> None:
        """The job of this name; what it cannot finish, the tick goes on with."""
        await self.finish_cancellation(AccountId(UUID(account_id)))

    async def finish_cancellations(self, limit: int = 20) -> int:
        """The tick: go on with every end that was asked for; says how many are done."""
        async with self._database.transaction() as tx:
            waiting = await accounts_to_cancel(tx, limit)
        return sum([await self.finish_cancellation(account_id) for account_id in waiting])

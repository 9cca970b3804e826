"""The use cases of reporting: queue, send, confirm, close periods, and flush an account through an instant.

Nothing is reported while the prices at Stripe are not verified: every method raises PricesNotVerified then.
"""

import asyncio
from collections.abc import Sequence
from datetime import datetime, timedelta
from uuid import UUID

import structlog

from helvetia.billing.plan_change.store import accounts_to_cancel
from helvetia.billing.service import BillingService
from helvetia.database.pool import Database
from helvetia.kernel.clock import Clock
from helvetia.kernel.errors import HelvetiaError
from helvetia.kernel.identity import AccountId
from helvetia.kernel.period import Period
from helvetia.kernel.turns import Turns
from helvetia.meter_reports import store
from helvetia.meter_reports.confirm_reports import ConfirmParts, confirm_reports
from helvetia.meter_reports.errors import FlushInFuture, ReportsStillDue
from helvetia.meter_reports.handover import store_periods
from helvetia.meter_reports.handover.close_periods import CloseParts, close_periods
from helvetia.meter_reports.handover.finish_cancellation import CancelParts, end_anyway, finish_cancellation
from helvetia.meter_reports.model import (
    REPORTABLE_FOR,
    Confirmation,
    ReportsConfig,
    ReportState,
    SendRound,
    period_before,
)
from helvetia.meter_reports.pace import Pace
from helvetia.meter_reports.queue_reports import missing_values, queue_reports
from helvetia.meter_reports.reject_reports import reject_reports, suspect_reports
from helvetia.meter_reports.send_reports import SendParts, drain_reports, send_reports
from helvetia.metering.service import MeteringService
from helvetia.observability.metrics import REPORTS_OLDEST_DUE_S
from helvetia.stripe_gateway.actions import StripeActions
from helvetia.stripe_gateway.errors import StripeNotAuthorized, StripeRateLimited, StripeUnavailable
from helvetia.stripe_gateway.price_book_holder import PriceBookHolder
from helvetia.subscriptions.model import BillingPeriod
from helvetia.subscriptions.service import SubscriptionService

ACCOUNTS_PER_PAGE = 200
PAGES_MAX = 500
TURNS_PER_FLUSH = 30
OTHERS_SEND_S = 0.2
CONFIRM_EVERY = timedelta(hours=24)
UNKNOWN_EVERY = timedelta(minutes=15)

_log = structlog.get_logger()


class MeterReportService:
    """Usage → Stripe, once. `summary_pace`: the bucket of Stripe's meter summaries, for whoever else reads them."""

    def __init__(
        self,
        database: Database,
        clock: Clock,
        gateway: StripeActions,
        prices: PriceBookHolder,
        subscriptions: SubscriptionService,
        billing: BillingService,
        metering: MeteringService,
        config: ReportsConfig,
    ) -> None:
        self._database = database
        self._clock = clock
        self._prices = prices
        self._subscriptions = subscriptions
        self._metering = metering
        self._queued = Turns()
        self._send = SendParts(
            database=database,
            clock=clock,
            billing=billing,
            pace=Pace(clock, config.calls_per_second),
            config=config,
        )
        self.summary_pace = Pace(clock, config.calls_per_second)
        self._confirm = ConfirmParts(database=database, clock=clock, gateway=gateway, pace=self.summary_pace)
        self._close = CloseParts(
            database=database, clock=clock, look=self._look, hand_over=self._hand_over, confirm=self.confirm
        )
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

    async def send_due(self, limit: int | None = None) -> SendRound:
        """Send one batch of due rows, oldest first. An unanswered row stays due; nothing raises for one row's sake."""
        self._prices.require()
        return await send_reports(self._send, limit=limit)

    async def drain(self) -> SendRound:
        """The tick: send what is due, batch after batch, until nothing is left or Stripe does not answer.

        The age of what waits is told whatever becomes of it: without verified prices too.
        """
        try:
            self._prices.require()
            return await drain_reports(self._send)
        finally:
            await self._tell_age()

    async def _tell_age(self) -> None:
        async with self._database.transaction() as tx:
            oldest_at = await store.oldest_due_at(tx)
        age = timedelta() if oldest_at is None else self._clock.now() - oldest_at
        REPORTS_OLDEST_DUE_S.set(max(0.0, age.total_seconds()))

    async def confirm(self, account_id: AccountId, period_start: datetime) -> tuple[Confirmation, ...]:
        """Compare one billing period with Stripe's summaries, and settle what they settle."""
        book = self._prices.require()
        async with self._database.transaction() as tx:
            await store_periods.mark_asked(tx, account_id, period_start, self._clock.wall())
        for billed in await self._subscriptions.billing_periods(account_id):
            if billed.period.starts_at == period_start:
                return await confirm_reports(self._confirm, book, billed)
        return ()

    async def confirm_due(self, limit: int = 50) -> int:
        """The tick: confirm periods once a day, those with an unknown row sooner; says how many were asked for."""
        wall = self._clock.wall()
        return await self._confirm_periods(daily=wall - CONFIRM_EVERY, soon=wall - UNKNOWN_EVERY, limit=limit)

    async def confirm_all(self, limit: int = 50) -> int:
        """Confirm every period that waits for it, now, at most `limit` in one go; says how many were asked for."""
        wall = self._clock.wall()
        return await self._confirm_periods(daily=wall, soon=wall, limit=limit)

    async def _confirm_periods(self, *, daily: datetime, soon: datetime, limit: int) -> int:
        """One account's failure stops no other; Stripe's being away stops all."""
        async with self._database.transaction() as tx:
            waiting = await store_periods.periods_to_confirm(tx, daily=daily, soon=soon, limit=limit)
        for account_id, period_start in waiting:
            try:
                await self.confirm(account_id, period_start)
            except (StripeUnavailable, StripeRateLimited, StripeNotAuthorized):
                raise
            except HelvetiaError as error:
                _log.warning("meter_reports.confirm_failed", account_id=str(account_id), code=error.code)
        return len(waiting)

    async def close_periods(self) -> int:
        """The tick: hand over what ended, and what is about to end; says how many periods are handed over."""
        self._prices.require()
        return await close_periods(self._close)

    async def reject(self, identifiers: Sequence[str], reason: str) -> int:
        """Stripe took these in and refused them afterwards; says how many rows that changed. Repeating it is fine."""
        return await reject_reports(self._database, self._clock, identifiers, reason)

    async def suspect(self, meter_id: str | None, sent: Period, reason: str) -> int:
        """Stripe refused more of a meter's events than it names: those sent then are unknown until a summary tells."""
        events = [meter.event_name for meter in self._prices.require().meters.values() if meter.meter_id == meter_id]
        return sum([await suspect_reports(self._database, self._clock, name, sent, reason) for name in events])

    async def flush(self, account_id: AccountId, through: datetime) -> None:
        """Hand everything used before `through` to Stripe now: forced reading, sync, cut and close, queue, send.

        Raises:
            FlushInFuture: `through` has not passed.
            ReportsStillDue: Stripe did not take all of it; calling again goes on from there.
        """
        if through.replace(microsecond=0) > self._clock.now():
            raise FlushInFuture
        self._prices.require()
        await self._look()
        await self._hand_over(account_id, through)

    async def _look(self) -> None:
        """A forced reading of the host."""
        await self._metering.sample()
        await self._metering.sample_storage()
        await self._metering.sweep()

    async def _hand_over(self, account_id: AccountId, through: datetime) -> None:
        """What was read until `through` is closed and sent. Raises ReportsStillDue."""
        through = through.replace(microsecond=0)
        await self._subscriptions.sync_subscription(account_id)
        await self._metering.close_through(account_id, through)
        billed = period_before(await self._subscriptions.billing_periods(account_id), through)
        await self.queue(account_id)
        if billed is None:
            return
        await self._send_all(account_id, billed)
        async with self._database.transaction() as tx:
            open_counts = await store.count_open(tx, account_id, billed.period.starts_at)
        if ReportState.UNKNOWN in open_counts:
            await self.confirm(account_id, billed.period.starts_at)
            await self.queue(account_id)
            await self._send_all(account_id, billed)
        async with self._database.transaction() as tx:
            open_counts = await store.count_open(tx, account_id, billed.period.starts_at)
            missing = await missing_values(tx, billed)
        if open_counts or missing:
            raise ReportsStillDue(
                open={state.value: count for state, count in open_counts.items()},
                missing={metric.value: str(value) for metric, value in missing.items()},
            )

    async def _send_all(self, account_id: AccountId, billed: BillingPeriod) -> None:
        """Send the account's rows; while somebody else sends to the same meter, wait a moment."""
        for _ in range(TURNS_PER_FLUSH):
            done = await send_reports(self._send, account_id=account_id)
            async with self._database.transaction() as tx:
                open_counts = await store.count_open(tx, account_id, billed.period.starts_at)
            if done.failed_count or ReportState.DUE not in open_counts:
                return
            if done == SendRound():
                await asyncio.sleep(OTHERS_SEND_S)

    async def finish_cancellation(self, account_id: AccountId) -> bool:
        """Bill what is open and end the subscription, if that was asked for; says whether it is done."""
        return await finish_cancellation(self._cancel, account_id)

    async def end_anyway(self, account_id: AccountId, *, reason: str, actor: str) -> None:
        """The operator's way on when something keeps an end: the tick ends it with what Stripe has; the rest are tasks.

        Raises:
            NoCancellation, ReasonMissing
        """
        await end_anyway(self._cancel, account_id, reason=reason, actor=actor)

    async def finish_cancellation_job(self, account_id: str) -> None:
        """The job of this name; what it cannot finish, the tick goes on with."""
        await self.finish_cancellation(AccountId(UUID(account_id)))

    async def finish_cancellations(self, limit: int = 20) -> int:
        """The tick: go on with every end that was asked for; says how many are done."""
        async with self._database.transaction() as tx:
            waiting = await accounts_to_cancel(tx, limit)
        return sum([await self.finish_cancellation(account_id) for account_id in waiting])

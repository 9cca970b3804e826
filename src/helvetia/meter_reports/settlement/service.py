"""The use cases of settlement: open tasks, decide them, and compare every hop of usage, nightly or now."""

from collections.abc import Sequence
from datetime import datetime, timedelta

import structlog

from helvetia.billing.plan_change.store import Cancellation, stuck_cancellations
from helvetia.database.pool import Database
from helvetia.kernel.clock import Clock
from helvetia.kernel.errors import HelvetiaError
from helvetia.kernel.identity import AccountId
from helvetia.kernel.turns import Turns
from helvetia.meter_reports.service import MeterReportService
from helvetia.meter_reports.settlement import store, store_engine
from helvetia.meter_reports.settlement.compare_usage import CompareParts, compare_usage
from helvetia.meter_reports.settlement.decide_tasks import DecideParts, Decision, decide_task, resume_billing
from helvetia.meter_reports.settlement.model import Hop, TaskState, UsageComparison, UsageDifference, UsageTask
from helvetia.meter_reports.settlement.open_tasks import open_tasks
from helvetia.observability.metrics import USAGE_DIFFERENCES, USAGE_TASKS
from helvetia.stripe_gateway.actions import StripeActions
from helvetia.stripe_gateway.errors import StripeNotAuthorized, StripeRateLimited, StripeUnavailable
from helvetia.stripe_gateway.price_book_holder import PriceBookHolder

ACCOUNTS_PER_PAGE = 200
PAGES_MAX = 500
COMPARE_EVERY = timedelta(hours=24)
ACCOUNTS_PER_TURN = 50
SHOWN_MAX = 1_000

_log = structlog.get_logger()


class SettlementService:
    """What was used against what was billed."""

    def __init__(
        self,
        database: Database,
        clock: Clock,
        gateway: StripeActions,
        prices: PriceBookHolder,
        reports: MeterReportService,
    ) -> None:
        self._database = database
        self._clock = clock
        self._prices = prices
        self._decide = DecideParts(database=database, clock=clock, gateway=gateway)
        self._looked_at = Turns()
        self._compare = CompareParts(database=database, clock=clock, gateway=gateway, pace=reports.summary_pace)

    async def open_tasks(self, account_id: AccountId) -> int:
        """Bring one account's tasks to what is known; says how many are open. Raises PricesNotVerified."""
        book = self._prices.require()
        async with self._database.transaction() as tx:
            return await open_tasks(tx, account_id, book, now=self._clock.now())

    async def open_all_tasks(self) -> int:
        """The tick: every account that is or was Stripe's; one that fails does not keep the others.

        A turn that is cut short goes on next time where it was. Says how many tasks are open in all.
        """
        await self._count_open()
        after: AccountId | None = None
        account_ids: list[AccountId] = []
        for _ in range(PAGES_MAX):
            async with self._database.transaction() as tx:
                page = await store.accounts_with_customer(tx, after=after, limit=ACCOUNTS_PER_PAGE)
            account_ids += page
            if len(page) < ACCOUNTS_PER_PAGE:
                break
            after = page[-1]
        for account_id in self._looked_at.rotate(account_ids):
            await self._open_or_log(account_id)
        return await self._count_open()

    async def _open_or_log(self, account_id: AccountId) -> None:
        try:
            await self.open_tasks(account_id)
        except HelvetiaError as error:
            _log.warning("meter_reports.tasks_failed", account_id=str(account_id), code=error.code)

    async def _count_open(self) -> int:
        async with self._database.transaction() as tx:
            count = await store.count_open(tx)
        USAGE_TASKS.set(count)
        return count

    async def undecided(self) -> Sequence[UsageTask]:
        """Tasks that wait for the operator, or for Stripe's answer; oldest first, at most SHOWN_MAX."""
        async with self._database.transaction() as tx:
            return await store.tasks_in(tx, [TaskState.OPEN, TaskState.BILLING], SHOWN_MAX)

    async def stuck_cancellations(self) -> Sequence[Cancellation]:
        """Ends that something keeps for too long; `end_anyway` of MeterReportService is the way on."""
        async with self._database.transaction() as tx:
            return await stuck_cancellations(tx, SHOWN_MAX)

    async def decide(self, decision: Decision) -> UsageTask:
        """Bill or waive a task.

        Raises:
            UsageTaskNotFound, UsageTaskChanged, ReasonMissing; StripeUnavailable: it is decided, and goes on by itself.
        """
        return await decide_task(self._decide, decision)

    async def resume_billing(self) -> int:
        """The tick: go on with decisions that had no answer; says how many are done."""
        return await resume_billing(self._decide)

    async def compare_due(self) -> UsageComparison:
        """The nightly comparison, spread over the day: accounts not compared for 24 h."""
        wall = self._clock.wall()
        async with self._database.transaction() as tx:
            due = await store_engine.accounts_to_compare(tx, before=wall - COMPARE_EVERY, limit=ACCOUNTS_PER_TURN)
        found = await self._compare_accounts(due)
        _, kept = await self.last_comparison()
        for hop in Hop:
            USAGE_DIFFERENCES.labels(hop.name.lower()).set(sum(one["hop"] == hop.value for one in kept))
        return found

    async def compare_all(self) -> UsageComparison:
        """Compare every account now. Raises StripeUnavailable, StripeRateLimited, StripeNotAuthorized."""
        after: AccountId | None = None
        account_ids: list[AccountId] = []
        for _ in range(PAGES_MAX):
            async with self._database.transaction() as tx:
                page = await store.accounts_with_customer(tx, after=after, limit=ACCOUNTS_PER_PAGE)
            account_ids += page
            if len(page) < ACCOUNTS_PER_PAGE:
                break
            after = page[-1]
        return await self._compare_accounts(account_ids)

    async def last_comparison(self) -> tuple[datetime | None, Sequence[dict[str, object]]]:
        """When the account compared longest ago was compared, and what the last comparisons found (wire names)."""
        async with self._database.transaction() as tx:
            return await store_engine.kept_differences(tx, SHOWN_MAX)

    async def _compare_accounts(self, account_ids: Sequence[AccountId]) -> UsageComparison:
        book = self._prices.require()
        differences: list[UsageDifference] = []
        failed: dict[AccountId, str] = {}
        for account_id in account_ids:
            try:
                found = await compare_usage(self._compare, book, account_id)
            except (StripeUnavailable, StripeRateLimited, StripeNotAuthorized):
                raise
            except HelvetiaError as error:
                failed[account_id] = error.detail
                continue
            async with self._database.transaction() as tx:
                await store_engine.save_comparison(tx, account_id, self._clock.wall(), [to_wire(one) for one in found])
            differences += found
        return UsageComparison(compared_count=len(account_ids), differences=tuple(differences), failed=failed)


def to_wire(one: UsageDifference) -> dict[str, object]:
    """A difference as the operator's JSON shows it."""
    return {
        "accountId": str(one.account_id),
        "hop": one.hop.value,
        "metric": one.metric.value,
        "startsAt": one.starts_at.isoformat(),
        "endsAt": one.ends_at.isoformat(),
        "ours": f"{one.ours:f}",
        "theirs": f"{one.theirs:f}",
        "quantity": f"{one.quantity:f}",
        "amountMinor": f"{one.amount_minor:f}",
        "repair": one.repair,
    }

"""The arrow services → facts: everything that a usage page is told by, for the filters of its address."""

from collections.abc import Mapping
from datetime import timedelta

from helvetia.costs.compare import Comparison
from helvetia.costs.errors import TooManyRows
from helvetia.costs.history import UsageHistory
from helvetia.costs.model import LATE_AFTER
from helvetia.costs.usage_history_service import UsageHistoryService
from helvetia.kernel.identity import AccountId
from helvetia.kernel.period import Period, calendar_month
from helvetia.metering.history.model import UsageFilter
from helvetia.subscriptions.model import limits_of
from helvetia.subscriptions.service import SubscriptionService
from helvetia.web.dashboard.usage.facts import UsageFacts, is_late
from helvetia.web.dashboard.usage.query import UsageQuery, read_query
from helvetia.web.dashboard.voice import Voice

_INSTANT = timedelta(microseconds=1)


class UsageReader:
    """Reads our own ledger only: it answers while Stripe does not."""

    def __init__(self, subscriptions: SubscriptionService, usage: UsageHistoryService) -> None:
        self._subscriptions = subscriptions
        self._usage = usage

    async def read(self, account_id: AccountId, told: Mapping[str, str], voice: Voice) -> UsageFacts:
        """The facts of a page. Raises MeteredServiceNotFound."""
        return await self.read_query(account_id, read_query(told, voice.now), voice)

    async def read_query(self, account_id: AccountId, query: UsageQuery, voice: Voice) -> UsageFacts:
        mark = await self._usage.mark(account_id)  # before the figures: what comes between is told again, not lost
        record = await self._subscriptions.get_subscription(account_id)
        current = record.period_at(voice.now)
        previous = await self._previous(account_id, current)
        period = query.period(current, previous)
        wanted = query.to_filter(period)
        history = await self._history(account_id, wanted)
        totals, until = await self._usage.totals(account_id, wanted), min(voice.now, period.ends_at)
        late_hosts = (
            await self._usage.late_hosts(account_id, until - LATE_AFTER, query.service_id)
            if is_late(totals, until)
            else ()
        )
        return UsageFacts(
            query=query,
            current=current,
            previous=previous,
            period=period,
            history=history,
            totals=totals,
            names=await self._usage.names(account_id),
            limits=limits_of(record),
            voice=voice,
            late_hosts=late_hosts,
            comparison=await self._comparison(account_id, wanted, history) if query.is_compared else None,
            changes=await self._usage.changes(account_id, period, query.service_id),
            mark=mark,
        )

    async def _history(self, account_id: AccountId, wanted: UsageFilter) -> UsageHistory | None:
        try:
            return await self._usage.history(account_id, wanted)
        except TooManyRows:
            return None  # the page says so, and offers a shorter range and the files

    async def _comparison(
        self, account_id: AccountId, wanted: UsageFilter, history: UsageHistory | None
    ) -> Comparison | None:
        if history is None:
            return None
        try:
            return await self._usage.compare(account_id, wanted, history)
        except TooManyRows:
            return None

    async def _previous(self, account_id: AccountId, current: Period) -> Period:
        """The billing period that ended where the current one begins, else the month before it."""
        for billed in await self._subscriptions.billing_periods(account_id):
            if billed.period.ends_at == current.starts_at:
                return billed.period
        before = calendar_month(calendar_month(current.starts_at).starts_at - _INSTANT)
        if current.starts_at > before.ends_at:
            return Period(starts_at=before.ends_at, ends_at=current.starts_at)
        return before

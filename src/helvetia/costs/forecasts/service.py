"""The use cases of forecasts: what the period will come to, the record kept every day, and what came of it.

A forecast is made from our ledger's full days only and enters no bill. The tick writes one a day for each account that
uses anything, and, some days after a period's end, what it really came to; killed anywhere, the next tick goes on.
"""

import asyncio
from datetime import UTC, datetime, timedelta

from helvetia.costs.forecasts import store
from helvetia.costs.forecasts.model import (
    COST,
    AccountForecast,
    PastDays,
    PastRecord,
    SeriesForecast,
    cost_micro,
    forecast_series,
    history_span,
    limit_forecast,
    to_days,
)
from helvetia.costs.model import limit_uses
from helvetia.database.pool import Database, Transaction
from helvetia.kernel.clock import Clock
from helvetia.kernel.identity import AccountId
from helvetia.kernel.period import Period
from helvetia.kernel.quantity import UsageMetric, to_sold_quantity
from helvetia.metering.history.model import Grain, UsageFilter
from helvetia.metering.history.store import usage_blocks
from helvetia.metering.store import totals
from helvetia.metering.store_storage import storage_held_bytes
from helvetia.rating.forecast import DAYS_MAX
from helvetia.stripe_gateway.price_book_holder import PriceBookHolder
from helvetia.subscriptions import store as subscriptions
from helvetia.subscriptions.model import SubscriptionRecord, limits_of

ACCOUNTS_PER_TICK = 100
PERIODS_PER_TICK = 100
COMPARE_AFTER = timedelta(days=2)
RECORD_KEPT = timedelta(days=365)
NO_RECORD = PastRecord(count=0, median_error_ppm=None, coverage_ppm=None)


class ForecastService:
    """Forecasts, and how far they were off."""

    def __init__(self, database: Database, clock: Clock, prices: PriceBookHolder) -> None:
        self._database = database
        self._clock = clock
        self._prices = prices

    async def forecast(self, account_id: AccountId) -> AccountForecast:
        """What the account's current period will come to, with its range.

        Raises:
            SubscriptionNotFound
        """
        now = self._clock.now()
        async with self._database.transaction() as tx:
            record = await subscriptions.find(tx, account_id)
            past = await _past_days(tx, record, now)
            records = await store.past_records(tx, account_id, (now - RECORD_KEPT).date())
            held_bytes = await storage_held_bytes(tx, account_id)
        series = await asyncio.to_thread(forecast_series, past, self._prices.unit_prices_minor())
        bandwidth_gb = to_sold_quantity(UsageMetric.BANDWIDTH_GB, past.used[UsageMetric.BANDWIDTH_GB])
        limits = limit_uses(limits_of(record), bandwidth_gb, held_bytes)
        today = now.astimezone(UTC).date()

        def of(name: str) -> SeriesForecast:
            is_limited = name == UsageMetric.BANDWIDTH_GB.value
            limit_use = limits[UsageMetric.BANDWIDTH_GB] if is_limited else None
            limit = limit_forecast(series[name], limit_use, today)
            return SeriesForecast(series=name, forecast=series[name], limit=limit, record=records.get(name, NO_RECORD))

        return AccountForecast(
            period=past.period,
            made_on=today,
            as_of=now,
            metrics={metric: of(metric.value) for metric in UsageMetric},
            cost=of(COST),
            fee_minor=record.fee_minor if record.is_live_at_stripe else 0,
        )

    async def keep_record(self) -> int:
        """Tick, every few minutes: today's forecasts that are not written yet, and what became of old ones."""
        now = self._clock.now()
        today = now.astimezone(UTC).date()
        async with self._database.transaction() as tx:
            since = today - timedelta(days=DAYS_MAX)
            account_ids = await store.accounts_to_forecast(tx, today, since=since, limit=ACCOUNTS_PER_TICK)
            ended = await store.ended_periods(tx, now - COMPARE_AFTER, limit=PERIODS_PER_TICK)
        for account_id in account_ids:
            await self._write(account_id, now)
        for period in ended:
            await self._compare(period)
        return len(account_ids) + len(ended)

    async def _write(self, account_id: AccountId, now: datetime) -> None:
        async with self._database.transaction() as tx:
            past = await _past_days(tx, await subscriptions.find(tx, account_id), now)
        series = await asyncio.to_thread(forecast_series, past, self._prices.unit_prices_minor())
        async with self._database.transaction() as tx:
            await store.save_forecasts(tx, account_id, past.period, now.astimezone(UTC).date(), series)

    async def _compare(self, ended: store.EndedPeriod) -> None:
        async with self._database.transaction() as tx:
            period = Period(starts_at=ended.period_start, ends_at=ended.period_end)
            used = (await totals(tx, ended.account_id, period)).quantities
            cost = cost_micro(used, self._prices.unit_prices_minor())
            await store.save_came(tx, ended, {**{metric.value: used[metric] for metric in UsageMetric}, COST: cost})


async def _past_days(tx: Transaction, record: SubscriptionRecord, now: datetime) -> PastDays:
    period, span = record.period_at(now), history_span(now)
    wanted = UsageFilter(period=span, grain=Grain.DAY, by_service=False)
    blocks = await usage_blocks(tx, record.account_id, wanted, cells_max=None)
    used = (await totals(tx, record.account_id, period)).quantities
    return PastDays(period=period, now=now, used=used, days=to_days(blocks, span))

"""The use cases of costs: read only, from our own ledger, never from Stripe's mid-cycle totals."""

from helvetia.costs.current import Facts, current_usage
from helvetia.costs.model import CurrentUsage
from helvetia.database.pool import Database
from helvetia.kernel.clock import Clock
from helvetia.kernel.identity import AccountId
from helvetia.meter_reports.store import value_at_stripe
from helvetia.metering.store import totals
from helvetia.metering.store_storage import storage_held_bytes
from helvetia.stripe_gateway.price_book_holder import PriceBookHolder
from helvetia.subscriptions import store as subscriptions


class CostService:
    """What was used and what it costs."""

    def __init__(self, database: Database, clock: Clock, prices: PriceBookHolder) -> None:
        self._database = database
        self._clock = clock
        self._prices = prices

    async def current_usage(self, account_id: AccountId) -> CurrentUsage:
        """The account's current period so far; FREE accounts see the same lines, not charged.

        Raises:
            SubscriptionNotFound
        """
        now = self._clock.now()
        async with self._database.transaction() as tx:
            record = await subscriptions.find(tx, account_id)
            period = record.period_at(now)
            facts = Facts(
                record=record,
                period=period,
                totals=await totals(tx, account_id, period),
                at_stripe=await value_at_stripe(tx, account_id, period.starts_at),
                storage_held_bytes=await storage_held_bytes(tx, account_id),
            )
        return current_usage(
            facts, self._prices.unit_prices_minor(), are_prices_verified=self._prices.book is not None, now=now
        )

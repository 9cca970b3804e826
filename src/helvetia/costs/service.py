"""The use cases of costs: read only, from our own ledger, never from Stripe's mid-cycle totals."""

from helvetia.costs.model import CurrentUsage
from helvetia.costs.read_current import read_current
from helvetia.database.pool import Database
from helvetia.kernel.clock import Clock
from helvetia.kernel.identity import AccountId
from helvetia.stripe_gateway.price_book_holder import PriceBookHolder


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
            _, usage = await read_current(tx, account_id, self._prices, now=now)
        return usage

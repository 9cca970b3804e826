"""The use cases of costs: read only, from our own ledger, never from Stripe's mid-cycle totals."""

from collections.abc import Sequence

from helvetia.billing.model import InvoiceLineRecord
from helvetia.costs.estimate.check_invoice import InvoiceCheck, check_line, lines_of_usage
from helvetia.costs.estimate.read_counted import read_counted
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

    async def check_invoice(
        self, account_id: AccountId, lines: Sequence[InvoiceLineRecord], *, is_final: bool
    ) -> InvoiceCheck:
        """Each line of usage of one of the account's invoices beside our own count of its period."""
        book = self._prices.book
        if book is None:
            return InvoiceCheck(lines=(), is_possible=False)
        wanted = lines_of_usage(lines, {price.price_id: metric for metric, price in book.meters.items()})
        async with self._database.transaction() as tx:
            counted = {period: await read_counted(tx, account_id, period) for period in {one[2] for one in wanted}}
        checked = [
            check_line(line, metric, period, counted[period], is_final=is_final) for line, metric, period in wanted
        ]
        return InvoiceCheck(lines=checked)

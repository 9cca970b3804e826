"""The use cases of costs: read only, from our own ledger, never from Stripe's mid-cycle totals."""

from collections.abc import Sequence

from helvetia.billing.model import InvoiceLineRecord
from helvetia.costs.estimate.check_invoice import CheckedLine, Counted, check_line, lines_of_usage
from helvetia.costs.model import CurrentUsage
from helvetia.costs.read_current import read_current
from helvetia.database.pool import Database, Transaction
from helvetia.kernel.clock import Clock
from helvetia.kernel.identity import AccountId
from helvetia.kernel.period import Period
from helvetia.meter_reports.store import value_at_stripe
from helvetia.metering.store_usage import totals
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
    ) -> Sequence[CheckedLine]:
        """Each line of usage of one of the account's invoices beside our own count of its period.

        None at all while prices are not verified: by these a line of usage is known.
        """
        book = self._prices.book
        metrics = {} if book is None else {price.price_id: metric for metric, price in book.meters.items()}
        wanted = lines_of_usage(lines, metrics)
        async with self._database.transaction() as tx:
            counted = {period: await self._counted(tx, account_id, period) for period in {one[2] for one in wanted}}
        return [check_line(line, metric, period, counted[period], is_final=is_final) for line, metric, period in wanted]

    async def _counted(self, tx: Transaction, account_id: AccountId, period: Period) -> Counted:
        return Counted(
            base_quantities=(await totals(tx, account_id, period)).quantities,
            at_stripe=await value_at_stripe(tx, account_id, period.starts_at),
        )

"""What a list of invoices needs besides them: the years there are, and what the price of a line sells. Read only."""

from collections.abc import Mapping, Sequence

from helvetia.billing import store
from helvetia.database.pool import Database
from helvetia.kernel.identity import AccountId
from helvetia.kernel.quantity import UsageMetric
from helvetia.stripe_gateway.price_book_holder import PriceBookHolder


class InvoiceFactsService:
    """Facts about an account's mirrored invoices."""

    def __init__(self, database: Database, prices: PriceBookHolder) -> None:
        self._database = database
        self._prices = prices

    async def years(self, account_id: AccountId) -> Sequence[int]:
        """The years (UTC) that the account has invoices of, newest first."""
        async with self._database.transaction() as tx:
            return await store.invoice_years(tx, account_id)

    def metrics_by_price(self) -> Mapping[str, UsageMetric]:
        """Which metric a price of an invoice's line sells; empty while prices are not verified."""
        book = self._prices.book
        return {} if book is None else {price.price_id: metric for metric, price in book.meters.items()}

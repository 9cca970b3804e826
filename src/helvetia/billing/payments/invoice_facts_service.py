"""What invoices need besides themselves: years, credit notes, what came back, what a line's price sells. Read only."""

from collections.abc import Mapping, Sequence

from helvetia.billing import store
from helvetia.billing.credit_notes.model import CreditNoteRecord, GivenBack, given_back
from helvetia.billing.credit_notes.store import credit_notes
from helvetia.billing.payments.model import of_invoice, payment_from_stored
from helvetia.billing.payments.store import find_reading
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

    async def credit_notes(self, account_id: AccountId, stripe_invoice_id: str) -> Sequence[CreditNoteRecord]:
        """The notes of an invoice, oldest first."""
        async with self._database.transaction() as tx:
            return await credit_notes(tx, account_id, [stripe_invoice_id])

    async def given_back(self, account_id: AccountId, stripe_invoice_ids: Sequence[str]) -> Mapping[str, GivenBack]:
        """What came back of each of these invoices, by our copies; those of which nothing did are left out."""
        async with self._database.transaction() as tx:
            notes = await credit_notes(tx, account_id, stripe_invoice_ids)
            reading = await find_reading(tx, account_id, "payments")
        payments = None if reading is None else [payment_from_stored(row) for row in reading.body]
        found = {
            invoice_id: given_back(
                [note for note in notes if note.stripe_invoice_id == invoice_id], of_invoice(payments, invoice_id)
            )
            for invoice_id in stripe_invoice_ids
        }
        return {invoice_id: back for invoice_id, back in found.items() if back.total_minor}

    def metrics_by_price(self) -> Mapping[str, UsageMetric]:
        """Which metric a price of an invoice's line sells; empty while prices are not verified."""
        book = self._prices.book
        return {} if book is None else {price.price_id: metric for metric, price in book.meters.items()}

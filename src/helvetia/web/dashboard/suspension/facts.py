"""What the page on a failed payment is made of, as the services answered within one request. Pure."""

from collections.abc import Sequence
from dataclasses import dataclass

from helvetia.billing.model import InvoiceRecord
from helvetia.billing.payments.model import Payments
from helvetia.enforcement.model import Explanation
from helvetia.subscriptions.model import SubscriptionRecord
from helvetia.web.dashboard.voice import Voice


@dataclass(frozen=True, slots=True, kw_only=True)
class SuspensionFacts:
    """`open_invoices` oldest first; `payments` None where Stripe was never read."""

    subscription: SubscriptionRecord
    found: Explanation
    open_invoices: Sequence[InvoiceRecord]
    payments: Payments | None
    may_pay: bool
    may_order: bool
    voice: Voice

    @property
    def open_minor(self) -> int:
        return sum(invoice.amount_remaining_minor for invoice in self.open_invoices)

    def money(self, amount_minor: int) -> str:
        return self.voice.money(amount_minor, self.subscription.currency)

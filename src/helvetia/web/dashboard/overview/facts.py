"""What the overview is made of, as the services answered within one request. Pure."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

from helvetia.billing.model import InvoiceRecord
from helvetia.billing.settlement.model import PaymentOffer
from helvetia.catalogue.plans import PLANS, ResourceLimits
from helvetia.containers.model import Service
from helvetia.costs.model import CurrentUsage
from helvetia.kernel.identity import AccountId
from helvetia.kernel.period import Period
from helvetia.subscriptions.model import SubscriptionRecord
from helvetia.web.dashboard.voice import Voice


@dataclass(frozen=True, slots=True, kw_only=True)
class OverviewFacts:
    """What the services answered, read within one request."""

    subscription: SubscriptionRecord
    usage: CurrentUsage
    invoices: Sequence[InvoiceRecord]
    services: Sequence[Service] | None
    limits: ResourceLimits
    organization_id: AccountId | None
    base_url: str
    voice: Voice
    may_pay: bool = False
    offer: PaymentOffer | None = None

    @property
    def now(self) -> datetime:
        return self.voice.now

    @property
    def title(self) -> str:
        return PLANS[self.subscription.plan].title

    @property
    def period(self) -> Period:
        return self.usage.period

    def money(self, amount_minor: int) -> str:
        return self.voice.money(amount_minor, self.subscription.currency)

    def day(self, instant: datetime) -> str:
        return self.voice.day(instant)

    @property
    def open_invoices(self) -> Sequence[InvoiceRecord]:
        return [invoice for invoice in self.invoices if invoice.status == "open" and invoice.amount_remaining_minor]

    @property
    def open_minor(self) -> int:
        return sum(invoice.amount_remaining_minor for invoice in self.open_invoices)

    @property
    def next_charge_minor(self) -> int:
        """What has been used and the next fee: the charge at the period's end, were nothing more used."""
        return self.usage.usage_minor + self.next_fee_minor

    @property
    def next_fee_minor(self) -> int:
        """The fee of the period after this one; none where the subscription ends first."""
        cancel_at = self.subscription.cancel_at
        is_last = cancel_at is not None and cancel_at <= self.period.ends_at
        return 0 if is_last else self.subscription.fee_minor

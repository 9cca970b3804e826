"""What the overview is made of, as the services answered within one request. Pure."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime

from helvetia.audit.model import AuditEntry
from helvetia.billing.model import InvoiceRecord
from helvetia.billing.payments.model import Methods
from helvetia.billing.plan_change.model import Misfit, PlanChangeRecord
from helvetia.billing.settlement.model import PaymentOffer
from helvetia.catalogue.plans import PLANS, ResourceLimits, SubscriptionPlan
from helvetia.containers.model import Service
from helvetia.costs.estimate.model import Estimate, LineKind
from helvetia.costs.forecasts.model import MICRO, AccountForecast
from helvetia.costs.history import UsageHistory
from helvetia.costs.model import CurrentUsage
from helvetia.enforcement.model import Explanation
from helvetia.kernel.identity import AccountId, ServiceId
from helvetia.kernel.period import Period
from helvetia.notifications.model import Notification
from helvetia.subscriptions.model import SubscriptionRecord
from helvetia.web.dashboard.voice import Voice


@dataclass(frozen=True, slots=True, kw_only=True)
class NextCharge:
    """The next invoice: as things stand, and what is due by the forecast; None where there is no forecast, or range."""

    estimate: Estimate
    due_minor: int | None
    low_minor: int | None
    high_minor: int | None


@dataclass(frozen=True, slots=True, kw_only=True)
class OverviewFacts:
    """What the services answered, read within one request; None where a part could not be read, or there is none."""

    subscription: SubscriptionRecord
    usage: CurrentUsage
    services: Sequence[Service] | None
    limits: ResourceLimits
    organization_id: AccountId | None
    base_url: str
    voice: Voice
    invoices: Sequence[InvoiceRecord] | None = ()
    may_pay: bool = False
    offer: PaymentOffer | None = None
    next_charge: NextCharge | None = None
    forecast: AccountForecast | None = None
    methods: Methods | None = None
    days: UsageHistory | None = None
    by_service: UsageHistory | None = None
    names: Mapping[ServiceId, str] = field(default_factory=dict)
    standing: Explanation | None = None
    pending: PlanChangeRecord | None = None
    misfits: Sequence[Misfit] = ()
    notices: Sequence[Notification] | None = ()
    entries: Sequence[AuditEntry] | None = ()

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

    def address(self, path: str) -> str:
        """A page of this account; a query that is there already goes on."""
        if self.organization_id is None:
            return path
        return f"{path}{'&' if '?' in path else '?'}organizationId={self.organization_id}"

    @property
    def open_invoices(self) -> Sequence[InvoiceRecord]:
        found = self.invoices or ()
        return [invoice for invoice in found if invoice.status == "open" and invoice.amount_remaining_minor]

    @property
    def open_minor(self) -> int:
        return sum(invoice.amount_remaining_minor for invoice in self.open_invoices)

    @property
    def next_charge_minor(self) -> int:
        """What will be charged at the period's end: by the forecast, else were nothing more used."""
        if self.next_charge is None:
            return self.usage.usage_minor + self.next_fee_minor
        due_minor = self.next_charge.due_minor
        return self.next_charge.estimate.sums.amount_due_minor if due_minor is None else due_minor

    @property
    def next_fee(self) -> tuple[SubscriptionPlan, int]:
        """The plan of the period after this one and its fee; 0 where the subscription ends first."""
        if self.next_charge is not None:
            fee = next((line for line in self.next_charge.estimate.lines if line.kind is LineKind.FEE), None)
            plan = self.subscription.plan if fee is None or fee.description is None else fee.description
            return SubscriptionPlan(plan), 0 if fee is None else fee.amount_minor
        cancel_at = self.subscription.cancel_at
        is_last = cancel_at is not None and cancel_at <= self.period.ends_at
        return self.subscription.plan, 0 if is_last else self.subscription.fee_minor

    @property
    def next_fee_minor(self) -> int:
        return self.next_fee[1]

    @property
    def expected_usage_minor(self) -> int | None:
        """What the period's usage will come to, cut down to whole minor units like everywhere it is told."""
        total = None if self.forecast is None else self.forecast.cost.forecast.p50
        return None if total is None else max(self.usage.usage_minor, total // MICRO)

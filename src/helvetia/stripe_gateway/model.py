"""What we know of Stripe, in our own words, and the one protocol through which the product talks to it.

Frozen data only: no type of the SDK leaves the package. Words that Stripe may extend (statuses, reasons) stay
strings, so that a new one never breaks a read. Amounts are minor units, quantities and unit prices exact decimals.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from decimal import Decimal
from typing import Protocol

from helvetia.catalogue.plans import SubscriptionPlan
from helvetia.kernel.identity import AccountId
from helvetia.kernel.period import Period
from helvetia.kernel.quantity import UsageMetric
from helvetia.stripe_gateway.events import StripeEvents


@dataclass(frozen=True, slots=True, kw_only=True)
class StripeAccount:
    """The Stripe account that the key belongs to."""

    account_id: str
    country: str | None
    display_name: str | None


@dataclass(frozen=True, slots=True, kw_only=True)
class NewCustomer:
    """What a customer is made from; `test_clock` only ever in a sandbox; `replaces` one that was deleted."""

    account_id: AccountId
    name: str
    email: str | None = None
    test_clock: str | None = None
    replaces: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Customer:
    """A customer; `default_payment_method_id` is what its invoices are charged to."""

    customer_id: str
    account_id: str | None
    email: str | None
    default_payment_method_id: str | None
    test_clock: str | None
    is_deleted: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class NewSubscription:
    """One fixed item and the metered ones; the account and the plan travel along as metadata."""

    account_id: AccountId
    plan: SubscriptionPlan
    customer_id: str
    fixed_price_id: str
    metered_price_ids: Sequence[str]
    idempotency_key: str


@dataclass(frozen=True, slots=True, kw_only=True)
class SubscriptionItem:
    """One priced item of a subscription and the period it is in (items carry the periods, the subscription none)."""

    item_id: str
    price_id: str
    product_id: str
    is_metered: bool
    quantity: int
    unit_price_minor: Decimal | None
    plan_hint: str | None
    period: Period


@dataclass(frozen=True, slots=True, kw_only=True)
class Subscription:
    """A subscription as Stripe tells it at one moment; `status` is Stripe's own word."""

    subscription_id: str
    customer_id: str
    status: str
    currency: str
    items: Sequence[SubscriptionItem]
    created_at: datetime
    started_at: datetime
    cancel_at: datetime | None
    canceled_at: datetime | None
    ended_at: datetime | None
    latest_invoice_id: str | None
    metadata: Mapping[str, str] = field(default_factory=dict)
    schedule_id: str | None = None
    default_payment_method_id: str | None = None
    pending_update: "PendingUpdate | None" = None
    ended_reason: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class PendingUpdate:
    """A change that waits for its payment until `expires_at`; then it is given up."""

    price_ids: Sequence[str]
    expires_at: datetime


@dataclass(frozen=True, slots=True, kw_only=True)
class InvoiceLine:
    """One line of an invoice; its range may be empty (start = end)."""

    line_id: str
    price_id: str | None
    product_id: str | None
    description: str | None
    quantity: Decimal | None
    unit_price_minor: Decimal | None
    amount_minor: int
    is_proration: bool
    starts_at: datetime
    ends_at: datetime


@dataclass(frozen=True, slots=True, kw_only=True)
class Invoice:
    """An invoice; `status` is draft, open, paid, void or uncollectible, `lines` may be the first ones only.

    `advances_itself`: Stripe finalizes and charges it by its own clock. `credited_before_minor` and
    `credited_after_minor`: what credit notes took off what was left to pay, and gave back of what was paid.
    """

    invoice_id: str
    customer_id: str | None
    subscription_id: str | None
    number: str | None
    status: str
    billing_reason: str | None
    currency: str
    subtotal_minor: int
    total_minor: int
    amount_due_minor: int
    amount_paid_minor: int
    amount_remaining_minor: int
    attempt_count: int
    next_payment_attempt_at: datetime | None
    starts_at: datetime
    ends_at: datetime
    issued_at: datetime
    finalized_at: datetime | None
    paid_at: datetime | None
    lines: Sequence[InvoiceLine]
    has_more_lines: bool
    hosted_url: str | None = None
    pdf_url: str | None = None
    payment_intent_ids: Sequence[str] = ()
    advances_itself: bool = True
    credited_before_minor: int = 0
    credited_after_minor: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class MeterEvent:
    """Usage to report once: `value` in the sold unit, `identifier` the same in every attempt."""

    event_name: str
    customer_id: str
    value: Decimal
    identifier: str
    occurred_at: datetime


@dataclass(frozen=True, slots=True, kw_only=True)
class MeterSummary:
    """What Stripe has counted for one customer in a range; eventually consistent."""

    starts_at: datetime
    ends_at: datetime
    value: Decimal


@dataclass(frozen=True, slots=True, kw_only=True)
class Product:
    """What is sold; `plan_hint` is its metadata `plan`."""

    product_id: str
    name: str
    is_active: bool
    plan_hint: str | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Price:
    """A price; `unit_price_minor` is None when it has tiers."""

    price_id: str
    product_id: str
    currency: str
    is_active: bool
    billing_scheme: str
    interval: str | None
    interval_count: int | None
    usage_type: str | None
    meter_id: str | None
    unit_price_minor: Decimal | None
    transforms_quantity: bool
    lookup_key: str | None
    plan_hint: str | None


@dataclass(frozen=True, slots=True, kw_only=True)
class NewPrice:
    """A monthly price to make; metered when `meter_id` is given."""

    product_id: str
    currency: str
    unit_price_minor: Decimal
    lookup_key: str
    nickname: str
    meter_id: str | None = None
    plan: SubscriptionPlan | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Meter:
    """A meter: how events of its name are added up, and the payload keys it reads."""

    meter_id: str
    event_name: str
    is_active: bool
    formula: str
    event_time_window: str | None
    customer_key: str
    value_key: str


@dataclass(frozen=True, slots=True, kw_only=True)
class PlanPrice:
    """The fixed monthly price of a plan, as read from Stripe."""

    price_id: str
    product_id: str
    fee_minor: int


@dataclass(frozen=True, slots=True, kw_only=True)
class MeterPrice:
    """The metered price of a metric, as read from Stripe and equal to the catalogue's."""

    price_id: str
    product_id: str
    meter_id: str
    event_name: str
    unit_price_minor: Decimal


@dataclass(frozen=True, slots=True, kw_only=True)
class PriceBook:
    """All prices in force, verified; the event names come from the prices' meters."""

    plans: Mapping[SubscriptionPlan, PlanPrice]
    meters: Mapping[UsageMetric, MeterPrice]
    currency: str


class StripeGateway(StripeEvents, Protocol):
    """Stripe, as far as the product needs it.

    Every method refuses to run inside a transaction, has a time limit, and raises StripeUnavailable,
    StripeRateLimited or StripeNotAuthorized; what else it may raise is said with it.
    """

    async def retrieve_account(self) -> StripeAccount: ...

    async def get_or_create_customer(self, new: NewCustomer) -> Customer:
        """The same customer for the same request, however often and from wherever it is asked for (24 h)."""
        ...

    async def retrieve_customer(self, customer_id: str) -> Customer:
        """Raises StripeObjectMissing."""
        ...

    async def attach_payment_method(self, customer_id: str, payment_method: str) -> Customer:
        """Attach it and make it the one that invoices are charged to. Raises CardDeclined, StripeObjectMissing."""
        ...

    async def create_subscription(self, new: NewSubscription) -> Subscription:
        """Paid at once or not created at all. Raises CardDeclined, StripeRefused."""
        ...

    async def retrieve_subscription(self, subscription_id: str) -> Subscription:
        """Raises StripeObjectMissing."""
        ...

    async def list_subscriptions(self, customer_id: str) -> Sequence[Subscription]:
        """Every subscription the customer ever had, newest first."""
        ...

    async def list_invoices(self, *, customer_id: str, subscription_id: str | None = None) -> Sequence[Invoice]:
        """Newest first, drafts too, at most INVOICES_MAX."""
        ...

    async def retrieve_invoice(self, invoice_id: str) -> Invoice:
        """One invoice with all its lines. Raises StripeObjectMissing."""
        ...

    async def send_meter_event(self, event: MeterEvent) -> None:
        """Raises AlreadyUsedIdentifier (Stripe has it), MeterEventOutOfTime, StripeRefused."""
        ...

    async def meter_event_summaries(
        self, *, meter_id: str, customer_id: str, starts_at: datetime, ends_at: datetime
    ) -> Sequence[MeterSummary]:
        """What Stripe counted in [starts_at, ends_at); both must be whole minutes."""
        ...

    async def meter_event_summaries_by_hour(
        self, *, meter_id: str, customer_id: str, starts_at: datetime, ends_at: datetime
    ) -> Sequence[MeterSummary]:
        """The same for each UTC hour that counted something; both must be whole hours, at most 1,000 of them."""
        ...

    async def retrieve_price(self, price_id: str) -> Price:
        """Raises StripeObjectMissing."""
        ...

    async def retrieve_meter(self, meter_id: str) -> Meter:
        """Raises StripeObjectMissing."""
        ...

    async def retrieve_product(self, product_id: str) -> Product:
        """Raises StripeObjectMissing."""
        ...

    async def list_prices(self, lookup_keys: Sequence[str]) -> Sequence[Price]:
        """Active prices with these lookup keys (at most 10 keys)."""
        ...

    async def list_meters(self) -> Sequence[Meter]:
        """Active meters."""
        ...

    async def create_meter(self, *, title: str, event_name: str) -> Meter:
        """A summing meter without a window, customers by id."""
        ...

    async def create_product(self, *, name: str, plan: SubscriptionPlan | None, key: str) -> Product: ...

    async def create_price(self, new: NewPrice) -> Price: ...

    async def close(self) -> None: ...

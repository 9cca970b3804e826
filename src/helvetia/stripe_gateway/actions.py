"""What billing asks of Stripe beyond reading: checkout, portal, changes of a subscription, payments.

Frozen data and the protocol that extends StripeGateway; the same promises hold. No type of the SDK leaves the package.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from typing import Protocol

from helvetia.catalogue.plans import SubscriptionPlan
from helvetia.kernel.identity import AccountId
from helvetia.stripe_gateway.credit_notes import StripeCreditNotes
from helvetia.stripe_gateway.model import Invoice, StripeGateway, Subscription
from helvetia.stripe_gateway.upcoming import StripeUpcoming


@dataclass(frozen=True, slots=True, kw_only=True)
class NewCheckout:
    """A hosted page that sells one plan: the fixed price and the metered ones together."""

    account_id: AccountId
    plan: SubscriptionPlan
    customer_id: str
    fixed_price_id: str
    metered_price_ids: Sequence[str]
    success_url: str
    cancel_url: str
    collects_tax: bool
    idempotency_key: str


@dataclass(frozen=True, slots=True, kw_only=True)
class CheckoutSession:
    """`status` is open, complete or expired; `url` only while open; `plan_hint` is its metadata `plan`."""

    session_id: str
    status: str
    url: str | None
    plan_hint: str | None
    subscription_id: str | None
    customer_id: str | None = None


class PortalFlow(StrEnum):
    """Where in the portal a link leads; Stripe's own words."""

    PAYMENT_METHOD = "payment_method_update"
    CANCEL = "subscription_cancel"


@dataclass(frozen=True, slots=True, kw_only=True)
class NewPortalSession:
    """A visit to the portal; the cancel flow names the subscription."""

    customer_id: str
    configuration_id: str
    return_url: str
    flow: PortalFlow | None = None
    subscription_id: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class PortalSession:
    session_id: str
    url: str


@dataclass(frozen=True, slots=True, kw_only=True)
class PortalConfiguration:
    """What the portal offers; `version` is our own mark in its metadata."""

    configuration_id: str
    is_active: bool
    version: str | None


@dataclass(frozen=True, slots=True, kw_only=True)
class PlanChange:
    """The fixed item of a subscription to another price, prorated to the second `prorated_at`."""

    subscription_id: str
    item_id: str
    price_id: str
    prorated_at: datetime


@dataclass(frozen=True, slots=True, kw_only=True)
class SchedulePhase:
    """What a schedule wants from one instant to another; `price_ids` fixed and metered alike."""

    price_ids: Sequence[str]
    starts_at: datetime
    ends_at: datetime


@dataclass(frozen=True, slots=True, kw_only=True)
class Schedule:
    """A plan for the future of a subscription; `status` is Stripe's word."""

    schedule_id: str
    status: str
    subscription_id: str | None
    phases: Sequence[SchedulePhase]

    @property
    def is_in_force(self) -> bool:
        return self.status in {"not_started", "active"}


@dataclass(frozen=True, slots=True, kw_only=True)
class ScheduledChange:
    """From the end of the running phase on, these prices; metered ones carry no quantity."""

    schedule_id: str
    running: SchedulePhase
    next_price_ids: Sequence[str]
    metered_price_ids: frozenset[str]


@dataclass(frozen=True, slots=True, kw_only=True)
class PaymentMethod:
    """How a customer pays; the card's fields are None where it is no card."""

    payment_method_id: str
    kind: str
    brand: str | None
    last4: str | None
    expires_month: int | None
    expires_year: int | None


@dataclass(frozen=True, slots=True, kw_only=True)
class PaymentIntent:
    """The payment of an invoice; `status` is Stripe's word, `failure_code` the finest reason of the last failure."""

    payment_intent_id: str
    status: str
    failure_code: str | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Charge:
    """One attempt to take money; `failure_code` the finest reason that is known."""

    charge_id: str
    payment_intent_id: str | None
    amount_minor: int
    refunded_minor: int
    currency: str
    status: str
    failure_code: str | None
    method_kind: str | None
    brand: str | None
    last4: str | None
    created_at: datetime
    payment_method_id: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Refund:
    """Money given back; `status` is Stripe's word."""

    refund_id: str
    charge_id: str | None
    amount_minor: int
    currency: str
    status: str
    reason: str | None
    created_at: datetime


@dataclass(frozen=True, slots=True, kw_only=True)
class NewInvoiceItem:
    """An amount for the customer's next invoice (of the subscription, if given); negative ones are credits."""

    customer_id: str
    subscription_id: str | None
    task_id: str
    amount_minor: int
    currency: str
    description: str
    starts_at: datetime
    ends_at: datetime


@dataclass(frozen=True, slots=True, kw_only=True)
class InvoiceItem:
    """`task_id` is our own mark in its metadata; `invoice_id` is None while it waits for an invoice."""

    item_id: str
    task_id: str | None
    invoice_id: str | None


class StripeActions(StripeGateway, StripeUpcoming, StripeCreditNotes, Protocol):
    """StripeGateway, and what moves money or opens Stripe's pages."""

    async def create_checkout_session(self, new: NewCheckout) -> CheckoutSession:
        """Raises StripeRefused, StripeObjectMissing."""
        ...

    async def retrieve_checkout_session(self, session_id: str) -> CheckoutSession:
        """Raises StripeObjectMissing."""
        ...

    async def list_open_checkout_sessions(self, customer_id: str) -> Sequence[CheckoutSession]:
        """Sessions that can still be completed, newest first."""
        ...

    async def expire_checkout_session(self, session_id: str) -> None:
        """Raises StripeRefused when it is no longer open: then it may have been completed."""
        ...

    async def create_portal_session(self, new: NewPortalSession) -> PortalSession: ...

    async def list_portal_configurations(self) -> Sequence[PortalConfiguration]:
        """Active ones."""
        ...

    async def create_portal_configuration(self, *, version: str, return_url: str) -> PortalConfiguration: ...

    async def preview_change(self, change: PlanChange) -> Invoice:
        """The invoice that the change would make now: its prorations, all its lines. Raises StripeRefused."""
        ...

    async def change_plan(self, change: PlanChange, idempotency_key: str) -> Subscription:
        """Invoice now and switch only if paid; else the answer has a `pending_update`. Raises StripeRefused."""
        ...

    async def set_cancel_at_period_end(self, subscription_id: str, *, wanted: bool) -> Subscription:
        """Plan the end, or take it back; the same twice is the same."""
        ...

    async def cancel_subscription_now(self, subscription_id: str) -> Subscription:
        """End it now and bill the usage that Stripe has. Raises StripeObjectMissing when it has ended before."""
        ...

    async def set_default_payment_method(self, customer_id: str, payment_method_id: str) -> None: ...

    async def clear_subscription_payment_method(self, subscription_id: str) -> None: ...

    async def retrieve_schedule(self, schedule_id: str) -> Schedule:
        """Raises StripeObjectMissing."""
        ...

    async def create_schedule(self, subscription_id: str) -> Schedule:
        """From the subscription as it is. Raises StripeRefused when it has one already."""
        ...

    async def schedule_change(self, change: ScheduledChange) -> Schedule: ...

    async def release_schedule(self, schedule_id: str) -> None:
        """Let the subscription go on as it is. Raises StripeRefused when the schedule is over."""
        ...

    async def pay_invoice(self, invoice_id: str) -> Invoice:
        """Charge it now. Raises CardDeclined, StripeRefused (paid before, not open)."""
        ...

    async def void_invoice(self, invoice_id: str) -> None:
        """Raises StripeRefused when it is not open."""
        ...

    async def finalize_invoice(self, invoice_id: str) -> None:
        """Without charging it. Raises StripeRefused when it is no draft."""
        ...

    async def retrieve_payment_intent(self, payment_intent_id: str) -> PaymentIntent: ...

    async def list_payment_methods(self, customer_id: str) -> Sequence[PaymentMethod]:
        """Newest first, at most 100."""
        ...

    async def list_charges(self, customer_id: str) -> Sequence[Charge]:
        """Newest first, at most 1,000."""
        ...

    async def list_refunds(self, charge_id: str) -> Sequence[Refund]:
        """Newest first, at most 100."""
        ...

    async def cancel_meter_event(self, event_name: str, identifier: str, *, key: str) -> None:
        """Take an event back, within 24 hours of its receipt. Raises StripeObjectMissing, StripeRefused."""
        ...

    async def create_invoice_item(self, new: NewInvoiceItem) -> InvoiceItem:
        """The same item for the same task, however often it is asked for (24 h). Raises StripeObjectMissing."""
        ...

    async def list_invoice_items(self, customer_id: str) -> Sequence[InvoiceItem]:
        """Newest first, at most 1,000."""
        ...

    async def invoice_pending_items(self, customer_id: str, *, key: str) -> str:
        """Make an invoice of what waits, which Stripe finalizes and collects by itself; the invoice's id."""
        ...

"""What Stripe will do to the next invoice beyond our own figures: discounts, taxes, balance, the fee, waiting items.

Facts only, no sums: those are reckoned by `costs`. `PreviewInvoice` is Stripe's own sum, to compare with.
"""

from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal
from typing import Protocol

from helvetia.kernel.period import Period


@dataclass(frozen=True, slots=True, kw_only=True)
class Discount:
    """One of `percent` and `amount_minor` is set. It lowers invoices made before `ends_at` (None: all).

    `product_ids`: only lines of these products; None: of all.
    """

    discount_id: str
    title: str | None
    percent: Decimal | None
    amount_minor: int | None
    currency: str | None
    ends_at: datetime | None
    product_ids: tuple[str, ...] | None


@dataclass(frozen=True, slots=True, kw_only=True)
class TaxRate:
    """`is_inclusive`: prices hold the tax already; otherwise it is added."""

    rate_id: str
    title: str | None
    percent: Decimal
    is_inclusive: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class UpcomingItem:
    """One item of the subscription as the next period begins; `fee_minor` is None for a metered one."""

    price_id: str
    product_id: str
    fee_minor: int | None
    discounts: tuple[Discount, ...]
    tax_rates: tuple[TaxRate, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class WaitingItem:
    """An amount that waits for an invoice; without `subscription_id` any of the customer's takes it."""

    item_id: str
    subscription_id: str | None
    product_id: str | None
    description: str | None
    amount_minor: int
    currency: str
    is_discountable: bool
    discounts: tuple[Discount, ...]
    tax_rates: tuple[TaxRate, ...]
    starts_at: datetime
    ends_at: datetime


@dataclass(frozen=True, slots=True, kw_only=True)
class AutomaticTax:
    """What Stripe Tax told in a preview: the rates of lines, each under its price's or waiting item's id.

    `is_placed` is false while Stripe does not know where the customer is taxed; then it told nothing.
    """

    is_placed: bool
    rates: tuple[tuple[str, tuple[TaxRate, ...]], ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class UpcomingFacts:
    """One reading. `balance_minor` below 0 is credit of the customer. Items stand in the order of the invoice.

    `automatic_tax` is None where nothing was told of it: Stripe Tax is off, or no invoice was to be previewed.
    """

    customer_id: str
    subscription_id: str
    currency: str
    period: Period
    cancel_at: datetime | None
    balance_minor: int
    is_tax_exempt: bool
    has_automatic_tax: bool
    items: tuple[UpcomingItem, ...]
    waiting: tuple[WaitingItem, ...]
    discounts: tuple[Discount, ...]
    tax_rates: tuple[TaxRate, ...]
    automatic_tax: AutomaticTax | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class PreviewLine:
    """One line; `tax_minor` counts only what is added, not what the amount holds already."""

    price_id: str | None
    quantity: Decimal | None
    amount_minor: int
    discount_minor: int
    tax_minor: int


@dataclass(frozen=True, slots=True, kw_only=True)
class PreviewInvoice:
    """The invoice that Stripe would make at the next boundary, as things stand at Stripe; not all lines may be here."""

    lines: tuple[PreviewLine, ...]
    has_more_lines: bool
    total_minor: int
    amount_due_minor: int


class StripeUpcoming(Protocol):
    """The part of the gateway that looks ahead."""

    async def read_upcoming(self, customer_id: str, subscription_id: str) -> UpcomingFacts:
        """What the next invoice depends on, read one after the other. Raises StripeObjectMissing."""
        ...

    async def preview_upcoming(self, subscription_id: str) -> PreviewInvoice | None:
        """Stripe's preview of the next invoice; None when none will come."""
        ...

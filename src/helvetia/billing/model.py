"""Invoices as mirrored, pages of them, and what billing is configured with. Pure."""

import base64
import binascii
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal
from enum import StrEnum
from urllib.parse import SplitResult, urlsplit
from uuid import UUID

from helvetia.billing.errors import InvalidCursor, InvalidReport, UntrustedAddress
from helvetia.kernel.identity import AccountId
from helvetia.stripe_gateway.model import MeterEvent

PAGE_SIZE_MAX = 100
VALUE_PLACES_MAX = 6
VALUE_DIGITS_MAX = 15
IDENTIFIER_LENGTH_MAX = 100


class UnpaidDrafts(StrEnum):
    """Void them: nothing ran. Or collect them: the plan was reserved."""

    VOID = "void"
    COLLECT = "collect"


@dataclass(frozen=True, slots=True, kw_only=True)
class BillingConfig:
    """`public_base_url`: where Stripe's pages lead back to. `sandbox_origin`: whose pages count as Stripe's too.

    `unpaid_drafts`: what becomes of the invoices of periods that passed while the account was unpaid.
    `collects_tax`: Stripe Tax, address and tax ids. `test_clock`: in a sandbox, the one that new customers live by.
    """

    public_base_url: str = "http://127.0.0.1:8000"
    sandbox_origin: str | None = None
    collects_tax: bool = False
    test_clock: str | None = None
    unpaid_drafts: UnpaidDrafts = UnpaidDrafts.VOID


def checked_address(url: str | None, config: BillingConfig) -> str:
    """The address, if it is Stripe's over https, or the configured sandbox's.

    Raises:
        UntrustedAddress
    """
    parts = urlsplit(url or "")
    host = (parts.hostname or "").lower()
    is_stripe = parts.scheme == "https" and (host == "stripe.com" or host.endswith(".stripe.com"))
    is_plain = parts.username is None and parts.password is None and _port_is_plain(parts)
    is_sandbox = config.sandbox_origin is not None and f"{parts.scheme}://{parts.netloc}" == config.sandbox_origin
    if url is None or not ((is_stripe and is_plain) or is_sandbox):
        raise UntrustedAddress
    return url


def return_address(config: BillingConfig, organization_id: UUID | None, path: str, query: str = "") -> str:
    """A page of ours, for the account it was left for."""
    selected = "" if organization_id is None else f"organizationId={organization_id}"
    whole = "&".join(part for part in (query, selected) if part)
    return f"{config.public_base_url}{path}{'?' if whole else ''}{whole}"


def _port_is_plain(parts: SplitResult) -> bool:
    try:
        return parts.port in {None, 443}
    except ValueError:
        return False


@dataclass(frozen=True, slots=True, kw_only=True)
class InvoiceLineRecord:
    """One line of a mirrored invoice; quantities in the sold unit, prices in minor units per unit."""

    line_number: int
    stripe_line_id: str
    stripe_price_id: str | None
    description: str | None
    quantity: Decimal | None
    unit_price_minor: Decimal | None
    amount_minor: int
    is_proration: bool
    period_start: datetime
    period_end: datetime


@dataclass(frozen=True, slots=True, kw_only=True)
class InvoiceRecord:
    """A mirrored invoice; `status` is Stripe's: draft, open, paid, void or uncollectible.

    `credited_before_minor`: what credit notes took off what was left to pay; `credited_after_minor`: what they gave
    back of what was paid.
    """

    account_id: AccountId
    stripe_invoice_id: str
    stripe_subscription_id: str | None
    number: str | None
    status: str
    billing_reason: str | None
    currency: str
    subtotal_minor: int
    total_minor: int
    amount_due_minor: int
    amount_paid_minor: int
    amount_remaining_minor: int
    credited_before_minor: int = 0
    credited_after_minor: int = 0
    attempt_count: int
    next_payment_attempt_at: datetime | None
    period_start: datetime
    period_end: datetime
    issued_at: datetime
    finalized_at: datetime | None
    paid_at: datetime | None

    @property
    def from_balance_minor(self) -> int:
        """What the customer's balance changed of what is due: below 0 it paid, above 0 a debt of it was added."""
        return self.amount_due_minor + self.credited_before_minor - self.total_minor


@dataclass(frozen=True, slots=True, kw_only=True)
class InvoiceFilter:
    """Which invoices: issued in this year (UTC), of this status; None: any."""

    year: int | None = None
    status: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class InvoicePage:
    """Newest first; `next_cursor` is None on the last page. `as_of`: every invoice that Stripe had then is here."""

    invoices: Sequence[InvoiceRecord]
    next_cursor: str | None
    as_of: datetime | None


@dataclass(frozen=True, slots=True, kw_only=True)
class PageCursor:
    """Where a page ended: the last thing shown, and when that was."""

    happened_at: datetime
    thing_id: str

    def to_wire(self) -> str:
        text = f"{self.happened_at.isoformat()}|{self.thing_id}"
        return base64.urlsafe_b64encode(text.encode()).decode().rstrip("=")

    @classmethod
    def from_wire(cls, text: str) -> "PageCursor":
        """Raises InvalidCursor."""
        try:
            padded = text + "=" * (-len(text) % 4)
            happened_at, _, thing_id = base64.urlsafe_b64decode(padded.encode("ascii")).decode().partition("|")
            instant = datetime.fromisoformat(happened_at)
        except (ValueError, binascii.Error) as error:
            raise InvalidCursor from error
        if instant.tzinfo is None or not thing_id or "\x00" in thing_id:
            raise InvalidCursor
        return cls(happened_at=instant, thing_id=thing_id)


def check_reportable(event: MeterEvent) -> None:
    """Stripe takes at most 15 digits, we send at most 6 places, and identifiers have at most 100 characters.

    Raises:
        InvalidReport
    """
    normal = event.value.normalize()
    exponent = normal.as_tuple().exponent
    if not isinstance(exponent, int) or -exponent > VALUE_PLACES_MAX:
        raise InvalidReport(f"A reported value has at most {VALUE_PLACES_MAX} decimal places.")
    if len(normal.as_tuple().digits) + max(0, exponent) > VALUE_DIGITS_MAX:
        raise InvalidReport(f"A reported value has at most {VALUE_DIGITS_MAX} digits.")
    if not 1 <= len(event.identifier) <= IDENTIFIER_LENGTH_MAX:
        raise InvalidReport(f"An identifier has 1 to {IDENTIFIER_LENGTH_MAX} characters.")

"""The next invoice as it stands now: its lines and what is taken off and added. Pure data, amounts in minor units."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal
from enum import StrEnum

from helvetia.kernel.identity import AccountId
from helvetia.kernel.period import Period
from helvetia.kernel.quantity import UsageMetric
from helvetia.metering.model import UsageGap
from helvetia.stripe_gateway.upcoming import Discount, TaxRate, UpcomingFacts


class LineKind(StrEnum):
    """What a line is for: the next period's fee, this period's usage, or what waited for an invoice."""

    FEE = "fee"
    USAGE = "usage"
    OTHER = "other"


class TaxBasis(StrEnum):
    """Where the taxes of an estimate come from; the last three: nowhere, so that none is in it."""

    RATES = "rates"
    STRIPE_TAX = "stripe_tax"
    NOT_PLACED = "not_placed"
    NOT_TOLD = "not_told"
    NOT_READ = "not_read"

    @property
    def is_known(self) -> bool:
        return self in {TaxBasis.RATES, TaxBasis.STRIPE_TAX}


@dataclass(frozen=True, slots=True, kw_only=True)
class EstimateLine:
    """One line. `not_at_stripe` is the part of a usage line's quantity that Stripe has not taken yet.

    `ends_at` is None for a fee: the period it is for has not begun. `discounts_minor` per discount, `taxes_minor` per
    tax rate; an inclusive tax is a part of the amount.
    """

    kind: LineKind
    metric: UsageMetric | None
    price_id: str | None
    product_id: str | None
    description: str | None
    quantity: Decimal | None
    unit: str | None
    unit_price_minor: Decimal | None
    amount_minor: int
    starts_at: datetime
    ends_at: datetime | None
    not_at_stripe: Decimal | None = None
    item_id: str | None = None
    is_discountable: bool = True
    own_discounts: Sequence[Discount] = ()
    own_tax_rates: Sequence[TaxRate] = ()
    discounts_minor: Sequence[tuple[Discount, int]] = ()
    taxes_minor: Sequence[tuple[TaxRate, int]] = ()

    @property
    def discount_minor(self) -> int:
        return sum(amount for _, amount in self.discounts_minor)

    @property
    def net_minor(self) -> int:
        """After discounts, before any tax that is added."""
        return self.amount_minor - self.discount_minor

    @property
    def added_tax_minor(self) -> int:
        return sum(amount for rate, amount in self.taxes_minor if not rate.is_inclusive)


@dataclass(frozen=True, slots=True, kw_only=True)
class Sums:
    """What lines come to. `balance_applied_minor` below 0 is credit that was used, above 0 a debt that is added."""

    subtotal_minor: int
    discounts_minor: Sequence[tuple[Discount, int]]
    taxes_minor: Sequence[tuple[TaxRate, int]]
    total_minor: int
    balance_applied_minor: int
    amount_due_minor: int
    balance_after_minor: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Estimate:
    """The next invoice as things stand.

    `as_of` is our usage's moment, `facts_at` when Stripe's part was read (None: not read, so left out).
    `is_complete`: nothing is known to be missing from it. `issued_at`: when the invoice will be made; None where none
    will. Without a known `tax_basis` no tax is in any figure. `checked_at`: when these terms were last compared with
    Stripe's own preview (None: not yet), and `differences` what came of it.
    """

    account_id: AccountId
    is_charged: bool
    period: Period
    issued_at: datetime | None
    as_of: datetime
    facts_at: datetime | None
    is_complete: bool
    tax_basis: TaxBasis
    are_prices_verified: bool
    lines: Sequence[EstimateLine]
    sums: Sums
    currency: str
    gaps: Sequence[UsageGap]
    checked_at: datetime | None = None
    differences: Sequence["EstimateDifference"] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class KnownFacts:
    """Our copy of Stripe's part: when it was read, and what the last check against Stripe's preview said."""

    facts: UpcomingFacts
    read_at: datetime
    checked_at: datetime | None
    differences: Sequence["EstimateDifference"]


@dataclass(frozen=True, slots=True, kw_only=True)
class EstimateDifference:
    """Where our sum and Stripe's preview part: a figure of a line or of the whole, as text."""

    place: str
    ours: str
    stripes: str

    def to_row(self) -> Mapping[str, str]:
        return {"place": self.place, "ours": self.ours, "stripes": self.stripes}


@dataclass(frozen=True, slots=True, kw_only=True)
class ReadRound:
    """What one round of reading did."""

    read_count: int
    failed_count: int
    different_count: int

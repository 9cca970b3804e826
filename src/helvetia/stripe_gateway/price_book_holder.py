"""Where services find the verified prices: filled by wiring after verification at start.

Until then, or when verification failed, reporting and selling stop with the reason, and pages show the catalogue's
prices.
"""

from collections.abc import Mapping
from decimal import Decimal

from helvetia.catalogue.prices import METERED_PRICES
from helvetia.kernel.quantity import UsageMetric
from helvetia.stripe_gateway.errors import PricesNotVerified
from helvetia.stripe_gateway.model import PriceBook


class PriceBookHolder:
    """Holds the verified prices, or the reason why there are none."""

    def __init__(self) -> None:
        self._book: PriceBook | None = None
        self._problem = "The prices have not been read from Stripe yet."

    @property
    def book(self) -> PriceBook | None:
        """The verified prices, or None."""
        return self._book

    @property
    def problem(self) -> str | None:
        """Why there are none, or None when there are."""
        return self._problem if self._book is None else None

    def fill(self, book: PriceBook) -> None:
        self._book = book

    def fail(self, reason: str) -> None:
        """Verification failed: stop selling and reporting, and say why."""
        self._book = None
        self._problem = reason

    def require(self) -> PriceBook:
        """The verified prices.

        Raises:
            PricesNotVerified: there are none; the detail says why.
        """
        if self._book is None:
            raise PricesNotVerified(self._problem)
        return self._book

    def unit_prices_minor(self) -> Mapping[UsageMetric, Decimal]:
        """Cents per sold unit: Stripe's where verified, else the catalogue's."""
        if self._book is None:
            return {metric: price.unit_price_minor for metric, price in METERED_PRICES.items()}
        return {metric: price.unit_price_minor for metric, price in self._book.meters.items()}

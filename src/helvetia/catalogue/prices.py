"""The metered prices (the mission's numbers), as Stripe wants them: cents per sold unit."""

from dataclasses import dataclass
from decimal import Decimal

from helvetia.kernel.quantity import SOLD_UNITS, SoldUnit, UsageMetric

CURRENCY = "usd"


@dataclass(frozen=True, slots=True, kw_only=True)
class MeteredPrice:
    """What one sold unit of a metric costs, in cents, and the name its Stripe meter gets from `setup-stripe`."""

    metric: UsageMetric
    title: str
    unit_price_minor: Decimal
    event_name: str

    @property
    def unit(self) -> SoldUnit:
        return SOLD_UNITS[self.metric]


def _price(metric: UsageMetric, title: str, unit_price_minor: str) -> MeteredPrice:
    return MeteredPrice(
        metric=metric,
        title=title,
        unit_price_minor=Decimal(unit_price_minor),
        event_name=f"helvetia_{metric.value.lower()}",
    )


METERED_PRICES: dict[UsageMetric, MeteredPrice] = {
    price.metric: price
    for price in (
        _price(UsageMetric.COMPUTE_HOURS, "Compute", "1"),
        _price(UsageMetric.MEMORY_GB_HOURS, "Memory", "0.5"),
        _price(UsageMetric.BANDWIDTH_GB, "Bandwidth", "12"),
        _price(UsageMetric.STORAGE_GB, "Storage", "2.3"),
    )
}

"""Quantities: integers in base units, and the one step from there to the sold unit.

Base units: compute in nanoseconds, memory and storage in byte-nanoseconds, bandwidth in bytes (docs/decisions/0003).
A sold quantity is cut, never rounded up, to 6 places, because Stripe's meters take at most that from us.
"""

from dataclasses import dataclass
from decimal import Decimal
from enum import StrEnum

NS_PER_S = 1_000_000_000
NS_PER_HOUR = 3_600 * NS_PER_S
BYTES_PER_MB = 2**20
BYTES_PER_GB = 2**30
HOURS_PER_STORAGE_MONTH = 730
MICRO_UNITS_PER_UNIT = 10**6


class UsageMetric(StrEnum):
    """What is metered and sold; the words stored in the database."""

    COMPUTE_HOURS = "COMPUTE_HOURS"
    MEMORY_GB_HOURS = "MEMORY_GB_HOURS"
    BANDWIDTH_GB = "BANDWIDTH_GB"
    STORAGE_GB = "STORAGE_GB"


@dataclass(frozen=True, slots=True, kw_only=True)
class SoldUnit:
    """The unit a metric is sold in, and how many base units make one of it."""

    name: str
    base_unit: str
    base_per_unit: int


SOLD_UNITS: dict[UsageMetric, SoldUnit] = {
    UsageMetric.COMPUTE_HOURS: SoldUnit(name="hour", base_unit="nanosecond", base_per_unit=NS_PER_HOUR),
    UsageMetric.MEMORY_GB_HOURS: SoldUnit(
        name="GB-hour", base_unit="byte-nanosecond", base_per_unit=BYTES_PER_GB * NS_PER_HOUR
    ),
    UsageMetric.BANDWIDTH_GB: SoldUnit(name="GB", base_unit="byte", base_per_unit=BYTES_PER_GB),
    UsageMetric.STORAGE_GB: SoldUnit(
        name="GB-month",
        base_unit="byte-nanosecond",
        base_per_unit=BYTES_PER_GB * HOURS_PER_STORAGE_MONTH * NS_PER_HOUR,
    ),
}


def to_sold_quantity(metric: UsageMetric, base_quantity: int) -> Decimal:
    """The quantity in the sold unit, cut down to 6 places (floor₆); the reported and the rated figure alike."""
    return Decimal(to_micro_units(metric, base_quantity)).scaleb(-6)


def to_micro_units(metric: UsageMetric, base_quantity: int) -> int:
    """The same in millionths of the sold unit."""
    return base_quantity * MICRO_UNITS_PER_UNIT // SOLD_UNITS[metric].base_per_unit

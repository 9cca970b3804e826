"""The arrow usage over time → rows with quantities and costs that add up exactly. Pure.

A sold quantity is the floor₆ figure of everything up to and with a row, less that of everything before it, metric by
metric in order of time. So the rows of a range add up to the floor₆ of its whole, as the invoice has it, and so do
their costs, which are quantity times price with all its places; only the invoice's line is rounded, once.
"""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from collections.abc import Set as AbstractSet
from dataclasses import dataclass
from datetime import datetime, timedelta
from decimal import Decimal
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from helvetia.costs.errors import RangeInFuture, RangeReversed, RangeTooLong, UnknownZone
from helvetia.kernel.identity import ServiceId
from helvetia.kernel.money import EXACT
from helvetia.kernel.period import Period
from helvetia.kernel.quantity import SOLD_UNITS, UsageMetric, to_micro_units, to_sold_quantity
from helvetia.metering.history.local_days import bucket_end
from helvetia.metering.history.model import Grain, UsageBlock, UsageFilter

ROWS_MAX = 50_000
RANGE_MAX = timedelta(days=731)
"""24 months."""

HOURS_RANGE_MAX = timedelta(days=31)
ZONED_RANGE_MAX = timedelta(days=93)
"""Days of another zone than UTC are made of hourly records."""


@dataclass(frozen=True, slots=True, kw_only=True)
class HistoryRow:
    """What was used of a metric in [starts_at, ends_at): `cost_minor` has all its places, nothing is rounded."""

    starts_at: datetime
    ends_at: datetime
    service_id: ServiceId | None
    metric: UsageMetric
    base_quantity: int
    quantity: Decimal
    unit: str
    unit_price_minor: Decimal
    cost_minor: Decimal


@dataclass(frozen=True, slots=True, kw_only=True)
class HistoryTotal:
    """A metric over the whole range: the sums of its rows."""

    metric: UsageMetric
    base_quantity: int
    quantity: Decimal
    unit: str
    unit_price_minor: Decimal
    cost_minor: Decimal


@dataclass(frozen=True, slots=True, kw_only=True)
class HistoryBlock:
    """The rows of one bucket and metric, in columns and in the order of `service_ids`; see HistoryRow."""

    starts_at: datetime
    ends_at: datetime
    metric: UsageMetric
    unit_price_minor: Decimal
    service_ids: Sequence[ServiceId | None]
    base_quantities: Sequence[int]
    quantities: Sequence[Decimal]
    costs_minor: Sequence[Decimal]

    @property
    def rows(self) -> Iterator[HistoryRow]:
        unit = SOLD_UNITS[self.metric].name
        columns = zip(self.service_ids, self.base_quantities, self.quantities, self.costs_minor, strict=True)
        for service_id, base_quantity, quantity, cost_minor in columns:
            yield HistoryRow(
                starts_at=self.starts_at,
                ends_at=self.ends_at,
                service_id=service_id,
                metric=self.metric,
                base_quantity=base_quantity,
                quantity=quantity,
                unit=unit,
                unit_price_minor=self.unit_price_minor,
                cost_minor=cost_minor,
            )


@dataclass(frozen=True, slots=True, kw_only=True)
class UsageHistory:
    """Blocks by time and metric, and one total for each metric asked for."""

    wanted: UsageFilter
    blocks: Sequence[HistoryBlock]
    totals: Sequence[HistoryTotal]

    @property
    def rows(self) -> Sequence[HistoryRow]:
        """By time, metric and service; made anew each time."""
        return [row for block in self.blocks for row in block.rows]

    @property
    def service_ids(self) -> AbstractSet[ServiceId]:
        return {service_id for block in self.blocks for service_id in block.service_ids if service_id is not None}

    @property
    def cost_minor(self) -> Decimal:
        return sum((total.cost_minor for total in self.totals), Decimal(0))


def check_range(wanted: UsageFilter, *, now: datetime) -> None:
    """Refuse what one query cannot answer within bounds, or makes no sense.

    Raises:
        RangeInFuture, RangeTooLong
    """
    longest = HOURS_RANGE_MAX if wanted.grain is Grain.HOUR else RANGE_MAX
    if wanted.zone.key != "UTC" and wanted.grain is Grain.DAY:
        longest = min(longest, ZONED_RANGE_MAX)
    _check(wanted, longest, now)


def check_streamed_range(wanted: UsageFilter, *, now: datetime) -> None:
    """What is read slice by slice has one bound, whatever the grain and zone.

    Raises:
        RangeInFuture, RangeTooLong
    """
    _check(wanted, RANGE_MAX, now)


def _check(wanted: UsageFilter, longest: timedelta, now: datetime) -> None:
    if wanted.period.starts_at > now:
        raise RangeInFuture
    if wanted.period.ends_at - wanted.period.starts_at > longest:
        raise RangeTooLong(days_max=longest.days)


def to_period(starts_at: datetime, ends_at: datetime) -> Period:
    """A half-open range.

    Raises:
        RangeReversed
    """
    if ends_at <= starts_at:
        raise RangeReversed
    return Period(starts_at=starts_at, ends_at=ends_at)


def to_zone(name: str) -> ZoneInfo:
    """A zone of the IANA database.

    Raises:
        UnknownZone
    """
    try:
        return ZoneInfo(name)
    except (ZoneInfoNotFoundError, ValueError, OSError) as error:
        raise UnknownZone from error


class RunningQuantities:
    """Turns base units, in order of time, into sold quantities that telescope."""

    def __init__(self) -> None:
        self._sums = dict.fromkeys(UsageMetric, 0)

    def add(self, metric: UsageMetric, base_quantities: Iterable[int]) -> list[Decimal]:
        """What each of them adds to the floor₆ of everything so far."""
        total = self._sums[metric]
        told = to_micro_units(metric, total)
        found = []
        for base_quantity in base_quantities:
            total += base_quantity
            sold = to_micro_units(metric, total)
            found.append(Decimal(sold - told).scaleb(-6))
            told = sold
        self._sums[metric] = total
        return found


def price_blocks(
    blocks: Iterable[UsageBlock],
    wanted: UsageFilter,
    unit_prices_minor: Mapping[UsageMetric, Decimal],
    running: RunningQuantities,
) -> Iterator[HistoryBlock]:
    """Each block with its quantities and costs, in the order given, which must be that of time."""
    for block in blocks:
        quantities = running.add(block.metric, block.quantities)
        price = unit_prices_minor[block.metric]
        yield HistoryBlock(
            starts_at=max(block.starts_at, wanted.period.starts_at),
            ends_at=min(bucket_end(block.starts_at, wanted.grain, wanted.zone), wanted.period.ends_at),
            metric=block.metric,
            unit_price_minor=price,
            service_ids=block.service_ids,
            base_quantities=block.quantities,
            quantities=quantities,
            costs_minor=[EXACT.multiply(quantity, price) for quantity in quantities],
        )


def make_history(
    blocks: Sequence[UsageBlock], wanted: UsageFilter, unit_prices_minor: Mapping[UsageMetric, Decimal]
) -> UsageHistory:
    """The blocks with their costs, and their totals."""
    priced = tuple(price_blocks(blocks, wanted, unit_prices_minor, RunningQuantities()))
    totals = tuple(
        _total(metric, priced, unit_prices_minor[metric]) for metric in UsageMetric if metric in wanted.metrics
    )
    return UsageHistory(wanted=wanted, blocks=priced, totals=totals)


def _total(metric: UsageMetric, blocks: Sequence[HistoryBlock], unit_price_minor: Decimal) -> HistoryTotal:
    base_quantity = sum(sum(block.base_quantities) for block in blocks if block.metric is metric)
    quantity = to_sold_quantity(metric, base_quantity)
    return HistoryTotal(
        metric=metric,
        base_quantity=base_quantity,
        quantity=quantity,
        unit=SOLD_UNITS[metric].name,
        unit_price_minor=unit_price_minor,
        cost_minor=EXACT.multiply(quantity, unit_price_minor),
    )

"""What a usage page is made of, and its sums: by bucket and metric, by service and metric. Pure.

Sums are taken of the very rows that the API and the files tell, so page, API and file agree to the last digit.
"""

from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from decimal import ROUND_HALF_UP, Decimal
from itertools import groupby
from operator import attrgetter

from helvetia.catalogue.plans import ResourceLimits
from helvetia.catalogue.prices import CURRENCY
from helvetia.costs.changes.model import NO_CHANGES, Changes
from helvetia.costs.compare import Comparison
from helvetia.costs.history import HistoryBlock, UsageHistory
from helvetia.costs.model import LATE_AFTER
from helvetia.kernel.identity import ServiceId
from helvetia.kernel.money import EXACT, round_metered_line
from helvetia.kernel.period import Period
from helvetia.kernel.quantity import UsageMetric
from helvetia.metering.history.local_days import bucket_end
from helvetia.metering.history.model import Grain
from helvetia.metering.model import LateHost, UsageTotals
from helvetia.web.dashboard.usage.query import UsageQuery
from helvetia.web.dashboard.voice import Voice

_ZERO = Decimal(0)


@dataclass(frozen=True, slots=True, kw_only=True)
class Sum:
    """A quantity in the sold unit and its cost with all its places."""

    quantity: Decimal = _ZERO
    cost_minor: Decimal = _ZERO

    def __add__(self, other: "Sum") -> "Sum":
        return Sum(quantity=self.quantity + other.quantity, cost_minor=self.cost_minor + other.cost_minor)


NOTHING = Sum()


@dataclass(frozen=True, slots=True, kw_only=True)
class Bucket:
    """An hour, a day or a month of the range, with what was used of each metric in it."""

    starts_at: datetime
    ends_at: datetime
    sums: Mapping[UsageMetric, Sum]

    @property
    def cost_minor(self) -> Decimal:
        return sum((one.cost_minor for one in self.sums.values()), _ZERO)


@dataclass(frozen=True, slots=True, kw_only=True)
class UsageFacts:
    """What the services answered within one request; `history` is None where it would hold too many rows."""

    query: UsageQuery
    current: Period
    previous: Period
    period: Period
    history: UsageHistory | None
    totals: UsageTotals
    names: Mapping[ServiceId, str]
    limits: ResourceLimits
    voice: Voice
    late_hosts: Sequence[LateHost] = ()
    comparison: Comparison | None = None
    changes: Changes = NO_CHANGES
    mark: str = ""
    grain: Grain = field(init=False)
    utc: Voice = field(init=False)
    """Speaks of days as they are counted, in UTC."""

    def __post_init__(self) -> None:
        object.__setattr__(self, "grain", self.query.fitting_grain(self.period))
        object.__setattr__(self, "utc", replace(self.voice, zone=UTC))

    @property
    def is_billing_period(self) -> bool:
        return self.period in (self.current, self.previous)

    @property
    def until(self) -> datetime:
        """The end of what can have been used by now."""
        return min(self.voice.now, self.period.ends_at)

    @property
    def is_late(self) -> bool:
        """Whether something of it was last looked at long ago."""
        return is_late(self.totals, self.until)

    @property
    def blocks(self) -> Sequence[HistoryBlock]:
        return () if self.history is None else self.history.blocks

    def money(self, amount_minor: int) -> str:
        return self.voice.money(amount_minor, CURRENCY)

    def exact_money(self, amount_minor: Decimal) -> str:
        return self.voice.exact_money(amount_minor, CURRENCY)


def to_cents(cost_minor: Decimal) -> int:
    """For reading only; sums are of exact costs, and a bill rounds once."""
    return int(cost_minor.to_integral_value(rounding=ROUND_HALF_UP))


def is_late(totals: UsageTotals, until: datetime) -> bool:
    return totals.as_of is not None and until - totals.as_of > LATE_AFTER


def by_metric(facts: UsageFacts) -> Mapping[UsageMetric, Sum]:
    totals = () if facts.history is None else facts.history.totals
    return {total.metric: Sum(quantity=total.quantity, cost_minor=total.cost_minor) for total in totals}


def amount_minor(facts: UsageFacts, metric: UsageMetric) -> int:
    """What the invoice's line would be: the quantity times the price, rounded once."""
    totals = () if facts.history is None else facts.history.totals
    total = next(one for one in totals if one.metric is metric)
    return round_metered_line(total.quantity, total.unit_price_minor)


def buckets(facts: UsageFacts) -> Sequence[Bucket]:
    """Every hour, day or month of the range, those without usage too."""
    sums: dict[datetime, dict[UsageMetric, Sum]] = defaultdict(dict)
    for block in facts.blocks:
        sums[block.starts_at][block.metric] = _sum(block.quantities, block.unit_price_minor)
    found, start = [], facts.period.starts_at.astimezone(UTC)
    zone = facts.query.to_filter(facts.period).zone
    while start < facts.period.ends_at:
        end = min(bucket_end(_floor(start, facts.grain), facts.grain, zone), facts.period.ends_at)
        found.append(Bucket(starts_at=start, ends_at=end, sums=sums.get(start, {})))
        start = end
    return found


def by_service(facts: UsageFacts) -> Mapping[ServiceId, Mapping[UsageMetric, Sum]]:
    """What each service used over the range, the dearest first."""
    quantities: dict[ServiceId, dict[UsageMetric, Decimal]] = defaultdict(dict)
    prices = {block.metric: block.unit_price_minor for block in facts.blocks}
    for metric, service_ids, columns in _runs(facts.blocks):
        for service_id, found in zip(service_ids, zip(*columns, strict=True), strict=True):
            if service_id is not None:
                of_service = quantities[service_id]
                of_service[metric] = sum(found, of_service.get(metric, _ZERO))
    sums = {
        service_id: {metric: _sum([quantity], prices[metric]) for metric, quantity in of_service.items()}
        for service_id, of_service in quantities.items()
    }
    return dict(sorted(sums.items(), key=lambda one: (-cost_of(one[1]), facts.names.get(one[0], ""), one[0])))


def _runs(
    blocks: Sequence[HistoryBlock],
) -> Iterator[tuple[UsageMetric, Sequence[ServiceId | None], Sequence[Sequence[Decimal]]]]:
    """The quantities of a metric's blocks that follow one another with the same services, to be added at once."""
    for metric in UsageMetric:
        of_metric = [block for block in blocks if block.metric is metric]
        for service_ids, run in groupby(of_metric, key=attrgetter("service_ids")):
            yield metric, service_ids, [block.quantities for block in run]


def cost_of(sums: Mapping[UsageMetric, Sum]) -> Decimal:
    return sum((one.cost_minor for one in sums.values()), _ZERO)


def _sum(quantities: Sequence[Decimal], unit_price_minor: Decimal) -> Sum:
    quantity = sum(quantities, _ZERO)
    return Sum(quantity=quantity, cost_minor=EXACT.multiply(quantity, unit_price_minor))


def _floor(instant: datetime, grain: Grain) -> datetime:
    start = instant.replace(minute=0, second=0, microsecond=0)
    if grain is Grain.HOUR:
        return start
    return start.replace(hour=0) if grain is Grain.DAY else start.replace(hour=0, day=1)

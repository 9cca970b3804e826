"""The arrow usage of two stretches of time → what changed: a range beside the equally long one right before it. Pure.

Both are read alike, each by itself; a difference is the one less the other, with all places, and nothing is put down to
a cause. Of a range that goes on, only what has passed is compared.
"""

from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal

from helvetia.costs.history import HistoryTotal, UsageHistory
from helvetia.kernel.identity import ServiceId
from helvetia.kernel.period import Period

_ZERO = Decimal(0)


@dataclass(frozen=True, slots=True, kw_only=True)
class ServiceChange:
    """What a service cost in the range and in the one before, in minor units with all places."""

    service_id: ServiceId
    cost_minor: Decimal
    cost_before_minor: Decimal

    @property
    def difference_minor(self) -> Decimal:
        return self.cost_minor - self.cost_before_minor


@dataclass(frozen=True, slots=True, kw_only=True)
class Comparison:
    """`before` is what a range is compared with; `is_complete_before`: no gap touches that, so that it is no less than
    it should be. `totals` and `totals_before`: one for each metric asked for, in the same order.
    """

    before: Period
    is_complete_before: bool
    totals: Sequence[HistoryTotal]
    totals_before: Sequence[HistoryTotal]
    services: Mapping[ServiceId, ServiceChange]

    @property
    def cost_minor(self) -> Decimal:
        return sum((total.cost_minor for total in self.totals), _ZERO)

    @property
    def cost_before_minor(self) -> Decimal:
        return sum((total.cost_minor for total in self.totals_before), _ZERO)

    @property
    def difference_minor(self) -> Decimal:
        return self.cost_minor - self.cost_before_minor


def stretch_before(period: Period, now: datetime) -> Period:
    """As long as what has passed of the range, and right before it."""
    passed = max(min(now, period.ends_at), period.starts_at) - period.starts_at
    return Period(starts_at=period.starts_at - passed, ends_at=period.starts_at)


def compare(after: UsageHistory, before: UsageHistory, *, is_complete_before: bool) -> Comparison:
    """Two histories of the same filters but their range."""
    costs, costs_before = _by_service(after), _by_service(before)
    return Comparison(
        before=before.wanted.period,
        is_complete_before=is_complete_before,
        totals=after.totals,
        totals_before=before.totals,
        services={
            service_id: ServiceChange(
                service_id=service_id,
                cost_minor=costs.get(service_id, _ZERO),
                cost_before_minor=costs_before.get(service_id, _ZERO),
            )
            for service_id in sorted(costs.keys() | costs_before.keys())
        },
    )


def _by_service(history: UsageHistory) -> Mapping[ServiceId, Decimal]:
    found: dict[ServiceId, Decimal] = defaultdict(Decimal)
    for block in history.blocks:
        for service_id, cost_minor in zip(block.service_ids, block.costs_minor, strict=True):
            if service_id is not None:
                found[service_id] += cost_minor
    return found

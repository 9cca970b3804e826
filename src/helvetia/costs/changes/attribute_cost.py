"""The arrow changes, daily usage → what each change did to the cost of a day. Pure.

The mean of the full UTC days after a change against that of the days before it, at most DAYS_MAX each, and never beyond
the neighbouring change of the same service. The day of a change itself is in neither: it is partly of both. A day that
reaches into a gap of metering is no evidence, so there is no figure then.
"""

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal

from helvetia.costs.changes.model import ChangeCost, ChangeKind, NoDifference, RecordedChange
from helvetia.kernel.identity import ServiceId
from helvetia.kernel.money import EXACT
from helvetia.kernel.quantity import UsageMetric, to_sold_quantity
from helvetia.metering.model import RolledUsage

DAYS_MAX = 7
DAY = timedelta(days=1)

Span = tuple[date, date]


@dataclass(frozen=True, slots=True, kw_only=True)
class Evidence:
    """Usage by UTC day of the changed services, days that reach into a gap, prices, and the first day not over yet."""

    usage: Iterable[RolledUsage]
    gap_days: Mapping[ServiceId, frozenset[date]]
    unit_prices_minor: Mapping[UsageMetric, Decimal]
    today: date


def attribute_cost(changes: Sequence[RecordedChange], evidence: Evidence) -> list[ChangeCost]:
    """Each change, in the order given, with what it did; `changes` holds the neighbours of all that matter."""
    by_service: dict[ServiceId, list[RecordedChange]] = defaultdict(list)
    for change in sorted(changes, key=lambda one: one.at):
        by_service[change.service_id].append(change)
    usage: dict[ServiceId, list[RolledUsage]] = defaultdict(list)
    for rolled in evidence.usage:
        usage[rolled.service_id].append(rolled)
    return [_attribute(one, by_service[one.service_id], usage[one.service_id], evidence) for one in changes]


def day_of(at: datetime) -> date:
    return at.astimezone(UTC).date()


def _attribute(
    change: RecordedChange, of_service: Sequence[RecordedChange], usage: Sequence[RolledUsage], evidence: Evidence
) -> ChangeCost:
    day = day_of(change.at)
    days = [day_of(one.at) for one in of_service]
    if days.count(day) > 1:
        return ChangeCost(change=change, reason=NoDifference.SEVERAL_THAT_DAY)
    before = max([day - DAYS_MAX * DAY, *(one + DAY for one in days if one < day)]), day
    after = day + DAY, min([day + (DAYS_MAX + 1) * DAY, evidence.today, *(one for one in days if one > day)])
    is_new = change.kind is ChangeKind.CREATED
    if _length(after) < 1:
        return ChangeCost(change=change, reason=NoDifference.NO_FULL_DAY_AFTER)
    if _length(before) < 1 and not is_new:
        return ChangeCost(change=change, reason=NoDifference.NO_FULL_DAY_BEFORE)
    gaps = evidence.gap_days.get(change.service_id, frozenset())
    if any(first <= gap < last for gap in gaps for first, last in ((after,) if is_new else (before, after))):
        return ChangeCost(change=change, reason=NoDifference.GAPS)
    prices = evidence.unit_prices_minor
    return ChangeCost(
        change=change,
        days_before=0 if is_new else _length(before),
        days_after=_length(after),
        before_minor=Decimal(0) if is_new else _mean_minor(usage, before, prices),
        after_minor=_mean_minor(usage, after, prices),
    )


def _length(span: Span) -> int:
    return (span[1] - span[0]).days


def _mean_minor(usage: Iterable[RolledUsage], span: Span, prices: Mapping[UsageMetric, Decimal]) -> Decimal:
    """Of a day: what the span's usage costs, by its length; exact but for the division."""
    sums: dict[UsageMetric, int] = defaultdict(int)
    for one in usage:
        if span[0] <= one.starts_on < span[1]:
            sums[one.metric] += one.quantity
    costs = (EXACT.multiply(to_sold_quantity(metric, quantity), prices[metric]) for metric, quantity in sums.items())
    return sum(costs, Decimal(0)) / _length(span)

"""What a change did to the cost of a day: full days only, never beyond a neighbour, and an honest word where none."""

import random
from collections.abc import Mapping, Sequence
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from fractions import Fraction

import pytest

from helvetia.costs.changes.attribute_cost import DAYS_MAX, Evidence, attribute_cost
from helvetia.costs.changes.model import ChangeCost, ChangeKind, NoDifference, RecordedChange
from helvetia.kernel.identity import ServiceId, new_service_id
from helvetia.kernel.quantity import NS_PER_HOUR, UsageMetric
from helvetia.metering.model import RolledUsage

FIRST = date(2026, 3, 1)
WEB, API = new_service_id(), new_service_id()
PRICES = {metric: Decimal(1) for metric in UsageMetric}


def day(number: int) -> date:
    return FIRST + timedelta(days=number)


def change(
    number: int, kind: ChangeKind = ChangeKind.DEPLOYED, *, hour: int = 12, of: ServiceId = WEB
) -> RecordedChange:
    return RecordedChange(at=datetime(2026, 3, 1, hour, tzinfo=UTC) + timedelta(days=number), service_id=of, kind=kind)


def hours(of_day: Mapping[int, int], of: ServiceId = WEB) -> list[RolledUsage]:
    """Compute hours by day; an hour costs a cent."""
    return [
        RolledUsage(
            starts_on=day(number), service_id=of, metric=UsageMetric.COMPUTE_HOURS, quantity=count * NS_PER_HOUR
        )
        for number, count in of_day.items()
    ]


def attribute(
    changes: Sequence[RecordedChange],
    usage: Sequence[RolledUsage],
    *,
    today: int = 30,
    gaps: Mapping[ServiceId, frozenset[date]] | None = None,
) -> list[ChangeCost]:
    evidence = Evidence(usage=usage, gap_days=gaps or {}, unit_prices_minor=PRICES, today=day(today))
    return attribute_cost(changes, evidence)


def test_the_day_of_the_change_is_in_neither_mean() -> None:
    usage = hours({**dict.fromkeys(range(10), 24), 10: 999, **dict.fromkeys(range(11, 20), 48)})
    [found] = attribute([change(10)], usage)
    assert (found.before_minor, found.after_minor, found.difference_minor) == (24, 48, 24)
    assert (found.days_before, found.days_after, found.reason) == (DAYS_MAX, DAYS_MAX, None)


def test_days_end_at_the_neighbouring_change_and_at_today() -> None:
    usage = hours({0: 5, 1: 10, 2: 10, 3: 99, 4: 20, 5: 20, 6: 99, 7: 30, 8: 99})
    found = attribute([change(6), change(3), change(0, ChangeKind.CREATED)], usage, today=8)
    assert [(one.before_minor, one.after_minor) for one in found] == [(20, 30), (10, 20), (0, 10)]
    assert [(one.days_before, one.days_after) for one in found] == [(2, 1), (2, 2), (0, 2)]


def test_another_services_change_is_no_neighbour() -> None:
    [found, _] = attribute([change(10), change(9, of=API)], hours(dict.fromkeys(range(20), 7)))
    assert (found.days_before, found.difference_minor) == (DAYS_MAX, 0)


@pytest.mark.parametrize(
    ("changes", "today", "reason"),
    [
        ([change(10)], 10, NoDifference.NO_FULL_DAY_AFTER),
        ([change(10)], 11, NoDifference.NO_FULL_DAY_AFTER),
        ([change(10), change(11)], 20, NoDifference.NO_FULL_DAY_AFTER),
        ([change(10), change(9)], 20, NoDifference.NO_FULL_DAY_BEFORE),
        ([change(10), change(10, hour=3)], 20, NoDifference.SEVERAL_THAT_DAY),
    ],
)
def test_where_nobody_can_say_the_reason_is_told(
    changes: Sequence[RecordedChange], today: int, reason: NoDifference
) -> None:
    found = attribute(changes, hours(dict.fromkeys(range(20), 7)), today=today)[0]
    assert (found.difference_minor, found.before_minor, found.reason) == (None, None, reason)


@pytest.mark.parametrize(("gap", "is_told"), [(2, True), (3, False), (9, False), (10, True), (17, False), (18, True)])
def test_a_gap_in_the_days_that_are_compared_leaves_no_figure(gap: int, is_told: bool) -> None:
    usage = hours(dict.fromkeys(range(20), 7))
    [found] = attribute([change(10)], usage, gaps={WEB: frozenset({day(gap)})})
    assert (found.difference_minor is not None) is is_told
    assert (found.reason is NoDifference.GAPS) is not is_told


def test_a_new_service_cost_nothing_before_and_a_deleted_one_nothing_after() -> None:
    usage = hours(dict.fromkeys(range(4, 10), 24))
    created, deleted = attribute([change(3, ChangeKind.CREATED), change(10, ChangeKind.DELETED)], usage)
    assert (created.before_minor, created.difference_minor, created.days_before) == (0, 24, 0)
    assert (deleted.before_minor, deleted.after_minor) == (24, 0)


def test_random_changes_equal_exact_fractions() -> None:
    chance = random.Random(8)
    for _ in range(300):
        counts = {number: chance.randrange(40) for number in range(28) if chance.random() < 0.8}
        days = sorted(chance.sample(range(28), chance.randrange(1, 5)), reverse=True)
        today = chance.randrange(20, 29)
        for index, found in enumerate(attribute([change(one) for one in days], hours(counts), today=today)):
            if found.reason is not None:
                continue
            later = days[index - 1] if index else 99
            earlier = days[index + 1] if index + 1 < len(days) else -99
            before = range(max(days[index] - DAYS_MAX, earlier + 1), days[index])
            after = range(days[index] + 1, min(days[index] + DAYS_MAX + 1, later, today))
            for span, told in ((before, found.before_minor), (after, found.after_minor)):
                exact = Fraction(sum(counts.get(one, 0) for one in span), len(span))
                assert told is not None
                assert abs(Fraction(told) - exact) < Fraction(1, 10**20)

"""Windows of time: meters that keep the last event of an hour or day, and summaries grouped by them."""

from __future__ import annotations

from typing import Any

import pytest

from sandbox.harness import DAY, MONTH_START, World

HOUR = 3600
FEB_1 = MONTH_START + 31 * DAY
SPANS = {"hour": HOUR, "day": DAY}
EACH_WINDOW = pytest.mark.parametrize("window", SPANS)


def add_meter(world: World, formula: str = "sum", **extra: Any) -> None:
    """A meter of the name of its window (or ``raw``), and a price of 1 cent on it."""
    v1, name = world.client.v1, extra.get("event_time_window", "raw")
    meter = {"display_name": name, "event_name": name, "default_aggregation": {"formula": formula}, **extra}
    world.meters[name] = v1.billing.meters.create(meter).id
    world.product = world.product or v1.products.create({"name": "PRO"}).id
    recurring = {"interval": "month", "usage_type": "metered", "meter": world.meters[name]}
    shape = {"currency": "usd", "product": world.product, "unit_amount": 1, "recurring": recurring}
    world.prices[name] = v1.prices.create(shape).id


def summaries(world: World, name: str, customer: str, start: int, end: int, **extra: Any) -> dict[int, Any]:
    """The figure of each summary by its start, newest first."""
    params = {"customer": customer, "start_time": start, "end_time": end, "limit": 100, **extra}
    found = world.client.v1.billing.meters.event_summaries.list(world.meters[name], params).data
    return {one.start_time: one.aggregated_value for one in found}


@EACH_WINDOW
def test_later_event_replaces_the_earlier_one_of_its_window(world: World, window: str) -> None:
    add_meter(world, event_time_window=window)
    customer, span = world.customer(world.clock(MONTH_START + 3 * DAY), card=None), SPANS[window]
    for at, value in ((0, "10"), (span - 1, "20"), (span, "3"), (2 * span - 1, "4")):
        world.use(window, customer, value, MONTH_START + at)
    found = summaries(world, window, customer, MONTH_START, MONTH_START + 2 * DAY)
    assert found == {MONTH_START: 24}
    grouped = summaries(world, window, customer, MONTH_START, MONTH_START + 2 * DAY, value_grouping_window=window)
    assert grouped == {MONTH_START + span: 4, MONTH_START: 20}


@EACH_WINDOW
def test_greatest_timestamp_wins_not_the_last_to_arrive(world: World, window: str) -> None:
    add_meter(world, event_time_window=window)
    customer = world.customer(world.clock(MONTH_START + DAY), card=None)
    for at, value in ((50, "5"), (10, "7"), (50, "6"), (20, "8")):
        world.use(window, customer, value, MONTH_START + at)
    assert summaries(world, window, customer, MONTH_START, MONTH_START + DAY) == {MONTH_START: 6}


@EACH_WINDOW
def test_event_that_is_cancelled_gives_way_to_the_one_before(world: World, window: str) -> None:
    add_meter(world, event_time_window=window)
    customer = world.customer(world.clock(MONTH_START + DAY), card=None)
    for at, value in ((10, "7"), (50, "5")):
        world.use(window, customer, value, MONTH_START + at, identifier=f"at {at}")
    wish = {"event_name": window, "type": "cancel", "cancel": {"identifier": "at 50"}}
    world.client.v1.billing.meter_event_adjustments.create(wish)
    assert summaries(world, window, customer, MONTH_START, MONTH_START + DAY) == {MONTH_START: 7}


@EACH_WINDOW
def test_windows_of_two_customers_do_not_touch(world: World, window: str) -> None:
    add_meter(world, event_time_window=window)
    clock = world.clock(MONTH_START + DAY)
    first, second = (world.customer(clock, card=None) for _ in range(2))
    world.use(window, first, "7", MONTH_START)
    world.use(window, second, "9", MONTH_START + 1)
    found = [summaries(world, window, one, MONTH_START, MONTH_START + DAY)[MONTH_START] for one in (first, second)]
    assert found == [7, 9]


@pytest.mark.parametrize(("formula", "expected"), [("count", 2), ("last", 4), ("sum", 6)])
def test_formula_counts_what_the_windows_keep(world: World, formula: str, expected: int) -> None:
    add_meter(world, formula, event_time_window="hour")
    customer = world.customer(world.clock(MONTH_START + DAY), card=None)
    for at, value in ((0, "9"), (1, "2"), (HOUR, "9"), (HOUR + 1, "4")):
        world.use("hour", customer, value, MONTH_START + at)
    assert summaries(world, "hour", customer, MONTH_START, MONTH_START + DAY) == {MONTH_START: expected}


def test_bill_counts_each_window_once_while_a_raw_meter_counts_every_event(world: World) -> None:
    for window in ("hour", "day"):
        add_meter(world, event_time_window=window)
    add_meter(world)
    clock = world.clock()
    customer = world.customer(clock)
    subscription = world.subscribe(customer)
    world.advance(clock, MONTH_START + DAY)
    for name in ("hour", "day", "raw"):
        for at, value in ((0, "100"), (HOUR // 2, "200"), (HOUR, "400")):
            world.use(name, customer, value, MONTH_START + at)
    world.advance(clock, FEB_1 + 2 * HOUR)
    lines = world.client.v1.invoices.line_items.list(world.invoices(subscription.id)[0].id).data
    billed = {line.pricing.price_details.price: line.amount for line in lines}
    assert billed == {world.prices["hour"]: 600, world.prices["day"]: 400, world.prices["raw"]: 700}


@EACH_WINDOW
def test_summaries_of_a_raw_meter_are_grouped_with_their_edges_half_open(world: World, window: str) -> None:
    add_meter(world)
    customer, span = world.customer(world.clock(MONTH_START + 4 * DAY), card=None), SPANS[window]
    for at in (0, span - 1, span, 3 * span - 1, 3 * span):
        world.use("raw", customer, "1", MONTH_START + at)
    end = MONTH_START + 3 * span
    found = summaries(world, "raw", customer, MONTH_START, end, value_grouping_window=window)
    assert list(found.items()) == [(MONTH_START + 2 * span, 1), (MONTH_START + span, 1), (MONTH_START, 2)]
    pages = world.client.v1.billing.meters.event_summaries.list(
        world.meters["raw"],
        {"customer": customer, "start_time": MONTH_START, "end_time": end, "value_grouping_window": window, "limit": 1},
    )
    assert [one.start_time for one in pages.auto_paging_iter()] == list(found)


def test_days_of_a_month_add_up_to_the_month(world: World) -> None:
    add_meter(world)
    customer = world.customer(world.clock(FEB_1), card=None)
    for day in range(0, 31, 3):
        world.use("raw", customer, "0.25", MONTH_START + day * DAY + 7 * HOUR)
    days = summaries(world, "raw", customer, MONTH_START, FEB_1, value_grouping_window="day")
    assert len(days) == 11
    assert summaries(world, "raw", customer, MONTH_START, FEB_1) == {MONTH_START: sum(days.values())}

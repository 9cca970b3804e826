"""Meter events: what is accepted, what is refused, what the summaries say."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any

import pytest
import stripe

from sandbox.harness import Http, World

JAN_1 = 1_767_225_600
HOUR = 3600
DAY = 86_400


@pytest.fixture
def metered(world: World) -> tuple[World, str]:
    world.catalogue()
    return world, world.customer(card=None)


def send(world: World, customer: str, value: str = "1", name: str = "compute", **extra: Any) -> Any:
    payload = {"stripe_customer_id": customer, "value": value}
    return world.client.v1.billing.meter_events.create({"event_name": name, "payload": payload, **extra})


def summaries(world: World, customer: str, start: int, end: int, **extra: Any) -> list[Any]:
    params = {"customer": customer, "start_time": start, "end_time": end, "limit": 100, **extra}
    return world.client.v1.billing.meters.event_summaries.list(world.meters["compute"], params).data


def refusal(function: Callable[..., Any], *arguments: Any, **extra: Any) -> stripe.InvalidRequestError:
    with pytest.raises(stripe.InvalidRequestError) as refused:
        function(*arguments, **extra)
    assert refused.value.http_status == 400
    return refused.value


def test_identifier_is_taken_once(metered: Any) -> None:
    world, customer = metered
    send(world, customer, identifier="one")
    assert refusal(send, world, customer, identifier="one").param == "identifier"
    assert "one" in refusal(send, world, customer, "2", "memory", identifier="one").user_message


def test_identifier_is_free_again_after_a_day(metered: Any, http: Http) -> None:
    world, customer = metered
    send(world, customer, identifier="one")
    http.post("/_sandbox/clock/advance", {"seconds": DAY - 60})
    refusal(send, world, customer, identifier="one")
    http.post("/_sandbox/clock/advance", {"seconds": 120})
    send(world, customer, identifier="one")


def test_unknown_event_name_is_refused(metered: Any) -> None:
    world, customer = metered
    error = refusal(send, world, customer, name="nothing")
    assert (error.code, error.param) == ("resource_missing", "event_name")
    world.client.v1.billing.meters.deactivate(world.meters["compute"])
    assert refusal(send, world, customer).code == "resource_missing"


def test_timestamp_is_held_to_the_sandbox_clock(metered: Any) -> None:
    world, customer = metered
    now = int(time.time())
    send(world, customer, timestamp=now + 290)
    send(world, customer, timestamp=now - 35 * DAY + 60)
    assert refusal(send, world, customer, timestamp=now + 400).param == "timestamp"
    assert refusal(send, world, customer, timestamp=now - 35 * DAY - 60).param == "timestamp"


def test_timestamp_is_held_to_the_customers_test_clock(world: World) -> None:
    world.catalogue()
    customer = world.customer(world.clock(JAN_1), card=None)
    assert send(world, customer).timestamp == JAN_1
    send(world, customer, timestamp=JAN_1 - 35 * DAY)
    send(world, customer, timestamp=JAN_1 + 300)
    refusal(send, world, customer, timestamp=JAN_1 + 301)
    refusal(send, world, customer, timestamp=JAN_1 - 35 * DAY - 1)


@pytest.mark.parametrize("value", ["1", "0", "-3", "0.000001", "123456789.123456", "999999999999999", "00012.50"])
def test_number_of_at_most_15_digits_counts(metered: Any, value: str) -> None:
    world, customer = metered
    assert send(world, customer, value).payload["value"] == value


@pytest.mark.parametrize(
    "value", ["1234567890123456", "1.234567890123456", "0.1234567890123456", "1." + "0" * 30 + "1"]
)
def test_more_than_15_digits_are_refused(metered: Any, value: str) -> None:
    world, customer = metered
    assert refusal(send, world, customer, value).param == "payload[value]"


def test_payload_without_its_keys_is_refused(metered: Any) -> None:
    world, _customer = metered
    create = world.client.v1.billing.meter_events.create
    assert refusal(create, {"event_name": "compute", "payload": {"value": "1"}}).param == "payload[stripe_customer_id]"
    error = refusal(create, {"event_name": "compute", "payload": {"stripe_customer_id": "cus_x"}})
    assert error.param == "payload[value]"


def test_unknown_customer_and_bad_value_are_taken_and_reported_later(metered: Any, http: Http) -> None:
    world, customer = metered
    send(world, "cus_nobody", identifier="nobody")
    send(world, customer, "abc", identifier="letters")
    faults = {row["identifier"]: row["fault"] for row in http.get("/_sandbox/meter_faults").json()["data"]}
    assert faults == {"nobody": "meter_event_customer_not_found", "letters": "meter_event_invalid_value"}


def test_summaries_add_up_and_group_by_window(metered: Any) -> None:
    world, _customer = metered
    customer = world.customer(world.clock(JAN_1 + DAY), card=None)
    for hour, value in ((0, "1.5"), (0, "2.25"), (1, "-1"), (5, "0.1")):
        send(world, customer, value, timestamp=JAN_1 + hour * HOUR + 7)
    (whole,) = summaries(world, customer, JAN_1, JAN_1 + DAY)
    assert (whole.aggregated_value, whole.start_time, whole.end_time) == (2.85, JAN_1, JAN_1 + DAY)
    hours = summaries(world, customer, JAN_1, JAN_1 + DAY, value_grouping_window="hour")
    assert [(one.start_time - JAN_1) // HOUR for one in hours] == [5, 1, 0]
    assert [one.aggregated_value for one in hours] == [0.1, -1, 3.75]
    (day,) = summaries(world, customer, JAN_1, JAN_1 + DAY, value_grouping_window="day")
    assert day.aggregated_value == 2.85
    assert summaries(world, customer, JAN_1 + DAY, JAN_1 + 2 * DAY) == []


@pytest.mark.parametrize(
    ("start", "end", "extra"),
    [
        (JAN_1 + 1, JAN_1 + DAY, {}),
        (JAN_1, JAN_1 + 59, {}),
        (JAN_1 + 60, JAN_1 + DAY, {"value_grouping_window": "hour"}),
        (JAN_1 + HOUR, JAN_1 + DAY, {"value_grouping_window": "day"}),
        (JAN_1, JAN_1, {}),
    ],
)
def test_summary_times_off_the_grid_are_refused(metered: Any, start: int, end: int, extra: dict[str, str]) -> None:
    world, customer = metered
    refusal(summaries, world, customer, start, end, **extra)


def test_adjustment_cancels_an_event_within_a_day(metered: Any, http: Http) -> None:
    world, _customer = metered
    customer = world.customer(world.clock(JAN_1 + HOUR), card=None)
    adjust = world.client.v1.billing.meter_event_adjustments.create
    for identifier in ("keep", "drop", "late"):
        send(world, customer, "5", identifier=identifier, timestamp=JAN_1)
    params = {"event_name": "compute", "type": "cancel", "cancel": {"identifier": "drop"}}
    assert adjust(params).status == "complete"
    (summary,) = summaries(world, customer, JAN_1, JAN_1 + HOUR)
    assert summary.aggregated_value == 10
    refusal(adjust, {**params, "cancel": {"identifier": "unknown"}})
    http.post("/_sandbox/clock/advance", {"seconds": DAY + 1})
    refusal(adjust, {**params, "cancel": {"identifier": "late"}})


@pytest.mark.parametrize(("formula", "expected"), [("count", 3), ("last", 4)])
def test_count_and_last_meters_aggregate_their_way(world: World, formula: str, expected: Any) -> None:
    meter = {"display_name": "x", "event_name": "x", "default_aggregation": {"formula": formula}}
    world.meters["compute"] = world.client.v1.billing.meters.create(meter).id
    customer = world.customer(world.clock(JAN_1 + HOUR), card=None)
    for second, value in ((3, "4"), (1, "9"), (2, "7")):
        send(world, customer, value, name="x", timestamp=JAN_1 + second)
    assert summaries(world, customer, JAN_1, JAN_1 + HOUR)[0].aggregated_value == expected


def test_hourly_window_keeps_the_later_event_of_an_hour(world: World) -> None:
    meter = {
        "display_name": "x",
        "event_name": "x",
        "default_aggregation": {"formula": "sum"},
        "event_time_window": "hour",
    }
    world.meters["compute"] = world.client.v1.billing.meters.create(meter).id
    customer = world.customer(world.clock(JAN_1 + DAY), card=None)
    for second, value in ((1, "10"), (2, "20"), (HOUR + 1, "3")):
        send(world, customer, value, name="x", timestamp=JAN_1 + second)
    assert summaries(world, customer, JAN_1, JAN_1 + DAY)[0].aggregated_value == 23

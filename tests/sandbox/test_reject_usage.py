"""The fault switch that rejects good usage after it was taken: what it strikes, what is told, what is written down."""

from __future__ import annotations

from typing import Any

import pytest
import stripe

from sandbox.harness import Http, World

SENT = 40
REPORTED = "v1.billing.meter.error_report_triggered"


def switch(http: Http, **fields: Any) -> dict[str, Any]:
    answer = http.post("/_sandbox/faults", {"kind": "reject_usage", **fields})
    assert answer.status_code == 200, answer.text
    return answer.json()


def send(world: World, customer: str, count: int, *, name: str = "compute", prefix: str = "u") -> None:
    for number in range(count):
        payload = {"stripe_customer_id": customer, "value": "1"}
        world.client.v1.billing.meter_events.create(
            {"event_name": name, "payload": payload, "identifier": f"{prefix}{number}"}
        )


def counted(world: World, customer: str) -> int:
    now = int(world.client.v1.customers.retrieve(customer).created) // 60 * 60
    span = {"customer": customer, "start_time": now - 3600, "end_time": now + 3600}
    found = world.client.v1.billing.meters.event_summaries.list(world.meters["compute"], span).data
    return int(sum(one.aggregated_value for one in found))


def rejected(http: Http) -> list[str]:
    return [one["identifier"] for one in http.get("/_sandbox/meter_faults").json()["data"]]


def test_struck_usage_is_taken_counts_nowhere_and_is_told_by_a_thin_event(world: World, http: Http) -> None:
    world.catalogue()
    customer = world.customer(card=None)
    fault = switch(http, count=2, code="meter_event_customer_not_found", event="comp*")
    send(world, customer, 1, name="memory", prefix="m")
    send(world, customer, 5)
    assert counted(world, customer) == 3
    assert http.post("/_sandbox/clock/advance", {"seconds": 10}).status_code == 200
    told = [one for one in world.client.v2.core.events.list({"types": [REPORTED]}).data if one.type == REPORTED]
    event = world.client.v2.core.events.retrieve(told[0].id)
    (reason,) = event.data.reason.error_types
    assert (len(told), reason.code, reason.error_count) == (1, "meter_event_customer_not_found", 2)
    assert [one.request.identifier for one in reason.sample_errors] == ["u0", "u1"]
    log = http.get("/_sandbox/faults/log", {"kind": "reject_usage"}).json()["data"]
    assert [one["usage"] for one in log] == [
        {"identifier": "u1", "event_name": "compute"},
        {"identifier": "u0", "event_name": "compute"},
    ]
    seen = http.get(f"/_sandbox/faults/{fault['id']}").json()
    assert (seen["injected"], seen["matched"], seen["remaining"]) == (2, 2, 0)


def test_share_of_usage_follows_its_seed_and_its_identifiers_stay_taken(world: World, http: Http) -> None:
    world.catalogue()
    customer = world.customer(card=None)
    switch(http, probability="0.25", seed=7)
    send(world, customer, SENT)
    struck = rejected(http)
    assert 0 < len(struck) < SENT / 2
    assert counted(world, customer) == SENT - len(struck)
    with pytest.raises(stripe.InvalidRequestError, match="already exists"):
        send(world, customer, SENT)
    http.session.delete(f"{http.base}/_sandbox/faults", auth=(http.key, "")).raise_for_status()
    switch(http, probability="0.25", seed=7)
    send(world, customer, SENT, prefix="v")
    assert sorted(one[1:] for one in rejected(http) if one[0] == "v") == sorted(one[1:] for one in struck)


@pytest.mark.parametrize("field", ["method", "path", "delay_ms", "status", "should_retry"])
def test_field_that_means_nothing_to_usage_is_refused(http: Http, field: str) -> None:
    value = {"method": "POST", "path": "/v1/*", "delay_ms": 5, "status": 409, "should_retry": "true"}[field]
    answer = http.post("/_sandbox/faults", {"kind": "reject_usage", field: value})
    assert (answer.status_code, answer.json()["error"]["param"]) == (400, field)


def test_code_that_stripe_has_not_or_another_fault_has_no_use_for_is_refused(http: Http) -> None:
    for fields in ({"kind": "reject_usage", "code": "no_meter"}, {"kind": "slow", "code": "archived_meter"}):
        answer = http.post("/_sandbox/faults", fields)
        assert (answer.status_code, answer.json()["error"]["param"]) == (400, "code")

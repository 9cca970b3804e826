"""Version 2: its envelope, instants and pages; usage validated at once or, on the stream, later by thin events."""

from __future__ import annotations

import time
from typing import Any

import pytest
import stripe
from stripe.v2.core import Event

from sandbox.contract.checker import Place, deviations
from sandbox.harness import Http, World

DAY = 86_400
REPORTED = "v1.billing.meter.error_report_triggered"
NO_METER_FOUND = "v1.billing.meter.no_meter_found"


def iso(at: float) -> str:
    return time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(at))


def usage(world: World, **changed: Any) -> dict[str, Any]:
    payload = {"stripe_customer_id": world.customer(card=None), "value": "1.5"}
    return {"event_name": "compute", "payload": payload, **changed}


@pytest.fixture
def metered(world: World) -> World:
    world.catalogue(amounts={"compute": "1"})
    return world


BAD = {
    "no_meter": {"event_name": "nothing"},
    "archived_meter": {"event_name": "old"},
    "meter_event_customer_not_found": {"payload": {"stripe_customer_id": "cus_nobody", "value": "1"}},
    "meter_event_no_customer_defined": {"payload": {"value": "1"}},
    "meter_event_value_not_found": {"payload": {"stripe_customer_id": "cus_x"}},
    "meter_event_invalid_value": {"payload": {"stripe_customer_id": "cus_x", "value": "many"}},
    "meter_event_value_too_many_digits": {"payload": {"stripe_customer_id": "cus_x", "value": "1234567890123456"}},
    "timestamp_in_future": {"timestamp": iso(time.time() + 3600)},
    "timestamp_too_far_in_past": {"timestamp": iso(time.time() - 36 * DAY)},
}


def archive(world: World) -> None:
    made = {"display_name": "Old", "event_name": "old", "default_aggregation": {"formula": "sum"}}
    world.client.v1.billing.meters.deactivate(world.client.v1.billing.meters.create(made).id)


@pytest.mark.parametrize("code", BAD)
def test_usage_is_validated_at_once_with_the_code_of_its_fault(metered: World, code: str) -> None:
    archive(metered)
    with pytest.raises(stripe.InvalidRequestError) as refused:
        metered.client.v2.billing.meter_events.create(usage(metered, **BAD[code]))
    assert (refused.value.http_status, refused.value.code) == (400, code)
    assert refused.value.json_body == {"error": {"code": code, "message": refused.value.json_body["error"]["message"]}}


def test_good_usage_counts_once_and_can_be_taken_back(metered: World) -> None:
    sent = usage(metered, identifier="one", timestamp=iso(time.time() - 60))
    made = metered.client.v2.billing.meter_events.create(sent)
    assert (made.identifier, made.timestamp[:16]) == ("one", sent["timestamp"][:16])
    with pytest.raises(stripe.InvalidRequestError, match="already exists"):
        metered.client.v2.billing.meter_events.create(sent)
    cancel = {"event_name": "compute", "type": "cancel", "cancel": {"identifier": "one"}}
    assert metered.client.v2.billing.meter_event_adjustments.create(cancel).status == "complete"


def thin_events(world: World, http: Http, kind: str) -> list[Any]:
    assert http.post("/_sandbox/clock/advance", {"seconds": 10}).status_code == 200
    return list(world.client.v2.core.events.list({"types": [kind]}).data)


def test_stream_takes_everything_and_tells_every_fault_later(metered: World, http: Http) -> None:
    archive(metered)
    events = [usage(metered, identifier=code, **changed) for code, changed in BAD.items()]
    good = usage(metered, identifier="good")
    token = metered.client.v2.billing.meter_event_session.create().authentication_token
    metered.client.v2.billing.meter_event_stream.create({"events": [*events, good, good]}, {"api_key": token})
    told = {
        kind.code: kind.sample_errors[0].request.identifier
        for event in thin_events(metered, http, REPORTED)
        for kind in metered.client.v2.core.events.retrieve(event.id).data.reason.error_types
    }
    assert told == {code: code for code in BAD if code != "no_meter"}
    (lost,) = thin_events(metered, http, NO_METER_FOUND)
    reason = lost.data.reason
    assert (reason.error_count, reason.error_types[0].code, "related_object" in lost) == (1, "no_meter", False)
    raw = http.get(f"/v2/core/events/{lost.id}").json()
    assert list(deviations(raw, Event, Place("event"))) == []
    hour = int(time.time()) // 3600 * 3600
    span = {"customer": good["payload"]["stripe_customer_id"], "start_time": hour - 3600, "end_time": hour + 7200}
    assert [one.aggregated_value for one in summaries(metered, span)] == [1.5]


def summaries(world: World, span: dict[str, Any]) -> list[Any]:
    return list(world.client.v1.billing.meters.event_summaries.list(world.meters["compute"], span).data)


def test_what_was_told_is_not_told_again(metered: World, http: Http) -> None:
    token = metered.client.v2.billing.meter_event_session.create().authentication_token
    for name in ("a", "b"):
        lost = usage(metered, event_name="nothing", identifier=name)
        metered.client.v2.billing.meter_event_stream.create({"events": [lost]}, {"api_key": token})
        thin_events(metered, http, NO_METER_FOUND)
    counts = [event.data.reason.error_count for event in thin_events(metered, http, NO_METER_FOUND)]
    assert counts == [1, 1]


def test_stream_takes_only_the_token_of_a_living_session(metered: World, http: Http) -> None:
    stream = metered.client.v2.billing.meter_event_stream
    event = {"events": [usage(metered)]}
    with pytest.raises(stripe.AuthenticationError):
        stream.create(event)
    token = metered.client.v2.billing.meter_event_session.create().authentication_token
    with pytest.raises(stripe.AuthenticationError):
        metered.client.v2.core.events.list({}, {"api_key": token})
    http.post("/_sandbox/clock/advance", {"seconds": 16 * 60})
    with pytest.raises(stripe.TemporarySessionExpiredError):
        stream.create(event, {"api_key": token})


def test_lists_page_by_address_in_both_directions(world: World, http: Http) -> None:
    hook = {"type": "webhook_endpoint", "webhook_endpoint": {"url": "http://127.0.0.1:9/x"}}
    shape = {"event_payload": "thin", "enabled_events": ["x"], **hook}
    destinations = world.client.v2.core.event_destinations
    ids = [destinations.create({"name": str(index), **shape}).id for index in range(5)][::-1]
    first = destinations.list({"limit": 2})
    assert [one.id for one in first.auto_paging_iter()] == ids
    second = http.get(first.next_page_url).json()
    assert [one["id"] for one in second["data"]] == ids[2:4]
    back = http.get(second["previous_page_url"]).json()
    assert [one["id"] for one in back["data"]] == ids[:2]
    assert back["previous_page_url"] is None
    refused = http.get("/v2/core/events", {"page": "nonsense"})
    assert (refused.status_code, refused.json()["error"]["code"]) == (400, "invalid_fields")


def test_unknown_id_and_bad_json_are_told_in_the_other_envelope(http: Http) -> None:
    missing = http.get("/v2/core/events/evt_none")
    assert (missing.status_code, missing.json()["error"].keys()) == (404, {"code", "message"})
    broken = http.post("/v2/core/event_destinations", "{nonsense")
    assert (broken.status_code, broken.json()["error"]["code"]) == (400, "invalid_fields")

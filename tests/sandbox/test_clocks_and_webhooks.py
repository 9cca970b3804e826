"""Time by request, time by itself, and signed webhooks."""

from __future__ import annotations

import http.server
import json
import threading
import time
from collections.abc import Callable, Iterator
from typing import Any

import pytest
import stripe

from sandbox.harness import Http, Sandbox, World

JAN_1 = 1_767_225_600
HOUR = 3600
DAY = 86_400


def test_own_clock_advances_on_request_and_drives_renewals(world: World, http: Http) -> None:
    world.catalogue()
    customer = world.customer()
    subscription = world.subscribe(customer)
    end = subscription.items.data[0].current_period_end
    answer = http.post("/_sandbox/clock/advance", {"to": end + HOUR + 5}).json()
    assert answer["now"] - (end + HOUR + 5) in {0, 1}
    renewal, _first = world.invoices(subscription.id)
    assert (renewal.status, renewal.created) == ("paid", end)
    assert renewal.status_transitions.finalized_at == end + HOUR
    assert world.client.v1.customers.create({}).created >= end + HOUR
    paid = world.client.v1.events.list({"type": "invoice.paid"}).data[0]
    assert (paid.created, paid.request.id) == (end + HOUR, None)


def test_own_clock_never_goes_back(http: Http) -> None:
    now = http.get("/_sandbox/clock").json()["now"]
    assert http.post("/_sandbox/clock/advance", {"to": now - 10}).status_code == 400
    assert http.post("/_sandbox/clock/advance", {}).status_code == 400
    assert http.post("/_sandbox/clock/advance", {"seconds": 5, "to": now + 5}).status_code == 400
    assert http.post("/_sandbox/clock/advance", {"to": now + 30 * 366 * DAY}).status_code == 400


def test_own_controls_take_json_too(http: Http) -> None:
    now = http.get("/_sandbox/clock").json()["now"]
    body = json.dumps({"seconds": 100})
    answer = http.post("/_sandbox/clock/advance", body, Content_Type="application/json")
    assert answer.json()["now"] - now in {100, 101}
    assert http.post("/_sandbox/clock/advance", "[1]", Content_Type="application/json").status_code == 400
    assert http.post("/_sandbox/clock/advance", "{", Content_Type="application/json").status_code == 400


def test_due_timer_fires_by_itself_in_real_time(world: World, http: Http) -> None:
    world.catalogue()
    subscription = world.subscribe(world.customer())
    end = subscription.items.data[0].current_period_end
    http.post("/_sandbox/clock/advance", {"to": end - 2})
    assert len(world.invoices(subscription.id)) == 1
    deadline = time.perf_counter() + 30
    while len(world.invoices(subscription.id)) == 1 and time.perf_counter() < deadline:
        time.sleep(0.1)
    assert world.invoices(subscription.id)[0].created == end


def test_events_older_than_30_days_are_gone(world: World, http: Http) -> None:
    one = world.client.v1.customers.create({})
    event = world.client.v1.events.list().data[0]
    http.post("/_sandbox/clock/advance", {"seconds": 30 * DAY + 5})
    assert world.client.v1.events.list().data == []
    with pytest.raises(stripe.InvalidRequestError):
        world.client.v1.events.retrieve(event.id)
    assert world.client.v1.customers.retrieve(one.id).id == one.id


def test_event_filters_choose(world: World) -> None:
    v1 = world.client.v1
    v1.customers.create({})
    v1.products.create({"name": "P"})
    assert [event.type for event in v1.events.list({"type": "product.created"}).data] == ["product.created"]
    assert [event.type for event in v1.events.list({"type": "customer.*"}).data] == ["customer.created"]
    both = v1.events.list({"types": ["customer.created", "product.created"]}).data
    assert len(both) == 2
    assert v1.events.list({"created": {"gt": both[0].created + 100}}).data == []
    with pytest.raises(stripe.InvalidRequestError):
        v1.events.list({"types": ["x"] * 21})


def test_unchanged_update_tells_nobody(world: World) -> None:
    one = world.client.v1.customers.create({"name": "A"})
    world.client.v1.customers.update(one.id, {"name": "A"})
    assert world.event_types() == ["customer.created"]
    world.client.v1.customers.update(one.id, {"name": "B"})
    event = world.client.v1.events.list({"type": "customer.updated"}).data[0]
    assert event.data.previous_attributes.to_dict() == {"name": "A"}


def test_clock_takes_three_customers(world: World) -> None:
    clock = world.clock()
    for _ in range(3):
        world.customer(clock, card=None)
    with pytest.raises(stripe.InvalidRequestError) as refused:
        world.customer(clock, card=None)
    assert refused.value.param == "test_clock"


def test_clock_goes_forward_and_at_most_two_periods(world: World) -> None:
    world.catalogue()
    clock = world.clock(JAN_1)
    advance = world.client.v1.test_helpers.test_clocks.advance
    world.subscribe(world.customer(clock))
    with pytest.raises(stripe.InvalidRequestError):
        advance(clock, {"frozen_time": JAN_1})
    with pytest.raises(stripe.InvalidRequestError):
        advance(clock, {"frozen_time": JAN_1 + 60 * DAY})
    answer = advance(clock, {"frozen_time": JAN_1 + 59 * DAY})
    assert answer.status == "advancing"
    assert answer.status_details.advancing.target_frozen_time == JAN_1 + 59 * DAY


def test_deleted_clock_takes_its_customers_along(world: World) -> None:
    world.catalogue()
    clock = world.clock(JAN_1)
    customer = world.customer(clock)
    subscription = world.subscribe(customer)
    assert world.client.v1.test_helpers.test_clocks.delete(clock).deleted is True
    assert world.client.v1.customers.retrieve(customer).deleted is True
    assert world.client.v1.subscriptions.retrieve(subscription.id).status == "canceled"


class Inbox(http.server.BaseHTTPRequestHandler):
    """Takes webhooks; the first one is answered with 500."""

    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers["Content-Length"]))
        self.server.received.append((body, self.headers["Stripe-Signature"]))
        self.send_response(500 if len(self.server.received) == 1 else 200)
        self.end_headers()

    def log_message(self, *_arguments: object) -> None:
        """Say nothing."""


@pytest.fixture
def inbox() -> Iterator[Any]:
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Inbox)
    server.received = []
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    yield server
    server.shutdown()
    thread.join()
    server.server_close()


def wait_for(condition: Callable[[], bool]) -> None:
    deadline = time.perf_counter() + 30
    while not condition() and time.perf_counter() < deadline:
        time.sleep(0.02)
    assert condition()


def test_webhooks_are_signed_retried_and_marked_delivered(world: World, inbox: Any) -> None:
    v1 = world.client.v1
    url = f"http://127.0.0.1:{inbox.server_port}/hook"
    endpoint = v1.webhook_endpoints.create({"url": url, "enabled_events": ["customer.created"]})
    assert endpoint.secret.startswith("whsec_")
    assert "secret" not in v1.webhook_endpoints.retrieve(endpoint.id)
    customer = v1.customers.create({})
    v1.products.create({"name": "not wanted"})
    wait_for(lambda: len(inbox.received) == 2)
    (first, _), (again, signature) = inbox.received
    event = world.client.construct_event(again, signature, endpoint.secret)
    assert (event.type, event.data.object.id) == ("customer.created", customer.id)
    assert event.id == world.client.construct_event(first, signature_of(inbox), endpoint.secret).id
    wait_for(lambda: v1.events.retrieve(event.id).pending_webhooks == 0)
    assert [found.id for found in v1.events.list({"delivery_success": True, "type": event.type}).data] == [event.id]


def signature_of(inbox: Any) -> str:
    return inbox.received[0][1]


def test_webhook_of_the_command_line_reaches_every_account(launch: Callable[..., Sandbox], inbox: Any) -> None:
    url = f"http://127.0.0.1:{inbox.server_port}/hook"
    running = launch("--webhook", url, "--webhook-secret", "whsec_given")
    for key in ("sk_test_a", "sk_test_b"):
        client = running.client(key)
        assert [one.url for one in client.v1.webhook_endpoints.list().data] == [url]
        client.v1.customers.create({})
    wait_for(lambda: len(inbox.received) >= 3)
    body, signature = inbox.received[-1]
    assert client.construct_event(body, signature, "whsec_given").type == "customer.created"


def test_undelivered_events_can_be_found(world: World) -> None:
    """Given an endpoint nobody listens at, then its events stay pending and are listed as not delivered."""
    v1 = world.client.v1
    v1.webhook_endpoints.create({"url": "http://127.0.0.1:9/closed", "enabled_events": ["*"]})
    v1.customers.create({})
    missed = v1.events.list({"delivery_success": False}).data
    assert [event.type for event in missed] == ["customer.created"]
    assert missed[0].pending_webhooks == 1
    assert v1.events.list({"delivery_success": True}).data == []

"""Rejected usage is reported by a thin event: fetched by id, and delivered signed to its destination."""

from __future__ import annotations

import threading
from http.server import BaseHTTPRequestHandler, HTTPServer
from typing import Any

from sandbox.harness import Http, World

TYPE = "v1.billing.meter.error_report_triggered"


class _Receiver(BaseHTTPRequestHandler):
    """Keeps what it gets."""

    got: list[tuple[bytes, str]]
    arrived: threading.Event

    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers["Content-Length"]))
        self.got.append((body, self.headers["Stripe-Signature"]))
        self.send_response(200)
        self.end_headers()
        self.arrived.set()

    def log_message(self, *_args: Any) -> None:
        """Say nothing."""


def spoil(world: World) -> None:
    payload = {"stripe_customer_id": "cus_nobody", "value": "1"}
    event = {"event_name": "compute", "payload": payload, "identifier": "lost-1"}
    world.client.v1.billing.meter_events.create(event)
    payload = {"stripe_customer_id": world.customer(card=None), "value": "no number"}
    event = {"event_name": "compute", "payload": payload, "identifier": "odd-1"}
    world.client.v1.billing.meter_events.create(event)


def test_rejected_usage_is_reported_and_delivered(world: World, http: Http) -> None:
    world.catalogue()
    kind = type("Receiver", (_Receiver,), {"got": [], "arrived": threading.Event()})
    receiver = HTTPServer(("127.0.0.1", 0), kind)
    thread = threading.Thread(target=receiver.serve_forever, daemon=True)
    thread.start()
    v2 = world.client.v2
    destination = v2.core.event_destinations.create(
        {
            "name": "meter errors",
            "type": "webhook_endpoint",
            "event_payload": "thin",
            "enabled_events": [TYPE],
            "webhook_endpoint": {"url": f"http://127.0.0.1:{receiver.server_port}/thin"},
            "include": ["webhook_endpoint.signing_secret"],
        }
    )
    secret = destination.webhook_endpoint.signing_secret
    spoil(world)
    assert http.post("/_sandbox/clock/advance", {"seconds": 10}).status_code == 200
    assert kind.arrived.wait(10)
    receiver.shutdown()
    receiver.server_close()
    thread.join()
    notification = world.client.parse_event_notification(*kind.got[0], secret)
    assert (notification.type, notification.related_object.id) == (TYPE, world.meters["compute"])
    event = notification.fetch_event()
    assert event.data.reason.error_count == 2
    found = {kind.code: kind.sample_errors[0].request.identifier for kind in event.data.reason.error_types}
    assert found == {"meter_event_customer_not_found": "lost-1", "meter_event_invalid_value": "odd-1"}
    assert notification.fetch_related_object().id == world.meters["compute"]


def test_destination_hides_its_secret_and_can_be_switched_off(world: World) -> None:
    destinations = world.client.v2.core.event_destinations
    params = {
        "name": "x",
        "type": "webhook_endpoint",
        "event_payload": "thin",
        "enabled_events": ["*"],
        "webhook_endpoint": {"url": "http://127.0.0.1:9/"},
    }
    made = destinations.create(params)
    assert made.webhook_endpoint.signing_secret is None
    assert destinations.disable(made.id).status == "disabled"
    assert destinations.enable(made.id).status == "enabled"
    assert [one.id for one in destinations.list().data] == [made.id]
    destinations.delete(made.id)
    assert destinations.list().data == []

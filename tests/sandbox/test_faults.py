"""Fault switches: what strikes a request or a webhook, how often, and what is written down about it."""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import pytest
import requests
import stripe

from sandbox.harness import Http, Sandbox


def switch(http: Http, kind: str, **fields: Any) -> dict[str, Any]:
    answer = http.post("/_sandbox/faults", {"kind": kind, **fields})
    assert answer.status_code == 200, answer.text
    return answer.json()


def log(http: Http, **fields: Any) -> list[dict[str, Any]]:
    return http.get("/_sandbox/faults/log", {"limit": 100, **fields}).json()["data"]


def names(http: Http) -> list[str]:
    return [customer["name"] for customer in http.get("/v1/customers").json()["data"]]


@pytest.mark.parametrize(
    ("kind", "status", "type_", "code"),
    [
        ("rate_limit", 429, "invalid_request_error", "rate_limit"),
        ("lock_timeout", 409, "invalid_request_error", "lock_timeout"),
        ("server_error", 500, "api_error", None),
        ("unavailable", 503, "api_error", None),
    ],
)
def test_refusal_is_answered_once_and_nothing_is_done(
    http: Http, kind: str, status: int, type_: str, code: str | None
) -> None:
    fault = switch(http, kind, count=1)
    answer = http.post("/v1/customers", {"name": "A"}, Idempotency_Key="k")
    assert answer.status_code == status
    assert (answer.json()["error"]["type"], answer.json()["error"].get("code")) == (type_, code)
    assert answer.headers["Request-Id"].startswith("req_")
    assert "Stripe-Should-Retry" not in answer.headers
    assert names(http) == []
    assert http.post("/v1/customers", {"name": "A"}, Idempotency_Key="k").status_code == 200
    written = log(http)
    assert [(row["fault"], row["kind"]) for row in written] == [(fault["id"], kind)]
    request = {"id": answer.headers["Request-Id"], "method": "POST", "path": "/v1/customers"}
    assert written[0]["request"] == request


@pytest.mark.parametrize(("sent", "header"), [("true", "true"), ("false", "false")])
def test_rate_limit_tells_whether_to_retry(http: Http, sent: str, header: str) -> None:
    switch(http, "rate_limit", should_retry=sent)
    answer = http.get("/v1/customers")
    assert answer.headers["Stripe-Should-Retry"] == header
    assert answer.headers["Stripe-Rate-Limited-Reason"] == "global-rate"


def test_lock_timeout_answers_429_when_told_so(http: Http) -> None:
    switch(http, "lock_timeout", status=429)
    assert http.get("/v1/customers").status_code == 429


def test_filter_by_method_and_path_leaves_other_requests_alone(http: Http) -> None:
    switch(http, "server_error", method="POST", path="/v1/customers/*")
    customer = http.post("/v1/customers", {"name": "A"})
    assert customer.status_code == 200
    path = f"/v1/customers/{customer.json()['id']}"
    assert http.get(path).status_code == 200
    assert http.post(path, {"name": "B"}).status_code == 500


def test_probability_follows_its_seed(http: Http) -> None:
    def pattern(seed: int) -> list[int]:
        fault = switch(http, "unavailable", probability="0.5", seed=seed)
        seen = [http.get("/v1/products").status_code for _ in range(20)]
        http.call("DELETE", f"/_sandbox/faults/{fault['id']}")
        return seen

    first, again, other = pattern(7), pattern(7), pattern(8)
    assert first == again != other
    assert 3 <= first.count(503) <= 17


def test_slow_answer_comes_late_and_holds_the_idempotency_key(http: Http, sandbox: Sandbox) -> None:
    switch(http, "slow", delay_ms=600, count=1)
    answers: list[int] = []

    def first() -> None:
        with requests.Session() as session:
            own = Http(base=http.base, key=http.key, session=session)
            answers.append(own.post("/v1/customers", {"name": "A"}, Idempotency_Key="k").status_code)

    started = time.perf_counter()
    thread = threading.Thread(target=first)
    thread.start()
    time.sleep(0.2)
    assert http.post("/v1/customers", {"name": "A"}, Idempotency_Key="k").status_code == 409
    thread.join(10)
    assert answers == [200]
    assert time.perf_counter() - started >= 0.6


def test_reset_before_does_nothing_and_reset_after_has_done_it(http: Http) -> None:
    for kind, expected in (("reset_before", []), ("reset_after", ["reset_after"])):
        switch(http, kind, count=1)
        with requests.Session() as session, pytest.raises(requests.ConnectionError):
            Http(base=http.base, key=http.key, session=session).post("/v1/customers", {"name": kind})
        assert names(http) == expected


def test_sdk_retry_after_a_late_reset_replays_the_committed_answer(sandbox: Sandbox, http: Http) -> None:
    switch(http, "reset_after", count=1, method="POST")
    transport = stripe.RequestsClient(timeout=20, session=requests.Session())
    client = stripe.StripeClient(
        http.key, base_addresses={"api": http.base}, http_client=transport, max_network_retries=2
    )
    created = client.v1.customers.create({"name": "A"})
    assert created.last_response is not None
    assert created.last_response.headers["Idempotent-Replayed"] == "true"
    assert names(http) == ["A"]
    transport._session.close()


def test_malformed_json_spoils_the_answer_of_done_work(http: Http) -> None:
    switch(http, "malformed_json", count=1, method="POST")
    answer = http.post("/v1/customers", {"name": "A"})
    assert answer.status_code == 200
    with pytest.raises(requests.JSONDecodeError):
        answer.json()
    assert names(http) == ["A"]


def test_faults_are_listed_counted_and_deleted(http: Http) -> None:
    one, two = switch(http, "server_error", count=2), switch(http, "slow", delay_ms=1)
    assert [row["id"] for row in http.get("/_sandbox/faults").json()["data"]] == [two["id"], one["id"]]
    http.get("/v1/customers")
    seen = http.get(f"/_sandbox/faults/{one['id']}").json()
    assert (seen["matched"], seen["injected"], seen["remaining"]) == (1, 1, 1)
    assert http.call("DELETE", f"/_sandbox/faults/{one['id']}").json()["deleted"] is True
    assert http.call("DELETE", "/_sandbox/faults").json()["count"] == 1
    assert http.get("/_sandbox/faults").json()["data"] == []
    assert http.get("/v1/customers").status_code == 200


def test_other_account_never_meets_the_fault(sandbox: Sandbox, http: Http) -> None:
    switch(http, "server_error")
    other = Http(base=http.base, key=http.key + "x", session=http.session)
    assert other.get("/v1/customers").status_code == 200
    assert log(other) == []


@pytest.mark.parametrize(
    ("fields", "param"),
    [
        ({}, "kind"),
        ({"kind": "meteor"}, "kind"),
        ({"kind": "slow", "count": "0"}, "count"),
        ({"kind": "slow", "probability": "0"}, "probability"),
        ({"kind": "slow", "probability": "1.5"}, "probability"),
        ({"kind": "slow", "event": "*"}, "event"),
        ({"kind": "webhook_drop", "path": "*"}, "path"),
        ({"kind": "slow", "should_retry": "true"}, "should_retry"),
        ({"kind": "lock_timeout", "status": "420"}, "status"),
    ],
)
def test_pointless_fault_is_refused(http: Http, fields: dict[str, str], param: str) -> None:
    answer = http.post("/_sandbox/faults", fields)
    assert (answer.status_code, answer.json()["error"]["param"]) == (400, param)


def test_fault_is_taken_as_json_too(http: Http) -> None:
    headers = {"Authorization": f"Bearer {http.key}"}
    sent = {"kind": "rate_limit", "should_retry": False, "count": 1, "probability": 0.5}
    answer = http.session.post(f"{http.base}/_sandbox/faults", json=sent, headers=headers, timeout=30)
    assert (answer.json()["should_retry"], answer.json()["probability"]) == (False, 0.5)


class Receiver:
    """A webhook endpoint that notes the type and id of what arrives."""

    def __init__(self) -> None:
        arrived: list[dict[str, Any]] = []

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                body = self.rfile.read(int(self.headers["Content-Length"]))
                arrived.append(json.loads(body))
                self.send_response(200)
                self.end_headers()

            def log_message(self, *_: object) -> None:
                pass

        self.arrived = arrived
        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self.server.server_port}/hook"
        threading.Thread(target=self.server.serve_forever, daemon=True).start()

    def names(self, count: int, within_s: float = 5) -> list[str]:
        deadline = time.perf_counter() + within_s
        while len(self.arrived) < count and time.perf_counter() < deadline:
            time.sleep(0.02)
        return [event["data"]["object"]["name"] for event in self.arrived]


@pytest.fixture
def receiver(http: Http) -> Iterator[Receiver]:
    receiver = Receiver()
    http.post("/v1/webhook_endpoints", {"url": receiver.url, "enabled_events[0]": "customer.created"})
    yield receiver
    receiver.server.shutdown()
    receiver.server.server_close()


def test_duplicate_sends_the_same_event_twice(http: Http, receiver: Receiver) -> None:
    switch(http, "webhook_duplicate", event="customer.*", count=1)
    http.post("/v1/customers", {"name": "A"})
    http.post("/v1/customers", {"name": "B"})
    assert sorted(receiver.names(3)) == ["A", "A", "B"]
    assert len({event["id"] for event in receiver.arrived}) == 2
    time.sleep(0.2)
    assert {event["pending_webhooks"] for event in http.get("/v1/events").json()["data"]} == {0}


def test_dropped_event_stays_undelivered_and_can_be_found(http: Http, receiver: Receiver) -> None:
    switch(http, "webhook_drop", count=1)
    http.post("/v1/customers", {"name": "A"})
    http.post("/v1/customers", {"name": "B"})
    assert receiver.names(1) == ["B"]
    time.sleep(0.3)
    missed = http.get("/v1/events", {"delivery_success": "false"}).json()["data"]
    assert [event["data"]["object"]["name"] for event in missed] == ["A"]
    assert [row["event"]["type"] for row in log(http, kind="webhook_drop")] == ["customer.created"]


def test_delayed_event_is_overtaken(http: Http, receiver: Receiver) -> None:
    switch(http, "webhook_delay", delay_ms=700, count=1)
    http.post("/v1/customers", {"name": "A"})
    http.post("/v1/customers", {"name": "B"})
    assert receiver.names(2) == ["B", "A"]


def test_reorder_shuffles_by_its_seed(http: Http, receiver: Receiver) -> None:
    switch(http, "webhook_reorder", delay_ms=1500, seed=3)
    for name in "ABCDEF":
        http.post("/v1/customers", {"name": name})
    seen = receiver.names(6)
    assert sorted(seen) == list("ABCDEF")
    assert seen != list("ABCDEF")

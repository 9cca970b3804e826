"""The inspector: objects, events with their deliveries, clocks and faults, all as plain pages."""

from __future__ import annotations

import time
from collections.abc import Iterator
from dataclasses import dataclass

import pytest
import requests
from starlette.requests import Request

from sandbox.harness import DAY, Http, Sandbox, World
from stripe_sandbox.pages import guard
from stripe_sandbox.pages.inspector import linked


@dataclass
class Inspector:
    sandbox: Sandbox
    home: str

    def get(self, path: str = "") -> requests.Response:
        return self.sandbox.session.get(self.home + path, timeout=20)

    def post(self, path: str, fields: dict[str, str] | None = None) -> requests.Response:
        url = self.home + path
        return self.sandbox.session.post(url, data=fields or {}, timeout=20, allow_redirects=False)


@pytest.fixture
def inspector(sandbox: Sandbox, world: World, key: str) -> Iterator[Inspector]:
    world.catalogue()
    answer = sandbox.session.post(f"{sandbox.base}/inspect", data={"key": key}, timeout=30, allow_redirects=False)
    assert answer.status_code == 303
    return Inspector(sandbox, sandbox.base + answer.headers["Location"])


def test_accounts_are_listed_and_found_by_key(sandbox: Sandbox, inspector: Inspector, key: str) -> None:
    listed = sandbox.session.get(f"{sandbox.base}/", timeout=30)
    assert listed.status_code == 200
    assert inspector.home.rpartition("/")[2] in listed.text
    assert key not in listed.text
    assert key[-4:] in listed.text
    unknown = sandbox.session.post(f"{sandbox.base}/inspect", data={"key": "sk_test_nobody"}, timeout=30)
    assert (unknown.status_code, "No account has this key" in unknown.text) == (404, True)


def test_objects_are_listed_by_kind_and_shown_as_json(world: World, inspector: Inspector) -> None:
    customer = world.client.v1.customers.create({"name": "<script>x</script>"}).id
    assert "billing.meter" in inspector.get().text
    assert customer in inspector.get("/objects/customer").text
    page = inspector.get(f"/object/{customer}").text
    assert "customer.created" in page
    assert "&lt;script&gt;" in page
    assert "<script" not in page
    assert inspector.get("/objects/nothing").status_code == 404
    assert inspector.get("/object/cus_nobody").status_code == 404


def test_every_stored_kind_can_be_opened(world: World, inspector: Inspector) -> None:
    clock = world.clock()
    customer = world.customer(clock)
    subscription = world.subscribe(customer)
    world.client.v1.billing_portal.sessions.create({"customer": customer})
    world.advance(clock, subscription["items"].data[0].current_period_end + DAY)
    overview = inspector.get().text
    for kind in ("customer", "invoice", "price", "subscription", "subscription_item", "payment_intent", "charge"):
        assert f"/objects/{kind}" in overview
        assert inspector.get(f"/objects/{kind}").status_code == 200
    assert inspector.get(f"/object/{subscription.id}").status_code == 200


def test_deliveries_show_what_the_receiver_answered(world: World, http: Http, inspector: Inspector) -> None:
    url = f"{http.base}/v1/nothing"
    world.client.v1.webhook_endpoints.create({"url": url, "enabled_events": ["customer.created"]})
    world.client.v1.customers.create({})
    event = world.client.v1.events.list({"type": "customer.created"}).data[0].id
    deadline = time.perf_counter() + 30
    while "401" not in inspector.get(f"/object/{event}").text and time.perf_counter() < deadline:
        time.sleep(0.05)
    page = inspector.get(f"/object/{event}").text
    assert url in page
    assert "401" in page
    assert "You did not provide an API key" in page
    assert "waiting or lost" in inspector.get("/events").text


def test_own_clock_advances_by_a_button(http: Http, inspector: Inspector) -> None:
    before = http.get("/_sandbox/clock").json()["now"]
    assert inspector.post("/advance", {"seconds": str(DAY)}).status_code == 303
    assert http.get("/_sandbox/clock").json()["now"] - before - DAY in {0, 1, 2}
    assert "24 hours ahead" in inspector.get().text


def test_test_clock_advances_by_a_button(world: World, inspector: Inspector) -> None:
    clock = world.clock()
    assert clock in inspector.get().text
    assert inspector.post(f"/clocks/{clock}/advance", {"seconds": str(DAY)}).status_code == 303
    for _ in range(100):
        now = world.client.v1.test_helpers.test_clocks.retrieve(clock)
        if now.status == "ready":
            break
        time.sleep(0.02)
    assert now.frozen_time - now.created != 0
    assert "Ready" in inspector.get().text


def test_faults_are_switched_on_and_off(http: Http, inspector: Inspector) -> None:
    wrong = inspector.post("/faults", {"kind": "slow", "event": "x"})
    assert (wrong.status_code, "means nothing" in wrong.text) == (400, True)
    assert inspector.post("/faults", {"kind": "server_error", "count": "1", "path": "/v1/*"}).status_code == 303
    assert http.get("/v1/customers").status_code == 500
    page = inspector.get("/faults").text
    assert "/v1/customers" in page
    (fault,) = http.get("/_sandbox/faults").json()["data"]
    assert inspector.post(f"/faults/{fault['id']}/delete").status_code == 303
    assert http.get("/_sandbox/faults").json()["data"] == []


def test_inspector_is_for_this_machine_only(inspector: Inspector) -> None:
    foreign = inspector.sandbox.session.get(inspector.home, headers={"Host": "evil.example"}, timeout=30)
    assert foreign.status_code == 403
    forged = inspector.sandbox.session.post(
        inspector.home + "/advance", headers={"Origin": "http://evil.example"}, timeout=30
    )
    assert forged.status_code == 403
    assert inspector.sandbox.session.get(inspector.home + "x", timeout=30).status_code == 404


@pytest.mark.parametrize(
    ("peer", "host", "allowed"),
    [
        ("127.0.0.1", "127.0.0.1:9", True),
        ("::1", "[::1]:9", True),
        ("127.0.0.1", "shop.localhost:9", True),
        ("10.0.0.7", "127.0.0.1:9", False),
        ("127.0.0.1", "10.0.0.7:9", False),
        ("127.0.0.1", "localhost.evil.example", False),
        ("127.0.0.1", "", False),
    ],
)
def test_pages_are_for_loopback_peers_under_a_local_name(peer: str, host: str, allowed: bool) -> None:
    scope = {"type": "http", "method": "GET", "client": (peer, 1), "headers": [(b"host", host.encode())]}
    if allowed:
        guard.check(Request(scope))
        return
    with pytest.raises(guard.Forbidden):
        guard.check(Request(scope))


def test_ids_in_json_become_links_and_secrets_do_not() -> None:
    text = '{"id": "pi_abcdefghijklmn1234567890", "secret": "pi_abcdefghijklmn_secret_1234567890abcdefg"}'
    parts = linked(text)
    assert "".join(part for part, _ in parts) == text
    assert [part for part, is_id in parts if is_id] == ["pi_abcdefghijklmn1234567890"]

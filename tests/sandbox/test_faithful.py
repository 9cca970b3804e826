"""What no other test of the sandbox says by name: what every answer carries, what is gone for good, who may ask."""

from __future__ import annotations

import ast
import re
import socket
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import requests

from sandbox.harness import Http, Sandbox, World
from sandbox.inside import Inside
from stripe_sandbox import API_VERSION

JAN_1 = 1_767_225_600
FEB_1 = 1_769_904_000
HOUR = 3600
TESTS = Path(__file__).resolve().parents[1]
PAGE = TESTS.parent / "docs" / "stripe-sandbox.md"
NAMED = re.compile(r"`([a-z_/]+\.py)::(\w+)`")
ITEMS = 10
GONE = {
    "subscription": {"current_period_start", "current_period_end"},
    "invoice": {"subscription", "payment_intent", "charge", "paid", "paid_out_of_band", "tax", "total_tax_amounts"},
    "line_item": {"price", "plan", "proration", "subscription_item", "unit_amount_excluding_tax"},
}


def test_every_item_of_the_acceptance_list_names_tests_that_exist() -> None:
    text = PAGE.read_text()
    named = NAMED.findall(text)
    missing = [f"{file}::{name}" for file, name in named if name not in _functions(TESTS / file)]
    assert missing == []
    rows = [line for line in text.splitlines() if re.match(r"\| \d+\.\d+ \|", line)]
    assert {int(row.split("|")[1].split(".")[0]) for row in rows} == set(range(1, ITEMS + 1))
    assert [row for row in rows if not NAMED.search(row)] == []


def _functions(file: Path) -> set[str]:
    tree = ast.parse(file.read_text())
    return {node.name for node in ast.walk(tree) if isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef))}


async def test_every_answer_carries_a_request_id_and_the_version() -> None:
    inside = Inside()
    customer = {"name": "A"}
    await inside.ask("POST", "/v1/customers", customer, idempotency_key="k")
    asked: list[tuple[int, str, str, Any, dict[str, str]]] = [
        (200, "GET", "/v1/customers", {}, {}),
        (200, "POST", "/v1/customers", customer, {"idempotency_key": "k"}),
        (400, "POST", "/v1/customers", {"name": "B"}, {"idempotency_key": "k"}),
        (400, "POST", "/v1/customers", {"nonsense": "1"}, {}),
        (400, "GET", "/v1/customers", {}, {"stripe_version": "2024-06-20"}),
        (401, "GET", "/v1/customers", {}, {"authorization": "Bearer sk_live_x"}),
        (404, "GET", "/v1/customers/cus_nope", {}, {}),
        (404, "GET", "/v1/nothing", {}, {}),
        (404, "GET", "/v2/nothing", {}, {}),
        (400, "POST", "/v2/core/event_destinations", {"nonsense": "1"}, {}),
        (200, "GET", "/_sandbox/clock", {}, {}),
    ]
    seen = set()
    for status, method, path, form, headers in asked:
        answer = await inside.ask(method, path, form, **headers)
        assert (answer.status, path, answer.body) == (status, path, answer.body)
        assert re.fullmatch(r"req_\w{14}", answer.headers["request-id"])
        assert answer.headers["stripe-version"] == API_VERSION
        seen.add(answer.headers["request-id"])
    assert len(seen) == len(asked)


def test_old_fields_are_gone_from_a_lived_subscription_and_its_invoices(world: World, http: Http) -> None:
    world.catalogue()
    clock = world.clock(JAN_1)
    world.subscribe(world.customer(clock))
    world.advance(clock, FEB_1 + HOUR)
    shown = [*http.get("/v1/subscriptions").json()["data"], *http.get("/v1/invoices").json()["data"]]
    shown += [line for invoice in shown[1:] for line in invoice["lines"]["data"]]
    assert {one["object"] for one in shown} == GONE.keys()
    assert [(one["object"], name) for one in shown for name in GONE[one["object"]] & one.keys()] == []


def test_old_ways_of_asking_are_refused(world: World, http: Http) -> None:
    world.catalogue()
    subscription = world.subscribe(world.customer())
    item = subscription.items.data[0].id
    for path, form, status in (
        (f"/v1/subscription_items/{item}/usage_records", {"quantity": "1"}, 404),
        ("/v1/invoices/upcoming", {}, 404),
        (f"/v1/subscriptions/{subscription.id}", {"billing_cycle_anchor": "now"}, 400),
        (f"/v1/subscriptions/{subscription.id}", {"coupon": "x"}, 400),
        ("/v1/payment_intents", {"amount": "100", "currency": "usd", "payment_method_types[0]": "card"}, 400),
        ("/v1/checkout/sessions", {"mode": "setup", "payment_method_types[0]": "card"}, 400),
        ("/v1/plans", {"amount": "1"}, 404),
    ):
        answer = http.post(path, form)
        assert (answer.status_code, answer.json()["error"]["type"]) == (status, "invalid_request_error"), path


def test_endpoint_gets_the_pinned_version_and_no_other(world: World, http: Http) -> None:
    wanted = {"url": "http://127.0.0.1:9/x", "enabled_events[0]": "*"}
    made = http.post("/v1/webhook_endpoints", wanted | {"api_version": API_VERSION})
    assert made.json()["api_version"] == API_VERSION
    world.customer(card=None)
    assert http.get("/v1/events").json()["data"][0]["api_version"] == API_VERSION
    other = http.post("/v1/webhook_endpoints", wanted | {"api_version": "2024-06-20"})
    assert (other.status_code, other.json()["error"]["param"]) == (400, "api_version")


def test_server_listens_on_loopback_alone_unless_told_otherwise(sandbox: Sandbox) -> None:
    listening = [line.split() for line in Path("/proc/net/tcp").read_text().splitlines()[1:]]
    port = f"{sandbox.port:04X}"
    bound = [one[1].partition(":")[0] for one in listening if one[1].endswith(f":{port}") and one[3] == "0A"]
    assert bound == [f"{int.from_bytes(socket.inet_aton('127.0.0.1'), 'little'):08X}"]


def test_pages_of_the_inspector_hold_no_script_and_forbid_it(world: World, sandbox: Sandbox, key: str) -> None:
    """Follow every link of the inspector from its start."""
    world.catalogue()
    world.subscribe(world.customer())
    home = sandbox.session.post(f"{sandbox.base}/inspect", data={"key": key}, timeout=30).url
    to_see, seen = {home.removeprefix(sandbox.base)}, set()
    while to_see and len(seen) < 60:
        path = to_see.pop()
        seen.add(path)
        answer = sandbox.session.get(sandbox.base + path, timeout=20)
        assert_without_scripts(answer)
        found = re.findall(r'href="(/inspect/[^"#]+)"', answer.text)
        to_see |= {one.replace("&amp;", "&") for one in found} - seen
    assert len(seen) > 20


def assert_without_scripts(answer: requests.Response) -> None:
    # The id of what is no stored object (a line of an invoice, a request) leads to a page that says so.
    assert answer.status_code in ((200, 404) if "/object/" in answer.url else (200,)), answer.url
    assert answer.headers["Content-Security-Policy"].startswith("default-src 'none'")
    assert "script-src" not in answer.headers["Content-Security-Policy"]
    assert not re.search(r"<script|javascript:|<[^>]+\son[a-z]+=", answer.text, re.IGNORECASE), answer.url


def test_live_keys_are_refused_everywhere(launch: Callable[..., Sandbox]) -> None:
    running = launch()
    for path in ("/v1/customers", "/v2/core/events", "/_sandbox/clock", "/_sandbox/faults"):
        for kind in ("sk_live_x", "rk_live_x"):
            headers = {"Authorization": f"Bearer {kind}"}
            assert running.session.get(running.base + path, headers=headers, timeout=20).status_code == 401
    for kind in ("sk_live_x", "rk_live_x"):
        page = running.session.post(f"{running.base}/inspect", data={"key": kind}, timeout=30)
        assert page.status_code == 404


@pytest.mark.parametrize("method", ["PUT", "PATCH"])
def test_method_that_stripe_does_not_have_is_not_found(http: Http, method: str) -> None:
    assert http.call(method, "/v1/customers").status_code == 404

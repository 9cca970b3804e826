"""Every fault switch as the official SDK meets it, under both versions, and with many accounts side by side."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from typing import Any

import pytest
import requests
import stripe

from sandbox.harness import Http, Sandbox
from sandbox.inside import Inside
from stripe_sandbox import faults
from stripe_sandbox.store import _ACCOUNT_TABLES, Store

# What the SDK does after the answer, by the switch and by Stripe-Should-Retry: whether it asks again.
ASKS_AGAIN = {
    ("rate_limit", None): False,
    ("rate_limit", "true"): True,
    ("rate_limit", "false"): False,
    ("lock_timeout", None): True,
    ("lock_timeout", "true"): True,
    ("lock_timeout", "false"): False,
    ("server_error", None): True,
    ("server_error", "false"): False,
    ("unavailable", None): True,
    ("unavailable", "false"): False,
    ("reset_before", None): True,
    ("reset_after", None): True,
    ("malformed_json", None): False,
    ("slow", None): False,
}
STATUS = {"rate_limit": 429, "lock_timeout": 409, "server_error": 500, "unavailable": 503}


def switch(http: Http, kind: str, **fields: Any) -> str:
    answer = http.post("/_sandbox/faults", {"kind": kind, **fields})
    assert answer.status_code == 200, answer.text
    return str(answer.json()["id"])


@pytest.fixture
def impatient(sandbox: Sandbox, key: str, monkeypatch: pytest.MonkeyPatch) -> Iterator[stripe.StripeClient]:
    """A client that tries twice more, without the SDK's pauses."""
    monkeypatch.setattr(stripe.HTTPClient, "INITIAL_DELAY", 0.01)
    monkeypatch.setattr(stripe.HTTPClient, "MAX_DELAY", 0.02)
    with requests.Session() as session:
        transport = stripe.RequestsClient(timeout=20, session=session)
        addresses = {"api": sandbox.base, "meter_events": sandbox.base}
        yield stripe.StripeClient(key, base_addresses=addresses, http_client=transport, max_network_retries=2)


def test_every_switch_of_a_request_is_tried_here() -> None:
    assert {kind for kind, _header in ASKS_AGAIN} == set(faults.REQUEST_KINDS)


@pytest.mark.parametrize(("kind", "header"), ASKS_AGAIN, ids=str)
def test_sdk_asks_again_exactly_when_it_may(
    impatient: stripe.StripeClient, http: Http, kind: str, header: str | None
) -> None:
    """Given one strike, then what is asked again succeeds and is done once, and what is not tells its fault."""
    fields: dict[str, Any] = {"should_retry": header} if header else {}
    fault = switch(http, kind, count=1, method="POST", path="/v1/customers", **fields)
    asks_again = ASKS_AGAIN[kind, header]
    works = asks_again or kind == "slow"
    if works:
        assert impatient.v1.customers.create({"name": "A"}).name == "A"
    else:
        with pytest.raises(stripe.StripeError) as told:
            impatient.v1.customers.create({"name": "A"})
        assert told.value.http_status == STATUS.get(kind, 200)
    done = works or kind == "malformed_json"
    assert len(http.get("/v1/customers").json()["data"]) == int(done)
    seen = http.get(f"/_sandbox/faults/{fault}").json()
    assert (seen["injected"], seen["matched"], seen["remaining"]) == (1, 1, 0)


@pytest.mark.parametrize("kind", sorted(set(STATUS)))
async def test_refusal_of_version_2_has_its_own_envelope(kind: str) -> None:
    inside = Inside()
    await inside.ask("POST", "/_sandbox/faults", {"kind": kind, "path": "/v2/*", "should_retry": "true"})
    answer = await inside.ask("POST", "/v2/core/event_destinations", {})
    assert answer.status == STATUS[kind]
    assert answer.headers["stripe-should-retry"] == "true"
    assert answer.body["error"].keys() <= {"code", "message", "type"}
    assert answer.body["error"]["code"]
    assert (await inside.ask("GET", "/v1/customers")).status == 200


def test_count_is_used_up_by_parallel_requests_to_the_last_one(sandbox: Sandbox, http: Http) -> None:
    switch(http, "server_error", count=7)
    statuses: list[int] = []

    def ask() -> None:
        with requests.Session() as session:
            own = Http(base=sandbox.base, key=http.key, session=session)
            statuses.extend(own.get("/v1/customers").status_code for _ in range(5))

    _in_parallel([ask] * 6)
    assert (statuses.count(500), statuses.count(200)) == (7, 23)


def test_accounts_side_by_side_never_see_each_other(sandbox: Sandbox, key: str) -> None:
    """Given ten accounts that write, fail, age and are forgotten at once, then each sees exactly its own."""
    wrong: list[str] = []

    def live(number: int) -> None:
        with requests.Session() as session:
            http = Http(base=sandbox.base, key=f"{key}{number}", session=session)
            if number % 2:
                switch(http, "server_error", path="/v1/products")
            names = [f"{number}-{index}" for index in range(5)]
            for name in names:
                http.post("/v1/customers", {"name": name}, Idempotency_Key=name.partition("-")[2])
            http.post("/_sandbox/clock/advance", {"seconds": str(number * 1000 + 1)})
            seen = [one["name"] for one in http.get("/v1/customers").json()["data"]]
            events = http.get("/v1/events", {"limit": "100"}).json()["data"]
            struck = http.get("/v1/products").status_code
            told = [one["data"]["object"]["name"] for one in events if one["type"] == "customer.created"]
            if (seen, told, struck) != (names[::-1], names[::-1], 500 if number % 2 else 200):
                wrong.append(f"{number}: {seen} {told} {struck}")
            if number % 3 == 0:
                http.call("DELETE", "/_sandbox/account")
                if http.get("/v1/customers").json()["data"]:
                    wrong.append(f"{number} was not forgotten")

    _in_parallel([lambda number=number: live(number) for number in range(10)])
    assert wrong == []


def _in_parallel(works: list[Callable[[], None]]) -> None:
    threads = [threading.Thread(target=work) for work in works]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)


async def test_forgotten_account_leaves_no_row_and_others_keep_theirs() -> None:
    store = Store(None)
    one, two = Inside(store=store, key="sk_test_one"), Inside(store=store, key="sk_test_two")
    accounts = []
    for inside in (one, two):
        accounts.append((await inside.ask("GET", "/v1/account")).body["id"])
        await furnish(inside)
    before = {table: rows_of(store, table, accounts[1]) for table in _ACCOUNT_TABLES}
    assert all(rows_of(store, table, accounts[0]) for table in _ACCOUNT_TABLES)
    assert (await one.ask("DELETE", "/_sandbox/account")).body["deleted"] is True
    assert not any(rows_of(store, table, accounts[0]) for table in _ACCOUNT_TABLES)
    assert {table: rows_of(store, table, accounts[1]) for table in _ACCOUNT_TABLES} == before
    assert store.rows("SELECT 1 FROM accounts WHERE id=?", accounts[0]) == []


async def furnish(inside: Inside) -> None:
    """Give the account a row in every table."""
    await inside.ask("POST", "/v1/webhook_endpoints", {"url": "http://127.0.0.1:9/x", "enabled_events[0]": "*"})
    customer = (await inside.ask("POST", "/v1/customers", idempotency_key="k")).body["id"]
    meter = {"display_name": "m", "event_name": "m", "default_aggregation[formula]": "sum"}
    await inside.ask("POST", "/v1/billing/meters", meter)
    payload = {"stripe_customer_id": customer, "value": "1"}
    usage = {"event_name": "m", "payload": payload}
    await inside.ask("POST", "/v2/billing/meter_events", usage, idempotency_key="k")
    session = {"mode": "setup", "currency": "usd", "success_url": "https://example.com"}
    made = await inside.ask("POST", "/v1/checkout/sessions", session)
    assert made.status == 200, made.body
    account = (await inside.ask("GET", "/v1/account")).body["id"]
    answered = "INSERT INTO delivery_answers (account, event, endpoint, url, sent_at, took_ms, answer)"
    inside.store.run(f"{answered} VALUES (?,'evt','we','u',0,1,'')", account)


def rows_of(store: Store, table: str, account: str) -> list[tuple[Any, ...]]:
    return [tuple(row) for row in store.rows(f"SELECT * FROM {table} WHERE account=? ORDER BY 2, 3, 4", account)]

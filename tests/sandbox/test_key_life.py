"""How long an idempotency key lives and what it outlives: a day, a restart, SIGKILL, a race; version 2's own rule."""

from __future__ import annotations

import signal
import sqlite3
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import requests

from sandbox.harness import Http, Sandbox
from sandbox.inside import Inside
from stripe_sandbox.wire import idempotency

DAY = 86_400
DESTINATION = {
    "name": "d",
    "type": "webhook_endpoint",
    "event_payload": "thin",
    "enabled_events": ["*"],
    "webhook_endpoint": {"url": "http://127.0.0.1:9/x"},
}
USAGE = {"event_name": "later", "payload": {"stripe_customer_id": "", "value": "1"}}


def age(store: Any, seconds: int) -> None:
    """Let time pass over every kept answer."""
    for table in ("idempotency", "idempotency_v2"):
        store(f"UPDATE {table} SET stored_at=stored_at-{seconds}")


async def test_key_is_kept_for_a_day_and_then_free() -> None:
    inside = Inside()
    first = await inside.ask("POST", "/v1/customers", {"name": "A"}, idempotency_key="k")
    age(inside.store.run, DAY - 60)
    idempotency.purge(inside.store)
    again = await inside.ask("POST", "/v1/customers", {"name": "A"}, idempotency_key="k")
    assert (again.body, again.headers["idempotent-replayed"]) == (first.body, "true")
    age(inside.store.run, 60)
    later = await inside.ask("POST", "/v1/customers", {"name": "B"}, idempotency_key="k")
    assert (later.status, later.body["name"]) == (200, "B")
    assert later.body["id"] != first.body["id"]


async def test_purge_drops_a_key_after_its_time_only() -> None:
    inside = Inside()
    await inside.ask("POST", "/v1/customers", idempotency_key="one")
    await inside.ask("POST", "/v2/core/event_destinations", DESTINATION, idempotency_key="two")

    def kept() -> list[int]:
        tables = ("idempotency", "idempotency_v2")
        return [inside.store.rows(f"SELECT count(*) AS n FROM {table}")[0]["n"] for table in tables]

    for older_by, expected in ((DAY - 60, [1, 1]), (60, [0, 1]), (29 * DAY - 60, [0, 1]), (60, [0, 0])):
        age(inside.store.run, older_by)
        idempotency.purge(inside.store)
        assert kept() == expected


@pytest.mark.parametrize("how", [signal.SIGTERM, signal.SIGKILL])
def test_status_and_body_are_replayed_by_the_next_process(
    launch: Callable[..., Sandbox], tmp_path: Path, how: signal.Signals
) -> None:
    """Given a success, a decline and a refusal under keys, when the server ends, then each is replayed to the byte."""
    state = str(tmp_path / "state.sqlite")
    running = launch("--state", state)
    http = Http(base=running.base, key="sk_test_keys", session=running.session)
    customer = http.post("/v1/customers", {"name": "A"}).json()["id"]
    asked: list[tuple[str, Any, int]] = [
        ("/v1/customers", {"name": "B"}, 200),
        ("/v1/payment_methods/pm_card_chargeDeclined/attach", {"customer": customer}, 402),
        ("/v1/prices", {"currency": "usd", "product": "prod_nope", "unit_amount": "1"}, 400),
        ("/v1/customers/cus_nope", {"name": "C"}, 404),
    ]
    first = [http.post(path, data, Idempotency_Key=f"k{path}") for path, data, _status in asked]
    assert [answer.status_code for answer in first] == [status for _path, _data, status in asked]
    running.stop(how)
    running = launch("--state", state)
    http = Http(base=running.base, key="sk_test_keys", session=running.session)
    for (path, data, status), before in zip(asked, first, strict=True):
        again = http.post(path, data, Idempotency_Key=f"k{path}")
        assert (again.status_code, again.content) == (status, before.content)
        assert again.headers["Idempotent-Replayed"] == "true"
        assert again.headers["Request-Id"] == before.headers["Request-Id"]
        other = http.post(path, {"description": "other"}, Idempotency_Key=f"k{path}")
        assert (other.status_code, other.json()["error"]["type"]) == (400, "idempotency_error")
    running.stop(how)
    file = sqlite3.connect(state)
    age(file.execute, DAY)
    file.commit()
    file.close()
    running = launch("--state", state)
    http = Http(base=running.base, key="sk_test_keys", session=running.session)
    anew = http.post("/v1/customers", {"name": "B"}, Idempotency_Key="k/v1/customers")
    assert "Idempotent-Replayed" not in anew.headers
    assert anew.json()["id"] != first[0].json()["id"]


def test_racing_requests_with_one_key_make_one_object(sandbox: Sandbox, key: str) -> None:
    """Given a slow endpoint, when eight send the same at once, then one works and the rest replay it or must wait."""
    answers: list[requests.Response] = []
    start = threading.Barrier(8)

    def send() -> None:
        with requests.Session() as session:
            http = Http(base=sandbox.base, key=key, session=session)
            start.wait()
            answers.extend(http.post("/v1/customers", {"name": "A"}, Idempotency_Key="k") for _ in range(5))

    http = Http(base=sandbox.base, key=key, session=sandbox.session)
    http.post("/_sandbox/faults", {"kind": "slow", "delay_ms": "50", "count": "4"})
    threads = [threading.Thread(target=send) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    assert {answer.status_code for answer in answers} == {200, 409}
    assert {answer.json()["error"]["code"] for answer in answers if answer.status_code == 409} == {
        "idempotency_key_in_use"
    }
    assert len({answer.content for answer in answers if answer.status_code == 200}) == 1
    assert len(http.get("/v1/customers").json()["data"]) == 1


async def test_version_2_replays_posts_and_deletes_for_thirty_days() -> None:
    inside = Inside()
    path = "/v2/core/event_destinations"
    first = await inside.ask("POST", path, DESTINATION, idempotency_key="k")
    age(inside.store.run, 30 * DAY - 60)
    again = await inside.ask("POST", path, DESTINATION, idempotency_key="k")
    assert (again.status, again.body, again.headers["idempotent-replayed"]) == (200, first.body, "true")
    gone = await inside.ask("DELETE", f"{path}/{first.body['id']}", idempotency_key="gone")
    replay = await inside.ask("DELETE", f"{path}/{first.body['id']}", idempotency_key="gone")
    assert (gone.status, replay.status, replay.body) == (200, 200, gone.body)
    assert (gone.headers["idempotency-key"], replay.headers["idempotent-replayed"]) == ("gone", "true")
    assert (await inside.ask("DELETE", f"{path}/{first.body['id']}")).status == 404
    age(inside.store.run, 60)
    later = await inside.ask("POST", path, DESTINATION, idempotency_key="k")
    assert later.body["id"] != first.body["id"]


async def test_version_2_executes_a_failed_request_again_and_refuses_other_parameters() -> None:
    inside = Inside()
    customer = (await inside.ask("POST", "/v1/customers")).body["id"]
    usage = USAGE | {"payload": {"stripe_customer_id": customer, "value": "1"}, "identifier": "i"}
    failed = await inside.ask("POST", "/v2/billing/meter_events", usage, idempotency_key="k")
    assert (failed.status, failed.body["error"]["code"]) == (400, "no_meter")
    meter = {"display_name": "m", "event_name": "later", "default_aggregation[formula]": "sum"}
    await inside.ask("POST", "/v1/billing/meters", meter)
    done = await inside.ask("POST", "/v2/billing/meter_events", usage, idempotency_key="k")
    assert (done.status, "idempotent-replayed" in done.headers) == (200, False)
    again = await inside.ask("POST", "/v2/billing/meter_events", usage, idempotency_key="k")
    assert (again.body, again.headers["idempotent-replayed"]) == (done.body, "true")
    other = await inside.ask("POST", "/v2/billing/meter_events", usage | {"identifier": "j"}, idempotency_key="k")
    assert (other.status, other.body["error"]["type"]) == (400, "idempotency_error")


async def test_keys_of_the_two_versions_are_apart() -> None:
    inside = Inside()
    one = await inside.ask("POST", "/v1/customers", idempotency_key="k")
    two = await inside.ask("POST", "/v2/core/event_destinations", DESTINATION, idempotency_key="k")
    assert (one.status, two.status) == (200, 200)

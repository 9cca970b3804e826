"""Idempotency keys: replay, mismatch, in flight, what is kept and what is not."""

from __future__ import annotations

import socket
import time

import pytest
import stripe

from sandbox.harness import Http, Sandbox, World

JSON_FORM = "application/x-www-form-urlencoded"


def test_same_key_replays_the_first_answer(http: Http) -> None:
    first = http.post("/v1/customers", {"name": "A"}, Idempotency_Key="k1")
    again = http.post("/v1/customers", {"name": "A"}, Idempotency_Key="k1")
    assert again.json() == first.json()
    assert "Idempotent-Replayed" not in first.headers
    assert again.headers["Idempotent-Replayed"] == "true"
    assert again.headers["Idempotency-Key"] == "k1"
    assert len(http.get("/v1/customers").json()["data"]) == 1


def test_same_key_with_other_parameters_or_endpoint_is_refused(http: Http) -> None:
    http.post("/v1/customers", {"name": "A"}, Idempotency_Key="k1")
    for path, data in (("/v1/customers", {"name": "B"}), ("/v1/products", {"name": "A"})):
        answer = http.post(path, data, Idempotency_Key="k1")
        assert (answer.status_code, answer.json()["error"]["type"]) == (400, "idempotency_error")


def test_mismatch_is_an_idempotency_error_of_the_sdk(client: stripe.StripeClient) -> None:
    client.v1.customers.create({"name": "A"}, {"idempotency_key": "k1"})
    with pytest.raises(stripe.IdempotencyError):
        client.v1.customers.create({"name": "B"}, {"idempotency_key": "k1"})


def test_executed_refusal_is_replayed(world: World) -> None:
    customer = world.customer(card=None)
    attach = world.client.v1.payment_methods.attach
    for _ in range(2):
        with pytest.raises(stripe.CardError) as declined:
            attach("pm_card_chargeDeclined", {"customer": customer}, {"idempotency_key": "k1"})
    assert declined.value.headers["Idempotent-Replayed"] == "true"


def test_refused_validation_keeps_nothing(http: Http) -> None:
    assert http.post("/v1/customers", {"foo": "A"}, Idempotency_Key="k1").status_code == 400
    assert http.post("/v1/customers", {"name": "A"}, Idempotency_Key="k1").status_code == 200


def test_key_of_a_read_is_ignored(http: Http) -> None:
    first = http.get("/v1/customers", Idempotency_Key="k1")
    http.post("/v1/customers", {"name": "A"})
    assert len(http.get("/v1/customers", Idempotency_Key="k1").json()["data"]) == 1
    assert first.json()["data"] == []


def test_key_longer_than_255_is_refused(http: Http) -> None:
    assert http.post("/v1/customers", {}, Idempotency_Key="k" * 256).status_code == 400
    assert http.post("/v1/customers", {}, Idempotency_Key="k" * 255).status_code == 200


def test_keys_of_two_accounts_are_apart(sandbox: Sandbox, client: stripe.StripeClient, key: str) -> None:
    one = client.v1.customers.create({"name": "A"}, {"idempotency_key": "k1"})
    two = sandbox.client(key + "x").v1.customers.create({"name": "A"}, {"idempotency_key": "k1"})
    assert one.id != two.id


def test_second_request_while_the_first_is_running_is_409(sandbox: Sandbox, http: Http, key: str) -> None:
    """Given a first request whose body is still on its way, when a second uses its key, then it must wait."""
    body = b"name=A"
    head = (
        f"POST /v1/customers HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer {key}\r\nIdempotency-Key: k1\r\n"
        f"Content-Type: {JSON_FORM}\r\nContent-Length: {len(body)}\r\nConnection: close\r\n\r\n"
    )
    with socket.create_connection(("127.0.0.1", sandbox.port), timeout=30) as slow:
        slow.sendall(head.encode() + body[:1])
        time.sleep(0.2)
        second = http.post("/v1/customers", {"name": "A"}, Idempotency_Key="k1")
        assert (second.status_code, second.json()["error"]["code"]) == (409, "idempotency_key_in_use")
        slow.sendall(body[1:])
        assert slow.recv(100).startswith(b"HTTP/1.1 200")
    replay = http.post("/v1/customers", {"name": "A"}, Idempotency_Key="k1")
    assert replay.headers["Idempotent-Replayed"] == "true"

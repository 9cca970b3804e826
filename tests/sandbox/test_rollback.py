"""A handler that breaks half-way answers 500 and leaves nothing behind."""

from __future__ import annotations

import json
from typing import Any

import pytest

from stripe_sandbox.app import Server
from stripe_sandbox.documents import Call, Doc
from stripe_sandbox.objects import customer
from stripe_sandbox.store import Store
from stripe_sandbox.wire.routing import Endpoint, Router
from stripe_sandbox.wire.schema import table


async def ask(server: Server, path: str, key: str) -> tuple[int, dict[str, str], Doc]:
    """Send one POST straight into the application."""
    headers = [(b"authorization", b"Bearer sk_test_x"), (b"idempotency-key", key.encode())]
    scope = {
        "type": "http",
        "method": "POST",
        "path": path,
        "query_string": b"",
        "headers": headers,
        "http_version": "1.1",
        "scheme": "http",
        "server": ("127.0.0.1", 1),
    }
    sent: list[Any] = []

    async def receive() -> Doc:
        return {"type": "http.request", "body": b"", "more_body": False}

    async def send(message: Any) -> None:
        sent.append(message)

    await server.application()(scope, receive, send)
    answered = {name.decode(): value.decode() for name, value in sent[0]["headers"]}
    return sent[0]["status"], answered, json.loads(sent[1]["body"])


@pytest.fixture
def server() -> Server:
    def break_half_way(call: Call) -> Doc:
        customer.ENDPOINTS[0].handler(call)
        raise RuntimeError("half-way")

    built = Server(Store(None))
    built._router = Router([*customer.ENDPOINTS, Endpoint("POST", "/v1/broken", table(), break_half_way)])
    return built


async def test_unexpected_exception_answers_500_and_writes_nothing(server: Server) -> None:
    status, headers, body = await ask(server, "/v1/broken", "k1")
    assert (status, body["error"]["type"]) == (500, "api_error")
    assert headers["request-id"].startswith("req_")
    assert server._store.rows("SELECT * FROM objects") == []


async def test_stored_500_is_replayed_and_the_server_goes_on(server: Server) -> None:
    _, _, first = await ask(server, "/v1/broken", "k1")
    status, headers, again = await ask(server, "/v1/broken", "k1")
    assert (status, headers["idempotent-replayed"], again) == (500, "true", first)
    status, _, created = await ask(server, "/v1/customers", "k2")
    assert (status, created["object"]) == (200, "customer")
    assert len(server._store.rows("SELECT * FROM objects WHERE kind='customer'")) == 1

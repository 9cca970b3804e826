"""The application without a process or a socket: requests go straight in, and the store lies open."""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import urlencode

from stripe_sandbox.app import Server
from stripe_sandbox.store import Store


@dataclass(frozen=True, slots=True)
class Answered:
    """Status, headers and JSON of one answer."""

    status: int
    headers: dict[str, str]
    body: Any


@dataclass(kw_only=True)
class Inside:
    """One server over its own store."""

    store: Store = field(default_factory=lambda: Store(None))
    key: str = "sk_test_inside"

    def __post_init__(self) -> None:
        self.server = Server(self.store)
        self.application = self.server.application()

    async def ask(self, method: str, path: str, form: Any = None, **headers: str) -> Answered:
        """Send a form (or, to version 2, JSON) and return the answer."""
        as_json = path.startswith("/v2/") and method == "POST"
        text = json.dumps(form or {}) if as_json else urlencode(form or {})
        named = {"authorization": f"Bearer {self.key}"} | {k.replace("_", "-"): v for k, v in headers.items()}
        scope = {
            "type": "http",
            "method": method,
            "path": path,
            "query_string": b"" if method == "POST" else text.encode(),
            "headers": [(name.encode(), value.encode()) for name, value in named.items()],
            "http_version": "1.1",
            "scheme": "http",
            "server": ("127.0.0.1", 1),
        }
        sent: list[Any] = []

        async def receive() -> Any:
            return {"type": "http.request", "body": text.encode() if method == "POST" else b"", "more_body": False}

        async def send(message: Any) -> None:
            sent.append(message)

        await self.application(scope, receive, send)
        answered = {name.decode(): value.decode() for name, value in sent[0]["headers"]}
        return Answered(sent[0]["status"], answered, json.loads(sent[1]["body"]))

    def state(self) -> bytes:
        """Everything that is stored, byte for byte; what is rolled back leaves every page as it was."""
        return self.store._connection.serialize()

"""A real sandbox process on a free loopback port, and one account (secret key) per test."""

from __future__ import annotations

import signal
import uuid
from collections.abc import Callable, Iterator

import pytest
import stripe

from sandbox.harness import Http, Sandbox, World, start_sandbox


@pytest.fixture(scope="session")
def sandbox() -> Iterator[Sandbox]:
    running = start_sandbox()
    yield running
    running.stop()


@pytest.fixture
def launch() -> Iterator[Callable[..., Sandbox]]:
    """Start further servers that are gone after the test."""
    started: list[Sandbox] = []

    def _launch(*options: str) -> Sandbox:
        started.append(start_sandbox(*options))
        return started[-1]

    yield _launch
    for running in started:
        if running.process.poll() is None:
            running.stop(signal.SIGKILL)
        running.session.close()


@pytest.fixture
def key() -> str:
    return f"sk_test_{uuid.uuid4().hex}"


@pytest.fixture
def client(sandbox: Sandbox, key: str) -> stripe.StripeClient:
    return sandbox.client(key)


@pytest.fixture
def http(sandbox: Sandbox, key: str) -> Http:
    return Http(base=sandbox.base, key=key, session=sandbox.session)


@pytest.fixture
def world(client: stripe.StripeClient) -> World:
    return World(client=client)

"""The server as a process: start, stop, restart, kill."""

from __future__ import annotations

import signal
import threading
import time
from collections.abc import Callable
from pathlib import Path

import pytest
import requests

from sandbox.harness import Sandbox

KEY = "sk_test_restart"


@pytest.mark.parametrize("how", [signal.SIGTERM, signal.SIGINT])
def test_signal_stops_promptly_even_with_open_connections(launch: Callable[..., Sandbox], how: signal.Signals) -> None:
    running = launch()
    running.client(KEY).v1.customers.create({})
    assert running.stop(how) < 3
    assert running.process.returncode in {0, -how}


def test_restart_keeps_objects_keys_and_meter_identifiers(launch: Callable[..., Sandbox], tmp_path: Path) -> None:
    state = str(tmp_path / "state.sqlite")
    first = launch("--state", state)
    client = first.client(KEY)
    customer = client.v1.customers.create({"name": "A"}, {"idempotency_key": "k1"})
    account = client.v1.accounts.retrieve_current().id
    first.stop()
    client = launch("--state", state).client(KEY)
    assert client.v1.accounts.retrieve_current().id == account
    assert client.v1.customers.retrieve(customer.id).name == "A"
    replay = client.v1.customers.create({"name": "A"}, {"idempotency_key": "k1"})
    assert replay.id == customer.id
    assert replay.last_response.headers["Idempotent-Replayed"] == "true"


def test_second_server_on_the_same_state_is_refused(launch: Callable[..., Sandbox], tmp_path: Path) -> None:
    state = str(tmp_path / "state.sqlite")
    launch("--state", state).client(KEY).v1.customers.create({})
    with pytest.raises(pytest.fail.Exception):
        launch("--state", state)


def test_sigkill_loses_nothing_that_was_answered(launch: Callable[..., Sandbox], tmp_path: Path) -> None:
    """Given four writers, when the server is killed in the middle, then every id that was answered is still there."""
    state = str(tmp_path / "state.sqlite")
    running = launch("--state", state)
    answered: list[str] = []

    def write() -> None:
        with requests.Session() as session:
            while True:
                try:
                    answer = session.post(
                        f"{running.base}/v1/customers", headers={"Authorization": f"Bearer {KEY}"}, timeout=30
                    )
                except requests.RequestException:
                    return
                answered.append(answer.json()["id"])

    writers = [threading.Thread(target=write) for _ in range(4)]
    for writer in writers:
        writer.start()
    while len(answered) < 300:
        time.sleep(0.01)
    running.stop(signal.SIGKILL)
    for writer in writers:
        writer.join()
    client = launch("--state", state).client(KEY)
    kept = {one.id for one in client.v1.customers.list({"limit": 100}).auto_paging_iter()}
    assert set(answered) <= kept
    assert len(kept) - len(answered) <= len(writers)


def test_killed_advance_goes_on_after_a_restart(launch: Callable[..., Sandbox], tmp_path: Path) -> None:
    state = str(tmp_path / "state.sqlite")
    running = launch("--state", state)
    v1 = running.client(KEY).v1
    clock = v1.test_helpers.test_clocks.create({"frozen_time": 1_767_225_600})
    v1.test_helpers.test_clocks.advance(clock.id, {"frozen_time": 1_767_225_600 + 86_400})
    running.stop(signal.SIGKILL)
    clocks = launch("--state", state).client(KEY).v1.test_helpers.test_clocks
    for _ in range(200):
        found = clocks.retrieve(clock.id)
        if found.status == "ready":
            break
        time.sleep(0.02)
    assert (found.status, found.frozen_time) == ("ready", 1_767_225_600 + 86_400)

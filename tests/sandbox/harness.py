"""The pieces of the sandbox tests: a server process, raw requests, and a builder of the usual objects."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
import time
from dataclasses import dataclass, field
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
import requests
import stripe

SOURCE = Path(__file__).resolve().parents[2] / "src"
START_S = 15
MONTH_START = 1_767_225_600  # 2026-01-01T00:00:00Z
DAY = 86_400
METERS = {"compute": "1", "memory": "0.5", "bandwidth": "12", "storage": "2.3"}


@dataclass(kw_only=True)
class Sandbox:
    """One running server process."""

    port: int
    process: subprocess.Popen[bytes]
    session: requests.Session = field(default_factory=requests.Session)

    @property
    def base(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    def client(self, key: str) -> stripe.StripeClient:
        transport = stripe.RequestsClient(timeout=20, session=self.session)
        return stripe.StripeClient(
            key, base_addresses={"api": self.base, "meter_events": self.base}, http_client=transport
        )

    def stop(self, how: signal.Signals = signal.SIGTERM) -> float:
        started = time.perf_counter()
        self.process.send_signal(how)
        self.process.wait(timeout=10)
        self.session.close()
        return time.perf_counter() - started


def start_sandbox(*options: str) -> Sandbox:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    command = [sys.executable, "-m", "stripe_sandbox", "--port", str(port), *options]
    process = subprocess.Popen(command, env=dict(os.environ, PYTHONPATH=str(SOURCE)))
    sandbox = Sandbox(port=port, process=process)
    for _ in range(START_S * 50):
        try:
            if sandbox.session.get(f"{sandbox.base}/healthz", timeout=30).status_code == 200:
                return sandbox
        except requests.ConnectionError:
            if process.poll() is not None:
                break
            time.sleep(0.02)
    process.kill()
    process.wait(timeout=10)
    sandbox.session.close()
    pytest.fail("the sandbox did not start")


@dataclass(kw_only=True)
class Http:
    """Raw requests with the test's key, for what the SDK would not send or show."""

    base: str
    key: str
    session: requests.Session

    def call(self, method: str, path: str, data: Any = None, **headers: str) -> requests.Response:
        named = {name.replace("_", "-"): value for name, value in headers.items()}
        return self.session.request(
            method,
            self.base + path,
            data=data if method == "POST" else None,
            params=data if method != "POST" else None,
            headers={"Authorization": f"Bearer {self.key}"} | named,
            timeout=20,
        )

    def post(self, path: str, data: Any = None, **headers: str) -> requests.Response:
        return self.call("POST", path, data, **headers)

    def get(self, path: str, data: Any = None, **headers: str) -> requests.Response:
        return self.call("GET", path, data, **headers)


@dataclass
class Shop:
    """The integration's own site: where every redirect ends. It answers a return with a redirect to another host."""

    base: str
    other: str
    seen: list[str] = field(default_factory=list)


@dataclass(kw_only=True)
class World:
    """Builds the usual objects: a product, a fixed price, four metered prices, customers on a test clock."""

    client: stripe.StripeClient
    prices: dict[str, str] = field(default_factory=dict)
    meters: dict[str, str] = field(default_factory=dict)
    product: str = ""

    def catalogue(self, fixed_minor: int = 2900, amounts: dict[str, str] | None = None) -> None:
        v1 = self.client.v1
        self.product = v1.products.create({"name": "PRO"}).id
        fixed = {"currency": "usd", "product": self.product, "recurring": {"interval": "month"}}
        self.prices["fixed"] = v1.prices.create({**fixed, "unit_amount": fixed_minor}).id
        for name, cents in (amounts or METERS).items():
            meter = {"display_name": name, "event_name": name, "default_aggregation": {"formula": "sum"}}
            self.meters[name] = v1.billing.meters.create(meter).id
            recurring = {"interval": "month", "usage_type": "metered", "meter": self.meters[name]}
            params = {"currency": "usd", "product": self.product, "recurring": recurring}
            self.prices[name] = v1.prices.create({**params, "unit_amount_decimal": Decimal(cents)}).id

    def clock(self, at: int = MONTH_START) -> str:
        return self.client.v1.test_helpers.test_clocks.create({"frozen_time": at}).id

    def customer(self, clock: str | None = None, card: str | None = "pm_card_visa") -> str:
        v1 = self.client.v1
        customer = v1.customers.create({"test_clock": clock} if clock else {}).id
        if card:
            self.card(customer, card)
        return customer

    def card(self, customer: str, card: str) -> str:
        method = self.client.v1.payment_methods.attach(card, {"customer": customer}).id
        settings = {"default_payment_method": method}
        self.client.v1.customers.update(customer, {"invoice_settings": settings})
        return method

    def subscribe(self, customer: str, **extra: Any) -> stripe.Subscription:
        items = [{"price": price} for price in self.prices.values()]
        return self.client.v1.subscriptions.create({"customer": customer, "items": items, **extra})

    def use(self, name: str, customer: str, value: str, at: int, **extra: Any) -> None:
        payload = {"stripe_customer_id": customer, "value": value}
        event = {"event_name": name, "payload": payload, "timestamp": at, **extra}
        self.client.v1.billing.meter_events.create(event)

    def advance(self, clock: str, to: int) -> None:
        clocks = self.client.v1.test_helpers.test_clocks
        clocks.advance(clock, {"frozen_time": to})
        for _ in range(1000):
            if clocks.retrieve(clock).status == "ready":
                return
            time.sleep(0.01)
        pytest.fail("the test clock did not become ready")

    def invoices(self, subscription: str) -> list[stripe.Invoice]:
        return list(self.client.v1.invoices.list({"subscription": subscription, "limit": 100}).data)

    def event_types(self) -> list[str]:
        """Every event of the account, oldest first."""
        events = self.client.v1.events.list({"limit": 100})
        return [event.type for event in events.auto_paging_iter()][::-1]

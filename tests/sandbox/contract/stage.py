"""What the contract cases need before their call: the usual objects, made through the same SDK and account.

Runs against the sandbox or, with STRIPE_TEST_KEY, against Stripe's test mode: names are unique, nothing assumes an
empty account, and shared objects are never changed by a case.
"""

from __future__ import annotations

import json
import time
import uuid
from dataclasses import dataclass, field
from decimal import Decimal
from functools import cached_property
from typing import Any
from urllib.parse import urlsplit

import stripe

READY_WITHIN_S = 120
DAY = 86_400


@dataclass(frozen=True, slots=True, kw_only=True)
class Exchange:
    """One request as the SDK sent it, and the answer."""

    method: str
    path: str
    query: str
    body: str
    status: int
    answer: Any


class Recorder(stripe.RequestsClient):
    """The SDK's transport, remembering the last exchange."""

    last: Exchange

    def request(self, method: str, url: str, headers: Any, post_data: Any = None) -> Any:
        body, status, answered = super().request(method, url, headers, post_data)
        to = urlsplit(url)
        self.last = Exchange(
            method=method.upper(),
            path=to.path,
            query=to.query,
            body=post_data or "",
            status=status,
            answer=json.loads(body),
        )
        return body, status, answered


@dataclass(kw_only=True)
class Stage:
    """A client with its recorder, and makers of the objects a call is about."""

    client: stripe.StripeClient
    recorder: Recorder
    is_sandbox: bool
    run: str = field(default_factory=lambda: uuid.uuid4().hex[:10])

    @property
    def v1(self) -> Any:
        return self.client.v1

    @property
    def v2(self) -> Any:
        return self.client.v2

    def name(self) -> str:
        return f"contract_{self.run}_{uuid.uuid4().hex[:8]}"

    @cached_property
    def product(self) -> str:
        return self.v1.products.create({"name": self.name()}).id

    @cached_property
    def price(self) -> str:
        return self.new_price(2900)

    @cached_property
    def one_time_price(self) -> str:
        return self.v1.prices.create({"currency": "usd", "product": self.product, "unit_amount": 700}).id

    @cached_property
    def meter(self) -> Any:
        return self.new_meter()

    @cached_property
    def metered_price(self) -> str:
        recurring = {"interval": "month", "usage_type": "metered", "meter": self.meter.id}
        params = {"currency": "usd", "product": self.product, "recurring": recurring}
        return self.v1.prices.create({**params, "unit_amount_decimal": Decimal("2.3")}).id

    @cached_property
    def customer(self) -> str:
        return self.new_customer()

    @cached_property
    def subscription(self) -> Any:
        return self.new_subscription()

    @cached_property
    def paid_invoice(self) -> str:
        return self.subscription.latest_invoice

    @cached_property
    def invoice_payment(self) -> Any:
        return self.v1.invoice_payments.list({"invoice": self.paid_invoice}).data[0]

    @cached_property
    def charge(self) -> Any:
        return self.v1.charges.list({"payment_intent": self.invoice_payment.payment.payment_intent}).data[0]

    @cached_property
    def portal(self) -> str:
        features = {"invoice_history": {"enabled": True}, "payment_method_update": {"enabled": True}}
        return self.v1.billing_portal.configurations.create({"features": features}).id

    def new_price(self, minor: int, **recurring: Any) -> str:
        params = {"currency": "usd", "product": self.product, "unit_amount": minor}
        return self.v1.prices.create({**params, "recurring": {"interval": "month", **recurring}}).id

    def new_meter(self) -> Any:
        aggregation = {"default_aggregation": {"formula": "sum"}}
        return self.v1.billing.meters.create({"display_name": "Usage", "event_name": self.name(), **aggregation})

    def new_customer(self, card: str | None = "pm_card_visa", **params: Any) -> str:
        customer = self.v1.customers.create({"email": "ada@example.com", "name": "Ada", **params}).id
        if card:
            method = self.v1.payment_methods.attach(card, {"customer": customer}).id
            self.v1.customers.update(customer, {"invoice_settings": {"default_payment_method": method}})
        return customer

    def new_card(self, customer: str, card: str = "pm_card_visa") -> str:
        return self.v1.payment_methods.attach(card, {"customer": customer}).id

    def new_subscription(self, customer: str = "", **params: Any) -> Any:
        items = [{"price": self.price}, {"price": self.metered_price}]
        return self.v1.subscriptions.create({"customer": customer or self.new_customer(), "items": items, **params})

    def new_clock(self, at: int = 1_767_225_600) -> str:
        return self.v1.test_helpers.test_clocks.create({"frozen_time": at}).id

    def advance(self, clock: str, to: int) -> None:
        self.v1.test_helpers.test_clocks.advance(clock, {"frozen_time": to})
        until = time.monotonic() + READY_WITHIN_S
        while self.v1.test_helpers.test_clocks.retrieve(clock).status != "ready":
            assert time.monotonic() < until, "the test clock did not become ready"
            time.sleep(0.02 if self.is_sandbox else 1)

    def new_draft(self, customer: str = "", amount: int = 1500) -> str:
        customer = customer or self.new_customer()
        invoice = self.v1.invoices.create({"customer": customer, "auto_advance": False}).id
        self.v1.invoice_items.create({"customer": customer, "invoice": invoice, "amount": amount, "currency": "usd"})
        return invoice

    def new_open(self, customer: str = "") -> str:
        return self.v1.invoices.finalize_invoice(self.new_draft(customer)).id

    def new_intent(self, **params: Any) -> Any:
        return self.v1.payment_intents.create({"amount": 500, "currency": "usd", "customer": self.customer, **params})

    def new_setup(self, **params: Any) -> Any:
        return self.v1.setup_intents.create({"customer": self.customer, **params})

    def new_session(self, **params: Any) -> Any:
        lines = [{"price": self.price, "quantity": 1}, {"price": self.metered_price}]
        pages = {"success_url": "https://example.com/done", "cancel_url": "https://example.com/back"}
        return self.v1.checkout.sessions.create({"mode": "subscription", "line_items": lines, **pages, **params})

    def new_schedule(self) -> Any:
        return self.v1.subscription_schedules.create({"from_subscription": self.new_subscription().id})

    def used(self, identifier: str = "") -> str:
        """Report a unit of usage and return its identifier."""
        identifier = identifier or self.name()
        payload = {"stripe_customer_id": self.customer, "value": "1.5"}
        event = {"event_name": self.meter.event_name, "payload": payload, "identifier": identifier}
        self.v1.billing.meter_events.create(event)
        return identifier

    def thin_event(self) -> str:
        """Have usage of nobody reported, wait for its thin event and return the event's id."""
        payload = {"stripe_customer_id": "cus_nobody", "value": "1"}
        self.v1.billing.meter_events.create({"event_name": self.meter.event_name, "payload": payload})
        until = time.monotonic() + READY_WITHIN_S
        while not (found := self.v2.core.events.list({"object_id": self.meter.id, "limit": 1}).data):
            assert time.monotonic() < until, "no thin event came"
            self.client.raw_request("post", "/_sandbox/clock/advance", seconds=10)
        return found[0].id

    def new_endpoint(self) -> str:
        return self.v1.webhook_endpoints.create({"url": "https://example.com/hook", "enabled_events": ["never"]}).id

    def new_destination(self) -> str:
        hook = {"type": "webhook_endpoint", "webhook_endpoint": {"url": "https://example.com/thin"}}
        events = {"event_payload": "thin", "enabled_events": ["v1.billing.meter.error_report_triggered"]}
        return self.v2.core.event_destinations.create({"name": "contract", **hook, **events}).id

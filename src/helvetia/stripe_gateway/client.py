"""StripeGateway over the official SDK: one client, one connection pool, pinned version, own time limits.

Only wiring imports this. Each method refuses to run inside a transaction; the SDK repeats what is safe to repeat
(connection errors, 409, 5xx) twice with the same idempotency key. Behind a circuit that opens by itself.
"""

from collections.abc import Sequence
from datetime import datetime
from functools import partial
from typing import Any

import stripe

from helvetia.catalogue.plans import SubscriptionPlan
from helvetia.kernel.clock import Clock, SystemClock, to_unix_s
from helvetia.stripe_gateway import request_params as params
from helvetia.stripe_gateway.circuit import Circuit, CircuitHttpClient
from helvetia.stripe_gateway.client_actions import StripeClientActions
from helvetia.stripe_gateway.client_credit_notes import CreditNoteReader
from helvetia.stripe_gateway.client_events import EventReader
from helvetia.stripe_gateway.client_upcoming import UpcomingReader
from helvetia.stripe_gateway.convert_customer import from_stripe_account, from_stripe_customer
from helvetia.stripe_gateway.convert_invoice import from_stripe_invoice, from_stripe_invoice_line
from helvetia.stripe_gateway.convert_meter import from_stripe_meter, from_stripe_meter_summary
from helvetia.stripe_gateway.convert_price import from_stripe_price, from_stripe_product
from helvetia.stripe_gateway.convert_subscription import from_stripe_subscription
from helvetia.stripe_gateway.errors import StripeUnavailable
from helvetia.stripe_gateway.fields import read_rows
from helvetia.stripe_gateway.model import (
    Customer,
    Invoice,
    InvoiceLine,
    Meter,
    MeterEvent,
    MeterSummary,
    NewCustomer,
    NewPrice,
    NewSubscription,
    Price,
    Product,
    StripeAccount,
    Subscription,
)
from helvetia.stripe_gateway.transport import (
    ATTEMPT_S,
    PAGE_SIZE,
    PAGES_MAX,
    all_pages,
    call,
    plain_list,
    refuse_transaction,
)

RETRIES_MAX = 2
INVOICES_MAX = PAGE_SIZE * PAGES_MAX


class StripeClientGateway(StripeClientActions, EventReader, UpcomingReader, CreditNoteReader):
    """Stripe itself, or the sandbox when `api_base` points to one."""

    def __init__(self, secret_key: str, *, api_base: str | None = None, clock: Clock | None = None) -> None:
        clock = clock or SystemClock()
        self._http = CircuitHttpClient(Circuit(clock), clock, attempt_s=ATTEMPT_S)
        self._client = stripe.StripeClient(
            secret_key,
            base_addresses={"api": api_base, "meter_events": api_base} if api_base else None,
            max_network_retries=RETRIES_MAX,
            http_client=self._http,
        )
        self._v1 = self._client.v1

    async def close(self) -> None:
        await self._http.close_async()  # type: ignore[no-untyped-call]

    async def retrieve_account(self) -> StripeAccount:
        refuse_transaction()
        return from_stripe_account(await call(self._v1.accounts.retrieve_current_async()))

    async def get_or_create_customer(self, new: NewCustomer) -> Customer:
        refuse_transaction()
        wanted, key = params.of_new_customer(new)
        return from_stripe_customer(
            await call(self._v1.customers.create_async(wanted, options={"idempotency_key": key}))
        )

    async def retrieve_customer(self, customer_id: str) -> Customer:
        refuse_transaction()
        return from_stripe_customer(await call(self._v1.customers.retrieve_async(customer_id)))

    async def attach_payment_method(self, customer_id: str, payment_method: str) -> Customer:
        refuse_transaction()
        attached = await call(self._v1.payment_methods.attach_async(payment_method, {"customer": customer_id}))
        return from_stripe_customer(
            await call(
                self._v1.customers.update_async(
                    customer_id, {"invoice_settings": {"default_payment_method": attached["id"]}}
                )
            )
        )

    async def create_subscription(self, new: NewSubscription) -> Subscription:
        refuse_transaction()
        return from_stripe_subscription(
            await call(
                self._v1.subscriptions.create_async(
                    params.of_new_subscription(new), options={"idempotency_key": new.idempotency_key}
                )
            )
        )

    async def retrieve_subscription(self, subscription_id: str) -> Subscription:
        refuse_transaction()
        return from_stripe_subscription(await call(self._v1.subscriptions.retrieve_async(subscription_id)))

    async def list_subscriptions(self, customer_id: str) -> Sequence[Subscription]:
        refuse_transaction()
        found = await all_pages(
            plain_list(self._client, "/v1/subscriptions"), {"customer": customer_id, "status": "all"}
        )
        return tuple(from_stripe_subscription(raw) for raw in found)

    async def list_invoices(self, *, customer_id: str, subscription_id: str | None = None) -> Sequence[Invoice]:
        refuse_transaction()
        wanted: dict[str, Any] = {"customer": customer_id}
        if subscription_id is not None:
            wanted["subscription"] = subscription_id
        found = await all_pages(plain_list(self._client, "/v1/invoices"), {**wanted, "expand": ["data.payments"]})
        return tuple(from_stripe_invoice(raw) for raw in found)

    async def retrieve_invoice(self, invoice_id: str) -> Invoice:
        refuse_transaction()
        invoice = from_stripe_invoice(
            await call(self._v1.invoices.retrieve_async(invoice_id, {"expand": ["payments"]}))
        )
        if not invoice.has_more_lines:
            return invoice
        return params.with_lines(invoice, await self._all_lines(invoice_id))

    async def _all_lines(self, invoice_id: str) -> tuple[InvoiceLine, ...]:
        found = await all_pages(partial(self._v1.invoices.line_items.list_async, invoice_id), {})
        return tuple(from_stripe_invoice_line(raw) for raw in found)

    async def send_meter_event(self, event: MeterEvent) -> None:
        refuse_transaction()
        answer = await call(self._v1.billing.meter_events.create_async(params.of_meter_event(event)))
        if answer.get("identifier") != event.identifier:  # somebody else's answer: in doubt, and safe to repeat
            raise StripeUnavailable(expected=event.identifier, found=str(answer.get("identifier")))

    async def meter_event_summaries(
        self, *, meter_id: str, customer_id: str, starts_at: datetime, ends_at: datetime
    ) -> Sequence[MeterSummary]:
        refuse_transaction()
        answer = await call(
            self._v1.billing.meters.event_summaries.list_async(
                meter_id,
                {
                    "customer": customer_id,
                    "start_time": to_unix_s(starts_at),
                    "end_time": to_unix_s(ends_at),
                    "limit": PAGE_SIZE,
                },
            )
        )
        return tuple(from_stripe_meter_summary(raw) for raw in read_rows(answer))

    async def meter_event_summaries_by_hour(
        self, *, meter_id: str, customer_id: str, starts_at: datetime, ends_at: datetime
    ) -> Sequence[MeterSummary]:
        refuse_transaction()
        found = await all_pages(
            partial(self._v1.billing.meters.event_summaries.list_async, meter_id),
            {
                "customer": customer_id,
                "start_time": to_unix_s(starts_at),
                "end_time": to_unix_s(ends_at),
                "value_grouping_window": "hour",
            },
        )
        return tuple(from_stripe_meter_summary(raw) for raw in found)

    async def retrieve_price(self, price_id: str) -> Price:
        refuse_transaction()
        return from_stripe_price(await call(self._v1.prices.retrieve_async(price_id)))

    async def retrieve_meter(self, meter_id: str) -> Meter:
        refuse_transaction()
        return from_stripe_meter(await call(self._v1.billing.meters.retrieve_async(meter_id)))

    async def retrieve_product(self, product_id: str) -> Product:
        refuse_transaction()
        return from_stripe_product(await call(self._v1.products.retrieve_async(product_id)))

    async def list_prices(self, lookup_keys: Sequence[str]) -> Sequence[Price]:
        refuse_transaction()
        answer = await call(
            self._v1.prices.list_async({"lookup_keys": list(lookup_keys), "active": True, "limit": PAGE_SIZE})
        )
        return tuple(from_stripe_price(raw) for raw in read_rows(answer))

    async def list_meters(self) -> Sequence[Meter]:
        refuse_transaction()
        found = await all_pages(self._v1.billing.meters.list_async, {"status": "active"})
        return tuple(from_stripe_meter(raw) for raw in found)

    async def create_meter(self, *, title: str, event_name: str) -> Meter:
        refuse_transaction()
        return from_stripe_meter(
            await call(self._v1.billing.meters.create_async(params.of_new_meter(title, event_name)))
        )

    async def create_product(self, *, name: str, plan: SubscriptionPlan | None, key: str) -> Product:
        refuse_transaction()
        return from_stripe_product(
            await call(
                self._v1.products.create_async(
                    params.of_new_product(name, plan), options={"idempotency_key": f"product:{key}"}
                )
            )
        )

    async def create_price(self, new: NewPrice) -> Price:
        refuse_transaction()
        return from_stripe_price(await call(self._v1.prices.create_async(params.of_new_price(new))))

"""Stripe's door on a real port, with the jobs behind it, for whatever the sandbox or a test sends."""

import asyncio
import contextlib
import json
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any

import aiohttp
import uvicorn
from fastapi import FastAPI

from helvetia.database.job_queue import JobQueue
from helvetia.kernel.identity import AccountId
from helvetia.stripe_gateway.client_events import API_VERSION
from helvetia.stripe_gateway.model import StripeGateway
from helvetia.web.api.stripe_webhook_controller import StripeWebhookController
from helvetia.web.config import WebConfig
from helvetia.web.problems import add_problem_handlers
from helvetia.webhooks import store
from helvetia.webhooks.compare_fields import invoice_pairs
from helvetia.webhooks.invariants import broken_invariants
from helvetia.webhooks.model import WebhookConfig
from helvetia.webhooks.reconcile_stripe import INVOICES_MAX
from helvetia.webhooks.service import WebhookService
from helvetia.webhooks.verify_signature import sign
from support.billing_house import BillingHouse
from support.sandbox_process import free_port
from support.stripe_world import StripeWorld

SECRET = "whsec_test"
# Longer than any pause of a test: a request must never meet a connection that is just being closed for idleness.
KEEP_ALIVE_S = 600
MISSIONS_FIVE = (
    *("customer.subscription.created", "customer.subscription.updated", "customer.subscription.deleted"),
    *("invoice.paid", "invoice.payment_failed"),
)


@dataclass(frozen=True, kw_only=True)
class WebhookHouse:
    """The service, its address, and what tests do with them."""

    house: BillingHouse
    gateway: StripeGateway
    service: WebhookService
    url: str
    session: aiohttp.ClientSession

    async def deliver(self, event: Mapping[str, Any], secret: str = SECRET) -> str:
        """Send one event as Stripe does; the outcome."""
        body = json.dumps(event).encode()
        headers = {"Stripe-Signature": sign(body, secret, self.house.clock.wall())}
        async with self.session.post(self.url, data=body, headers=headers) as answer:
            assert answer.status == 200, await answer.text()
            return str((await answer.json())["outcome"])

    async def waiting_count(self) -> int:
        async with self.house.database.transaction() as tx:
            return (await store.waiting_counts(tx))[0]

    async def settle(self, expected: int = 0) -> None:
        """Until so many events arrived at least, and none waits."""
        for _ in range(600):
            if await self.kept_count() >= expected and await self.waiting_count() == 0:
                return
            await asyncio.sleep(0.05)
        raise TimeoutError("events still wait")

    async def kept_count(self) -> int:
        return len(await self.kept())

    async def kept(self) -> list[Any]:
        async with self.house.database.transaction() as tx:
            cursor = await tx.execute(
                "SELECT event_id, event_type, customer_id, source, outcome, parked_at FROM stripe_events"
            )
            return await cursor.fetchall()

    async def assert_invoices_agree(self, account_id: AccountId, customer_id: str) -> None:
        """Our invoices are Stripe's, field by field."""
        ours = (await self.house.billing.get_invoices(account_id, limit=100)).invoices
        stripes = await self.gateway.list_invoices(customer_id=customer_id)
        assert len(stripes) < INVOICES_MAX
        assert invoice_pairs(ours, stripes) == []


@asynccontextmanager
async def webhook_house(
    house: BillingHouse,
    gateway: StripeGateway,
    *,
    secrets: Sequence[str] = (SECRET,),
    port: int = 0,
    works: bool = True,
) -> AsyncIterator[WebhookHouse]:
    """`works`: events are handled as they come; without, only when the test says so."""
    queue, port = JobQueue(house.database.url), port or free_port()
    config = WebhookConfig(secrets=secrets, is_live=False, api_version=API_VERSION)
    service = WebhookService(
        config, house.database, house.clock, gateway, house.subscriptions, house.billing, house.reports, queue
    )
    app = FastAPI()
    StripeWebhookController(WebConfig(public_base_url="http://127.0.0.1"), service).add_to(app.router)
    add_problem_handlers(app)
    server = uvicorn.Server(
        uvicorn.Config(app, port=port, log_level="error", lifespan="off", timeout_keep_alive=KEEP_ALIVE_S)
    )
    server.install_signal_handlers = lambda: None  # type: ignore[attr-defined, method-assign]
    tasks = [asyncio.create_task(server._serve())]
    while not server.started:
        await asyncio.sleep(0.01)
    if works:
        tasks.append(asyncio.create_task(queue.run({"webhooks.sync_customer": service.sync_customer_job})))
        tasks.append(asyncio.create_task(_dispatch(service)))
    try:
        async with aiohttp.ClientSession() as session:
            yield WebhookHouse(
                house=house,
                gateway=gateway,
                service=service,
                url=f"http://127.0.0.1:{port}/api/v1/webhooks/stripe",
                session=session,
            )
        async with house.database.transaction() as tx:
            assert await broken_invariants(tx) == {}
    finally:
        for task in tasks[1:]:
            task.cancel()
        server.should_exit = True
        for task in tasks:
            with contextlib.suppress(asyncio.CancelledError):
                await task


async def _dispatch(service: WebhookService) -> None:
    while True:
        await service.dispatch()
        await asyncio.sleep(0.05)


@asynccontextmanager
async def subscribed_house(
    house: BillingHouse,
    gateway: StripeGateway,
    world: StripeWorld,
    events: Sequence[str] = ("*",),
    *,
    works: bool = True,
) -> AsyncIterator[WebhookHouse]:
    """The sandbox itself delivers these types to the door."""
    port = free_port()
    url = f"http://127.0.0.1:{port}/api/v1/webhooks/stripe"
    made = await world.v1.webhook_endpoints.create_async({"url": url, "enabled_events": list(events)})  # type: ignore[typeddict-item]
    assert made.secret is not None
    async with webhook_house(house, gateway, secrets=(made.secret, SECRET), port=port, works=works) as served:
        yield served


async def all_events(world: StripeWorld) -> list[dict[str, Any]]:
    """Every event of the sandbox's account, oldest first."""
    return await _events(world, "starting_after", "")


async def events_after(world: StripeWorld, event_id: str) -> list[dict[str, Any]]:
    """Those that came after this event (all, when it is empty), oldest first."""
    return await (_events(world, "ending_before", event_id) if event_id else all_events(world))


async def _events(world: StripeWorld, cursor: str, event_id: str) -> list[dict[str, Any]]:
    """Pages are newest first, whichever way one turns them."""
    found: list[dict[str, Any]] = []
    for _ in range(1000):
        options: dict[str, Any] = {"limit": 100, **({cursor: event_id} if event_id else {})}
        raw = await world.get("/v1/events", **options)
        is_back = cursor == "starting_after"
        found = raw["data"][::-1] + found if is_back else found + raw["data"][::-1]
        if not raw["has_more"]:
            break
        event_id = raw["data"][-1 if is_back else 0]["id"]
    return found

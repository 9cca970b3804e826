"""One customer of the whole product, with the worker's ticks that matter, on a clock that a test moves."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from decimal import Decimal
from pathlib import Path

import uvicorn
from fastapi import FastAPI

from helvetia.accounts.model import User
from helvetia.accounts.service import AccountService
from helvetia.billing.service import BillingService
from helvetia.containers.model import ServiceDefinition
from helvetia.containers.reconcile_services import ServiceReconciler
from helvetia.containers.service import ContainerService
from helvetia.containers.simulated_host import SimulatedHost
from helvetia.database.pool import Database
from helvetia.enforcement.service import EnforcementService
from helvetia.kernel.clock import ManualClock
from helvetia.meter_reports.service import MeterReportService
from helvetia.metering.model import MeteringConfig
from helvetia.metering.readers.host_reader import HostReader
from helvetia.metering.service import MeteringService
from helvetia.notifications.service import NotificationService
from helvetia.stripe_gateway.actions import StripeActions
from helvetia.subscriptions.service import SubscriptionService
from helvetia.wiring.controllers import WebProvider
from support.sandbox_process import free_port
from support.whole_house import WholeHouse, whole_house

PASSWORD = "correct horse battery"
CONFIG = MeteringConfig(sample_interval_s=60, storage_interval_s=300, settle_s=180, reconnect_wait_max_s=0.01)
STARTED_WITHIN_S = 10
WEB = ServiceDefinition(
    name="web",
    image="helvetia/demo:latest",
    memory_mb=256,
    cpu_cores=Decimal("0.25"),
    env={"SIM_MEMORY_BYTES": "104857600", "SIM_BYTES_PER_S": "200000", "SIM_LAYER_BYTES": "5000000"},
)


@dataclass(kw_only=True)
class CustomerLife:
    """The customer, the pages they open, and what the worker does for them."""

    house: WholeHouse
    clock: ManualClock
    base_url: str
    user: User
    containers: ContainerService
    host: SimulatedHost
    metering: MeteringService
    reports: MeterReportService
    reconciler: ServiceReconciler

    async def turn(self) -> None:
        """What the worker does in a minute."""
        account_id = self.user.account_id
        await (await self.house.get(SubscriptionService)).sync_subscription(account_id)
        billing = await self.house.get(BillingService)
        await billing.adopt_card(account_id)
        await billing.mirror_invoices(account_id)
        await (await self.house.get(EnforcementService)).run_pass()
        await (await self.house.get(NotificationService)).send_due()
        await self.reconciler.reconcile_services()
        await self.metering.sample()
        await self.metering.sample_storage()
        await self.metering.sweep()
        await self.metering.roll_up()
        await self.metering.close_due()
        reports = await self.house.get(MeterReportService)
        await reports.close_periods()
        await reports.queue(account_id)
        await reports.send_due()

    async def advance(self, length: timedelta) -> None:
        await self.at(self.clock.now() + length)

    async def at(self, instant: datetime) -> None:
        """Business time and Stripe's go to the instant, then the worker has its minute."""
        await self.house.advance_to(instant)
        await self.turn()

    async def live(self, length: timedelta, *, step: timedelta = timedelta(minutes=1)) -> None:
        """Minutes of ordinary running: the meter looks, nothing else happens."""
        until = self.clock.now() + length
        while self.clock.now() < until:
            self.clock.advance(min(step, until - self.clock.now()))
            await self.metering.sample()
        await self.metering.sample_storage()
        await self.metering.roll_up()

    async def run_services(self, *names: str) -> None:
        for name in names:
            await self.containers.create_service(self.user.account_id, replace(WEB, name=name))
        await self.reconciler.reconcile_services()
        await self.metering.sample()

    async def use_card(self, card: str) -> None:
        """Another card becomes the customer's, as by the portal."""
        gateway = await self.house.get(StripeActions)
        record = await (await self.house.get(SubscriptionService)).get_subscription(self.user.account_id)
        assert record.stripe_customer_id is not None
        await gateway.attach_payment_method(record.stripe_customer_id, card)


@asynccontextmanager
async def customer_life(
    sandbox_url: str, database_url: str, data: Path, starts_at: datetime
) -> AsyncIterator[CustomerLife]:
    """The application on a port of loopback; the customer exists and has bought nothing."""
    clock, port = ManualClock(starts_at), free_port()
    base_url = f"http://127.0.0.1:{port}"
    overrides = {"container_host": "process", "port": port, "public_base_url": base_url}
    async with whole_house(sandbox_url, database_url, clock, data, overrides, WebProvider()) as house:
        database, host = await house.get(Database), SimulatedHost("customer", clock)
        user = await (await house.get(AccountService)).create_user("ada@example.com", PASSWORD)
        app = await house.get(FastAPI)
        server = uvicorn.Server(uvicorn.Config(app, host="127.0.0.1", port=port, log_level="warning", ws="none"))
        task = asyncio.create_task(server.serve())
        async with asyncio.timeout(STARTED_WITHIN_S):
            while not server.started:
                await asyncio.sleep(0.02)
        yield CustomerLife(
            house=house,
            clock=clock,
            base_url=base_url,
            user=user,
            containers=await house.get(ContainerService),
            host=host,
            metering=MeteringService(database, clock, host, HostReader(host), CONFIG),
            reports=await house.get(MeterReportService),
            reconciler=ServiceReconciler(database, clock, host),
        )
        server.should_exit = True
        await task

"""A running container becomes a correct invoice: real engine, real processes, the sandbox over HTTP.

given an account subscribed to STARTER, and the API and the worker running as processes of their own
when  three services run with known memory and known bytes; one is stopped, one is killed, all are stopped at the end
then  the invoice at the period's end has the fixed line and four metered lines, each our own rating of our ledger to
      the cent, and compute time is the engine's own, to the nanosecond; also when the worker is killed in between
"""

import asyncio
import random
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from dataclasses import dataclass
from datetime import timedelta
from ipaddress import ip_network
from pathlib import Path
from typing import Any
from uuid import UUID

import aiohttp
import pytest

from conftest import missing
from helvetia.accounts.service import AccountService
from helvetia.billing.model import InvoiceRecord
from helvetia.billing.service import BillingService
from helvetia.catalogue.plans import SubscriptionPlan
from helvetia.catalogue.prices import METERED_PRICES
from helvetia.containers.docker_host import DockerHost
from helvetia.containers.model import ContainerHost, ContainerState
from helvetia.containers.reconcile_services import ServiceReconciler
from helvetia.containers.service import ContainerService
from helvetia.database.pool import Database
from helvetia.kernel.clock import ShiftedClock
from helvetia.kernel.identity import AccountId, ServiceId
from helvetia.kernel.period import Period
from helvetia.kernel.quantity import UsageMetric
from helvetia.meter_reports.service import MeterReportService
from helvetia.metering import store as metering_store
from helvetia.metering.invariants import broken_invariants
from helvetia.metering.model import MeteringConfig
from helvetia.metering.readers.model import CounterReader
from helvetia.metering.service import MeteringService
from helvetia.rating.rate_usage import rate_usage
from helvetia.subscriptions.service import SubscriptionService
from support import trials
from support.byte_sink import byte_sink
from support.docker_engine import HINT, why_no_engine
from support.processes import RunningCommand, running_command
from support.sandbox_process import free_port
from support.whole_house import WholeHouse, whole_house

RUN_S = float(trials.choose(small=12, full=60))
SEED = 20260310
MB = 2**20
SENT_BYTES = 20 * MB
HELD_MB = 32
IDLE = "trap 'exit 0' TERM; while :; do sleep 0.2; done"

pytestmark = [pytest.mark.docker, pytest.mark.slow]


@dataclass(frozen=True, kw_only=True)
class Scene:
    """An account subscribed to STARTER, and the product's processes around it."""

    house: WholeHouse
    account_id: AccountId
    api: aiohttp.ClientSession
    worker: RunningCommand
    gateway_address: str
    sink_port: int
    received: Callable[[], int]

    async def call(self, method: str, path: str, body: Mapping[str, object] | None = None) -> Any:
        async with self.api.request(method, f"/api/v1{path}", json=body) as answer:
            assert answer.status < 300, await answer.text()
            return None if answer.status == 204 else await answer.json()

    async def start_service(self, name: str, script: str) -> str:
        body = {
            "name": name,
            "image": "helvetia/demo:latest",
            "command": ["sh", "-c", script],
            "memoryMb": 96,
            "cpuCores": "0.5",
        }
        return str((await self.call("POST", "/services", body))["id"])

    async def status_of(self, service_id: str) -> str:
        return str((await self.call("GET", f"/services/{service_id}"))["status"])


async def eventually(condition: Callable[[], Awaitable[bool]], *, within_s: float = 30.0) -> None:
    async with asyncio.timeout(within_s):
        while not await condition():
            await asyncio.sleep(0.2)


@pytest.fixture
async def scene(sandbox_url: str, database_url: str, tmp_path: Path) -> AsyncIterator[Scene]:
    reason = await why_no_engine()
    if reason is not None:
        missing("A Docker Engine", f"{reason} ({HINT})")
    port = free_port()
    overrides = {"container_host": "docker", "container_keep_s": 3600, "metering_interval_s": 1, "port": port}
    async with whole_house(sandbox_url, database_url, ShiftedClock(), tmp_path, overrides) as house:
        accounts = await house.get(AccountService)
        user = await accounts.create_user("ada@example.com")
        token = await accounts.create_token(user.account_id, "scenario")
        billing = await house.get(BillingService)
        await billing.get_or_create_customer(user.account_id)
        await billing.create_subscription(user.account_id, SubscriptionPlan.STARTER, "pm_card_visa")
        environment = _environment(house)
        gateway_address = await _bridge_gateway(await house.get(ContainerHost))
        async with (
            byte_sink(gateway_address) as sink,
            running_command("api", environment),
            running_command("worker", environment) as worker,
            aiohttp.ClientSession(f"http://127.0.0.1:{port}", headers={"Authorization": f"Bearer {token}"}) as session,
        ):
            await eventually(lambda: _is_ready(session))
            yield Scene(
                house=house,
                account_id=user.account_id,
                api=session,
                worker=worker,
                gateway_address=gateway_address,
                sink_port=sink.port,
                received=lambda: sink.received_bytes,
            )
        await _clean_engine(house)


def _environment(house: WholeHouse) -> dict[str, str]:
    settings = house.settings
    assert settings.database_url is not None
    assert settings.stripe_webhook_secret is not None
    return {
        "STRIPE_SECRET_KEY": settings.secret_key.get_secret_value(),
        "STRIPE_PUBLISHABLE_KEY": settings.publishable_key,
        "STRIPE_WEBHOOK_SECRET": settings.stripe_webhook_secret.get_secret_value(),
        "STRIPE_API_BASE": str(settings.api_base),
        **settings.price_ids,
        "DATABASE_URL": settings.database_url.get_secret_value(),
        "PORT": str(settings.port),
        "CONTAINER_HOST": "docker",
        "CONTAINER_KEEP_S": "3600",
        "METERING_INTERVAL_S": "1",
        "METERING_SWEEP_S": "2",
        "METERING_STORAGE_INTERVAL_S": "2",
        "STRIPE_POLL_S": "5",
    }


async def _is_ready(session: aiohttp.ClientSession) -> bool:
    try:
        async with session.get("/readyz") as answer:
            return answer.status == 200
    except aiohttp.ClientError:
        return False


async def _bridge_gateway(host: ContainerHost) -> str:
    assert isinstance(host, DockerHost)
    network = await host.engine.get("networks/bridge")
    subnet = ip_network(network["IPAM"]["Config"][0]["Subnet"])
    return str(next(subnet.hosts()))


async def _clean_engine(house: WholeHouse) -> None:
    host = await house.get(ContainerHost)
    for container in await host.list_containers():
        await host.stop(container.container_id, grace_s=0)
        await host.remove(container.container_id)


async def _engine_truth_ns(house: WholeHouse) -> int:
    """Σ of finish − start over every container of the installation, in the engine's own words."""
    containers = await (await house.get(ContainerHost)).list_containers()
    assert all(one.state is ContainerState.EXITED for one in containers)
    return sum(one.finished_ns - one.started_ns for one in containers if one.started_ns and one.finished_ns)


async def _live(scene: Scene) -> dict[str, Any]:
    usage = await scene.call("GET", "/billing/usage")
    return {line["metric"]: line for line in usage["usage"]}


async def _run_services(scene: Scene, kills: int) -> Mapping[str, str]:
    """The life of the three services; returns their ids."""
    dice = random.Random(SEED)
    ids = {
        "memory": await scene.start_service("memory", f"head -c {HELD_MB * MB} /dev/zero >/dev/shm/block; {IDLE}"),
        "sender": await scene.start_service(
            "sender", f"head -c {SENT_BYTES} /dev/zero | nc {scene.gateway_address} {scene.sink_port}; {IDLE}"
        ),
        "plain": await scene.start_service("plain", IDLE),
    }
    for service_id in ids.values():
        await eventually(lambda one=service_id: _has_status(scene, one, "running"))
    for _ in range(kills):
        await asyncio.sleep(dice.uniform(1, RUN_S / 5))
        await scene.worker.kill()
        await asyncio.sleep(dice.uniform(0.2, 2))
        await scene.worker.start()
    await asyncio.sleep(RUN_S / 2)
    await scene.call("POST", f"/services/{ids['plain']}/stop")
    await _kill_container(scene.house, ids["sender"])
    await eventually(lambda: _has_status(scene, ids["plain"], "stopped"))
    await asyncio.sleep(RUN_S / 2)
    return ids


async def _has_status(scene: Scene, service_id: str, status: str) -> bool:
    return await scene.status_of(service_id) == status


async def _kill_container(house: WholeHouse, service_id: str) -> None:
    host = await house.get(ContainerHost)
    assert isinstance(host, DockerHost)
    (running,) = [
        one
        for one in await host.list_containers()
        if str(one.service_id) == service_id and one.state is ContainerState.RUNNING
    ]
    await host.engine.post(f"containers/{running.container_id}/kill")


async def _stop_all(scene: Scene, ids: Mapping[str, str]) -> None:
    for service_id in ids.values():
        await scene.call("POST", f"/services/{service_id}/stop")
    for service_id in ids.values():
        await eventually(lambda one=service_id: _has_status(scene, one, "stopped"))
    assert await scene.worker.stop() == 0


async def _leave_the_engine(house: WholeHouse, account_id: AccountId, ids: Mapping[str, str]) -> None:
    """Delete the services and let go of their containers, so that business time may move on without the engine."""
    containers = await house.get(ContainerService)
    for service_id in ids.values():
        await containers.delete_service(account_id, ServiceId(UUID(service_id)))
    metering = MeteringService(
        await house.get(Database),
        house.clock,
        await house.get(ContainerHost),
        await house.get(CounterReader),
        MeteringConfig(),
    )
    reconciler = await house.get(ServiceReconciler)
    host = await house.get(ContainerHost)
    for _ in range(20):
        await reconciler.reconcile_services()
        await metering.remove_closed()
        if not await host.list_containers():
            break
    assert not await host.list_containers()
    await metering.sample_storage()


async def _reach_the_invoice(house: WholeHouse, account_id: AccountId, period: Period) -> InvoiceRecord:
    """Past the period's end: close, report, and let Stripe's hour of draft pass."""
    subscriptions, metering = await house.get(SubscriptionService), await house.get(MeteringService)
    reports, billing = await house.get(MeterReportService), await house.get(BillingService)
    await house.advance_to(period.ends_at + timedelta(minutes=10))
    await subscriptions.sync_subscription(account_id)
    await metering.roll_up()
    await metering.close_due()
    await reports.queue(account_id)
    await reports.send_due()
    await house.advance_to(period.ends_at + timedelta(hours=2))
    await billing.mirror_invoices(account_id)
    page = await billing.get_invoices(account_id)
    (renewal,) = [one for one in page.invoices if one.billing_reason == "subscription_cycle"]
    return renewal


@pytest.mark.parametrize("kills", [0, 2], ids=["undisturbed", "worker_killed_twice"])
async def test_known_containers_become_the_invoice_that_our_ledger_says(scene: Scene, kills: int) -> None:
    house, account_id = scene.house, scene.account_id
    period = (await (await house.get(SubscriptionService)).get_subscription(account_id)).period_at(house.clock.now())

    ids = await _run_services(scene, kills)
    first = await _live(scene)
    await asyncio.sleep(6)
    second = await _live(scene)
    assert float(second["COMPUTE_HOURS"]["quantity"]) > float(first["COMPUTE_HOURS"]["quantity"]) > 0
    await _stop_all(scene, ids)
    truth_ns = await _engine_truth_ns(house)

    await house.advance_to(house.clock.now() + timedelta(seconds=1))
    metering = await house.get(MeteringService)
    await metering.sweep()
    await metering.sample_storage()
    reports = await house.get(MeterReportService)
    await reports.flush(account_id, house.clock.now())
    async with (await house.get(Database)).transaction() as tx:
        flushed = await metering_store.closed_totals(tx, account_id, period)
    assert flushed[UsageMetric.COMPUTE_HOURS] == truth_ns
    _check_bounds(flushed, truth_ns, scene.received(), kills)

    await _leave_the_engine(house, account_id, ids)
    invoice = await _reach_the_invoice(house, account_id, period)
    await _check_invoice(house, account_id, period, invoice)
    if kills:
        trials.record("SIGKILL of the worker while containers run, to the invoice", count=kills, seed=SEED)


def _check_bounds(totals: Mapping[UsageMetric, int], truth_ns: int, received_bytes: int, kills: int) -> None:
    """Memory and bytes against what the containers are known to have used."""
    assert received_bytes % SENT_BYTES == 0
    assert received_bytes >= SENT_BYTES
    sent_bytes = totals[UsageMetric.BANDWIDTH_GB]
    assert sent_bytes <= received_bytes * 1.08  # the headers of Ethernet, IP and TCP are sent bytes too
    assert kills or sent_bytes >= SENT_BYTES
    held_byte_ns = totals[UsageMetric.MEMORY_GB_HOURS]
    assert 0 < held_byte_ns <= truth_ns * 40 * MB
    assert totals[UsageMetric.STORAGE_GB] >= 0


async def _check_invoice(house: WholeHouse, account_id: AccountId, period: Period, invoice: InvoiceRecord) -> None:
    assert invoice.status == "paid"
    assert (invoice.period_start, invoice.period_end) == (period.starts_at, period.ends_at)
    billing = await house.get(BillingService)
    _, mirrored = await billing.get_invoice(account_id, invoice.stripe_invoice_id)
    lines = {line.stripe_price_id: line for line in mirrored}
    prices = house.settings.price_ids
    async with (await house.get(Database)).transaction() as tx:
        totals = await metering_store.closed_totals(tx, account_id, period)
        assert await broken_invariants(tx) == {}
    rated = rate_usage(totals, {metric: price.unit_price_minor for metric, price in METERED_PRICES.items()})
    assert lines[prices["STRIPE_PRICE_ID_STARTER"]].amount_minor == 900
    for line in rated:
        billed = lines[prices[f"STRIPE_PRICE_ID_{line.metric.value}"]]
        assert (billed.quantity, billed.amount_minor) == (line.quantity, line.amount_minor)
        assert (billed.period_start, billed.period_end) == (period.starts_at, period.ends_at)
    assert len(lines) == 5
    assert invoice.total_minor == 900 + sum(line.amount_minor for line in rated)

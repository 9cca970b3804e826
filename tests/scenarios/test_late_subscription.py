"""A subscription learnt of late bills only what belongs to it.

given an account whose service runs since 09:00, and a subscription that began at Stripe at 10:17:23
when  we learn of it at 12:40, with pieces up to 12:00 already closed
then  the pieces are cut at 10:17:23, what was counted is unchanged in sum, and the invoice holds only what came after
"""

from collections.abc import AsyncIterator, Mapping
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from pathlib import Path

import pytest

from helvetia.accounts.service import AccountService
from helvetia.billing.service import BillingService
from helvetia.catalogue.plans import SubscriptionPlan
from helvetia.catalogue.prices import METERED_PRICES
from helvetia.containers.model import ServiceDefinition
from helvetia.containers.reconcile_services import ServiceReconciler
from helvetia.containers.service import ContainerService
from helvetia.containers.simulated_host import SimulatedHost
from helvetia.database.installation import read_installation_id
from helvetia.database.pool import Database
from helvetia.kernel.clock import ManualClock
from helvetia.kernel.identity import AccountId, ServiceId
from helvetia.kernel.period import Period
from helvetia.kernel.quantity import NS_PER_HOUR, NS_PER_S, UsageMetric
from helvetia.meter_reports.service import MeterReportService
from helvetia.metering import store as metering_store
from helvetia.metering.invariants import broken_invariants
from helvetia.metering.model import MeteringConfig
from helvetia.metering.readers.host_reader import HostReader
from helvetia.metering.service import MeteringService
from helvetia.rating.rate_usage import rate_usage
from helvetia.subscriptions.service import SubscriptionService
from support.whole_house import WholeHouse, whole_house

NINE = datetime(2026, 3, 10, 9, tzinfo=UTC)
BEGAN = datetime(2026, 3, 10, 10, 17, 23, tzinfo=UTC)
LEARNT = datetime(2026, 3, 10, 12, 40, tzinfo=UTC)
STOPPED = datetime(2026, 3, 10, 13, 30, tzinfo=UTC)
STEP = timedelta(seconds=10)
MEMORY_BYTES = 200 * 2**20
BYTES_PER_S = 50_000


class SimulatedPart:
    """Metering and reconciling of a simulated host that lives by the house's clock."""

    def __init__(self, house: WholeHouse, database: Database, host: SimulatedHost) -> None:
        self._house = house
        self.host = host
        config = MeteringConfig(settle_s=180)
        self.metering = MeteringService(database, house.clock, host, HostReader(host), config)
        self.reconciler = ServiceReconciler(database, house.clock, host)

    async def live_until(self, instant: datetime) -> None:
        """Business time goes on in steps of a sample interval, with the worker's ticks at each."""
        while self._house.clock.now() < instant:
            target = min(self._house.clock.now() + STEP, instant)
            assert isinstance(self._house.clock, ManualClock)
            self._house.clock.advance_to(target)
            await self.metering.sample()
        await self.metering.sweep()
        await self.metering.sample_storage()
        await self.metering.roll_up()


@pytest.fixture
async def house(sandbox_url: str, database_url: str, tmp_path: Path) -> AsyncIterator[WholeHouse]:
    async with whole_house(sandbox_url, database_url, ManualClock(NINE), tmp_path) as house:
        yield house


@pytest.fixture
async def simulated(house: WholeHouse) -> SimulatedPart:
    database = await house.get(Database)
    assert isinstance(house.clock, ManualClock)
    return SimulatedPart(house, database, SimulatedHost(await read_installation_id(database), house.clock))


async def _totals(
    house: WholeHouse, account_id: AccountId, starts_at: datetime, ends_at: datetime
) -> Mapping[UsageMetric, int]:
    async with (await house.get(Database)).transaction() as tx:
        return await metering_store.closed_totals(tx, account_id, Period(starts_at=starts_at, ends_at=ends_at))


async def _account_with_service(house: WholeHouse, simulated: SimulatedPart) -> tuple[AccountId, ServiceId]:
    user = await (await house.get(AccountService)).create_user("ada@example.com")
    definition = ServiceDefinition(
        name="web",
        image="helvetia/demo:latest",
        env={"SIM_MEMORY_BYTES": str(MEMORY_BYTES), "SIM_BYTES_PER_S": str(BYTES_PER_S)},
        memory_mb=256,
        cpu_cores=Decimal("0.25"),
    )
    service = await (await house.get(ContainerService)).create_service(user.account_id, definition)
    await simulated.reconciler.reconcile_services()
    await simulated.metering.sweep()
    return user.account_id, service.service_id


async def _subscribe_at_stripe(house: WholeHouse, customer_id: str) -> None:
    """As an operator would in Stripe's own dashboard: we are not told."""
    prices = house.settings.price_ids
    method = await house.stripe.v1.payment_methods.attach_async("pm_card_visa", {"customer": customer_id})
    await house.stripe.v1.subscriptions.create_async(
        {
            "customer": customer_id,
            "default_payment_method": method.id,
            "billing_mode": {"type": "flexible"},
            "items": [
                {"price": prices["STRIPE_PRICE_ID_STARTER"], "quantity": 1},
                *({"price": prices[f"STRIPE_PRICE_ID_{metric.value}"]} for metric in UsageMetric),
            ],
        }
    )


async def test_subscription_learnt_late_cuts_closed_usage_and_bills_only_its_own(
    house: WholeHouse, simulated: SimulatedPart
) -> None:
    account_id, service_id = await _account_with_service(house, simulated)
    billing, subscriptions = await house.get(BillingService), await house.get(SubscriptionService)
    customer_id = await billing.get_or_create_customer(account_id)
    await simulated.live_until(BEGAN)
    await house.stripe.advance_to(BEGAN)
    await _subscribe_at_stripe(house, customer_id)
    await simulated.live_until(LEARNT)
    noon = LEARNT.replace(hour=12, minute=0)
    await simulated.metering.close_through(account_id, noon)
    before = await _totals(house, account_id, NINE, noon)
    assert before[UsageMetric.COMPUTE_HOURS] == 3 * NS_PER_HOUR

    await subscriptions.sync_subscription(account_id)
    await simulated.metering.roll_up()
    record = await subscriptions.get_subscription(account_id)
    assert (record.plan, record.period.starts_at) == (SubscriptionPlan.STARTER, BEGAN)

    assert await _totals(house, account_id, NINE, noon) == before
    free, paid = await _totals(house, account_id, NINE, BEGAN), await _totals(house, account_id, BEGAN, noon)
    assert free[UsageMetric.COMPUTE_HOURS] == (77 * 60 + 23) * NS_PER_S
    assert {metric: free[metric] + paid[metric] for metric in UsageMetric} == before

    invoice = await _live_to_the_invoice(house, simulated, account_id, service_id)
    period = Period(starts_at=BEGAN, ends_at=record.period.ends_at)
    totals = await _totals(house, account_id, period.starts_at, period.ends_at)
    assert totals[UsageMetric.COMPUTE_HOURS] == ((STOPPED - BEGAN) // timedelta(seconds=1)) * NS_PER_S
    rated = rate_usage(totals, {metric: price.unit_price_minor for metric, price in METERED_PRICES.items()})
    assert {metric: invoice[metric] for metric in UsageMetric} == {
        line.metric: (line.quantity, line.amount_minor) for line in rated
    }
    assert rated[0].amount_minor > 0
    async with (await house.get(Database)).transaction() as tx:
        assert await broken_invariants(tx) == {}


async def _live_to_the_invoice(
    house: WholeHouse, simulated: SimulatedPart, account_id: AccountId, service_id: ServiceId
) -> Mapping[UsageMetric, tuple[Decimal | None, int]]:
    """Stop the service, let the month pass, and read the renewal's metered lines."""
    subscriptions, billing = await house.get(SubscriptionService), await house.get(BillingService)
    reports = await house.get(MeterReportService)
    await simulated.live_until(STOPPED)
    await (await house.get(ContainerService)).delete_service(account_id, service_id)
    for _ in range(3):
        await simulated.reconciler.reconcile_services()
        await simulated.metering.remove_closed()
    await simulated.metering.sample_storage()
    ends_at = (await subscriptions.get_subscription(account_id)).period.ends_at
    await house.advance_to(ends_at + timedelta(minutes=10))
    await subscriptions.sync_subscription(account_id)
    await simulated.metering.roll_up()
    await simulated.metering.close_due()
    await reports.queue(account_id)
    await reports.send_due()
    await house.advance_to(ends_at + timedelta(hours=2))
    await billing.mirror_invoices(account_id)
    page = await billing.get_invoices(account_id)
    (renewal,) = [one for one in page.invoices if one.billing_reason == "subscription_cycle"]
    assert renewal.status == "paid"
    _, lines = await billing.get_invoice(account_id, renewal.stripe_invoice_id)
    prices = house.settings.price_ids
    by_price = {line.stripe_price_id: (line.quantity, line.amount_minor) for line in lines}
    return {metric: by_price[prices[f"STRIPE_PRICE_ID_{metric.value}"]] for metric in UsageMetric}

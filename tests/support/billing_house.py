"""The billing half of the house, put together as wiring does, with accounts and usage at hand."""

from dataclasses import dataclass
from datetime import datetime, timedelta
from uuid import uuid4

from helvetia.accounts.service import AccountService
from helvetia.billing.model import BillingConfig
from helvetia.billing.payments.service import PaymentService
from helvetia.billing.service import BillingService
from helvetia.containers.simulated_host import SimulatedHost
from helvetia.costs.estimate.service import EstimateService
from helvetia.costs.service import CostService
from helvetia.database.job_queue import JobQueue
from helvetia.database.pool import Database
from helvetia.kernel.clock import ManualClock
from helvetia.kernel.identity import AccountId, ServiceId, new_service_id
from helvetia.kernel.quantity import UsageMetric
from helvetia.meter_reports import store as reports_store
from helvetia.meter_reports.closing.account_hooks import ClosingHooks
from helvetia.meter_reports.closing.service import AccountClosingService
from helvetia.meter_reports.model import MeterReport, ReportsConfig
from helvetia.meter_reports.redirection.service import RedirectionService
from helvetia.meter_reports.service import MeterReportService
from helvetia.meter_reports.settlement.service import SettlementService
from helvetia.metering.model import MeteringConfig
from helvetia.metering.readers.host_reader import HostReader
from helvetia.metering.service import MeteringService
from helvetia.stripe_gateway.actions import StripeActions
from helvetia.stripe_gateway.price_book_holder import PriceBookHolder
from helvetia.subscriptions.service import SubscriptionService


class MovableClock(ManualClock):
    """Business time by hand, and real time that can be pushed ahead."""

    def __init__(self, start: datetime) -> None:
        super().__init__(start)
        self.wall_shift = timedelta()

    def wall(self) -> datetime:
        return super().wall() + self.wall_shift

    def monotonic(self) -> float:
        return super().monotonic() + self.wall_shift.total_seconds()


@dataclass(frozen=True, slots=True, kw_only=True)
class BillingHouse:
    """Services on one database, one gateway and one simulated host."""

    database: Database
    clock: ManualClock
    host: SimulatedHost
    accounts: AccountService
    subscriptions: SubscriptionService
    billing: BillingService
    payments: PaymentService
    metering: MeteringService
    reports: MeterReportService
    closing: AccountClosingService
    settlement: SettlementService
    redirection: RedirectionService
    costs: CostService
    estimates: EstimateService
    prices: PriceBookHolder

    async def new_account(self) -> AccountId:
        return (await self.accounts.create_user(f"{uuid4().hex}@example.com")).account_id

    async def new_service(self, account_id: AccountId) -> ServiceId:
        """The row of a service, so that its containers have an owner."""
        service_id = new_service_id()
        async with self.database.transaction() as tx:
            await tx.execute(
                "INSERT INTO services (account_id, service_id, name, image, memory_mb, cpu_cores, replicas, wish,"
                " status, status_at, created_at, updated_at)"
                " VALUES (%s, %s, 'web', 'demo', 1024, 1, 1, 'running', 'running', %s, %s, %s)",
                (account_id, service_id, *[self.clock.now()] * 3),
            )
        return service_id

    async def all_reports(self, account_id: AccountId) -> list[MeterReport]:
        async with self.database.transaction() as tx:
            return await reports_store._reports(
                tx,
                f"SELECT {reports_store._ROW} FROM meter_reports WHERE account_id = %s"
                " ORDER BY metric, created_at, piece_start, revision",
                (account_id,),
            )

    async def add_closed_usage(
        self,
        account_id: AccountId,
        metric: UsageMetric,
        quantity: int,
        starts_at: datetime,
        *,
        revision: int = 0,
        incarnation: str = "c:1",
    ) -> None:
        """One closed piece of the ledger, up to the end of its hour."""
        ends_at = starts_at.replace(minute=0, second=0, microsecond=0) + timedelta(hours=1)
        async with self.database.transaction() as tx:
            await tx.execute(
                "INSERT INTO usage_records (id, account_id, service_id, metric, incarnation, revision, quantity,"
                ' "timestamp", period_start, period_end, closed_at)'
                " VALUES (%s, %s, %s, %s, %s, %s, %s, %s, %s, %s, %s)",
                (
                    *(uuid4(), account_id, account_id, metric, incarnation, revision, quantity),
                    *(starts_at, starts_at, ends_at, self.clock.now()),
                ),
            )


def build_house(
    database: Database,
    clock: ManualClock,
    gateway: StripeActions,
    prices: PriceBookHolder,
    *,
    test_clock: str | None = None,
    sandbox_origin: str | None = None,
    pace: ReportsConfig | None = None,
    host: SimulatedHost | None = None,
) -> BillingHouse:
    subscriptions = SubscriptionService(database, clock, gateway, prices)
    queue, config = JobQueue(database.url), BillingConfig(test_clock=test_clock, sandbox_origin=sandbox_origin)
    billing = BillingService(database, clock, gateway, prices, subscriptions, queue, config)
    host = host or SimulatedHost("test", clock)
    metering = MeteringService(database, clock, host, HostReader(host), MeteringConfig())
    accounts = AccountService(database, clock, ClosingHooks(clock))
    pace = pace or ReportsConfig()
    reports = MeterReportService(database, clock, gateway, prices, subscriptions, billing, metering, pace)
    closing = AccountClosingService(accounts, billing, reports)
    return BillingHouse(
        database=database,
        clock=clock,
        host=host,
        accounts=accounts,
        subscriptions=subscriptions,
        billing=billing,
        payments=PaymentService(database, clock, gateway, prices, subscriptions, queue, config),
        metering=metering,
        reports=reports,
        closing=closing,
        settlement=SettlementService(database, clock, gateway, prices, reports),
        redirection=RedirectionService(database, clock, gateway, prices),
        costs=CostService(database, clock, prices),
        estimates=EstimateService(database, clock, gateway, prices),
        prices=prices,
    )

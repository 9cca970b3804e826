"""A simulated host, its meter and one service of one account: usage that a test makes happen, hour by hour."""

from datetime import datetime, timedelta
from decimal import Decimal

from helvetia.accounts.model import Account, AccountKind
from helvetia.accounts.store import insert_account
from helvetia.containers.model import ContainerRecord, ContainerSpec, ServiceDefinition
from helvetia.containers.simulated_host import SimulatedHost
from helvetia.containers.store import insert_service
from helvetia.database.pool import Database
from helvetia.kernel.clock import ManualClock
from helvetia.kernel.identity import AccountId, ServiceId, new_account_id, new_service_id
from helvetia.kernel.period import Period
from helvetia.metering import store
from helvetia.metering.invariants import broken_invariants
from helvetia.metering.model import MeteringConfig, UsageTotals
from helvetia.metering.readers.host_reader import HostReader
from helvetia.metering.service import MeteringService
from support.engine_hop import engine_hop

CONFIG = MeteringConfig(sample_interval_s=60, storage_interval_s=300, settle_s=180, reconnect_wait_max_s=0.01)
ENV = {"SIM_MEMORY_BYTES": "1000", "SIM_BYTES_PER_S": "7", "SIM_LAYER_BYTES": "50"}


def ns(length: timedelta) -> int:
    return length // timedelta(microseconds=1) * 1000


class MeteredHouse:
    """Ticks on demand, over a database of its own."""

    def __init__(self, database: Database, start: datetime, config: MeteringConfig = CONFIG) -> None:
        self.database = database
        self.config = config
        self.clock = ManualClock(start)
        self.host = SimulatedHost("test", self.clock)
        self.metering = MeteringService(database, self.clock, self.host, HostReader(self.host), config)
        self.account_id: AccountId
        self.service_id: ServiceId

    async def move_in(self) -> None:
        self.account_id, self.service_id = await self.new_account()

    async def new_account(self) -> tuple[AccountId, ServiceId]:
        account_id = new_account_id()
        account = Account(account_id=account_id, kind=AccountKind.USER, name="a", created_at=self.clock.now())
        async with self.database.transaction() as tx:
            await insert_account(tx, account)
            await store.create_metering_account(tx, account_id)
        return account_id, await self.new_service(account_id)

    async def new_service(self, account_id: AccountId, name: str = "web") -> ServiceId:
        service_id = new_service_id()
        definition = ServiceDefinition(name=name, image="demo", memory_mb=64, cpu_cores=Decimal("0.1"))
        async with self.database.transaction() as tx:
            await insert_service(tx, account_id, service_id, definition, self.clock.now())
        return service_id

    async def start(self, replica: int = 1, **env: str) -> ContainerRecord:
        return await self.host.create_and_start(
            ContainerSpec(
                account_id=self.account_id,
                service_id=self.service_id,
                revision=1,
                replica=replica,
                image="demo",
                command=(),
                env={**ENV, **env},
                memory_bytes=2**26,
                cpu_cores=Decimal("0.1"),
                volumes=(),
            )
        )

    async def live(self, length: timedelta, *, step: timedelta = timedelta(minutes=1)) -> None:
        """Every tick, each step."""
        until = self.clock.now() + length
        while self.clock.now() < until:
            self.clock.advance(min(step, until - self.clock.now()))
            await self.tick()

    async def tick(self) -> None:
        await self.metering.sample()
        await self.metering.sample_storage()
        await self.metering.sweep()
        await self.metering.roll_up()
        await self.metering.close_due()

    async def totals(
        self, period: Period, account_id: AccountId | None = None, *, service_id: ServiceId | None = None
    ) -> UsageTotals:
        async with self.database.transaction() as tx:
            return await store.totals(tx, account_id or self.account_id, period, service_id)

    async def cut(self, instant: datetime, account_id: AccountId | None = None) -> None:
        async with self.database.transaction() as tx:
            await store.write_cuts(
                tx, account_id or self.account_id, [instant], reason="test", recorded_at=self.clock.now()
            )

    async def fetch(self, sql: str, *values: object) -> list[tuple[object, ...]]:
        async with self.database.transaction() as tx:
            return await (await tx.execute(sql, values)).fetchall()

    async def check(self) -> None:
        async with self.database.transaction() as tx:
            broken = await broken_invariants(tx)
            apart = await engine_hop(tx, self.clock.now())
        assert {rule: rows[:1] for rule, rows in broken.items()} == {}
        assert apart == {}

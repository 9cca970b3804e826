"""A real engine, a real database, one account and its services, and the meter between them."""

import asyncio
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import replace
from decimal import Decimal
from ipaddress import ip_network

from helvetia.accounts.model import Account, AccountKind
from helvetia.accounts.store import insert_account
from helvetia.containers.model import ContainerRecord, ContainerSpec, ServiceDefinition, Volume
from helvetia.containers.store import insert_service
from helvetia.database.pool import Database
from helvetia.kernel.clock import SystemClock, from_ns
from helvetia.kernel.identity import ServiceId, new_account_id, new_service_id
from helvetia.kernel.period import Period
from helvetia.kernel.quantity import UsageMetric
from helvetia.metering import store
from helvetia.metering.invariants import broken_invariants
from helvetia.metering.model import MeteringConfig
from helvetia.metering.readers.choose_reader import choose_reader
from helvetia.metering.readers.egress import EgressCounters
from helvetia.metering.readers.model import CounterReader
from helvetia.metering.service import MeteringService
from support.docker_engine import Engine, demo_spec
from support.engine_hop import engine_hop

CONFIG = MeteringConfig(sample_interval_s=1, settle_s=0, keep_stopped_s=3600)


class MeteredEngine:
    """What runs here is metered into the database."""

    def __init__(self, engine: Engine, database: Database, reader: CounterReader) -> None:
        self.engine = engine
        self.host = engine.host
        self.database = database
        self.reader = reader
        self.clock = SystemClock()
        self.account_id = new_account_id()
        self.service_id = new_service_id()
        self.metering = self.with_config()

    @classmethod
    async def open(cls, engine: Engine, database: Database, egress: EgressCounters | None = None) -> "MeteredEngine":
        metered = cls(engine, database, await choose_reader(engine.host, egress=egress))
        account = Account(
            account_id=metered.account_id, kind=AccountKind.USER, name="a", created_at=metered.clock.now()
        )
        async with database.transaction() as tx:
            await insert_account(tx, account)
            await store.create_metering_account(tx, metered.account_id)
        metered.service_id = await metered.add_service("web")
        return metered

    def with_config(self, config: MeteringConfig = CONFIG) -> MeteringService:
        return MeteringService(self.database, self.clock, self.host, self.reader, config)

    async def add_service(self, name: str) -> ServiceId:
        service_id = new_service_id()
        definition = ServiceDefinition(name=name, image="demo", memory_mb=64, cpu_cores=Decimal("0.1"))
        async with self.database.transaction() as tx:
            await insert_service(tx, self.account_id, service_id, definition, self.clock.now())
        return service_id

    def spec(
        self,
        script: str,
        *,
        replica: int = 0,
        service_id: ServiceId | None = None,
        memory_mb: int = 64,
        volumes: tuple[Volume, ...] = (),
    ) -> ContainerSpec:
        made = demo_spec(command=("sh", "-c", script), memory_mb=memory_mb, cpu_cores="1", volumes=volumes)
        owner = service_id or self.service_id
        return replace(made, account_id=self.account_id, service_id=owner, replica=replica)

    async def run(self, script: str, **options: object) -> ContainerRecord:
        return await self.host.create_and_start(self.spec(script, **options))  # type: ignore[arg-type]

    async def tick(self) -> None:
        await self.metering.sample()
        await self.metering.sample_storage()
        await self.metering.sweep()
        await self.metering.roll_up()

    async def totals(self, service_id: ServiceId | None = None) -> Mapping[UsageMetric, int]:
        period = Period(starts_at=from_ns(0), ends_at=from_ns(2**62))
        async with self.database.transaction() as tx:
            return (await store.totals(tx, self.account_id, period, service_id)).quantities

    async def causes(self) -> dict[str, str]:
        async with self.database.transaction() as tx:
            cursor = await tx.execute("SELECT cause, detail FROM metering_findings ORDER BY cause")
            return dict(await cursor.fetchall())

    async def truth_ns(self) -> int:
        """Σ finish − start of all stopped containers, in the engine's own words.

        Of one that ends at once the engine may note the end before the start: it lived for nothing, not for less.
        """
        return sum(
            max(0, one.finished_ns - one.started_ns)
            for one in await self.host.list_containers()
            if one.started_ns and one.finished_ns
        )

    async def check(self) -> None:
        async with self.database.transaction() as tx:
            assert await broken_invariants(tx) == {}
            assert await engine_hop(tx, self.clock.now()) == {}

    async def bridge_address(self) -> str:
        network = await self.host.engine.get("networks/bridge")
        return str(next(ip_network(network["IPAM"]["Config"][0]["Subnet"]).hosts()))

    async def address_of(self, container_id: str) -> str:
        body = await self.engine.inspect_raw(container_id)
        return str(body["NetworkSettings"]["IPAddress"])


async def eventually(condition: Callable[[], Awaitable[bool]], *, within_s: float = 30.0) -> None:
    async with asyncio.timeout(within_s):
        while not await condition():
            await asyncio.sleep(0.1)

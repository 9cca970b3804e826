"""A service that began a moment ago and a remote node that posts batches of it."""

from dataclasses import replace
from decimal import Decimal

from helvetia.accounts.model import Account, AccountKind
from helvetia.accounts.store import insert_account
from helvetia.containers.model import ContainerCounters, ContainerRecord, ContainerState, ServiceDefinition
from helvetia.containers.store import insert_service
from helvetia.database.pool import Database
from helvetia.kernel.clock import SystemClock, from_ns, to_ns
from helvetia.kernel.identity import new_account_id, new_id, new_service_id
from helvetia.kernel.period import Period
from helvetia.kernel.quantity import NS_PER_S
from helvetia.metering import store
from helvetia.metering.invariants import broken_invariants
from helvetia.metering.model import MeteringConfig, UsageTotals
from helvetia.metering.nodes.model import ItemAnswer, Node, NodeBatch, NodeItem
from helvetia.metering.nodes.service import NodeService
from helvetia.metering.windows.roll_up import roll_up_account
from support.engine_hop import engine_hop

S = NS_PER_S
CLOCK = SystemClock()


class NodeWorld:
    """A service that began 100 s ago, and a node."""

    def __init__(self, database: Database) -> None:
        self.database = database
        self.nodes = NodeService(database, CLOCK)
        self.account_id, self.service_id = new_account_id(), new_service_id()
        self.now_ns = to_ns(CLOCK.wall())
        self.node: Node

    async def move_in(self) -> None:
        began_at = from_ns(self.now_ns - 100 * S)
        account = Account(account_id=self.account_id, kind=AccountKind.USER, name="a", created_at=began_at)
        definition = ServiceDefinition(name="web", image="demo", memory_mb=64, cpu_cores=Decimal("0.1"))
        async with self.database.transaction() as tx:
            await insert_account(tx, account)
            await insert_service(tx, self.account_id, self.service_id, definition, began_at)
        self.node = await self.nodes.authenticate(await self.nodes.issue_token("rack-1"))

    def record(self, container_id: str = "c1", **changes: object) -> ContainerRecord:
        record = ContainerRecord(
            container_id=container_id,
            account_id=self.account_id,
            service_id=self.service_id,
            revision=1,
            replica=0,
            state=ContainerState.RUNNING,
            created_ns=self.now_ns - 60 * S,
            started_ns=self.now_ns - 60 * S,
            finished_ns=None,
            restart_count=0,
            exit_code=None,
            oom_killed=False,
            process_id=1,
        )
        return replace(record, **changes)  # type: ignore[arg-type]

    def counters(self, container_id: str = "c1", **changes: object) -> ContainerCounters:
        counters = ContainerCounters(
            container_id=container_id,
            sampled_ns=self.now_ns - S,
            memory_bytes=1_000,
            memory_peak_bytes=2_000,
            cpu_ns=5,
            transmitted_bytes=777,
            received_bytes=3,
        )
        return replace(counters, **changes)  # type: ignore[arg-type]

    def batch(self, *items: NodeItem | None, listed: list[str] | None = None) -> NodeBatch:
        return NodeBatch(batch_id=new_id(), looked_ns=self.now_ns, interval_ms=10_000, items=items, listed=listed)

    async def post(self, batch: NodeBatch, node: Node | None = None) -> list[ItemAnswer]:
        answer = await self.nodes.accept(node or self.node, batch, sent_ns=to_ns(CLOCK.wall()))
        return list(answer.answers)

    async def totals(self) -> UsageTotals:
        period = Period(starts_at=from_ns(0), ends_at=from_ns(2**62))
        async with self.database.transaction() as tx:
            await roll_up_account(tx, self.account_id, now=CLOCK.now(), config=MeteringConfig())
            assert await broken_invariants(tx) == {}
            assert await engine_hop(tx, CLOCK.now()) == {}
            return await store.totals(tx, self.account_id, period)


async def move_in(database: Database) -> NodeWorld:
    world = NodeWorld(database)
    await world.move_in()
    return world

"""How fast readings get into the ledger: a million that waited at nodes, with repeated and late ones, beside a COPY.

`ingest` begins with the batches that wait in the spools of agents which were cut off (each a look) and ends with the
commit: folding and packing in the agents' processes, reading, judging and writing in the server's; all but HTTP and the
disk of the spools. `taken` is the server's part alone, of posts that were folded before. One node's posts go one after
another, those of several nodes side by side. An agent tells up to 10,000 readings in a post after an outage, and each
look of 500 containers by itself in quiet times (`posted_look_by_look`); the collector of the server's own machine
writes looks of 500 without a wire (`one_by_one`). The bare equivalent is COPY of rows of the same shape into the same
table, 6,000 in a transaction, in the same run. The totals are compared with what they must be, exactly. Every commit is
flushed to disk; agents, server and database share the cores.
"""

import asyncio
import json
import os
from collections.abc import Sequence
from concurrent.futures import Executor, ProcessPoolExecutor
from dataclasses import dataclass
from datetime import datetime, timedelta
from decimal import Decimal
from uuid import uuid4

from helvetia.accounts.model import Account, AccountKind
from helvetia.accounts.store import insert_account
from helvetia.agent.fold_looks import fold_looks
from helvetia.agent.run_agent import FOLDED_MAX
from helvetia.containers.model import ContainerCounters, ContainerRecord, ContainerState, ServiceDefinition
from helvetia.containers.simulated_host import SimulatedHost
from helvetia.containers.store import insert_service
from helvetia.database.enums import DATABASE_ENUMS
from helvetia.database.pool import Database
from helvetia.kernel.clock import SystemClock, from_ns, to_ns
from helvetia.kernel.identity import AccountId, ServiceId, new_account_id, new_id, new_service_id
from helvetia.kernel.period import Period
from helvetia.kernel.quantity import NS_PER_S, UsageMetric
from helvetia.metering import store
from helvetia.metering.lifecycle.record_looks import LookRecorder
from helvetia.metering.nodes.model import ITEMS_MAX, Node, NodeBatch, NodeItem
from helvetia.metering.nodes.service import NodeService
from helvetia.metering.nodes.wire import to_wire_batch
from helvetia.metering.nodes.wire_posts import from_wire_post, from_wire_post_answer, to_wire_post_answer
from helvetia.metering.readers.host_reader import HostReader
from helvetia.metering.service import MeteringConfig, MeteringService
from support.databases import cloned_database, running_server

CONTAINERS, NODES = 500, 4
READINGS = int(os.environ.get("BENCH_READINGS", "1000000"))
LOOKS_AT_ONCE, COPIED_LOOKS = 96, 12
LATE_EVERY, AGAIN_EVERY = 20, 10
INTERVAL_S = 10
MEMORY_BYTES, SENT_BYTES = 100_000_000, 1_000
LOOKS_ONE_BY_ONE = 20
READINGS_A_MONTH = 730 * 3_600 // INTERVAL_S
CLOCK = SystemClock()
_COPY = """COPY container_readings (account_id, service_id, incarnation, sampled_ns, interval_ms, memory_bytes,
    memory_peak_bytes, cpu_ns, transmitted_bytes, received_bytes, external_bytes, recorded_at) FROM STDIN"""


@dataclass(frozen=True, slots=True, kw_only=True)
class Fleet:
    """Containers of one service that all started at one instant."""

    records: Sequence[ContainerRecord]
    account_id: AccountId
    service_id: ServiceId
    started_ns: int

    def look(self, number: int) -> list[ContainerCounters]:
        at_ns = self.looked_ns(number)
        return [
            ContainerCounters(
                container_id=record.container_id,
                sampled_ns=at_ns + place,
                memory_bytes=MEMORY_BYTES,
                memory_peak_bytes=MEMORY_BYTES,
                cpu_ns=number * 10_000_000,
                transmitted_bytes=(number + 1) * SENT_BYTES,
                received_bytes=number * SENT_BYTES,
            )
            for place, record in enumerate(self.records)
        ]

    def looked_ns(self, number: int) -> int:
        return self.started_ns + (number * INTERVAL_S + INTERVAL_S // 2) * NS_PER_S


async def run() -> dict[str, object]:
    """The figures."""
    with running_server(is_durable=True) as server_url, cloned_database(server_url) as database_url:
        database = Database(database_url, enums=DATABASE_ENUMS)
        await database.open()
        try:
            return await _measure(database)
        finally:
            await database.close()


async def _measure(database: Database) -> dict[str, object]:
    looks = READINGS // CONTAINERS
    before = CLOCK.now() - timedelta(seconds=looks * INTERVAL_S + 3_600)
    other, single, posted = [await make_fleet(database, before, CONTAINERS) for _ in range(3)]
    with ProcessPoolExecutor(os.cpu_count()) as agents:
        ingested = await ingest(database, before, looks, agents)
    reading_bytes = await table_bytes(database, "container_readings") / READINGS
    usage_kb = await usage_bytes(database, looks) / 2**10
    taken = await ingest(database, before, looks, None)
    copy_s = await copy_bare(database, other, looks)
    sent = READINGS + READINGS // AGAIN_EVERY
    return {
        "readings": READINGS,
        "repeated": READINGS // AGAIN_EVERY,
        "late": READINGS // LATE_EVERY,
        "nodes": NODES,
        "ingest_per_s": round(sent / ingested.took_s),
        "ingest_and_count_per_s": round(sent / (ingested.took_s + ingested.counting_s)),
        "totals": "exact",
        "bare_copy_per_s": round(READINGS / copy_s),
        "ratio": round(sent / ingested.took_s / (READINGS / copy_s), 2),
        "taken_per_s": round(sent / taken.took_s),
        "taken_ratio": round(sent / taken.took_s / (READINGS / copy_s), 2),
        "posts": ingested.posts,
        "packed_bytes_a_reading": round(ingested.packed_bytes / sent, 1),
        "one_by_one_per_s": round(await one_by_one(database, single)),
        "posted_look_by_look_per_s": round(await look_by_look(database, posted)),
        "bytes_a_reading": round(reading_bytes),
        "mb_a_container_month_of_readings": round(reading_bytes * READINGS_A_MONTH / 2**20),
        "kb_a_container_month_of_usage": round(usage_kb),
    }


async def make_fleet(database: Database, since: datetime, containers: int) -> Fleet:
    account_id, service_id = new_account_id(), new_service_id()
    account = Account(account_id=account_id, kind=AccountKind.USER, name="a", created_at=since)
    definition = ServiceDefinition(name="web", image="demo", memory_mb=64, cpu_cores=Decimal("0.1"))
    async with database.transaction() as tx:
        await insert_account(tx, account)
        await store.create_metering_account(tx, account_id)
        await insert_service(tx, account_id, service_id, definition, account.created_at)
    started_ns = to_ns(account.created_at) + NS_PER_S
    records = [
        ContainerRecord(
            container_id=uuid4().hex * 2,
            account_id=account_id,
            service_id=service_id,
            revision=1,
            replica=replica,
            state=ContainerState.RUNNING,
            created_ns=started_ns,
            started_ns=started_ns,
            finished_ns=None,
            restart_count=0,
            exit_code=None,
            oom_killed=False,
            process_id=1_000 + replica,
        )
        for replica in range(containers)
    ]
    return Fleet(records=records, account_id=account_id, service_id=service_id, started_ns=started_ns)


def metering(database: Database) -> MeteringService:
    host = SimulatedHost("bench", CLOCK)
    return MeteringService(database, CLOCK, host, HostReader(host), MeteringConfig(passes_max=1_000))


@dataclass(frozen=True, slots=True, kw_only=True)
class Ingested:
    """`took_s` is all but the looking; `counting_s`: what it then took to make usage of the readings."""

    took_s: float
    counting_s: float
    posts: int
    packed_bytes: int


async def ingest(database: Database, since: datetime, looks: int, agents: Executor | None) -> Ingested:
    """Post a million, every tenth again and every twentieth late. Without `agents` they are folded beforehand."""
    stored, took_s = await reading_count(database), 0.0
    fleets = [await make_fleet(database, since, CONTAINERS // NODES) for _ in range(NODES)]
    posters = [await Poster.open(database, f"node-{number}-{stored}") for number in range(NODES)]
    for first in range(0, looks, LOOKS_AT_ONCE):
        numbers = range(first, min(looks, first + LOOKS_AT_ONCE))
        is_last = numbers[-1] + 1 == looks
        for poster, fleet in zip(posters, fleets, strict=True):
            poster.look_on(fleet, numbers, is_last=is_last)
            if agents is None:
                poster.fold()
        started_s = CLOCK.monotonic()
        async with asyncio.TaskGroup() as group:
            for poster in posters:
                group.create_task(poster.post(agents))
        took_s += CLOCK.monotonic() - started_s
    started_s = CLOCK.monotonic()
    await metering(database).roll_up()
    counting_s = CLOCK.monotonic() - started_s
    assert await reading_count(database) - stored == READINGS
    for fleet in fleets:
        await check_totals(database, fleet, looks)
    return Ingested(
        took_s=took_s,
        counting_s=counting_s,
        posts=sum(poster.posts for poster in posters),
        packed_bytes=sum(poster.packed_bytes for poster in posters),
    )


class Poster:
    """An agent's spool, and the server that it posts to."""

    def __init__(self, nodes: NodeService, node: Node) -> None:
        self.nodes, self.node = nodes, node
        self.spool, self.folded = list[bytes](), list[bytes]()
        self.posts = self.packed_bytes = 0
        self._late, self._again = list[ContainerCounters](), list[ContainerCounters]()

    @classmethod
    async def open(cls, database: Database, name: str) -> "Poster":
        nodes = NodeService(database, CLOCK)
        return cls(nodes, await nodes.authenticate(await nodes.issue_token(name)))

    def look_on(self, fleet: Fleet, numbers: range, *, is_last: bool) -> None:
        """Some looks at the fleet, of which a part comes with the next ones, and a part with these and the next."""
        seen = [fleet.look(number) for number in numbers]
        held_back = [] if is_last else [one for look in seen for one in look[::LATE_EVERY]]
        kept = set(map(id, held_back))
        for number, look in zip(numbers, seen, strict=True):
            self.look(fleet, [one for one in look if id(one) not in kept], number)
        self.look(fleet, self._late + self._again, numbers[0])
        self._late, self._again = held_back, [one for look in seen for one in look[1::AGAIN_EVERY]]

    def look(self, fleet: Fleet, counters: Sequence[ContainerCounters], number: int) -> None:
        """What a look, or what came late, leaves in the spool."""
        records = {record.container_id: record for record in fleet.records}
        items = [NodeItem(record=records[one.container_id], counters=one) for one in counters]
        looked_ns = fleet.looked_ns(number)
        for start in range(0, len(items), ITEMS_MAX):
            batch = NodeBatch(
                batch_id=new_id(),
                looked_ns=looked_ns,
                interval_ms=INTERVAL_S * 1_000,
                items=items[start : start + ITEMS_MAX],
            )
            self.spool.append(to_wire_batch(batch))

    def fold(self) -> None:
        """All that waits, ready to be posted."""
        while self.spool:
            packed, count = fold_looks(self.spool[:FOLDED_MAX])
            self.folded.append(packed)
            del self.spool[:count]

    async def post(self, agents: Executor | None) -> None:
        """All that waits, one post after another, as much at a time as an agent would; folded by `agents`."""
        loop = asyncio.get_running_loop()
        while self.spool:
            packed, count = await loop.run_in_executor(agents, fold_looks, self.spool[:FOLDED_MAX])
            del self.spool[:count]
            await self._send(packed)
        while self.folded:
            await self._send(self.folded.pop(0))

    async def _send(self, packed: bytes) -> None:
        answer = await self.nodes.accept_post(self.node, from_wire_post(packed), sent_ns=to_ns(CLOCK.wall()))
        assert not from_wire_post_answer(to_wire_post_answer(answer)).refused
        self.posts, self.packed_bytes = self.posts + 1, self.packed_bytes + len(packed)


async def reading_count(database: Database) -> int:
    async with database.transaction() as tx:
        row = await (await tx.execute("SELECT count(*) FROM container_readings")).fetchone()
    return 0 if row is None else int(row[0])


async def check_totals(database: Database, fleet: Fleet, looks: int) -> None:
    """What must come out, in integers: nothing lost, nothing doubled."""
    last_ns = fleet.looked_ns(looks - 1) - fleet.started_ns
    lived_ns = sum(last_ns + place for place in range(len(fleet.records)))
    async with database.transaction() as tx:
        period = Period(starts_at=from_ns(0), ends_at=from_ns(2**62))
        found = (await store.totals(tx, fleet.account_id, period)).quantities
    assert found[UsageMetric.COMPUTE_HOURS] == lived_ns
    assert found[UsageMetric.MEMORY_GB_HOURS] == lived_ns * MEMORY_BYTES
    assert found[UsageMetric.BANDWIDTH_GB] == looks * SENT_BYTES * len(fleet.records)


async def copy_bare(database: Database, fleet: Fleet, looks: int) -> float:
    """Seconds of the same number of rows, none of them twice, by COPY and nothing else."""
    recorded_at, took_s = CLOCK.now(), 0.0
    for first in range(0, looks, COPIED_LOOKS):
        rows = [
            (*_row(fleet, record, one), recorded_at)
            for number in range(first, min(looks, first + COPIED_LOOKS))
            for record, one in zip(fleet.records, fleet.look(number), strict=True)
        ]
        started_s = CLOCK.monotonic()
        async with database.transaction() as tx, tx.cursor() as cursor, cursor.copy(_COPY) as copy:
            for row in rows:
                await copy.write_row(row)
        took_s += CLOCK.monotonic() - started_s
    return took_s


def _row(fleet: Fleet, record: ContainerRecord, one: ContainerCounters) -> tuple[object, ...]:
    key = (fleet.account_id, fleet.service_id, record.incarnation, one.sampled_ns, INTERVAL_S * 1_000)
    sent, received = one.transmitted_bytes, one.received_bytes
    return (*key, one.memory_bytes, one.memory_peak_bytes, one.cpu_ns, sent, received, None)


async def one_by_one(database: Database, fleet: Fleet) -> float:
    """Readings a second, a look of all containers in a transaction."""
    recorder = LookRecorder(database, CLOCK, interval_ms=INTERVAL_S * 1_000)
    started_s = CLOCK.monotonic()
    for number in range(LOOKS_ONE_BY_ONE):
        looked_ns = fleet.looked_ns(number)
        await recorder.record("single", fleet.records, fleet.look(number), looked_ns, told_ns=looked_ns)
    return LOOKS_ONE_BY_ONE * CONTAINERS / (CLOCK.monotonic() - started_s)


async def look_by_look(database: Database, fleet: Fleet) -> float:
    """Readings a second when an agent posts each look by itself, without HTTP."""
    poster, took_s = await Poster.open(database, "posted"), 0.0
    for number in range(LOOKS_ONE_BY_ONE):
        poster.look(fleet, fleet.look(number), number)
        started_s = CLOCK.monotonic()
        await poster.post(None)
        took_s += CLOCK.monotonic() - started_s
    return LOOKS_ONE_BY_ONE * CONTAINERS / took_s


async def table_bytes(database: Database, table: str) -> int:
    """Rows and indexes, partitions included."""
    async with database.transaction() as tx:
        cursor = await tx.execute("SELECT sum(pg_total_relation_size(relid)) FROM pg_partition_tree(%s)", (table,))
        row = await cursor.fetchone()
    return 0 if row is None else int(row[0])


async def usage_bytes(database: Database, looks: int) -> float:
    """Bytes of the ledger that a container adds in 730 hours."""
    hours = looks * INTERVAL_S / 3_600
    return await table_bytes(database, "usage_records") / CONTAINERS / hours * 730


if __name__ == "__main__":
    print(json.dumps(asyncio.run(run()), indent=2))

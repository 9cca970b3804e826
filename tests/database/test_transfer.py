"""A service that moves to another owner: what was used before belongs to the former, after to the next, no unit more.

The oracle is the same life without a transfer: the two houses are told the same facts in the same order, and the sums
over all owners must be equal in integers, metric by metric.
"""

import asyncio
import random
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

import pytest

from helvetia.accounts.store import lock_account
from helvetia.containers.model import ContainerCounters, ContainerRecord, ContainerState, StorageSize
from helvetia.containers.service import ContainerService
from helvetia.containers.store import get_service
from helvetia.containers.store_transfers import lock_owners, move_service, next_instant
from helvetia.database.pool import Database
from helvetia.kernel.clock import from_ns, to_ns
from helvetia.kernel.identity import AccountId, ServiceId
from helvetia.kernel.period import Period
from helvetia.kernel.quantity import NS_PER_S, UsageMetric
from helvetia.metering.lifecycle.record_looks import LookRecorder
from support import trials
from support.fuse import Died, Fuse, MortalDatabase
from support.metered_house import MeteredHouse

START = datetime(2026, 3, 10, 10, 20, tzinfo=UTC)
SEEDS = trials.choose(small=4, full=500)
RACES = trials.choose(small=4, full=100)
MINUTE_NS = 60 * NS_PER_S


@pytest.fixture
async def house(database: Database) -> MeteredHouse:
    house = MeteredHouse(database, START)
    await house.move_in()
    return house


async def transfer(house: MeteredHouse, service_id: ServiceId, former: AccountId, to: AccountId) -> None:
    """What the use case does once it has admitted the service."""
    async with house.database.transaction() as tx:
        for account_id in sorted((former, to)):
            await lock_account(tx, account_id)
        service = await get_service(tx, former, service_id)
        assert service is not None
        await lock_owners(tx)
        at = await next_instant(tx, service.service_id, house.clock.now())
        await move_service(tx, service, to, at)


async def quantities(house: MeteredHouse, account_id: AccountId) -> dict[UsageMetric, int]:
    """What an account used in the last two days."""
    now = house.clock.now()
    period = Period(starts_at=now - timedelta(days=2), ends_at=now + timedelta(hours=1))
    return dict((await house.totals(period, account_id)).quantities)


async def new_owner(house: MeteredHouse) -> AccountId:
    account_id, service_id = await house.new_account()
    async with house.database.transaction() as tx:
        await tx.execute("UPDATE services SET name = 'other' WHERE service_id = %s", (service_id,))
    return account_id


async def test_usage_is_split_at_the_instant_of_a_transfer(house: MeteredHouse) -> None:
    other = await new_owner(house)
    await house.start(SIM_VOLUME_BYTES="0")
    await house.live(timedelta(minutes=10))
    await transfer(house, house.service_id, house.account_id, other)
    await house.live(timedelta(minutes=20))
    first, second = await quantities(house, house.account_id), await quantities(house, other)
    assert first[UsageMetric.COMPUTE_HOURS] == 10 * MINUTE_NS
    assert second[UsageMetric.COMPUTE_HOURS] == 20 * MINUTE_NS
    assert first[UsageMetric.MEMORY_GB_HOURS] == 1000 * 10 * MINUTE_NS
    assert second[UsageMetric.MEMORY_GB_HOURS] == 1000 * 20 * MINUTE_NS
    assert first[UsageMetric.BANDWIDTH_GB] == 7 * 600
    assert second[UsageMetric.BANDWIDTH_GB] == 7 * 1200
    assert first[UsageMetric.STORAGE_GB] == 50 * 9 * MINUTE_NS  # sized first a minute after its start
    assert second[UsageMetric.STORAGE_GB] == 50 * 20 * MINUTE_NS
    await house.check()


async def test_finish_before_a_transfer_told_after_it_is_the_former_owners(house: MeteredHouse) -> None:
    other = await new_owner(house)
    made = await house.start()
    await house.live(timedelta(minutes=5))
    house.clock.advance(timedelta(seconds=30))
    house.host.kill(made.container_id)
    house.clock.advance(timedelta(seconds=30))
    await transfer(house, house.service_id, house.account_id, other)
    await house.live(timedelta(minutes=5))
    assert (await quantities(house, house.account_id))[UsageMetric.COMPUTE_HOURS] == 5 * MINUTE_NS + 30 * NS_PER_S
    assert (await quantities(house, other))[UsageMetric.COMPUTE_HOURS] == 0
    await house.check()


async def test_run_that_nobody_saw_before_the_transfer_is_split_at_it(house: MeteredHouse) -> None:
    other = await new_owner(house)
    await house.start()
    house.clock.advance(timedelta(seconds=40))
    await transfer(house, house.service_id, house.account_id, other)
    house.clock.advance(timedelta(seconds=20))
    await house.tick()
    first, second = await quantities(house, house.account_id), await quantities(house, other)
    assert (first[UsageMetric.COMPUTE_HOURS], second[UsageMetric.COMPUTE_HOURS]) == (40 * NS_PER_S, 20 * NS_PER_S)
    assert first[UsageMetric.MEMORY_GB_HOURS] == 1000 * 40 * NS_PER_S  # the first reading counts back to the start
    await house.check()


async def test_memory_that_only_the_next_owner_saw_is_no_difference_to_the_engine(house: MeteredHouse) -> None:
    owners, begun_ns, end_ns = (house.account_id, await new_owner(house)), to_ns(START), to_ns(START) + 5 * MINUTE_NS
    life = Life(house=house, name="c", owners=owners, service_id=house.service_id, begun_ns=begun_ns, end_ns=end_ns)
    house.clock.advance(timedelta(seconds=30))
    await life.tell(Fact(kind="look", at_ns=begun_ns + 20 * NS_PER_S), 0)
    await life.tell(Fact(kind="move"), 0)
    house.clock.advance(timedelta(minutes=5))
    await life.tell(Fact(kind="look", at_ns=begun_ns + 40 * NS_PER_S, memory_bytes=700), 1)
    await life.tell(Fact(kind="look", at_ns=end_ns, state=ContainerState.EXITED), 1)
    house.clock.advance(timedelta(hours=3))
    await house.metering.roll_up()
    await house.metering.close_due()
    assert (await quantities(house, owners[0]))[UsageMetric.MEMORY_GB_HOURS] == 700 * 30 * NS_PER_S
    await house.check()


async def test_service_that_comes_back_is_its_first_owners_again(house: MeteredHouse) -> None:
    other = await new_owner(house)
    await house.start()
    for owner, to in ((house.account_id, other), (other, house.account_id)):
        await house.live(timedelta(minutes=10))
        await transfer(house, house.service_id, owner, to)
    await house.live(timedelta(minutes=10))
    assert (await quantities(house, house.account_id))[UsageMetric.COMPUTE_HOURS] == 20 * MINUTE_NS
    assert (await quantities(house, other))[UsageMetric.COMPUTE_HOURS] == 10 * MINUTE_NS
    await house.check()


async def test_holder_that_comes_back_before_it_was_counted_keeps_its_first_hour(house: MeteredHouse) -> None:
    looks = LookRecorder(house.database, house.clock, interval_ms=60_000)
    for minute, is_there in ((0, True), (30, True), (50, False), (60, True), (70, True)):
        at_ns = to_ns(START) + minute * MINUTE_NS
        size = StorageSize(
            holder="v",
            kind="volume",
            account_id=house.account_id,
            service_id=house.service_id,
            sampled_ns=at_ns,
            size_bytes=8,
        )
        await looks.record_sizes("test", [size] if is_there else [], at_ns)
    house.clock.advance(timedelta(hours=2))
    await house.metering.roll_up()
    used = await quantities(house, house.account_id)
    assert used[UsageMetric.STORAGE_GB] == 8 * (40 * MINUTE_NS + 1)
    await house.check()


async def test_container_is_removed_after_every_owner_is_counted(house: MeteredHouse) -> None:
    other = await new_owner(house)
    made = await house.start()
    await house.live(timedelta(minutes=3))
    await transfer(house, house.service_id, house.account_id, other)
    await house.live(timedelta(minutes=2))
    await house.host.stop(made.container_id)
    assert await house.metering.remove_closed() == 1
    await house.metering.roll_up()
    assert await house.host.list_containers() == []
    await house.check()


@dataclass(frozen=True, slots=True, kw_only=True)
class Fact:
    """Something that is told: a look with counters, a look at sizes, that the service moves, or a tick that counts."""

    kind: str
    at_ns: int = 0
    state: ContainerState = ContainerState.RUNNING
    memory_bytes: int | None = None
    sent_bytes: int | None = None
    size_bytes: int | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Life:
    """One container and one volume of one service, told of at their own node; `owners` is one account or several."""

    house: MeteredHouse
    name: str
    owners: tuple[AccountId, ...]
    service_id: ServiceId
    begun_ns: int
    end_ns: int

    async def tell(self, fact: Fact, move: int) -> None:
        """`move` is how many moves there were before."""
        looks = LookRecorder(self.house.database, self.house.clock, interval_ms=60_000)
        if fact.kind == "move" and len(self.owners) > 1:
            former, to = (self.owners[(move + step) % len(self.owners)] for step in (0, 1))
            await transfer(self.house, self.service_id, former, to)
        elif fact.kind == "look":
            await looks.record(self.name, [self.record(fact)], self.counters(fact), fact.at_ns, told_ns=fact.at_ns)
        elif fact.kind == "size":
            await looks.record_sizes(self.name, self.sizes(fact), fact.at_ns)

    def record(self, fact: Fact) -> ContainerRecord:
        is_over = fact.state is ContainerState.EXITED
        return ContainerRecord(
            container_id=self.name,
            account_id=self.owners[0],
            service_id=self.service_id,
            revision=1,
            replica=0,
            state=fact.state,
            created_ns=self.begun_ns,
            started_ns=self.begun_ns,
            finished_ns=self.end_ns if is_over else None,
            restart_count=0,
            exit_code=0 if is_over else None,
            oom_killed=False,
            process_id=None,
        )

    def counters(self, fact: Fact) -> list[ContainerCounters]:
        if fact.state is ContainerState.EXITED:
            return []
        one = ContainerCounters(
            container_id=self.name,
            sampled_ns=fact.at_ns,
            memory_bytes=fact.memory_bytes,
            memory_peak_bytes=None,
            cpu_ns=None,
            transmitted_bytes=fact.sent_bytes,
            received_bytes=None,
        )
        return [one]

    def sizes(self, fact: Fact) -> list[StorageSize]:
        if fact.size_bytes is None:
            return []
        size = StorageSize(
            holder=f"volume of {self.name}",
            kind="volume",
            account_id=self.owners[0],
            service_id=self.service_id,
            sampled_ns=fact.at_ns,
            size_bytes=fact.size_bytes,
        )
        return [size]

    async def sums(self) -> dict[UsageMetric, int]:
        found = [await quantities(self.house, account_id) for account_id in self.owners]
        return {metric: sum(one[metric] for one in found) for metric in UsageMetric}


def script(draw: random.Random, begun_ns: int, end_ns: int) -> list[tuple[int, Fact]]:
    """What is told when: looks with gaps, late and early ones, sizes, moves, counts, and an end."""
    facts: list[tuple[int, Fact]] = []
    sent, at_ns = 0, begun_ns + draw.randrange(1, 70) * NS_PER_S
    while at_ns < end_ns + 600 * NS_PER_S:
        sent += draw.randrange(1_000)
        look = Fact(
            kind="look",
            at_ns=at_ns,
            state=ContainerState.EXITED if at_ns >= end_ns else ContainerState.RUNNING,
            memory_bytes=None if draw.random() < 0.2 else draw.randrange(1, 5_000),
            sent_bytes=None if draw.random() < 0.2 else sent,
        )
        told_ns = at_ns + draw.choice([0, 0, 0, 0, -2, 3, 400]) * NS_PER_S
        facts.append((told_ns, look))
        if draw.random() < 0.1:
            facts.append((told_ns + 5 * NS_PER_S, look))
        if draw.random() < 0.15:
            facts.append((at_ns + draw.randrange(2) * 1_000, Fact(kind="move")))
        if draw.random() < 0.2:
            facts.append((at_ns, Fact(kind="count")))
        if draw.random() < 0.3:
            size_bytes = draw.choice([None, 0, 10, draw.randrange(1, 900), draw.randrange(1, 900)])
            facts.append((at_ns, Fact(kind="size", at_ns=at_ns, size_bytes=size_bytes)))
        at_ns += draw.choice([7, 30, 60, 60, 60, 60, 250]) * NS_PER_S
    return sorted(facts, key=lambda one: one[0])


async def twins(house: MeteredHouse, draw: random.Random, seed: int) -> tuple[Life, Life]:
    begun_ns = to_ns(house.clock.now()) + draw.randrange(90) * NS_PER_S
    end_ns = begun_ns + draw.choice([50, 400, 2_000, 4_000]) * NS_PER_S
    lives = []
    for name, owner_count in (("one", 1), ("several", draw.choice([2, 3]))):
        first, service_id = await house.new_account()
        owners = (first, *[await new_owner(house) for _ in range(owner_count - 1)])
        life = Life(
            house=house,
            name=f"{name}-{seed}",
            owners=owners,
            service_id=service_id,
            begun_ns=begun_ns,
            end_ns=end_ns,
        )
        lives.append(life)
    return lives[0], lives[1]


async def test_usage_of_all_owners_adds_up_to_that_of_one(house: MeteredHouse) -> None:
    for seed in range(SEEDS):
        draw = random.Random(seed)
        house.clock.advance_to(START + timedelta(days=seed))
        alone, shared = await twins(house, draw, seed)
        moves = 0
        for told_ns, fact in script(draw, alone.begun_ns, alone.end_ns):
            house.clock.advance_to(max(house.clock.now(), from_ns(told_ns)))
            for life in (alone, shared):
                await life.tell(fact, moves)
            if fact.kind == "count":
                await house.metering.roll_up()
                await house.metering.close_due()
            moves += fact.kind == "move"
        house.clock.advance(timedelta(hours=2))
        await house.metering.roll_up()
        await house.metering.close_due()
        assert await shared.sums() == await alone.sums(), f"seed {seed}, {moves} moves"
        for life in (alone, shared):  # so that the next lives are counted without these
            await life.tell(Fact(kind="size", at_ns=to_ns(house.clock.now())), moves)
        if seed % 30 == 29 or seed + 1 == SEEDS:  # a comparison with the engine looks 35 days back
            await house.check()
    trials.record("services that change their owner among late, double and missing looks", count=SEEDS, seed=0)


async def test_transfers_beside_looks_and_counting_keep_every_unit(house: MeteredHouse) -> None:
    """Everybody at once: the sum is the engine's own lifetime, and nobody waits for ever."""
    other = await new_owner(house)
    owners = [house.account_id, other]
    await house.start()
    for number in range(RACES):
        house.clock.advance(timedelta(seconds=60))
        former, to = owners[number % 2], owners[(number + 1) % 2]
        async with asyncio.timeout(60), asyncio.TaskGroup() as group:
            group.create_task(transfer(house, house.service_id, former, to))
            for work in (house.metering.sample, house.metering.sample_storage, house.metering.sweep):
                group.create_task(_told(work))
            group.create_task(_told(house.metering.roll_up))
    house.clock.advance(timedelta(seconds=60))
    await house.tick()
    found = [await quantities(house, account_id) for account_id in owners]
    lived_s = (RACES + 1) * 60
    assert sum(one[UsageMetric.COMPUTE_HOURS] for one in found) == lived_s * NS_PER_S
    assert sum(one[UsageMetric.MEMORY_GB_HOURS] for one in found) == 1000 * lived_s * NS_PER_S
    assert sum(one[UsageMetric.BANDWIDTH_GB] for one in found) == 7 * lived_s
    await house.check()


async def _told(work: Callable[[], Awaitable[object]]) -> None:
    await work()


async def test_transfer_killed_at_any_moment_happened_wholly_or_not_at_all(database: Database) -> None:
    house = MeteredHouse(database, START)
    await house.move_in()
    other, fuse = await new_owner(house), Fuse()
    services = ContainerService(MortalDatabase(database, fuse), house.clock, _Admits())
    await house.start()
    await house.live(timedelta(minutes=3))
    for moments in range(3):
        fuse.set_to(moments)
        with pytest.raises(Died):
            await services.transfer_service(house.account_id, house.service_id, other, actor="test")
        rows = await house.fetch("SELECT account_id FROM services WHERE service_id = %s", house.service_id)
        moved = await house.fetch("SELECT to_account_id FROM service_transfers")
        told = await house.fetch("SELECT account_id FROM audit_entries WHERE action = 'service_transferred'")
        assert (len(rows), len(moved), len(told)) == ((2, 1, 2) if moments == 2 else (1, 0, 0))
    await house.live(timedelta(minutes=2))
    assert (await quantities(house, house.account_id))[UsageMetric.COMPUTE_HOURS] == 3 * MINUTE_NS
    assert (await quantities(house, other))[UsageMetric.COMPUTE_HOURS] == 2 * MINUTE_NS
    await house.check()


class _Admits:
    async def admit(self, *_: object, **__: object) -> None:
        """Everything has a place."""

    async def note_refusal(self, *_: object) -> None:
        """Nothing is refused."""

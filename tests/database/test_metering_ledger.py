"""The ledger over time: what a simulated host does must stand in usage_records, exactly."""

import asyncio
from collections.abc import Awaitable, Callable
from datetime import UTC, datetime, timedelta
from decimal import Decimal

import pytest
from psycopg.errors import RaiseException

from helvetia.accounts.model import Account, AccountKind
from helvetia.accounts.store import insert_account
from helvetia.containers.errors import HostUnavailable
from helvetia.containers.model import (
    ContainerRecord,
    ContainerSpec,
    Counts,
    HoldCause,
    ServiceDefinition,
    Volume,
)
from helvetia.containers.simulated_host import SimulatedHost
from helvetia.containers.store import get_service, insert_service, mark_deleted
from helvetia.containers.store_holds import place_holds
from helvetia.database.pool import Database
from helvetia.kernel.clock import ManualClock, to_ns
from helvetia.kernel.identity import AccountId, ServiceId, new_account_id, new_service_id
from helvetia.kernel.period import Period
from helvetia.kernel.quantity import NS_PER_S, UsageMetric
from helvetia.metering import store
from helvetia.metering.errors import BoundaryInFuture
from helvetia.metering.find_leaks import LeakService
from helvetia.metering.invariants import broken_invariants
from helvetia.metering.lifecycle.store_readings import Intake, insert_readings
from helvetia.metering.model import FindingCause, LeakKind, MeteringConfig, UsageTotals
from helvetia.metering.readers.host_reader import HostReader
from helvetia.metering.service import MeteringService
from helvetia.metering.store_runs import lock_open_runs, save_runs
from support.engine_hop import engine_hop

COMPUTE, MEMORY = UsageMetric.COMPUTE_HOURS, UsageMetric.MEMORY_GB_HOURS
BANDWIDTH, STORAGE = UsageMetric.BANDWIDTH_GB, UsageMetric.STORAGE_GB
CONFIG = MeteringConfig(sample_interval_s=60, storage_interval_s=300, settle_s=180, reconnect_wait_max_s=0.01)
DAY = Period(starts_at=datetime(2026, 3, 10, tzinfo=UTC), ends_at=datetime(2026, 3, 11, tzinfo=UTC))
ENV = {"SIM_MEMORY_BYTES": "1000", "SIM_BYTES_PER_S": "7", "SIM_LAYER_BYTES": "50"}


def at(hour: int, minute: int = 0, second: int = 0) -> datetime:
    return datetime(2026, 3, 10, hour, minute, second, tzinfo=UTC)


def ns(length: timedelta) -> int:
    return length // timedelta(microseconds=1) * 1000


class House:
    """A host, its meter and one service of one account."""

    def __init__(self, database: Database) -> None:
        self.database = database
        self.clock = ManualClock(at(10))
        self.host = SimulatedHost("test", self.clock)
        self.metering = self.another()
        self.account_id = new_account_id()
        self.service_id = new_service_id()

    def another(self) -> MeteringService:
        """A second process over the same database and host."""
        return MeteringService(self.database, self.clock, self.host, HostReader(self.host), CONFIG)

    async def move_in(self) -> None:
        account = Account(account_id=self.account_id, kind=AccountKind.USER, name="a", created_at=self.clock.now())
        definition = ServiceDefinition(name="web", image="demo", memory_mb=64, cpu_cores=Decimal("0.1"))
        async with self.database.transaction() as tx:
            await insert_account(tx, account)
            await insert_service(tx, self.account_id, self.service_id, definition, self.clock.now())
            await store.create_metering_account(tx, self.account_id)

    async def start(
        self, replica: int = 1, service_id: ServiceId | None = None, volumes: tuple[Volume, ...] = (), **env: str
    ) -> ContainerRecord:
        return await self.host.create_and_start(
            ContainerSpec(
                account_id=self.account_id,
                service_id=service_id or self.service_id,
                revision=1,
                replica=replica,
                image="demo",
                command=(),
                env={**ENV, **env},
                memory_bytes=2**26,
                cpu_cores=Decimal("0.1"),
                volumes=volumes,
            )
        )

    async def live_until(self, until: datetime, *, step: timedelta = timedelta(minutes=1)) -> None:
        """Every tick, each step."""
        while self.clock.now() < until:
            self.clock.advance(min(step, until - self.clock.now()))
            await self.tick()

    async def tick(self) -> None:
        await self.metering.sample()
        await self.metering.sample_storage()
        await self.metering.sweep()
        await self.metering.roll_up()
        await self.metering.close_due()

    async def totals(self, starts_at: datetime = DAY.starts_at, ends_at: datetime = DAY.ends_at) -> UsageTotals:
        async with self.database.transaction() as tx:
            return await store.totals(tx, self.account_id, Period(starts_at=starts_at, ends_at=ends_at))

    async def used(
        self, metric: UsageMetric, starts_at: datetime = DAY.starts_at, ends_at: datetime = DAY.ends_at
    ) -> int:
        return (await self.totals(starts_at, ends_at)).quantities[metric]

    async def cut(self, instant: datetime) -> None:
        async with self.database.transaction() as tx:
            await store.write_cuts(tx, self.account_id, [instant], reason="test", recorded_at=self.clock.now())

    async def rows(self, where: str = "true") -> list[tuple[object, ...]]:
        async with self.database.transaction() as tx:
            cursor = await tx.execute(
                f"""SELECT metric, period_start, revision, quantity, period_end, closed_at FROM usage_records
                    WHERE {where} ORDER BY incarnation, metric, period_start, revision"""
            )
            return await cursor.fetchall()

    async def causes(self) -> list[str]:
        async with self.database.transaction() as tx:
            cursor = await tx.execute("SELECT cause FROM metering_findings ORDER BY cause")
            return [cause for (cause,) in await cursor.fetchall()]

    async def check(self) -> None:
        async with self.database.transaction() as tx:
            assert await broken_invariants(tx) == {}
            assert await engine_hop(tx, self.clock.now()) == {}


@pytest.fixture
async def house(database: Database) -> House:
    house = House(database)
    await house.move_in()
    return house


async def test_m07_a_container_that_lived_three_seconds_between_ticks_is_counted_exactly(house: House) -> None:
    await house.start(SIM_RUN_MS="3000")
    house.clock.advance(timedelta(minutes=5))
    await house.tick()
    assert await house.used(COMPUTE) == 3 * NS_PER_S
    await house.check()


async def test_m07_a_long_run_is_counted_in_hours_that_close_when_settled(house: House) -> None:
    record = await house.start()
    await house.live_until(at(12, 30))
    await house.host.stop(record.container_id)
    await house.live_until(at(13, 2))
    length = timedelta(hours=2, minutes=30)
    assert await house.used(COMPUTE) == ns(length)
    assert await house.used(MEMORY) == 1000 * ns(length)
    assert await house.used(BANDWIDTH) == 7 * 60 * 150
    rows = await house.rows("metric = 'COMPUTE_HOURS'")
    assert [(row[1], row[4], row[5] is not None) for row in rows] == [
        (at(10), at(11), True),
        (at(11), at(12), True),
        (at(12), at(13), False),
    ]
    await house.live_until(at(13, 3))
    assert all(row[5] is not None for row in await house.rows("metric = 'COMPUTE_HOURS'"))
    await house.check()


async def test_m06_ticks_that_run_twice_or_in_two_processes_double_nothing(house: House) -> None:
    record = await house.start()
    other = house.another()
    for _ in range(70):
        house.clock.advance(timedelta(minutes=1))
        await asyncio.gather(house.tick(), other.sample(), other.sweep(), other.roll_up(), other.close_due())
    await house.host.stop(record.container_id)
    await asyncio.gather(house.tick(), house.tick(), other.roll_up(), other.sweep())
    assert await house.used(COMPUTE) == ns(timedelta(minutes=70))
    assert await house.used(MEMORY) == 1000 * ns(timedelta(minutes=70))
    await house.check()


async def test_m08_downtime_of_the_collector_loses_no_compute_and_no_bytes(house: House) -> None:
    record = await house.start()
    await house.live_until(at(10, 10))
    house.clock.advance(timedelta(hours=5))
    house.metering = house.another()
    await house.tick()
    await house.host.stop(record.container_id)
    await house.tick()
    totals = await house.totals()
    length = timedelta(hours=5, minutes=10)
    assert totals.quantities[COMPUTE] == ns(length)
    assert totals.quantities[BANDWIDTH] == 7 * 60 * 310
    assert totals.quantities[MEMORY] == 1000 * ns(timedelta(minutes=12))
    assert [(gap.cause, gap.starts_at, gap.ends_at) for gap in totals.gaps] == [
        (FindingCause.NO_READING, at(10, 12), at(15, 10))
    ]
    await house.check()


async def test_m10_a_restart_is_a_new_run_whose_counters_begin_at_zero(house: House) -> None:
    record = await house.start()
    await house.live_until(at(10, 10))
    house.host.kill(record.container_id)
    await house.metering.sweep()
    house.clock.advance(timedelta(minutes=5))
    house.host.restart(record.container_id)
    await house.live_until(at(10, 25))
    assert await house.used(COMPUTE) == ns(timedelta(minutes=20))
    assert await house.used(BANDWIDTH) == 7 * 60 * 20
    assert await house.causes() == []
    await house.check()


async def test_a_run_overwritten_before_its_finish_was_seen_ends_when_it_was_last_seen(house: House) -> None:
    record = await house.start()
    await house.live_until(at(10, 10))
    house.clock.advance(timedelta(seconds=30))
    house.host.restart(record.container_id)
    house.host.restart(record.container_id)
    await house.live_until(at(10, 20))
    assert await house.used(COMPUTE) == ns(timedelta(minutes=19, seconds=30))
    assert await house.causes() == ["finish_unseen", "runs_unseen"]
    await house.check()


async def test_a_container_removed_behind_our_back_ends_when_it_was_last_seen(house: House) -> None:
    record = await house.start()
    await house.live_until(at(10, 10))
    house.clock.advance(timedelta(seconds=30))
    await house.host.stop(record.container_id)
    await house.host.remove(record.container_id)
    await house.live_until(at(10, 20))
    assert await house.used(COMPUTE) == ns(timedelta(minutes=10))
    assert not (await house.totals()).is_complete
    assert await house.causes() == ["finish_unseen"]
    await house.check()


async def test_an_unreachable_engine_is_a_gap_and_time_is_recovered_when_it_answers(house: House) -> None:
    await house.start()
    await house.live_until(at(10, 10))
    house.host.is_available = False
    for _ in range(5):
        house.clock.advance(timedelta(minutes=1))
        with pytest.raises(HostUnavailable):
            await house.metering.sample()
    house.host.is_available = True
    await house.live_until(at(10, 20))
    assert await house.used(COMPUTE) == ns(timedelta(minutes=20))
    assert await house.causes() == ["engine_unreachable", "no_reading"]
    gaps = {gap.cause: gap for gap in (await house.totals()).gaps}
    assert (gaps[FindingCause.ENGINE_UNREACHABLE].starts_at, gaps[FindingCause.ENGINE_UNREACHABLE].ends_at) == (
        at(10, 10),
        at(10, 15),
    )


async def test_m15_labels_of_no_service_make_a_finding_and_nobodys_bill(house: House) -> None:
    await house.start(service_id=new_service_id())
    await house.live_until(at(10, 10))
    assert await house.rows() == []
    assert await house.causes() == ["owner_unknown", "storage_unowned"]
    assert (await house.totals()).is_complete


async def test_a_label_naming_another_account_bills_the_services_owner(house: House) -> None:
    owner = house.account_id
    house.account_id = AccountId(new_account_id())
    await house.start()
    house.account_id = owner
    await house.live_until(at(10, 10))
    assert await house.used(COMPUTE) == ns(timedelta(minutes=10))


async def test_a_boundary_learnt_two_hours_late_splits_closed_pieces_and_keeps_every_sum(house: House) -> None:
    house.clock.advance(timedelta(minutes=5))
    early = await house.start(replica=1)
    await house.live_until(at(10, 15))
    await house.host.stop(early.container_id)
    running = await house.start(replica=2)
    await house.live_until(at(10, 20))
    await house.start(replica=3, SIM_RUN_MS="60000")
    await house.live_until(at(12, 40))
    before = (await house.totals()).quantities
    closed = await house.rows("closed_at IS NOT NULL")
    await house.cut(at(10, 17, 23))
    await house.tick()
    assert (await house.totals()).quantities == before
    assert [row for row in await house.rows("closed_at IS NOT NULL") if row in closed] == closed
    cut = at(10, 17, 23)
    first = (await house.totals(ends_at=cut)).quantities
    second = (await house.totals(starts_at=cut)).quantities
    assert first[COMPUTE] == ns(timedelta(minutes=10) + timedelta(minutes=2, seconds=23))
    assert all(first[metric] + second[metric] == before[metric] for metric in UsageMetric)
    await house.host.stop(running.container_id)
    await house.live_until(at(13, 10))
    await house.check()


async def test_the_closed_total_never_dips_while_a_late_boundary_is_counted(house: House) -> None:
    await house.start()
    await house.live_until(at(12, 40))
    async with house.database.transaction() as tx:
        before = await store.closed_totals(tx, house.account_id, DAY)
    await house.cut(at(10, 17, 23))
    await house.metering.roll_up()
    async with house.database.transaction() as tx:
        assert await store.closed_totals(tx, house.account_id, DAY) == before


async def test_pieces_of_a_stripe_account_wait_until_its_boundaries_are_known(house: House) -> None:
    async with house.database.transaction() as tx:
        await store.set_known_until(tx, house.account_id, at(10, 30), waits_for_stripe=True)
    await house.start()
    await house.live_until(at(11, 30))
    assert await house.rows("closed_at IS NOT NULL") == []
    async with house.database.transaction() as tx:
        await store.set_known_until(tx, house.account_id, at(11, 0, 1), waits_for_stripe=True)
    await house.metering.close_due()
    assert {row[4] for row in await house.rows("closed_at IS NOT NULL")} == {at(11)}


async def test_close_through_closes_at_once_everything_that_ends_there(house: House) -> None:
    async with house.database.transaction() as tx:
        await store.set_known_until(tx, house.account_id, at(9), waits_for_stripe=True)
    await house.start()
    await house.live_until(at(11, 20))
    house.clock.advance(timedelta(seconds=17))
    through = house.clock.now()
    await house.metering.sample()
    await house.metering.sample_storage()
    await house.metering.sweep()
    await house.metering.close_through(house.account_id, through)
    await house.metering.close_through(house.account_id, through)
    period = Period(starts_at=DAY.starts_at, ends_at=through)
    async with house.database.transaction() as tx:
        totals = await store.closed_totals(tx, house.account_id, period)
        assert await store.open_piece_count(tx, house.account_id, period) == 0
    assert totals[COMPUTE] == ns(timedelta(hours=1, minutes=20, seconds=17))
    assert totals[BANDWIDTH] == 7 * (80 * 60 + 17)
    await house.live_until(at(12, 10))
    assert await house.used(COMPUTE) == ns(timedelta(hours=2, minutes=10))
    await house.check()


async def test_closing_through_an_instant_to_come_is_refused(house: House) -> None:
    with pytest.raises(BoundaryInFuture):
        await house.metering.close_through(house.account_id, at(10, 0, 1))


async def test_what_becomes_known_after_a_forced_close_is_a_difference(house: House) -> None:
    await house.start()
    await house.live_until(at(10, 20))
    house.clock.advance(timedelta(minutes=1))
    await house.metering.close_through(house.account_id, house.clock.now())
    await house.live_until(at(10, 30))
    assert await house.used(COMPUTE, ends_at=at(10, 21)) == ns(timedelta(minutes=21))
    assert {row[2] for row in await house.rows("metric = 'COMPUTE_HOURS' AND period_end = '2026-03-10 10:21Z'")} == {
        0,
        1,
    }
    await house.check()


async def test_a_closed_row_cannot_be_changed_or_deleted(house: House) -> None:
    await house.start()
    await house.live_until(at(11, 5))
    for statement in ("UPDATE usage_records SET quantity = 0 WHERE closed_at IS NOT NULL", "DELETE FROM usage_records"):
        with pytest.raises(RaiseException):
            async with house.database.transaction() as tx:
                await tx.execute(statement)


async def test_m18_a_deleted_service_keeps_its_usage(house: House) -> None:
    record = await house.start()
    await house.live_until(at(10, 10))
    async with house.database.transaction() as tx:
        service = await get_service(tx, house.account_id, house.service_id)
        assert service is not None
        await mark_deleted(tx, service, house.clock.now())
    await house.host.stop(record.container_id)
    await house.live_until(at(10, 20))
    assert await house.used(COMPUTE) == ns(timedelta(minutes=10))
    await house.check()


async def test_m11_storage_is_held_while_stopped_until_it_is_gone(house: House) -> None:
    record = await house.start(volumes=(Volume(name="data", path="/data"),), SIM_VOLUME_BYTES="9", SIM_LAYER_BYTES="50")
    await house.metering.sample_storage()
    await house.live_until(at(10, 10))
    await house.host.stop(record.container_id)
    await house.live_until(at(10, 30))
    assert await house.used(STORAGE) == 59 * ns(timedelta(minutes=30))
    assert await house.metering.remove_closed() == 1
    await house.live_until(at(10, 40))
    await house.host.remove_volumes(house.service_id)
    await house.live_until(at(10, 50))
    assert await house.used(STORAGE) == 50 * ns(timedelta(minutes=30)) + 9 * ns(timedelta(minutes=40))
    await house.check()


async def test_a_stopped_container_is_removed_only_when_its_record_is_written(house: House) -> None:
    running = await house.start(replica=1)
    await house.start(replica=2, SIM_RUN_MS="200")
    stranger = await house.start(service_id=new_service_id(), SIM_RUN_MS="200")
    house.clock.advance(timedelta(minutes=1))
    assert await house.metering.remove_closed() == 1
    left = {record.container_id for record in await house.host.list_containers()}
    assert left == {running.container_id, stranger.container_id}
    assert await house.used(COMPUTE) == 200_000_000 + ns(timedelta(minutes=1))
    await house.check()


async def test_a_thousand_short_containers_are_all_counted(house: House) -> None:
    for n in range(50):
        for replica in range(20):
            await house.start(replica=replica, SIM_RUN_MS=str(200 + n * 7 + replica))
        house.clock.advance(timedelta(seconds=5))
        if n % 10 == 9:
            await house.metering.remove_closed()
    await house.metering.remove_closed()
    await house.metering.remove_closed()
    await house.metering.remove_closed()
    expected_ms = sum(200 + n * 7 + replica for n in range(50) for replica in range(20))
    assert await house.used(COMPUTE) == expected_ms * 1_000_000
    await house.check()


async def test_events_make_a_run_known_before_any_tick(house: House) -> None:
    stop = asyncio.Event()
    watching = asyncio.create_task(house.metering.watch_events(stop))
    await asyncio.sleep(0.05)
    record = await house.start()
    await _until(lambda: _has(house, "SELECT FROM container_readings"))
    house.host.cut_events()
    await asyncio.sleep(0.05)
    house.clock.advance(timedelta(seconds=3))
    await house.host.stop(record.container_id)
    await _until(lambda: _has(house, "SELECT FROM container_runs WHERE finished_ns IS NOT NULL"))
    stop.set()
    await asyncio.wait_for(watching, 2)
    await house.metering.roll_up()
    assert await house.used(COMPUTE) == 3 * NS_PER_S


async def _has(house: House, sql: str) -> bool:
    async with house.database.transaction() as tx:
        return await (await tx.execute(sql)).fetchone() is not None


async def _until(condition: Callable[[], Awaitable[bool]]) -> None:
    async with asyncio.timeout(3):
        while not await condition():
            await asyncio.sleep(0.02)


async def test_an_outage_of_weeks_is_counted_in_bounded_passes(house: House) -> None:
    record = await house.start()
    await house.metering.sample()
    house.clock.advance(timedelta(days=20))
    await house.metering.sample()
    await house.host.stop(record.container_id)
    await house.tick()
    period_end = house.clock.now() + timedelta(days=1)
    assert await house.used(COMPUTE, ends_at=period_end) == ns(timedelta(days=20))
    await house.check()


async def test_readings_that_arrive_late_move_bytes_to_their_own_window_and_fill_gaps(house: House) -> None:
    await house.start()
    await house.live_until(at(10, 55))
    house.clock.advance(timedelta(minutes=10))
    await house.live_until(at(11, 10))
    before = (await house.totals()).quantities
    assert await house.used(BANDWIDTH, ends_at=at(11)) == 7 * 60 * 55
    late = [
        Counts(
            sampled_ns=to_ns(at(10, 55) + timedelta(minutes=minute)),
            memory_bytes=1000,
            memory_peak_bytes=1000,
            cpu_ns=0,
            transmitted_bytes=7 * 60 * (55 + minute),
            received_bytes=0,
        )
        for minute in (9, 3, 7, 1, 5)
    ]
    for counters in (late, late):
        async with house.database.transaction() as tx:
            runs = await lock_open_runs(tx, house.account_id)
            own = [(runs[0], sorted(counters))]
            intake = Intake(
                interval_ms=60_000,
                recorded_at=house.clock.now(),
                stored={runs[0].incarnation: runs[0]},
                siblings={},
            )
            await save_runs(tx, await insert_readings(tx, own, intake))
        await house.tick()
    assert await house.used(BANDWIDTH, ends_at=at(11)) == 7 * 60 * 60
    assert await house.used(BANDWIDTH) == before[BANDWIDTH]
    assert await house.used(COMPUTE) == before[COMPUTE]
    assert await house.used(MEMORY) == 1000 * ns(timedelta(minutes=70))
    assert await house.causes() == []
    await house.check()


async def test_a_container_that_the_engine_forgot_for_a_while_is_counted_whole_when_it_is_back(house: House) -> None:
    record = await house.start()
    await house.live_until(at(10, 10))
    hidden = house.host._containers.pop(record.container_id)
    await house.live_until(at(12, 10))
    assert await house.used(COMPUTE) == ns(timedelta(minutes=10))
    house.host._containers[record.container_id] = hidden
    await house.live_until(at(12, 30))
    assert await house.used(COMPUTE) == ns(timedelta(minutes=150))
    # Storage is not held across its absence (but for the nanosecond that ends the former hold).
    assert await house.used(STORAGE) == 50 * (ns(timedelta(minutes=9 + 19)) + 1)
    await house.check()


async def test_m19_time_held_for_payment_accrues_storage_only(house: House) -> None:
    record = await house.start()
    await house.live_until(at(10, 30))
    await _hold(house, at(10, 30))
    await house.host.stop(record.container_id)
    await house.live_until(at(12, 30), step=timedelta(minutes=5))
    held = {metric: await house.used(metric, at(10, 30), at(13)) for metric in UsageMetric}
    assert await house.used(COMPUTE) == ns(timedelta(minutes=30))
    assert (held[COMPUTE], held[MEMORY], held[BANDWIDTH]) == (0, 0, 0)
    assert await house.used(STORAGE) > 0
    await house.check()


async def test_m19_what_runs_while_held_or_belongs_to_nobody_is_found_with_its_money(house: House) -> None:
    record = await house.start()
    await house.start(replica=9, service_id=new_service_id())
    await _hold(house, at(10))
    await house.live_until(at(10, 10))
    leaks = {leak.kind: leak for leak in await LeakService(house.database, house.clock).find_leaks()}
    assert set(leaks) == {
        LeakKind.RUNNING_WHILE_HELD,
        LeakKind.CONTAINER_UNOWNED,
        LeakKind.STORAGE_UNOWNED,
    }
    held = leaks[LeakKind.RUNNING_WHILE_HELD]
    assert (held.name, held.since_at) == (record.container_id, at(10))
    assert held.day_minor == Decimal("24.0000")  # a kilobyte of memory is below a hundredth of a hundredth of a cent
    assert leaks[LeakKind.CONTAINER_UNOWNED].day_minor == Decimal("24.0000")
    assert "50 bytes" in leaks[LeakKind.STORAGE_UNOWNED].detail


async def _hold(house: House, at_: datetime) -> None:
    services, cause = [house.service_id], HoldCause.PAYMENT
    async with house.database.transaction() as tx:
        await place_holds(tx, house.account_id, services, cause, reason="test", placed_by="test", pass_id=None, at=at_)


async def test_m22_what_is_used_while_past_due_is_counted_and_closed_like_any_other(house: House) -> None:
    async with house.database.transaction() as tx:
        await tx.execute(
            """INSERT INTO subscriptions (id, account_id, user_id, plan, status, stripe_customer_id,
                   current_period_start, current_period_end, started_at, created_at, updated_at)
               VALUES (%(id)s, %(id)s, %(id)s, 'PRO', 'PAST_DUE', 'cus_1', %(at)s, %(end)s, %(at)s, %(at)s, %(at)s)""",
            {"id": house.account_id, "at": at(9), "end": at(23)},
        )
        await store.set_known_until(tx, house.account_id, at(13), waits_for_stripe=True)
    await house.start()
    await house.live_until(at(12, 10), step=timedelta(minutes=5))
    async with house.database.transaction() as tx:
        closed = await store.closed_totals(tx, house.account_id, DAY)
    assert closed[COMPUTE] == ns(timedelta(hours=2))
    assert await house.used(COMPUTE) == ns(timedelta(hours=2, minutes=10))


async def test_open_gaps_tell_broken_metering_from_no_usage(house: House) -> None:
    leaks = LeakService(house.database, house.clock)
    await house.live_until(at(10, 5))
    assert await leaks.open_gaps() == {}  # nothing runs: no usage, and nothing is wrong
    await house.start()
    await house.tick()
    house.host.is_available = False
    house.clock.advance(timedelta(minutes=5))
    with pytest.raises(HostUnavailable):
        await house.metering.sample()
    assert await leaks.open_gaps() == {FindingCause.ENGINE_UNREACHABLE: (1, at(10, 5))}
    totals = await house.totals()
    assert not totals.is_complete

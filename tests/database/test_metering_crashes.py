"""Killed between any two statements, again and again: nothing is lost and nothing is doubled."""

import random
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any, cast

import pytest

from helvetia.accounts.model import Account, AccountKind
from helvetia.accounts.store import insert_account
from helvetia.containers.model import ContainerRecord, ContainerSpec, ServiceDefinition
from helvetia.containers.simulated_host import SimulatedHost
from helvetia.containers.store import insert_service
from helvetia.database.enums import DATABASE_ENUMS
from helvetia.database.pool import Database, Transaction
from helvetia.kernel.clock import ManualClock, to_ns
from helvetia.kernel.identity import new_account_id, new_service_id
from helvetia.kernel.period import Period
from helvetia.kernel.quantity import UsageMetric
from helvetia.metering import store
from helvetia.metering.invariants import broken_invariants
from helvetia.metering.model import MeteringConfig
from helvetia.metering.readers.host_reader import HostReader
from helvetia.metering.service import MeteringService
from support import trials
from support.engine_hop import engine_hop

START = datetime(2026, 3, 10, 10, tzinfo=UTC)
SEEDS = trials.choose(small=3, full=100)
CONFIG = MeteringConfig(sample_interval_s=60, settle_s=180, hours_per_pass=2)


class Killed(BaseException):
    """The process is gone; nothing may catch it."""


class Fuse:
    """Burns down by one with each statement, and kills at 0."""

    statements_left: int | None = None

    def burn(self) -> None:
        if self.statements_left is not None:
            if self.statements_left == 0:
                raise Killed
            self.statements_left -= 1


class FusedConnection:
    """A connection that dies with its fuse; all else is the real one."""

    def __init__(self, connection: Transaction, fuse: Fuse) -> None:
        self._connection = connection
        self._fuse = fuse

    async def execute(self, *args: Any, **options: Any) -> Any:
        self._fuse.burn()
        return await self._connection.execute(*args, **options)

    def cursor(self, *args: Any, **options: Any) -> Any:
        self._fuse.burn()
        return self._connection.cursor(*args, **options)

    @asynccontextmanager
    async def transaction(self) -> AsyncIterator[None]:
        """A savepoint: killed before it, and before what it holds is kept."""
        self._fuse.burn()
        async with self._connection.transaction():
            yield
            self._fuse.burn()


class MortalDatabase(Database):
    """The real database, whose user is killed now and then."""

    fuse = Fuse()

    @asynccontextmanager
    async def transaction(self) -> AsyncIterator[Transaction]:
        async with super().transaction() as connection:
            yield cast("Transaction", FusedConnection(connection, self.fuse))
            self.fuse.burn()  # killed just before the commit


@pytest.fixture
async def mortal(database_url: str) -> AsyncIterator[MortalDatabase]:
    database = MortalDatabase(database_url, enums=DATABASE_ENUMS)
    database.fuse = Fuse()
    await database.open()
    yield database
    await database.close()


@pytest.mark.parametrize("seed", range(SEEDS))
async def test_m09_killed_between_any_two_statements_loses_and_doubles_nothing(
    mortal: MortalDatabase, seed: int
) -> None:
    dice = random.Random(seed)
    clock = ManualClock(START)
    host = SimulatedHost("test", clock)
    account_id, service_id = new_account_id(), new_service_id()
    definition = ServiceDefinition(name="web", image="demo", memory_mb=64, cpu_cores=Decimal("0.1"))
    async with mortal.transaction() as tx:
        account = Account(account_id=account_id, kind=AccountKind.USER, name="a", created_at=clock.now())
        await insert_account(tx, account)
        await insert_service(tx, account_id, service_id, definition, clock.now())
    truth: dict[str, ContainerRecord] = {}
    cuts = 0
    for step in range(90):
        clock.advance(timedelta(seconds=dice.randint(1, 240)))
        if dice.random() < 0.5:
            env = {"SIM_BYTES_PER_S": "7", "SIM_MEMORY_BYTES": "1000", "SIM_LAYER_BYTES": "5"}
            if dice.random() < 0.7:
                env["SIM_RUN_MS"] = str(dice.randint(1, 3_000_000))
            spec = ContainerSpec(
                account_id=account_id,
                service_id=service_id,
                revision=1,
                replica=step,
                image="demo",
                command=(),
                env=env,
                memory_bytes=2**26,
                cpu_cores=Decimal("0.1"),
                volumes=(),
            )
            await host.create_and_start(spec)
        truth.update((record.container_id, record) for record in await host.list_containers())
        mortal.fuse.statements_left = dice.randint(0, 60)
        metering = MeteringService(mortal, clock, host, HostReader(host), CONFIG)
        try:
            if dice.random() < 0.2:
                cuts += 1
                async with mortal.transaction() as tx:
                    late = clock.now() - timedelta(seconds=dice.randint(0, 7_200))
                    await store.write_cuts(tx, account_id, [late], reason="test", recorded_at=clock.now())
            for tick in dice.sample(
                [metering.sample, metering.sweep, metering.sample_storage, metering.roll_up, metering.close_due], 5
            ):
                await tick()
            if dice.random() < 0.3:
                await metering.close_through(account_id, clock.now())
            await metering.remove_closed()
        except Killed:
            continue
        finally:
            mortal.fuse.statements_left = None
    await _end(mortal, clock, host, truth)
    lived_ns = sum((one.finished_ns or 0) - (one.started_ns or 0) for one in truth.values())
    async with mortal.transaction() as tx:
        period = Period(starts_at=START - timedelta(hours=1), ends_at=clock.now() + timedelta(hours=1))
        totals = await store.totals(tx, account_id, period)
        assert await broken_invariants(tx) == {}
        assert await engine_hop(tx, clock.now()) == {}
    assert cuts > 0
    assert totals.quantities[UsageMetric.COMPUTE_HOURS] == lived_ns
    assert 0 < totals.quantities[UsageMetric.MEMORY_GB_HOURS] <= 1000 * lived_ns
    assert 0 < totals.quantities[UsageMetric.BANDWIDTH_GB] <= 7 * lived_ns // 1_000_000_000
    trials.record("collector killed between random statements, 90 steps a life", count=1)


async def _end(
    database: MortalDatabase, clock: ManualClock, host: SimulatedHost, truth: dict[str, ContainerRecord]
) -> None:
    """Everything stops, and the meter has its time."""
    for record in await host.list_containers():
        await host.stop(record.container_id)
    truth.update((record.container_id, record) for record in await host.list_containers())
    metering = MeteringService(database, clock, host, HostReader(host), CONFIG)
    clock.advance(timedelta(hours=2))
    await metering.sweep()
    await metering.roll_up()
    await metering.close_due()
    assert to_ns(clock.now()) > max(record.finished_ns or 0 for record in truth.values())

"""Readings are stored once and none is lost, whichever way they take in: the short one, or beside what is there."""

import random
from collections.abc import Sequence
from dataclasses import replace
from datetime import UTC, datetime, timedelta

from helvetia.containers.model import Counts
from helvetia.database.pool import Database
from helvetia.kernel.clock import to_ns
from helvetia.metering.lifecycle.store_readings import Intake, insert_readings
from helvetia.metering.model import Run
from helvetia.metering.store_runs import lock_open_runs
from support import trials
from support.metered_house import MeteredHouse

START = datetime(2026, 3, 10, 9, tzinfo=UTC)
MINUTE = timedelta(minutes=1)
ORDERS = trials.choose(small=20, full=300)


def counts(minute: int, memory_bytes: int | None = 1_000) -> Counts:
    at_ns = to_ns(START + minute * MINUTE)
    return Counts(at_ns, memory_bytes, None, minute * 10**9, minute * 100, minute)


async def a_run(house: MeteredHouse) -> Run:
    """A container that was seen 10 minutes long."""
    await house.move_in()
    await house.start()
    await house.live(10 * MINUTE, step=10 * MINUTE)
    async with house.database.transaction() as tx:
        (run,) = await lock_open_runs(tx, house.account_id)
    return run


async def take_in(house: MeteredHouse, run: Run, stored: Run, readings: Sequence[Counts]) -> None:
    intake = Intake(interval_ms=60_000, recorded_at=house.clock.now(), stored={run.incarnation: stored}, siblings={})
    async with house.database.transaction() as tx:
        await insert_readings(tx, [(run, sorted(readings))], intake)


async def kept(house: MeteredHouse) -> list[tuple[object, ...]]:
    found = await house.fetch("SELECT sampled_ns, memory_bytes, external_bytes FROM container_readings ORDER BY 1")
    return [tuple(row) for row in found]


async def test_a_reading_that_is_there_against_all_reason_is_stored_once_and_costs_no_other(database: Database) -> None:
    house = MeteredHouse(database, START)
    run = await a_run(house)
    before = await kept(house)
    await take_in(house, run, run, [counts(11), counts(12, None)])
    after = [*before, (counts(11).sampled_ns, 1_000, None), (counts(12).sampled_ns, None, None)]
    assert await kept(house) == after
    await take_in(
        house, run, run, [counts(11, 9), counts(12, 9), counts(13)]
    )  # the run still says: seen for 10 minutes
    assert await kept(house) == [*after, (counts(13).sampled_ns, 1_000, None)]


async def test_readings_in_any_portions_and_order_are_each_stored_once(database: Database) -> None:
    house = MeteredHouse(database, START)
    run = await a_run(house)
    await house.fetch("DELETE FROM container_readings RETURNING 1")
    dice = random.Random(31)
    for _ in range(ORDERS):
        wanted = [counts(minute) for minute in range(11, 30)]
        told, stored = [*wanted, *dice.choices(wanted, k=8)], run
        dice.shuffle(told)
        while told:
            portion = [told.pop() for _ in range(min(len(told), dice.randint(1, 6)))]
            await take_in(house, run, stored, portion)
            latest_ns = max(one.sampled_ns for one in portion)
            stored = stored if latest_ns <= stored.seen_ns else _seen(stored, latest_ns)
        assert [row[0] for row in await kept(house)] == [one.sampled_ns for one in wanted]
        await house.fetch("DELETE FROM container_readings RETURNING 1")
    trials.record("readings in any portions and order: each stored once", count=ORDERS, seed=31)


def _seen(run: Run, seen_ns: int) -> Run:
    """As the recorder saves it after such a portion."""
    return replace(run, seen_ns=seen_ns)

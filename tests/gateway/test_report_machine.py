"""Any life of reports: usage closed early, late and taken back, refusals told afterwards, lost answers, crashes and
edges of periods in any order; once all is settled Stripe counted, per period, floor₆ of what the ledger holds.

What came after the invoice of its period was final is a task instead: counted and task together are the ledger's.
"""

import asyncio
import contextlib
from collections.abc import Coroutine, Iterator
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any
from uuid import uuid4

import pytest
from hypothesis import HealthCheck, settings, strategies
from hypothesis.stateful import RuleBasedStateMachine, initialize, rule, run_state_machine_as_test

from helvetia.catalogue.plans import SubscriptionPlan
from helvetia.database.enums import DATABASE_ENUMS
from helvetia.database.pool import Database
from helvetia.kernel.clock import to_unix_s
from helvetia.kernel.errors import HelvetiaError
from helvetia.kernel.quantity import NS_PER_HOUR, UsageMetric, to_sold_quantity
from helvetia.meter_reports.invariants import FOR_THE_OPERATOR, broken_invariants
from helvetia.meter_reports.model import ReportsConfig, ReportState
from helvetia.stripe_gateway.catalog import set_up_catalog, verify_prices
from helvetia.stripe_gateway.client import StripeClientGateway
from helvetia.stripe_gateway.errors import StripeUnavailable
from helvetia.stripe_gateway.model import MeterEvent
from helvetia.stripe_gateway.price_book_holder import PriceBookHolder
from helvetia.subscriptions.model import BillingPeriod
from support import trials
from support.billing_house import BillingHouse, MovableClock, build_house
from support.databases import cloned_database
from support.fuse import Died, Fuse, MortalDatabase, MortalGateway
from support.stripe_world import StripeWorld

START = datetime(2026, 3, 10, 10, 17, 23, tzinfo=UTC)
COMPUTE = UsageMetric.COMPUTE_HOURS
FAST = ReportsConfig(calls_per_second=1000)
QUANTITY = strategies.integers(1, 9 * NS_PER_HOUR)
LUCK = strategies.integers(0, 2**32)
DIES_AT = strategies.integers(0, 40)
PERIODS_MAX = 3


class FickleGateway:
    """Loses the answer of a meter event, or swallows the event behind a good answer, as it is told to."""

    def __init__(self, gateway: StripeClientGateway) -> None:
        self._gateway = gateway
        self.mood = ""
        self.swallowed: list[str] = []

    def __getattr__(self, name: str) -> Any:
        return getattr(self._gateway, name)

    async def send_meter_event(self, event: MeterEvent) -> None:
        if self.mood == "away":
            raise StripeUnavailable
        if self.mood == "swallows":
            self.swallowed.append(event.identifier)
            return
        await self._gateway.send_meter_event(event)
        self.swallowed = [one for one in self.swallowed if one != event.identifier]
        if self.mood == "loses answers":
            raise StripeUnavailable


class Stage:
    """One loop, one database and one Stripe account for all lives of a run."""

    def __init__(self, sandbox_url: str) -> None:
        self.sandbox_url, self.key = sandbox_url, f"sk_test_{uuid4().hex}"
        self.runner, self.holder = asyncio.Runner(), PriceBookHolder()

    def run(self, doing: Coroutine[Any, Any, Any]) -> Any:
        return self.runner.run(doing)

    async def open(self, database_url: str) -> None:
        self.database = Database(database_url, enums=DATABASE_ENUMS)
        await self.database.open()
        self.gateway = StripeClientGateway(self.key, api_base=self.sandbox_url)
        self.holder.fill(await verify_prices(self.gateway, await set_up_catalog(self.gateway)))

    async def close(self) -> None:
        await self.gateway.close()
        await self.database.close()


class ReportsLife(RuleBasedStateMachine):
    stage: Stage

    @initialize()
    def begin(self) -> None:
        self.clock = MovableClock(START)
        self.world = StripeWorld(self.stage.sandbox_url, self.stage.key, self.clock)
        self.fuse, self.fickle = Fuse(), FickleGateway(self.stage.gateway)
        self.pieces: list[tuple[datetime, int]] = []
        self.stage.run(self._begin())

    async def _begin(self) -> None:
        await self.world.start_clock()
        self._new_process()
        self.account_id = await self.house.new_account()
        record = await self.house.billing.create_subscription(self.account_id, SubscriptionPlan.PRO, "pm_card_visa")
        self.customer_id = str(record.stripe_customer_id)

    def _new_process(self) -> None:
        """A house that knows nothing but what the database holds."""
        self.fuse.set_to(None)
        self.fickle.mood = ""
        self.house: BillingHouse = build_house(
            MortalDatabase(self.stage.database, self.fuse),
            self.clock,
            MortalGateway(self.fickle, self.fuse),  # type: ignore[arg-type]
            self.stage.holder,
            test_clock=self.world.test_clock,
            sandbox_origin=self.stage.sandbox_url,
            pace=FAST,
        )

    # what metering does: a piece closes in this hour or long after it; a difference takes some of it back

    @rule(quantity=QUANTITY, luck=LUCK)
    def usage_closes(self, quantity: int, luck: int) -> None:
        passed_s = int((self.clock.now() - START).total_seconds())
        recent_s = luck % (min(passed_s, 20 * 86_400) + 1)
        at = max(START, (self.clock.now() - timedelta(seconds=recent_s)).replace(minute=0, second=0))
        self.pieces.append((at, quantity))
        self.stage.run(self._add(at, quantity, revision=0))

    @rule(luck=LUCK)
    def usage_is_taken_back(self, luck: int) -> None:
        if self.pieces:
            at, quantity = self.pieces.pop(luck % len(self.pieces))
            self.stage.run(self._add(at, -(luck % (quantity + 1)), revision=1))

    async def _add(self, at: datetime, quantity: int, *, revision: int) -> None:
        await self.house.add_closed_usage(
            self.account_id, COMPUTE, quantity, at, revision=revision, incarnation=f"c:{uuid4().hex}"
        )

    # what the worker does, with Stripe in some mood and a death at some seam, or past the last one

    @rule(mood=strategies.sampled_from(["", "away", "loses answers", "swallows"]), dies_at=DIES_AT)
    def report(self, mood: str, dies_at: int) -> None:
        self.fickle.mood = mood
        self._mortal(self.house.reports.queue(self.account_id), dies_at)
        self._mortal(self.house.reports.drain(), dies_at // 2)
        self.fickle.mood = ""

    @rule(dies_at=DIES_AT)
    def confirm(self, dies_at: int) -> None:
        self._mortal(self.house.reports.confirm_all(), dies_at)

    @rule(dies_at=DIES_AT)
    def close_periods(self, dies_at: int) -> None:
        self._mortal(self.house.reports.close_periods(), dies_at)

    # what Stripe tells afterwards: of events it never counted, and, late, of attempts whose repetition it counted

    @rule()
    def refusal_is_told(self) -> None:
        told, self.fickle.swallowed = self.fickle.swallowed, []
        self.stage.run(self.house.reports.reject(told, "Stripe refused it afterwards"))

    # time: real time alone, business time in the period, and over its edge (before or after its invoice is final)

    @rule(minutes=strategies.sampled_from([2, 20, 24 * 60 - 10, 26 * 60]))
    def real_time_passes(self, minutes: int) -> None:
        self.clock.wall_shift += timedelta(minutes=minutes)

    @rule(hours=strategies.integers(1, 100))
    def time_passes(self, hours: int) -> None:
        self._go_to(self.clock.now() + timedelta(hours=hours))

    @rule(seconds=strategies.sampled_from([1, 30 * 60, 2 * 3600]))
    def period_turns(self, seconds: int) -> None:
        [*_, last] = self._periods()
        self._go_to(last.period.ends_at + timedelta(seconds=seconds))

    def _go_to(self, instant: datetime) -> None:
        if len(self._periods()) < PERIODS_MAX:
            self.clock.wall_shift += instant - self.clock.now()
            self.stage.run(self.world.advance_to(instant))
            self.stage.run(self._read())

    async def _read(self) -> None:
        await self.house.subscriptions.sync_subscription(self.account_id)
        await self.house.billing.mirror_invoices(self.account_id)

    def _periods(self) -> list[BillingPeriod]:
        return list(self.stage.run(self.house.subscriptions.billing_periods(self.account_id)))

    def _mortal(self, doing: Coroutine[Any, Any, object], dies_at: int) -> None:
        """Do it by a process that dies at some seam; an expected failure is none."""

        async def do() -> None:
            self.fuse.set_to(dies_at)
            try:
                with contextlib.suppress(HelvetiaError):
                    await doing
                self.fuse.set_to(None)
            except Died:
                mood = self.fickle.mood
                self._new_process()
                self.fickle.mood = mood
                self.clock.wall_shift += timedelta(seconds=61)

        self.stage.run(do())

    def teardown(self) -> None:
        if hasattr(self, "house"):
            try:
                self.stage.run(self._settled())
            finally:
                self.stage.run(self.world.close())

    async def _settled(self) -> None:
        """Stripe answers, every refusal is told, and time goes on until nothing is open; then the sums are compared."""
        self._new_process()
        await self.house.reports.reject(self.fickle.swallowed, "Stripe refused it afterwards")
        for _ in range(12):
            self.clock.wall_shift += timedelta(hours=25)  # past every pause and every identifier's life
            for work in (self.house.reports.queue_all, self.house.reports.drain, self.house.reports.confirm_all):
                await work()
        await self._read()
        await self.house.settlement.open_tasks(self.account_id)
        for billed in await self.house.subscriptions.billing_periods(self.account_id):
            await self._check(billed)
        async with self.stage.database.transaction() as tx:
            broken = await broken_invariants(tx)
        assert not {rule_: rows for rule_, rows in broken.items() if rule_ not in FOR_THE_OPERATOR}

    async def _check(self, billed: BillingPeriod) -> None:
        async with self.stage.database.transaction() as tx:
            cursor = await tx.execute(
                "SELECT coalesce(sum(quantity), 0) FROM usage_records"
                " WHERE account_id = %s AND period_start >= %s AND period_start < %s",
                (self.account_id, billed.period.starts_at, billed.period.ends_at),
            )
            [used] = await cursor.fetchone() or (0,)
        rows = [
            row
            for row in await self.house.all_reports(self.account_id)
            if row.billing_period_start == billed.period.starts_at and row.state is not ReportState.REJECTED
        ]
        assert sum((row.value for row in rows), Decimal(0)) == to_sold_quantity(COMPUTE, int(used))
        dead = sum((row.value for row in rows if row.state is ReportState.DEAD), Decimal(0))
        counted = await self._counted(billed)
        assert counted + dead == to_sold_quantity(COMPUTE, int(used)), [
            (row.state, row.value, row.last_error) for row in rows
        ]

    async def _counted(self, billed: BillingPeriod) -> Decimal:
        """Hours that Stripe counted in the period, to the minute; events sit on starts of hours or of the period."""
        summaries = await self.world.v1.billing.meters.event_summaries.list_async(
            self.stage.holder.require().meters[COMPUTE].meter_id,
            {
                "customer": self.customer_id,
                "start_time": to_unix_s(billed.period.starts_at) // 60 * 60,
                "end_time": to_unix_s(billed.period.ends_at) // 60 * 60,
            },
        )
        total = sum((Decimal(str(one.aggregated_value)) for one in summaries.data), Decimal(0))
        return total.quantize(Decimal("0.000001"))


@pytest.fixture
def stage(server_url: str, sandbox_url: str) -> Iterator[Stage]:
    stage = Stage(sandbox_url)
    with cloned_database(server_url) as url:
        stage.run(stage.open(url))
        try:
            yield stage
        finally:
            stage.run(stage.close())
            stage.runner.close()


def test_any_life_of_reports_ends_in_the_ledgers_sum_at_stripe(stage: Stage) -> None:
    ReportsLife.stage = stage
    examples = trials.choose(small=3, full=20)
    run_state_machine_as_test(  # type: ignore[no-untyped-call]
        ReportsLife,
        settings=settings(
            max_examples=examples,
            stateful_step_count=trials.choose(small=15, full=30),
            deadline=None,
            derandomize=not trials.IS_FULL,
            database=None,
            suppress_health_check=list(HealthCheck),
        ),
    )
    trials.record("R18 lives of reports: the ledger's sum per period at Stripe", count=examples)

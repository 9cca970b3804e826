"""A crash at every seam where usage is handed over: period close, an end that was asked for, a task billed by hand.

A seam is the moment before a transaction, before its commit, after it, and before and after each call to Stripe. A
life is lived once whole to count its seams, then once with a death at each; a new process with the same database goes
on, and there is one effect. A small run takes every few seams, a full one all.
"""

from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from helvetia.catalogue.plans import SubscriptionPlan
from helvetia.kernel.errors import HelvetiaError
from helvetia.kernel.identity import AccountId
from helvetia.kernel.quantity import NS_PER_HOUR, UsageMetric
from helvetia.kernel.status import SubscriptionStatus
from helvetia.meter_reports.model import ReportsConfig, ReportState
from helvetia.meter_reports.settlement.decide_tasks import Decision
from helvetia.stripe_gateway.client import StripeClientGateway
from helvetia.stripe_gateway.price_book_holder import PriceBookHolder
from support import trials
from support.billing_house import BillingHouse, MovableClock, build_house
from support.fuse import Died, Fuse, MortalDatabase, MortalGateway
from support.stripe_world import StripeWorld

START = datetime(2026, 3, 10, 10, 17, 23, tzinfo=UTC)
APRIL = datetime(2026, 4, 10, 10, 17, 23, tzinfo=UTC)
NOON = START.replace(hour=12, minute=0, second=0)
COMPUTE = UsageMetric.COMPUTE_HOURS
ACTOR = "operator:test"
HOURS = 250
SEAMS_MAX = 400
TRIED = trials.choose(small=3, full=SEAMS_MAX)


@dataclass(frozen=True, kw_only=True)
class Life:
    """One account in a world of its own, a process that may die, and one that lives."""

    account_id: AccountId
    world: StripeWorld
    house: BillingHouse
    mortal: BillingHouse
    fuse: Fuse

    async def customer_id(self) -> str:
        return str((await self.house.subscriptions.get_subscription(self.account_id)).stripe_customer_id)

    async def read(self) -> None:
        await self.house.subscriptions.sync_subscription(self.account_id)
        await self.house.billing.mirror_invoices(self.account_id)

    async def totals(self) -> list[int]:
        """Of Stripe's invoices, newest first."""
        return [one.total for one in await self.world.invoices(await self.customer_id())]


@dataclass(frozen=True, kw_only=True)
class Story:
    """What leads to the act, the act itself (again until it says it is done), and what there is at the end."""

    name: str
    prepare: Callable[[Life], Awaitable[Any]]
    act: Callable[[BillingHouse, Life, Any], Awaitable[bool]]
    check: Callable[[Life], Awaitable[None]]


class Lives:
    """Makes lives; each has its own test clock, so that time goes on for one alone."""

    def __init__(
        self, house: BillingHouse, gateway: StripeClientGateway, holder: PriceBookHolder, url: str, key: str
    ) -> None:
        self._database, self._gateway, self._holder = house.database, gateway, holder
        self._url, self._key = url, key

    async def live(self, story: Story, dies_at: int | None) -> int:
        """Says how many seams the act had; with `dies_at` it died at one of them and was finished by another."""
        clock = MovableClock(START)
        world = StripeWorld(self._url, self._key, clock)
        await world.start_clock()
        try:
            life = await self._begin(clock, world)
            about = await story.prepare(life)
            count = await _die(story, life, about, dies_at)
            await _go_on(story, life, about, clock)
            await story.check(life)
            return count
        finally:
            await world.close()

    async def _begin(self, clock: MovableClock, world: StripeWorld) -> Life:
        fuse, fast = Fuse(), ReportsConfig(calls_per_second=1000)
        made = {"test_clock": world.test_clock, "sandbox_origin": self._url, "pace": fast}
        house = build_house(self._database, clock, self._gateway, self._holder, **made)  # type: ignore[arg-type]
        mortal = build_house(
            MortalDatabase(self._database, fuse),
            clock,
            MortalGateway(self._gateway, fuse),  # type: ignore[arg-type]
            self._holder,
            **made,  # type: ignore[arg-type]
        )
        account_id = await house.new_account()
        await house.billing.create_subscription(account_id, SubscriptionPlan.PRO, "pm_card_visa")
        return Life(account_id=account_id, world=world, house=house, mortal=mortal, fuse=fuse)


async def _die(story: Story, life: Life, about: Any, dies_at: int | None) -> int:
    """The act by the process that may die; how many seams it passed."""
    life.fuse.set_to(SEAMS_MAX if dies_at is None else dies_at)
    try:
        await story.act(life.mortal, life, about)
    except Died:
        assert dies_at is not None
    return SEAMS_MAX - (life.fuse.left or 0)


async def _go_on(story: Story, life: Life, about: Any, clock: MovableClock) -> None:
    """The process that lives acts until it is done, and once more."""
    for _ in range(6):
        clock.wall_shift += timedelta(minutes=2)
        try:
            if await story.act(life.house, life, about):
                await story.act(life.house, life, about)
                return
        except HelvetiaError:
            continue
    raise AssertionError(f"{story.name} is not done")


async def try_seams(lives: Lives, story: Story) -> None:
    whole = await lives.live(story, None)
    step = max(1, -(-whole // TRIED))
    tried = range(0, whole, step)
    for seam in tried:
        await lives.live(story, seam)
    trials.record(f"R2 seams of {story.name}", count=len(tried))


async def use_before_april(life: Life) -> None:
    """The period is over, its invoice still a draft, and its usage is closed but not reported."""
    await life.world.advance_to(APRIL + timedelta(seconds=5))
    await life.house.add_closed_usage(life.account_id, COMPUTE, HOURS * NS_PER_HOUR, APRIL - timedelta(hours=3))


async def close_period(house: BillingHouse, life: Life, _: None) -> bool:
    """The tick; says whether this account's period is handed over."""
    await house.reports.close_periods()
    async with life.house.database.transaction() as tx:
        cursor = await tx.execute(
            "SELECT FROM report_periods WHERE account_id = %s AND period_start = %s AND closed_at IS NOT NULL",
            (life.account_id, START),
        )
        return await cursor.fetchone() is not None


async def period_is_billed_whole(life: Life) -> None:
    assert {row.state for row in await life.house.all_reports(life.account_id)} == {ReportState.CONFIRMED}
    await life.world.advance_to(APRIL + timedelta(hours=2))
    assert await life.totals() == [2900 + HOURS, 2900]


async def wish_to_end(life: Life) -> None:
    await life.world.advance_to(START + timedelta(days=5))
    await life.house.add_closed_usage(life.account_id, COMPUTE, HOURS * NS_PER_HOUR, NOON)
    await life.house.billing.cancel_subscription(life.account_id, now=True, actor=ACTOR)


async def finish_end(house: BillingHouse, life: Life, _: None) -> bool:
    return await house.reports.finish_cancellation(life.account_id)


async def ended_and_billed_once(life: Life) -> None:
    assert (await life.house.subscriptions.get_subscription(life.account_id)).status is SubscriptionStatus.CANCELED
    assert await life.totals() == [HOURS, 2900]
    assert await life.house.settlement.open_tasks(life.account_id) == 0
    async with life.house.database.transaction() as tx:
        cursor = await tx.execute(
            "SELECT count(*) FROM audit_entries WHERE account_id = %s AND action = 'billing.cancelled_now'",
            (life.account_id,),
        )
        assert await cursor.fetchone() == (1,)


async def task_of(life: Life) -> Decision:
    [task] = [one for one in await life.house.settlement.undecided() if one.account_id == life.account_id]
    return Decision(
        task_id=task.task_id, is_billed=True, amount_minor=task.amount_minor, reason="as agreed", actor=ACTOR
    )


async def late_usage(life: Life) -> Decision:
    """Known only after the invoice was final, of a subscription that goes on."""
    await life.world.advance_to(APRIL + timedelta(hours=2))
    await life.read()
    await life.house.add_closed_usage(life.account_id, COMPUTE, HOURS * NS_PER_HOUR, NOON)
    await life.house.settlement.open_tasks(life.account_id)
    return await task_of(life)


async def usage_of_an_ended_subscription(life: Life) -> Decision:
    """Ended at Stripe by hand, without an invoice."""
    record = await life.house.subscriptions.get_subscription(life.account_id)
    await life.world.advance_to(START + timedelta(days=5))
    await life.house.add_closed_usage(life.account_id, COMPUTE, HOURS * NS_PER_HOUR, NOON)
    await life.world.v1.subscriptions.cancel_async(str(record.stripe_subscription_id))
    await life.world.advance_to(START + timedelta(days=5, minutes=10))
    await life.read()
    await life.house.settlement.open_tasks(life.account_id)
    return await task_of(life)


async def bill_task(house: BillingHouse, life: Life, decision: Decision) -> bool:
    """Decided by the operator while it is open; from then on the tick goes on with it."""
    async with life.house.database.transaction() as tx:
        cursor = await tx.execute("SELECT state FROM usage_tasks WHERE task_id = %s", (decision.task_id,))
        [state] = await cursor.fetchone() or ("gone",)
    if state == "open":
        await house.settlement.decide(decision)
    elif state == "billing":
        await house.settlement.resume_billing()
    return bool(state == "billed")


async def one_item(life: Life) -> None:
    items = await life.world.v1.invoice_items.list_async({"customer": await life.customer_id(), "limit": 100})
    assert [item.amount for item in items.data] == [HOURS]
    assert await life.house.settlement.open_tasks(life.account_id) == 0
    async with life.house.database.transaction() as tx:
        cursor = await tx.execute(
            "SELECT count(*) FROM audit_entries WHERE account_id = %s AND action = 'usage_task.billed'",
            (life.account_id,),
        )
        assert await cursor.fetchone() == (1,)


async def one_item_and_its_invoice(life: Life) -> None:
    await one_item(life)
    assert await life.totals() == [HOURS, 2900]


STORIES = (
    Story(name="period close", prepare=use_before_april, act=close_period, check=period_is_billed_whole),
    Story(name="the end of a subscription", prepare=wish_to_end, act=finish_end, check=ended_and_billed_once),
    Story(name="a task billed on the next invoice", prepare=late_usage, act=bill_task, check=one_item),
    Story(
        name="a task billed by an invoice of its own",
        prepare=usage_of_an_ended_subscription,
        act=bill_task,
        check=one_item_and_its_invoice,
    ),
)


@pytest.mark.parametrize("story", STORIES, ids=[story.name for story in STORIES])
async def test_a_crash_at_every_seam_leaves_one_effect(
    house: BillingHouse,
    gateway: StripeClientGateway,
    holder: PriceBookHolder,
    sandbox_url: str,
    secret_key: str,
    story: Story,
) -> None:
    await try_seams(Lives(house, gateway, holder, sandbox_url, secret_key), story)

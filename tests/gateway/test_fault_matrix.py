"""Every kind of fault on every type of call to Stripe: one effect per intent, and every failure in our own words.

A fault strikes once (the SDK's own repetition meets it) or outlives all attempts of one call (ours has to). A small run
takes each kind once, spread over the calls; a full one takes all of them with all.
"""

from collections.abc import Awaitable, Callable, Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any

import pytest

from helvetia.catalogue.plans import SubscriptionPlan
from helvetia.kernel.clock import to_unix_s
from helvetia.kernel.errors import HelvetiaError
from helvetia.kernel.identity import AccountId
from helvetia.kernel.quantity import NS_PER_HOUR, UsageMetric
from helvetia.kernel.status import SubscriptionStatus
from helvetia.meter_reports.model import ReportsConfig, ReportState
from helvetia.stripe_gateway import client as gateway_client
from helvetia.stripe_gateway.circuit import CircuitHttpClient
from helvetia.stripe_gateway.client import StripeClientGateway
from helvetia.stripe_gateway.price_book_holder import PriceBookHolder
from support import trials
from support.billing_house import BillingHouse, MovableClock, build_house
from support.faulty_wire import KINDS, FaultyWire
from support.stray_usage import linked_to
from support.stripe_world import StripeWorld

START = datetime(2026, 3, 10, 10, 17, 23, tzinfo=UTC)
STARTER, PRO = SubscriptionPlan.STARTER, SubscriptionPlan.PRO
COMPUTE = UsageMetric.COMPUTE_HOURS
ACTOR = "user:test"
FAULTS = ("refused", "wrong_tls", *KINDS)
OUTLIVES = 4
TURNS_MAX = 4


@dataclass
class Scene:
    """One account, and what its call is about."""

    house: BillingHouse
    world: StripeWorld
    holder: PriceBookHolder
    account_id: AccountId
    about: Any = None

    async def subscribe(self) -> None:
        await self.house.billing.create_subscription(self.account_id, STARTER, "pm_card_visa")

    async def use(self, hours: int) -> None:
        await self.house.add_closed_usage(self.account_id, COMPUTE, hours * NS_PER_HOUR, self.house.clock.now())
        await self.house.reports.queue(self.account_id)

    async def customer_id(self) -> str:
        return str((await self.house.subscriptions.get_subscription(self.account_id)).stripe_customer_id)

    async def counted(self) -> Decimal:
        """Compute hours that Stripe counted, whatever we believe."""
        summaries = await self.world.v1.billing.meters.event_summaries.list_async(
            self.holder.require().meters[COMPUTE].meter_id,
            {
                "customer": await self.customer_id(),
                "start_time": to_unix_s(START) // 60 * 60,
                "end_time": to_unix_s(START + timedelta(days=20)) // 60 * 60,
            },
        )
        return sum((Decimal(str(one.aggregated_value)) for one in summaries.data), Decimal(0))

    async def states(self) -> list[ReportState]:
        return [row.state for row in await self.house.all_reports(self.account_id)]


Act = Callable[[Scene, BillingHouse], Awaitable[object]]


@dataclass(frozen=True, kw_only=True)
class CallType:
    """A call to Stripe: how it comes to be made, and what there has to be of it at the end."""

    name: str
    method: str
    path: str
    prepare: Callable[[Scene], Awaitable[None]]
    act: Act
    check: Callable[[Scene], Awaitable[None]]


async def with_usage(scene: Scene) -> None:
    await scene.subscribe()
    await scene.use(500)


async def with_sent_usage(scene: Scene) -> None:
    await with_usage(scene)
    assert (await scene.house.reports.send_due()).sent_count == 1


async def with_stray_usage(scene: Scene) -> None:
    """A report that is at another customer's meter."""
    await scene.subscribe()
    stranger = await scene.house.billing.get_or_create_customer(await scene.house.new_account())
    async with linked_to(scene.house, scene.account_id, stranger):
        await scene.use(500)
        assert (await scene.house.reports.send_due()).sent_count == 1
    [stray] = await scene.house.all_reports(scene.account_id)
    scene.about = stray.identifier


async def with_planned_end(scene: Scene) -> None:
    await scene.subscribe()
    record = await scene.house.subscriptions.get_subscription(scene.account_id)
    await scene.world.v1.subscriptions.update_async(str(record.stripe_subscription_id), {"cancel_at_period_end": True})


async def with_preview(scene: Scene) -> None:
    await scene.subscribe()
    scene.about = (await scene.house.billing.preview_update(scene.account_id, PRO, actor=ACTOR)).change.change_id


async def with_wish_to_end(scene: Scene) -> None:
    await with_usage(scene)
    await scene.world.advance_to(scene.house.clock.now() + timedelta(hours=1))
    await scene.house.billing.cancel_subscription(scene.account_id, now=True, actor=ACTOR)


async def nothing(_: Scene) -> None:
    """A new account is all it takes."""


async def counted_once(scene: Scene) -> None:
    assert await scene.counted() == 500
    assert len(await scene.states()) == 1


async def confirmed_once(scene: Scene) -> None:
    await counted_once(scene)
    assert await scene.states() == [ReportState.CONFIRMED]


async def redirected_once(scene: Scene) -> None:
    scene.house.clock.wall_shift += timedelta(minutes=2)  # type: ignore[attr-defined]
    await scene.house.reports.queue(scene.account_id)
    await scene.house.reports.drain()
    assert await scene.counted() == 500
    assert sorted(await scene.states()) == [ReportState.REJECTED, ReportState.SENT]


async def end_is_known(scene: Scene) -> None:
    assert (await scene.house.subscriptions.get_subscription(scene.account_id)).cancel_at is not None


async def invoice_is_known(scene: Scene) -> None:
    page = await scene.house.billing.get_invoices(scene.account_id)
    assert [(one.status, one.total_minor) for one in page.invoices] == [("paid", 900)]


async def one_customer(scene: Scene) -> None:
    customers = (await scene.world.v1.customers.list_async({"limit": 100})).data
    of_account = [one.id for one in customers if (one.metadata or {})["account_id"] == str(scene.account_id)]
    assert of_account == [await scene.customer_id()]


async def one_page(scene: Scene) -> None:
    await one_customer(scene)
    page = await scene.world.v1.checkout.sessions.list_async({"customer": await scene.customer_id()})
    assert [one.status for one in page.data].count("open") == 1


async def changed_once(scene: Scene) -> None:
    assert (await scene.house.subscriptions.get_subscription(scene.account_id)).plan is PRO
    invoices = await scene.world.invoices(await scene.customer_id())
    assert [(one.billing_reason, one.status) for one in invoices] == [
        ("subscription_update", "paid"),
        ("subscription_create", "paid"),
    ]


async def ended_once(scene: Scene) -> None:
    await counted_once(scene)
    assert (await scene.house.subscriptions.get_subscription(scene.account_id)).status is SubscriptionStatus.CANCELED
    invoices = await scene.world.invoices(await scene.customer_id())
    assert [one.total for one in invoices] == [500, 900]


CALLS = (
    CallType(
        name="meter event",
        method="POST",
        path="/v1/billing/meter_events",
        prepare=with_usage,
        act=lambda _, house: house.reports.drain(),
        check=counted_once,
    ),
    CallType(
        name="summary read",
        method="GET",
        path="/v1/billing/meters/*/event_summaries",
        prepare=with_sent_usage,
        act=lambda scene, house: house.reports.confirm(scene.account_id, START),
        check=confirmed_once,
    ),
    CallType(
        name="subscription read",
        method="GET",
        path="/v1/subscriptions*",
        prepare=with_planned_end,
        act=lambda scene, house: house.subscriptions.sync_subscription(scene.account_id),
        check=end_is_known,
    ),
    CallType(
        name="invoice read",
        method="GET",
        path="/v1/invoices*",
        prepare=lambda scene: scene.subscribe(),
        act=lambda scene, house: house.billing.mirror_invoices(scene.account_id),
        check=invoice_is_known,
    ),
    CallType(
        name="customer create",
        method="POST",
        path="/v1/customers",
        prepare=nothing,
        act=lambda scene, house: house.billing.get_or_create_customer(scene.account_id),
        check=one_customer,
    ),
    CallType(
        name="checkout",
        method="POST",
        path="/v1/checkout/sessions",
        prepare=nothing,
        act=lambda scene, house: house.billing.create_checkout_session(scene.account_id, PRO, actor=ACTOR),
        check=one_page,
    ),
    CallType(
        name="change",
        method="POST",
        path="/v1/subscriptions/*",
        prepare=with_preview,
        act=lambda scene, house: house.billing.update_subscription(scene.account_id, PRO, scene.about, actor=ACTOR),
        check=changed_once,
    ),
    CallType(
        name="end now",
        method="DELETE",
        path="/v1/subscriptions/*",
        prepare=with_wish_to_end,
        act=lambda scene, house: house.reports.finish_cancellation(scene.account_id),
        check=ended_once,
    ),
    CallType(
        name="report taken back",
        method="POST",
        path="/v1/billing/meter_event_adjustments",
        prepare=with_stray_usage,
        act=lambda scene, house: house.redirection.redirect(scene.about, reason="ticket 12", actor=ACTOR),
        check=redirected_once,
    ),
)


def cells() -> Iterator[tuple[int, str, int]]:
    """Number of the call, kind of fault, how many attempts it spoils."""
    for number, fault in enumerate(FAULTS):
        for of_call in range(len(CALLS)):
            if trials.IS_FULL:
                yield from ((of_call, fault, 1), (of_call, fault, OUTLIVES))
            elif number % len(CALLS) == of_call:
                yield of_call, fault, OUTLIVES if number % 3 else 1


@pytest.mark.parametrize("of_call", range(len(CALLS)), ids=[one.name for one in CALLS])
async def test_every_fault_of_every_type_of_call_leaves_one_effect(
    house: BillingHouse,
    gateway: StripeClientGateway,
    world: StripeWorld,
    holder: PriceBookHolder,
    sandbox_url: str,
    secret_key: str,
    monkeypatch: pytest.MonkeyPatch,
    of_call: int,
) -> None:
    monkeypatch.setattr(gateway_client, "ATTEMPT_S", 0.3)
    monkeypatch.setattr(CircuitHttpClient, "_sleep_time_seconds", lambda *_, **__: 0.01)
    call = CALLS[of_call]
    mine = [(fault, count) for number, fault, count in cells() if number == of_call]
    async with FaultyWire(sandbox_url).running() as wire:
        for fault, count in mine:
            await world.start_clock()  # a clock of Stripe's has few customers
            whole = with_gateway(house, gateway, world, holder, sandbox_url)
            scene = Scene(house=whole, world=world, holder=holder, account_id=await house.new_account())
            await call.prepare(scene)
            base = {"refused": "http://127.0.0.1:1", "wrong_tls": f"https://127.0.0.1:{wire.port}"}
            broken = StripeClientGateway(secret_key, api_base=base.get(fault, f"http://127.0.0.1:{wire.port}"))
            wire.strike(fault, call.method, call.path, count)
            try:
                await attempt(call, scene, with_gateway(house, broken, world, holder, sandbox_url))
            finally:
                await broken.close()
            assert fault in base or wire.struck_count, f"{fault} met no call"
            await settle(call, scene)
            await call.check(scene)
    trials.record(f"R4 faults of the wire: {len(FAULTS)} kinds on {call.name}", count=len(mine))


def with_gateway(
    house: BillingHouse, gateway: StripeClientGateway, world: StripeWorld, holder: PriceBookHolder, sandbox_url: str
) -> BillingHouse:
    """A process that sees Stripe through this gateway."""
    return build_house(
        house.database,
        house.clock,
        gateway,
        holder,
        test_clock=world.test_clock,
        sandbox_origin=sandbox_url,
        pace=ReportsConfig(calls_per_second=1000),
    )


async def attempt(call: CallType, scene: Scene, house: BillingHouse) -> bool:
    """Whether it went well; a failure is one of ours, anything else fails the test."""
    try:
        return await call.act(scene, house) is not False
    except HelvetiaError:
        return False


async def settle(call: CallType, scene: Scene) -> None:
    """Stripe answers again: what is to be done is asked for until it is done, and once more."""
    clock = scene.house.clock
    assert isinstance(clock, MovableClock)
    for _ in range(TURNS_MAX):
        clock.wall_shift += timedelta(seconds=61)
        if await attempt(call, scene, scene.house):
            await attempt(call, scene, scene.house)
            return
    raise AssertionError(f"{call.name} is not done after {TURNS_MAX} turns")

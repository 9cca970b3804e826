"""An end now that dies anywhere: around every transaction and every call to Stripe; its usage is billed exactly once.

Two turns of it: the first holds what runs, the second, when that has stopped, reads, closes, reports, confirms
and ends.
"""

from dataclasses import dataclass
from datetime import timedelta
from decimal import Decimal

from helvetia.catalogue.plans import SubscriptionPlan
from helvetia.containers import store as containers
from helvetia.containers.model import ContainerSpec, HoldCause
from helvetia.kernel.identity import AccountId
from helvetia.kernel.quantity import NS_PER_HOUR, UsageMetric
from helvetia.kernel.status import SubscriptionStatus
from helvetia.stripe_gateway.client import StripeClientGateway
from helvetia.stripe_gateway.price_book_holder import PriceBookHolder
from support import trials
from support.billing_house import BillingHouse, MovableClock, build_house
from support.fuse import Died, Fuse, MortalDatabase, MortalGateway
from support.stripe_world import StripeWorld

ACTOR = "user:test"
EARLIER_HOURS, RUN_HOURS = 398, 2
BILLED_MINOR = 400
TURNS_MAX = 5
CLAIM_RUNS_OUT = timedelta(minutes=10)  # what the dead one was sending, another may send after this
MOMENTS_MAX = 500


@dataclass(frozen=True, slots=True, kw_only=True)
class Scene:
    """Two processes on one database, one host and one Stripe: one that dies, and the one that comes after it."""

    house: BillingHouse
    mortal: BillingHouse
    fuse: Fuse
    clock: MovableClock
    world: StripeWorld


async def new_scene(
    house: BillingHouse,
    clock: MovableClock,
    gateway: StripeClientGateway,
    holder: PriceBookHolder,
    world: StripeWorld,
) -> Scene:
    """Fresh processes, and a test clock of their own, because one holds three customers."""
    await world.start_clock()
    fuse = Fuse()
    after = build_house(house.database, house.clock, gateway, holder, test_clock=world.test_clock, host=house.host)
    mortal = build_house(
        MortalDatabase(house.database, fuse),
        house.clock,
        MortalGateway(gateway, fuse),  # type: ignore[arg-type] # it answers to every name of the gateway's
        holder,
        test_clock=world.test_clock,
        host=house.host,
    )
    return Scene(house=after, mortal=mortal, fuse=fuse, clock=clock, world=world)


async def account_that_ends(scene: Scene) -> AccountId:
    """One with usage of before, a container that runs, and the wish to end now."""
    house = scene.house
    account_id = await house.new_account()
    await house.billing.create_subscription(account_id, SubscriptionPlan.PRO, "pm_card_visa")
    began_at = (await house.subscriptions.get_subscription(account_id)).period.starts_at
    await house.add_closed_usage(account_id, UsageMetric.COMPUTE_HOURS, EARLIER_HOURS * NS_PER_HOUR, began_at)
    await house.host.create_and_start(
        ContainerSpec(
            account_id=account_id,
            service_id=await house.new_service(account_id),
            revision=1,
            replica=0,
            image="demo",
            command=(),
            env={"SIM_MEMORY_BYTES": "0"},
            memory_bytes=2**30,
            cpu_cores=Decimal(1),
            volumes=(),
        )
    )
    await scene.world.advance_to(house.clock.now() + timedelta(hours=RUN_HOURS))
    await house.billing.cancel_subscription(account_id, now=True, actor=ACTOR)
    return account_id


async def stop_what_is_held(house: BillingHouse, account_id: AccountId) -> None:
    """What the node does with a hold."""
    async with house.database.transaction() as tx:
        services = await containers.list_services(tx, account_id, after=None, limit=10)
    held = {service.service_id for service in services if HoldCause.OPERATOR in service.holds}
    for one in await house.host.list_containers():
        if one.service_id in held:
            await house.host.stop(one.container_id)


async def end_in_turns(house: BillingHouse, account_id: AccountId) -> None:
    for _ in range(TURNS_MAX):
        if await house.reports.finish_cancellation(account_id):
            return
        await stop_what_is_held(house, account_id)
    raise AssertionError("the end was not reached")


async def one_end(scene: Scene, moment: int) -> bool:
    """Says whether the process died at that moment; whatever it did, another one ends the subscription, once."""
    account_id = await account_that_ends(scene)
    died = False
    scene.fuse.set_to(moment)
    try:
        await end_in_turns(scene.mortal, account_id)
    except Died:
        died = True
    scene.fuse.set_to(None)
    scene.clock.wall_shift += CLAIM_RUNS_OUT
    await end_in_turns(scene.house, account_id)
    await check_billed_once(scene, account_id)
    return died


async def check_billed_once(scene: Scene, account_id: AccountId) -> None:
    house = scene.house
    ended = await house.subscriptions.get_subscription(account_id)
    assert ended.status is SubscriptionStatus.CANCELED
    reports = await house.all_reports(account_id)
    assert {report.metric for report in reports} == {UsageMetric.COMPUTE_HOURS}
    assert sum(report.value for report in reports) == EARLIER_HOURS + RUN_HOURS
    customer_id = await house.billing.get_or_create_customer(account_id)
    finals = [one for one in await scene.world.invoices(customer_id) if one.billing_reason != "subscription_create"]
    assert [(one.status, one.total) for one in finals] == [("paid", BILLED_MINOR)]


async def test_end_now_that_dies_at_any_step_bills_its_usage_once(
    house: BillingHouse,
    clock: MovableClock,
    gateway: StripeClientGateway,
    holder: PriceBookHolder,
    world: StripeWorld,
) -> None:
    step = trials.choose(small=7, full=1)
    died_count = 0
    for moment in range(0, MOMENTS_MAX, step):
        if not await one_end(await new_scene(house, clock, gateway, holder, world), moment):
            break
        died_count += 1
    assert 3 < died_count < MOMENTS_MAX // step
    trials.record("an end now that dies at a transaction or a call to Stripe is billed once", count=died_count)

"""The canonical life of a subscription: its seven events in any order, each order also with a duplicate, while the life
goes on and two readers re-read at the same time. Whatever arrives when, the end is Stripe's state.

An event is delivered once it exists, in the order of its permutation; 12 seeded orders by default, all 5,040 with
HELVETIA_FULL=1.
"""

import asyncio
import random
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import timedelta
from itertools import permutations
from typing import Any

from helvetia.catalogue.plans import SubscriptionPlan
from helvetia.kernel.clock import to_unix_s
from helvetia.kernel.identity import AccountId
from helvetia.kernel.status import SubscriptionStatus
from helvetia.metering import store as metering
from helvetia.stripe_gateway.client import StripeClientGateway
from helvetia.stripe_gateway.model import PriceBook
from helvetia.subscriptions import store as subscription_store
from support import trials
from support.billing_house import BillingHouse
from support.stripe_world import StripeWorld
from support.webhook_house import WebhookHouse, events_after, webhook_house

SEED = 20260310
LIVES_AT_ONCE = 12
READER_RESTS_S = 0.005
CUSTOMERS_PER_CLOCK = 3
EVENTS = 7
ORDERS = list(permutations(range(EVENTS)))
CHOSEN = random.Random(SEED).sample(ORDERS, trials.choose(small=LIVES_AT_ONCE, full=len(ORDERS)))
LIFE_STEPS = (
    ("customer.subscription.created", None),
    ("customer.subscription.updated", "active"),
    ("invoice.paid", None),
    ("invoice.payment_failed", None),
    ("customer.subscription.updated", "past_due"),
    ("invoice.paid", None),
    ("customer.subscription.updated", "active"),
)


@dataclass(kw_only=True)
class Life:
    """One customer, the order in which its events arrive, and those that have happened so far."""

    account_id: AccountId
    customer_id: str
    order: Sequence[int]
    test_clock: str
    subscription_id: str = ""
    happened: dict[int, dict[str, Any]] = field(default_factory=dict)
    delivered: list[str] = field(default_factory=list)


async def begin(served: WebhookHouse, world: StripeWorld, orders: Sequence[Sequence[int]]) -> list[Life]:
    """Customers on test clocks that start now; a few share one."""
    house, lives = served.house, []
    clock = ""
    for number, order in enumerate(orders):
        if number % CUSTOMERS_PER_CLOCK == 0:
            frozen = {"frozen_time": to_unix_s(house.clock.now())}
            clock = (await world.v1.test_helpers.test_clocks.create_async(frozen)).id  # type: ignore[arg-type]
        account_id = await house.new_account()
        made = await world.v1.customers.create_async({"metadata": {"account_id": str(account_id)}, "test_clock": clock})
        async with house.database.transaction() as tx:
            await subscription_store.save_customer(tx, account_id, made.id, house.clock.now())
            await metering.set_known_until(tx, account_id, None, waits_for_stripe=True)
        lives.append(Life(account_id=account_id, customer_id=made.id, order=order, test_clock=clock))
    return lives


async def live(world: StripeWorld, house: BillingHouse, book: PriceBook, lives: Sequence[Life], newest: str) -> str:
    """Subscribe, change, fail to renew, pay: to all lives at the same time; says the newest event seen."""
    await asyncio.gather(*(subscribe(world, book, life) for life in lives))
    seen = await events_after(world, newest)
    note_events(seen, lives)
    later = house.clock.now() + timedelta(days=31, hours=3)
    await world.advance_all_to(later, sorted({life.test_clock for life in lives}))
    seen += await events_after(world, seen[-1]["id"])
    note_events(seen, lives)
    await asyncio.gather(*(recover(world, life) for life in lives))
    seen += await events_after(world, seen[-1]["id"])
    note_events(seen, lives)
    return str(seen[-1]["id"])


async def set_card(world: StripeWorld, customer_id: str, card: str) -> None:
    method = await world.v1.payment_methods.attach_async(card, {"customer": customer_id})
    await world.v1.customers.update_async(customer_id, {"invoice_settings": {"default_payment_method": method.id}})


async def subscribe(world: StripeWorld, book: PriceBook, life: Life) -> None:
    await set_card(world, life.customer_id, "pm_card_visa")
    made = await world.v1.subscriptions.create_async(
        {"customer": life.customer_id, "items": [{"price": book.plans[SubscriptionPlan.PRO].price_id}]}
    )
    life.subscription_id = made.id
    await world.v1.subscriptions.update_async(made.id, {"metadata": {"note": "changed"}})
    await set_card(world, life.customer_id, "pm_card_chargeCustomerFail")


async def recover(world: StripeWorld, life: Life) -> None:
    await set_card(world, life.customer_id, "pm_card_visa")
    owed = (await world.v1.subscriptions.retrieve_async(life.subscription_id)).latest_invoice
    await world.v1.invoices.pay_async(str(owed))


def note_events(seen: Sequence[dict[str, Any]], lives: Sequence[Life]) -> None:
    """Which of the canonical seven have happened: each step is the first event of its kind after the step before."""
    by_customer: dict[str, list[dict[str, Any]]] = {life.customer_id: [] for life in lives}
    for event in seen:
        owner = event["data"]["object"].get("customer")
        if owner in by_customer:
            by_customer[owner].append(event)
    for life in lives:
        used: set[str] = set()
        for step, (event_type, status) in enumerate(LIFE_STEPS):
            fits = [
                event
                for event in by_customer[life.customer_id]
                if event["type"] == event_type
                and event["id"] not in used
                and (status is None or event["data"]["object"]["status"] == status)
                and not (step == len(LIFE_STEPS) - 1 and len(life.happened) < step)
            ]
            if fits:
                chosen = life.happened.get(step, fits[0])
                used.add(chosen["id"])
                life.happened[step] = chosen


async def deliver(served: WebhookHouse, life: Life, duplicate: int, stop: asyncio.Event) -> None:
    """The events in this life's order, each as soon as it exists; one of them twice."""
    order = list(life.order)
    order.insert(duplicate, life.order[duplicate % EVENTS])
    for step in order:
        while step not in life.happened:
            assert not stop.is_set(), f"{LIFE_STEPS[step]} never happened"
            await asyncio.sleep(0.01)
        life.delivered.append(await served.deliver(life.happened[step]))


async def read_always(served: WebhookHouse, lives: Sequence[Life], stop: asyncio.Event, luck: random.Random) -> None:
    """One of the readers: handles whoever it meets, at the same time as the other."""
    while not stop.is_set():
        await served.service.sync_customer_job(luck.choice(lives).customer_id)
        await asyncio.sleep(READER_RESTS_S)


async def run_lives(
    served: WebhookHouse,
    world: StripeWorld,
    book: PriceBook,
    orders: Sequence[Sequence[int]],
    luck: random.Random,
    newest: str,
) -> str:
    """One batch of lives, all at the same time; says the newest event it saw."""
    lives = await begin(served, world, orders)
    stop, over = asyncio.Event(), asyncio.Event()
    readers = [asyncio.create_task(read_always(served, lives, stop, random.Random(luck.random()))) for _ in range(2)]
    posts = [asyncio.create_task(deliver(served, life, luck.randrange(EVENTS + 1), over)) for life in lives]
    newest = await live(world, served.house, book, lives, newest)
    over.set()
    await asyncio.gather(*posts)
    stop.set()
    await asyncio.gather(*readers)
    for life in lives:
        await asyncio.gather(*(served.service.sync_customer_job(life.customer_id) for _ in range(2)))
    assert await served.waiting_count() == 0
    await asyncio.gather(*(assert_stripes_state(served, world, life) for life in lives))
    return newest


async def assert_stripes_state(served: WebhookHouse, world: StripeWorld, life: Life) -> None:
    assert sorted(life.delivered) == ["duplicate", *["stored"] * EVENTS], life.order
    record = await served.house.subscriptions.get_subscription(life.account_id)
    stripes = await world.v1.subscriptions.retrieve_async(life.subscription_id)
    item = stripes["items"]["data"][0]
    ours = (
        *(record.stripe_subscription_id, record.stripe_status, record.plan, record.status),
        *(to_unix_s(record.period.starts_at), to_unix_s(record.period.ends_at)),
    )
    assert ours == (
        *(stripes.id, stripes.status, SubscriptionPlan.PRO, SubscriptionStatus.ACTIVE),
        *(item["current_period_start"], item["current_period_end"]),
    ), life.order
    await served.assert_invoices_agree(life.account_id, life.customer_id)


async def test_w04_w05_any_order_with_a_duplicate_while_life_goes_on_ends_in_stripes_state(
    house: BillingHouse, gateway: StripeClientGateway, world: StripeWorld, price_book: PriceBook
) -> None:
    luck, newest = random.Random(SEED), ""
    async with webhook_house(house, gateway, works=False) as served:
        for first in range(0, len(CHOSEN), LIVES_AT_ONCE):
            orders = CHOSEN[first : first + LIVES_AT_ONCE]
            newest = await run_lives(served, world, price_book, orders, luck, newest)
    trials.record("orders of a life's seven events, one twice, during life, two readers", count=len(CHOSEN), seed=SEED)

"""Events → state, against the sandbox over HTTP: the mission's five, loss, parking, crashes, effects once."""

from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from typing import Any

import aiohttp
import pytest

from helvetia.catalogue.plans import SubscriptionPlan
from helvetia.kernel.identity import AccountId
from helvetia.kernel.quantity import NS_PER_HOUR, UsageMetric
from helvetia.kernel.status import SubscriptionStatus
from helvetia.meter_reports.model import ReportState
from helvetia.metering import store as metering
from helvetia.observability.metrics import PLAN_PROBLEMS
from helvetia.stripe_gateway.client import StripeClientGateway
from helvetia.stripe_gateway.client_events import API_VERSION
from helvetia.stripe_gateway.errors import StripeUnavailable
from helvetia.stripe_gateway.model import PriceBook
from helvetia.subscriptions import store as subscription_store
from support import trials
from support.billing_house import BillingHouse
from support.sandbox_process import free_port
from support.stripe_world import StripeWorld
from support.webhook_house import MISSIONS_FIVE, SECRET, WebhookHouse, all_events, subscribed_house, webhook_house

START = datetime(2026, 3, 10, 10, 17, 23, tzinfo=UTC)
APRIL = datetime(2026, 4, 10, 10, 17, 23, tzinfo=UTC)


@pytest.fixture
async def five(house: BillingHouse, gateway: StripeClientGateway, world: StripeWorld) -> AsyncIterator[WebhookHouse]:
    async with subscribed_house(house, gateway, world, MISSIONS_FIVE) as served:
        yield served


@pytest.fixture
async def quiet(house: BillingHouse, gateway: StripeClientGateway) -> AsyncIterator[WebhookHouse]:
    """Nothing comes by itself, and nothing is handled by itself."""
    async with webhook_house(house, gateway, works=False) as served:
        yield served


async def switch_fault(sandbox_url: str, secret_key: str, **fault: str) -> None:
    headers = {"Authorization": f"Bearer {secret_key}"}
    async with aiohttp.ClientSession(headers=headers) as session:
        method = session.post if fault else session.delete
        async with method(f"{sandbox_url}/_sandbox/faults", data=fault) as answer:
            assert answer.status == 200, await answer.text()


async def count_strikes(sandbox_url: str, secret_key: str) -> int:
    headers = {"Authorization": f"Bearer {secret_key}"}
    url = f"{sandbox_url}/_sandbox/faults/log?limit=100"
    async with aiohttp.ClientSession(headers=headers) as session, session.get(url) as answer:
        return len((await answer.json())["data"])


async def customer_of(house: BillingHouse, card: str = "pm_card_visa") -> tuple[AccountId, str]:
    account_id = await house.new_account()
    customer_id = await house.billing.get_or_create_customer(account_id)
    return account_id, customer_id


async def set_card(world: StripeWorld, customer_id: str, card: str) -> None:
    method = await world.v1.payment_methods.attach_async(card, {"customer": customer_id})
    await world.v1.customers.update_async(customer_id, {"invoice_settings": {"default_payment_method": method.id}})


async def subscribe_elsewhere(world: StripeWorld, book: PriceBook, customer_id: str, plan: SubscriptionPlan) -> Any:
    """As Checkout or the operator does: not through us."""
    await set_card(world, customer_id, "pm_card_visa")
    items: list[Any] = [{"price": book.plans[plan].price_id}]
    items += [{"price": price.price_id} for price in book.meters.values()]
    return await world.v1.subscriptions.create_async({"customer": customer_id, "items": items})


async def events_of(world: StripeWorld, *types: str) -> list[dict[str, Any]]:
    return [event for event in await all_events(world) if event["type"] in types]


async def state_of(served: WebhookHouse, account_id: AccountId) -> tuple[SubscriptionPlan, SubscriptionStatus]:
    record = await served.house.subscriptions.get_subscription(account_id)
    return record.plan, record.status


async def test_missions_five_events_alone_keep_state_and_bills_right(
    five: WebhookHouse, world: StripeWorld, price_book: PriceBook
) -> None:
    account_id, customer_id = await customer_of(five.house)
    made = await subscribe_elsewhere(world, price_book, customer_id, SubscriptionPlan.PRO)

    async def assert_agrees(plan: SubscriptionPlan, status: SubscriptionStatus) -> None:
        await five.settle(len(await events_of(world, *MISSIONS_FIVE)))
        assert await state_of(five, account_id) == (plan, status)
        await five.assert_invoices_agree(account_id, customer_id)

    await assert_agrees(SubscriptionPlan.PRO, SubscriptionStatus.ACTIVE)
    await set_card(world, customer_id, "pm_card_chargeCustomerFail")
    await world.advance_to(APRIL + timedelta(hours=2))
    await assert_agrees(SubscriptionPlan.PRO, SubscriptionStatus.PAST_DUE)
    await set_card(world, customer_id, "pm_card_visa")
    owed = (await world.v1.subscriptions.retrieve_async(made.id)).latest_invoice
    await world.v1.invoices.pay_async(str(owed))
    await assert_agrees(SubscriptionPlan.PRO, SubscriptionStatus.ACTIVE)
    await world.v1.subscriptions.cancel_async(made.id)
    await assert_agrees(SubscriptionPlan.PRO, SubscriptionStatus.CANCELED)


async def test_w01_plan_changed_at_stripe_is_changed_here(
    five: WebhookHouse, world: StripeWorld, price_book: PriceBook
) -> None:
    account_id, customer_id = await customer_of(five.house)
    made = await subscribe_elsewhere(world, price_book, customer_id, SubscriptionPlan.STARTER)
    fixed = next(item for item in made["items"]["data"] if item["price"]["recurring"]["usage_type"] == "licensed")
    change: Any = {"items": [{"id": fixed["id"], "price": price_book.plans[SubscriptionPlan.ENTERPRISE].price_id}]}
    await world.v1.subscriptions.update_async(made.id, change)
    await five.settle(len(await events_of(world, *MISSIONS_FIVE)))
    assert await state_of(five, account_id) == (SubscriptionPlan.ENTERPRISE, SubscriptionStatus.ACTIVE)


async def test_w02_metered_item_first_and_an_unknown_price_alarm_once(
    quiet: WebhookHouse, world: StripeWorld, price_book: PriceBook
) -> None:
    account_id, customer_id = await customer_of(quiet.house)
    await set_card(world, customer_id, "pm_card_visa")
    metered: list[Any] = [{"price": price.price_id} for price in price_book.meters.values()]
    pro = price_book.plans[SubscriptionPlan.PRO].price_id
    made = await world.v1.subscriptions.create_async({"customer": customer_id, "items": [*metered, {"price": pro}]})
    [created] = await events_of(world, "customer.subscription.created")
    await quiet.deliver(created)
    await quiet.service.sync_customer_job(customer_id)
    assert await state_of(quiet, account_id) == (SubscriptionPlan.PRO, SubscriptionStatus.ACTIVE)
    product = await world.v1.products.create_async({"name": "by hand"})
    unknown = await world.v1.prices.create_async(
        {"product": product.id, "currency": "usd", "unit_amount": 100, "recurring": {"interval": "month"}}
    )
    fixed = next(item for item in made["items"]["data"] if item["price"]["id"] == pro)
    await world.v1.subscriptions.update_async(made.id, {"items": [{"id": fixed["id"], "price": unknown.id}]})
    alarms = PLAN_PROBLEMS._value.get()
    for event in await events_of(world, "customer.subscription.updated"):
        await quiet.deliver(event)
    await quiet.service.sync_customer_job(customer_id)
    await quiet.house.subscriptions.sync_subscription(account_id)
    assert await state_of(quiet, account_id) == (SubscriptionPlan.PRO, SubscriptionStatus.ACTIVE)
    assert PLAN_PROBLEMS._value.get() == alarms + 1


@pytest.mark.parametrize("shape", ["parent", "subscription", "none"])
async def test_w03_invoice_event_of_any_shape_leads_to_the_customer(
    quiet: WebhookHouse, world: StripeWorld, price_book: PriceBook, shape: str
) -> None:
    account_id, customer_id = await customer_of(quiet.house)
    await subscribe_elsewhere(world, price_book, customer_id, SubscriptionPlan.PRO)
    [paid] = await events_of(world, "invoice.paid")
    invoice = paid["data"]["object"]
    parent = invoice.pop("parent")
    if shape == "parent":
        invoice["parent"] = parent
    elif shape == "subscription":
        invoice["subscription"] = parent["subscription_details"]["subscription"]
    await quiet.deliver(paid)
    await quiet.service.sync_customer_job(customer_id)
    assert await state_of(quiet, account_id) == (SubscriptionPlan.PRO, SubscriptionStatus.ACTIVE)
    await quiet.assert_invoices_agree(account_id, customer_id)


async def test_w06_events_of_an_unknown_customer_are_parked_until_it_is_known(
    quiet: WebhookHouse, world: StripeWorld, price_book: PriceBook
) -> None:
    account_id = await quiet.house.new_account()
    made = await world.v1.customers.create_async(
        {"metadata": {"account_id": str(account_id)}, "test_clock": world.test_clock}
    )
    await subscribe_elsewhere(world, price_book, made.id, SubscriptionPlan.STARTER)
    events = await events_of(world, "customer.subscription.created", "invoice.paid")
    for event in reversed(events):
        assert await quiet.deliver(event) == "stored"
    await quiet.service.sync_customer_job(made.id)
    assert all(row[5] is not None for row in await quiet.kept())
    assert await quiet.service.dispatch() == 0
    [difference] = (await quiet.service.compare_all()).differences
    assert (difference.thing_id, difference.is_repaired) == (made.id, False)
    async with quiet.house.database.transaction() as tx:
        await subscription_store.save_customer(tx, account_id, made.id, quiet.house.clock.now())
        await metering.set_known_until(tx, account_id, None, waits_for_stripe=True)
    assert await quiet.service.dispatch() == 1
    await quiet.service.sync_customer_job(made.id)
    assert await state_of(quiet, account_id) == (SubscriptionPlan.STARTER, SubscriptionStatus.ACTIVE)
    assert {row[4] for row in await quiet.kept()} == {"synced"}


async def test_w07_incomplete_grants_nothing_and_takes_nothing_away(
    quiet: WebhookHouse, world: StripeWorld, price_book: PriceBook
) -> None:
    account_id, customer_id = await customer_of(quiet.house)
    pro: Any = {"price": price_book.plans[SubscriptionPlan.PRO].price_id}
    await world.v1.subscriptions.create_async(
        {"customer": customer_id, "items": [pro], "payment_behavior": "default_incomplete"}
    )
    for event in await events_of(world, "customer.subscription.created", "invoice.created", "invoice.finalized"):
        await quiet.deliver(event)
    await quiet.service.sync_customer_job(customer_id)
    assert await state_of(quiet, account_id) == (SubscriptionPlan.FREE, SubscriptionStatus.ACTIVE)


async def test_w13_refund_is_noted_once_and_changes_no_plan(
    quiet: WebhookHouse, world: StripeWorld, price_book: PriceBook
) -> None:
    account_id, customer_id = await customer_of(quiet.house)
    await subscribe_elsewhere(world, price_book, customer_id, SubscriptionPlan.PRO)
    [paid] = await events_of(world, "invoice.paid")
    subject = {"id": "ch_1", "object": "charge", "customer": customer_id}
    refund = {**paid, "id": "evt_refund", "type": "charge.refunded", "data": {"object": subject}}
    for _ in range(3):
        await quiet.deliver(refund)
        await quiet.service.sync_customer_job(customer_id)
    async with quiet.house.database.transaction() as tx:
        cursor = await tx.execute("SELECT account_id, action FROM audit_entries WHERE actor = 'stripe'")
        assert await cursor.fetchall() == [(account_id, "charge.refunded")]
    assert await state_of(quiet, account_id) == (SubscriptionPlan.PRO, SubscriptionStatus.ACTIVE)


async def test_w13_deleted_customer_ends_the_subscription(
    five: WebhookHouse, world: StripeWorld, price_book: PriceBook
) -> None:
    account_id, customer_id = await customer_of(five.house)
    await subscribe_elsewhere(world, price_book, customer_id, SubscriptionPlan.PRO)
    await world.v1.customers.delete_async(customer_id)
    for event in await events_of(world, "customer.deleted"):
        await five.deliver(event)
    await five.settle(len(await events_of(world, *MISSIONS_FIVE)))
    assert (await state_of(five, account_id))[1] is SubscriptionStatus.CANCELED


async def test_events_of_a_deleted_account_are_settled(
    quiet: WebhookHouse, world: StripeWorld, price_book: PriceBook
) -> None:
    account_id, customer_id = await customer_of(quiet.house)
    await world.v1.customers.update_async(customer_id, {"metadata": {"note": "x"}})
    async with quiet.house.database.transaction() as tx:
        await tx.execute("UPDATE accounts SET deleted_at = %s WHERE account_id = %s", (START, account_id))
    for event in await events_of(world, "customer.updated"):
        await quiet.deliver(event)
    await quiet.service.sync_customer_job(customer_id)
    assert await quiet.waiting_count() == 0


async def test_failure_between_reading_and_stamping_repeats_harmlessly(
    quiet: WebhookHouse, world: StripeWorld, price_book: PriceBook, sandbox_url: str, secret_key: str
) -> None:
    account_id, customer_id = await customer_of(quiet.house)
    await subscribe_elsewhere(world, price_book, customer_id, SubscriptionPlan.PRO)
    events = await events_of(world, "customer.subscription.created", "invoice.paid")
    for event in events:
        await quiet.deliver({**event, "id": f"{event['id']}x"})
        await quiet.deliver(event)
    assert await quiet.service.dispatch() == 1
    await switch_fault(sandbox_url, secret_key, kind="unavailable", path="/v1/invoices")
    with pytest.raises(StripeUnavailable):
        await quiet.service.sync_customer_job(customer_id)
    assert await state_of(quiet, account_id) == (SubscriptionPlan.PRO, SubscriptionStatus.ACTIVE)
    assert await quiet.waiting_count() == 2 * len(events)
    assert await quiet.service.dispatch() == 0  # not due again yet
    await switch_fault(sandbox_url, secret_key)
    quiet.house.clock.wall_shift += timedelta(seconds=10)  # type: ignore[attr-defined]
    assert await quiet.service.dispatch() == 1
    await quiet.service.sync_customer_job(customer_id)
    assert await quiet.waiting_count() == 0
    await quiet.assert_invoices_agree(account_id, customer_id)


@pytest.mark.parametrize("seed", range(7, 7 + trials.choose(small=1, full=40)))
async def test_thirty_percent_dropped_events_are_found_and_repaired_by_the_walk(
    house: BillingHouse,
    gateway: StripeClientGateway,
    world: StripeWorld,
    price_book: PriceBook,
    sandbox_url: str,
    secret_key: str,
    seed: int,
) -> None:
    """30 % of all webhooks never arrive; whoever is wrong then is right after one walk."""
    async with subscribed_house(house, gateway, world) as served:
        earlier = len(await all_events(world))
        await switch_fault(sandbox_url, secret_key, kind="webhook_drop", probability="0.3", seed=str(seed))
        accounts = [await customer_of(house) for _ in range(3)]
        for number, (_, customer_id) in enumerate(accounts):
            plan = tuple(SubscriptionPlan)[1 + number % 3]
            made = await subscribe_elsewhere(world, price_book, customer_id, plan)
            if number % 2:
                await world.v1.subscriptions.cancel_async(made.id)
        total = len(await all_events(world))
        dropped = await count_strikes(sandbox_url, secret_key)
        assert dropped > 0
        await served.settle(total - earlier - dropped)
        before = house.clock.now()
        done = await served.service.backfill()
        assert done.is_complete
        assert done.complete_until_at is not None
        await served.settle(total)
        kept = await served.kept()
        assert {row[0] for row in kept} == {event["id"] for event in await all_events(world)}
        assert sum(row[3] == "backfill" for row in kept) == done.found_count == earlier + dropped
        for number, (account_id, customer_id) in enumerate(accounts):
            status = SubscriptionStatus.CANCELED if number % 2 else SubscriptionStatus.ACTIVE
            assert await state_of(served, account_id) == (tuple(SubscriptionPlan)[1 + number % 3], status)
            await served.assert_invoices_agree(account_id, customer_id)
        house.clock.advance(timedelta(minutes=5))
        again = await served.service.backfill()
        assert (again.found_count, again.is_complete) == (0, True)
        async with house.database.transaction() as tx:
            known = [(await metering.metering_account(tx, account_id)).known_until for account_id, _ in accounts]
        assert known == [before + timedelta(minutes=5)] * len(accounts)
    trials.record("30 % of webhooks lost: each found, state and invoices repaired by one walk", count=1, seed=7)


async def test_walk_vouches_for_no_account_with_waiting_events(
    quiet: WebhookHouse, world: StripeWorld, price_book: PriceBook
) -> None:
    account_id, customer_id = await customer_of(quiet.house)
    await subscribe_elsewhere(world, price_book, customer_id, SubscriptionPlan.PRO)
    await quiet.house.subscriptions.sync_subscription(account_id)
    quiet.house.clock.advance(timedelta(minutes=5))
    assert (await quiet.service.backfill()).found_count > 0

    async def known_until() -> datetime | None:
        async with quiet.house.database.transaction() as tx:
            return (await metering.metering_account(tx, account_id)).known_until

    assert await known_until() == START
    quiet.house.clock.advance(timedelta(minutes=5))
    await quiet.service.sync_customer_job(customer_id)
    assert await known_until() == START + timedelta(minutes=10)
    quiet.house.clock.advance(timedelta(minutes=5))
    await quiet.service.backfill()
    assert await known_until() == START + timedelta(minutes=15)


async def test_walk_goes_on_where_stripe_went_away(
    quiet: WebhookHouse, world: StripeWorld, sandbox_url: str, secret_key: str
) -> None:
    _, customer_id = await customer_of(quiet.house)
    for number in range(130):
        await world.v1.customers.update_async(customer_id, {"metadata": {"number": str(number)}})
    fault = {"kind": "unavailable", "path": "/v1/events", "count": "3"}
    await switch_fault(sandbox_url, secret_key, **fault)
    with pytest.raises(StripeUnavailable):
        await quiet.service.backfill()
    assert await quiet.kept_count() == 0
    done = await quiet.service.backfill()
    assert done.is_complete
    assert await quiet.kept_count() == len(await all_events(world)) > 130


async def test_error_report_that_stripe_forgot_is_settled(quiet: WebhookHouse) -> None:
    thin = {
        "id": "evt_test_65abc",
        "object": "v2.core.event",
        "livemode": False,
        "type": "v1.billing.meter.error_report_triggered",
        "created": "2026-03-10T10:17:23.123Z",
        "related_object": {"id": "mtr_1", "type": "billing.meter", "url": "/v1/billing/meters/mtr_1"},
    }
    assert await quiet.deliver(thin) == "stored"
    assert await quiet.service.dispatch() == 1
    await quiet.service.sync_customer_job("")
    assert await quiet.waiting_count() == 0


async def test_w13_refused_usage_told_by_a_thin_event_is_rejected_and_reported_again(
    house: BillingHouse,
    gateway: StripeClientGateway,
    world: StripeWorld,
    price_book: PriceBook,
    sandbox_url: str,
    secret_key: str,
) -> None:
    account_id = await house.new_account()
    await house.billing.create_subscription(account_id, SubscriptionPlan.PRO, "pm_card_visa")
    await house.add_closed_usage(account_id, UsageMetric.COMPUTE_HOURS, NS_PER_HOUR, house.clock.now())
    await house.reports.queue(account_id)
    await house.reports.send_due()
    async with house.database.transaction() as tx:
        await tx.execute("UPDATE meter_reports SET identifier = 'hv_lost' WHERE account_id = %s", (account_id,))
    port = free_port()
    secret = await make_thin_destination(sandbox_url, secret_key, port)
    async with webhook_house(house, gateway, secrets=(SECRET, secret), port=port) as served:
        payload = {"stripe_customer_id": "cus_nobody", "value": "1"}
        name = price_book.meters[UsageMetric.COMPUTE_HOURS].event_name
        await world.v1.billing.meter_events.create_async(
            {"event_name": name, "payload": payload, "identifier": "hv_lost"}
        )
        await post(f"{sandbox_url}/_sandbox/clock/advance", secret_key, data={"seconds": "10"})
        await served.settle(1)
        [kept] = await served.kept()
    assert kept[1:5] == ("v1.billing.meter.error_report_triggered", "", "webhook", "synced")
    [report] = await house.all_reports(account_id)
    assert report.state is ReportState.REJECTED
    assert "meter_event_customer_not_found" in (report.last_error or "")
    house.clock.wall_shift += timedelta(hours=2)  # type: ignore[attr-defined]
    assert await house.reports.queue(account_id) == 1


async def make_thin_destination(sandbox_url: str, secret_key: str, port: int) -> str:
    """The secret that its notices are signed with."""
    wanted = {
        "name": "meter errors",
        "type": "webhook_endpoint",
        "event_payload": "thin",
        "enabled_events": ["v1.billing.meter.error_report_triggered", "v1.billing.meter.no_meter_found"],
        "webhook_endpoint": {"url": f"http://127.0.0.1:{port}/api/v1/webhooks/stripe"},
        "include": ["webhook_endpoint.signing_secret"],
    }
    made = await post(f"{sandbox_url}/v2/core/event_destinations", secret_key, json=wanted)
    return str(made["webhook_endpoint"]["signing_secret"])


async def post(url: str, secret_key: str, **content: Any) -> Any:
    headers = {"Authorization": f"Bearer {secret_key}", "Stripe-Version": API_VERSION}
    async with aiohttp.ClientSession(headers=headers) as session, session.post(url, **content) as answer:
        assert answer.status == 200, await answer.text()
        return await answer.json()

"""What the gateway promises, tried against the sandbox over HTTP."""

from dataclasses import replace
from datetime import timedelta
from decimal import Decimal

import pytest

from helvetia.catalogue.plans import SubscriptionPlan
from helvetia.database.pool import Database, NetworkInsideTransaction
from helvetia.kernel.clock import ManualClock
from helvetia.kernel.identity import new_account_id
from helvetia.kernel.quantity import UsageMetric
from helvetia.stripe_gateway.catalog import find_prices_by_lookup_key, set_up_catalog, verify_prices
from helvetia.stripe_gateway.client import StripeClientGateway
from helvetia.stripe_gateway.errors import (
    AlreadyUsedIdentifier,
    CardDeclined,
    MeterEventOutOfTime,
    PriceMismatch,
    StripeNotAuthorized,
    StripeObjectMissing,
    StripeRefused,
    StripeUnavailable,
)
from helvetia.stripe_gateway.model import (
    Customer,
    MeterEvent,
    NewCustomer,
    NewSubscription,
    PriceBook,
    Subscription,
)
from support.stripe_world import StripeWorld


async def _customer(gateway: StripeClientGateway, world: StripeWorld | None = None) -> Customer:
    return await gateway.get_or_create_customer(
        NewCustomer(
            account_id=new_account_id(),
            name="Ada",
            email="ada@example.com",
            test_clock=world.test_clock if world else None,
        )
    )


async def _subscribe(gateway: StripeClientGateway, book: PriceBook, customer: Customer, key: str = "k") -> Subscription:
    return await gateway.create_subscription(
        NewSubscription(
            account_id=new_account_id(),
            plan=SubscriptionPlan.PRO,
            customer_id=customer.customer_id,
            fixed_price_id=book.plans[SubscriptionPlan.PRO].price_id,
            metered_price_ids=[price.price_id for price in book.meters.values()],
            idempotency_key=f"{customer.customer_id}:{key}",
        )
    )


async def test_same_account_asked_twice_yields_one_customer(gateway: StripeClientGateway) -> None:
    new = NewCustomer(account_id=new_account_id(), name="Ada", email="ada@example.com")
    first = await gateway.get_or_create_customer(new)
    second = await gateway.get_or_create_customer(new)
    assert first == second
    assert first.account_id == str(new.account_id)
    assert (await gateway.get_or_create_customer(replace(new, name="Ada L."))).customer_id != first.customer_id


async def test_subscribing_with_a_good_card_yields_five_items_and_a_paid_invoice(
    gateway: StripeClientGateway, price_book: PriceBook, world: StripeWorld, clock: ManualClock
) -> None:
    customer = await _customer(gateway, world)
    customer = await gateway.attach_payment_method(customer.customer_id, "pm_card_visa")
    assert customer.default_payment_method_id is not None
    made = await _subscribe(gateway, price_book, customer)
    assert made.status == "active"
    assert [item.is_metered for item in made.items] == [False, True, True, True, True]
    assert {item.period.starts_at for item in made.items} == {clock.now()}
    assert await gateway.list_subscriptions(customer.customer_id) == (made,)
    assert await gateway.retrieve_subscription(made.subscription_id) == made
    [invoice] = await gateway.list_invoices(customer_id=customer.customer_id, subscription_id=made.subscription_id)
    assert (invoice.status, invoice.total_minor, invoice.subscription_id) == ("paid", 2900, made.subscription_id)
    full = await gateway.retrieve_invoice(invoice.invoice_id)
    assert sum(line.amount_minor for line in full.lines) == 2900
    assert full.lines[0].quantity == Decimal(1)


async def test_declined_card_is_a_decline_and_leaves_no_subscription(
    gateway: StripeClientGateway, price_book: PriceBook
) -> None:
    customer = await _customer(gateway)
    with pytest.raises(CardDeclined) as caught:
        await gateway.attach_payment_method(customer.customer_id, "pm_card_chargeDeclined")
    assert caught.value.status == 402
    await gateway.attach_payment_method(customer.customer_id, "pm_card_chargeCustomerFail")
    with pytest.raises(CardDeclined):
        await _subscribe(gateway, price_book, customer)
    assert await gateway.list_subscriptions(customer.customer_id) == ()


async def test_customer_without_a_card_is_refused(gateway: StripeClientGateway, price_book: PriceBook) -> None:
    customer = await _customer(gateway)
    with pytest.raises((StripeObjectMissing, StripeRefused)):
        await _subscribe(gateway, price_book, customer)


async def test_meter_event_sent_twice_counts_once(
    gateway: StripeClientGateway, price_book: PriceBook, world: StripeWorld, clock: ManualClock
) -> None:
    customer = await _customer(gateway, world)
    meter = price_book.meters[UsageMetric.COMPUTE_HOURS]
    event = MeterEvent(
        event_name=meter.event_name,
        customer_id=customer.customer_id,
        value=Decimal("0.000007"),
        identifier=f"once-{customer.customer_id}",
        occurred_at=clock.now(),
    )
    await gateway.send_meter_event(event)
    with pytest.raises(AlreadyUsedIdentifier):
        await gateway.send_meter_event(event)
    await gateway.send_meter_event(
        replace(event, identifier=f"twice-{customer.customer_id}", value=Decimal("-0.000002"))
    )
    minute = clock.now().replace(second=0)
    summaries = await gateway.meter_event_summaries(
        meter_id=meter.meter_id,
        customer_id=customer.customer_id,
        starts_at=minute,
        ends_at=minute + timedelta(minutes=1),
    )
    assert sum(summary.value for summary in summaries) == Decimal("0.000005")


async def test_usage_older_than_35_days_is_out_of_time(
    gateway: StripeClientGateway, price_book: PriceBook, world: StripeWorld, clock: ManualClock
) -> None:
    customer = await _customer(gateway, world)
    event = MeterEvent(
        event_name=price_book.meters[UsageMetric.BANDWIDTH_GB].event_name,
        customer_id=customer.customer_id,
        value=Decimal(1),
        identifier="late",
        occurred_at=clock.now() - timedelta(days=36),
    )
    with pytest.raises(MeterEventOutOfTime):
        await gateway.send_meter_event(event)
    with pytest.raises(StripeObjectMissing):
        await gateway.send_meter_event(replace(event, event_name="nobody_listens", occurred_at=clock.now()))


async def test_set_up_run_twice_makes_nothing_new(gateway: StripeClientGateway) -> None:
    first = await set_up_catalog(gateway)
    assert await set_up_catalog(gateway) == first
    assert await find_prices_by_lookup_key(gateway) == first
    assert len(await gateway.list_meters()) == 4
    book = await verify_prices(gateway, first)
    assert book.meters[UsageMetric.STORAGE_GB].unit_price_minor == Decimal("2.3")
    assert book.plans[SubscriptionPlan.ENTERPRISE].fee_minor == 19900


async def test_wrong_prices_are_all_named_with_expected_and_found(gateway: StripeClientGateway) -> None:
    ids = await set_up_catalog(gateway)
    wrong = ids | {
        "STRIPE_PRICE_ID_COMPUTE_HOURS": ids["STRIPE_PRICE_ID_STORAGE_GB"],
        "STRIPE_PRICE_ID_PRO": "price_unknown",
        "STRIPE_PRICE_ID_STARTER": ids["STRIPE_PRICE_ID_BANDWIDTH_GB"],
        "STRIPE_PRICE_ID_MEMORY_GB_HOURS": "",
    }
    with pytest.raises(PriceMismatch) as caught:
        await verify_prices(gateway, wrong)
    text = caught.value.detail
    assert "STRIPE_PRICE_ID_COMPUTE_HOURS" in text
    assert "cents per hour should be 1, but is 2.3" in text
    assert "price_unknown should be a price" in text
    assert "the usage type should be licensed, but is metered" in text
    assert "STRIPE_PRICE_ID_MEMORY_GB_HOURS: should name a price, but is not set" in text


async def test_unknown_key_is_not_authorized(sandbox_url: str) -> None:
    gateway = StripeClientGateway("sk_live_nothing", api_base=sandbox_url)
    with pytest.raises(StripeNotAuthorized):
        await gateway.retrieve_account()
    await gateway.close()


async def test_silent_stripe_is_unavailable() -> None:
    gateway = StripeClientGateway("sk_test_x", api_base="http://127.0.0.1:9")
    with pytest.raises(StripeUnavailable) as caught:
        await gateway.retrieve_account()
    assert caught.value.status == 503
    await gateway.close()


async def test_call_inside_a_transaction_is_refused(gateway: StripeClientGateway, database: Database) -> None:
    async with database.transaction():
        with pytest.raises(NetworkInsideTransaction):
            await gateway.retrieve_account()


async def test_known_account_is_told_apart(gateway: StripeClientGateway) -> None:
    assert (await gateway.retrieve_account()).account_id.startswith("acct_")

"""Learning a subscription from Stripe: states, periods, cuts, and reads that overtake each other."""

from datetime import UTC, datetime, timedelta

import pytest

from helvetia.accounts.errors import AccountNotFound
from helvetia.billing.errors import AlreadySubscribed, PlanNotSold
from helvetia.catalogue.plans import PLANS, SubscriptionPlan
from helvetia.kernel.identity import AccountId, new_account_id
from helvetia.kernel.period import Period
from helvetia.kernel.status import SubscriptionStatus
from helvetia.metering import store as metering
from helvetia.stripe_gateway.client import StripeClientGateway
from helvetia.stripe_gateway.errors import CardDeclined
from helvetia.stripe_gateway.price_book_holder import PriceBookHolder
from helvetia.subscriptions.errors import SubscriptionNotFound, SubscriptionStillLive
from helvetia.subscriptions.model import PlanIndex, StripeReading
from support.billing_house import BillingHouse, build_house
from support.stripe_world import StripeWorld

START = datetime(2026, 3, 10, 10, 17, 23, tzinfo=UTC)
APRIL = datetime(2026, 4, 10, 10, 17, 23, tzinfo=UTC)
MAY = datetime(2026, 5, 10, 10, 17, 23, tzinfo=UTC)
JUNE = datetime(2026, 6, 10, 10, 17, 23, tzinfo=UTC)


async def _cuts(house: BillingHouse, account_id: AccountId) -> set[datetime]:
    async with house.database.transaction() as tx:
        rows = await (
            await tx.execute("SELECT cut_at FROM metering_cuts WHERE account_id = %s", (account_id,))
        ).fetchall()
    return {row[0] for row in rows}


async def _subscribed(house: BillingHouse, plan: SubscriptionPlan = SubscriptionPlan.PRO) -> AccountId:
    account_id = await house.new_account()
    await house.billing.create_subscription(account_id, plan, "pm_card_visa")
    return account_id


async def test_new_account_is_free_active_and_without_stripe(house: BillingHouse) -> None:
    account_id = await house.new_account()
    record = await house.subscriptions.get_subscription(account_id)
    assert (record.plan, record.status) == (SubscriptionPlan.FREE, SubscriptionStatus.ACTIVE)
    assert record.period == Period(starts_at=datetime(2026, 3, 1, tzinfo=UTC), ends_at=datetime(2026, 4, 1, tzinfo=UTC))
    assert record.stripe_customer_id is None
    assert record.user_id == account_id
    assert await house.subscriptions.has_active_subscription(account_id)
    with pytest.raises(SubscriptionNotFound):
        await house.subscriptions.get_subscription(new_account_id())
    async with house.database.transaction() as tx:
        await tx.execute("UPDATE accounts SET deleted_at = %s WHERE account_id = %s", (START, account_id))
    with pytest.raises(AccountNotFound):
        await house.billing.get_or_create_customer(account_id)


async def test_free_account_is_rolled_into_the_next_month_by_the_poll(house: BillingHouse) -> None:
    account_id = await house.new_account()
    house.clock.advance_to(APRIL)
    before = await house.subscriptions.get_subscription(account_id)
    assert before.period_at(APRIL).starts_at == datetime(2026, 4, 1, tzinfo=UTC)
    assert (await house.subscriptions.sync_all_due()).rolled_count == 1
    assert (await house.subscriptions.get_subscription(account_id)).period == before.period_at(APRIL)
    assert (await house.subscriptions.sync_all_due()).rolled_count == 0


async def test_subscribing_makes_the_account_pro_with_stripes_period_and_cuts(house: BillingHouse) -> None:
    account_id = await _subscribed(house)
    record = await house.subscriptions.get_subscription(account_id)
    assert (record.plan, record.status, record.fee_minor) == (SubscriptionPlan.PRO, SubscriptionStatus.ACTIVE, 2900)
    assert record.period == Period(starts_at=START, ends_at=APRIL)
    assert record.plan_problem is None
    assert {START, APRIL} <= await _cuts(house, account_id)
    [billed] = await house.subscriptions.billing_periods(account_id)
    assert billed.period == record.period
    assert billed.stripe_customer_id == record.stripe_customer_id
    async with house.database.transaction() as tx:
        known = await metering.metering_account(tx, account_id)
    assert known.waits_for_stripe
    assert known.known_until == START
    assert await house.subscriptions.get_resource_limits(account_id) == PLANS[SubscriptionPlan.PRO].limits
    assert (await house.billing.get_subscription(account_id)) is not None
    async with house.database.transaction() as tx:
        with pytest.raises(SubscriptionStillLive):
            await house.subscriptions.check_deletable(tx, account_id)


async def test_second_subscription_and_free_are_refused(house: BillingHouse) -> None:
    account_id = await _subscribed(house)
    with pytest.raises(AlreadySubscribed):
        await house.billing.create_subscription(account_id, SubscriptionPlan.STARTER, "pm_card_visa")
    with pytest.raises(PlanNotSold):
        await house.billing.create_subscription(account_id, SubscriptionPlan.FREE, "pm_card_visa")


async def test_decline_leaves_the_account_free_and_a_better_card_subscribes(house: BillingHouse) -> None:
    account_id = await house.new_account()
    with pytest.raises(CardDeclined):
        await house.billing.create_subscription(account_id, SubscriptionPlan.PRO, "pm_card_chargeCustomerFail")
    record = await house.subscriptions.get_subscription(account_id)
    assert (record.plan, record.status) == (SubscriptionPlan.FREE, SubscriptionStatus.ACTIVE)
    record = await house.billing.create_subscription(account_id, SubscriptionPlan.PRO, "pm_card_visa")
    assert record.plan is SubscriptionPlan.PRO


async def test_months_missed_while_nobody_looked_are_found(house: BillingHouse, world: StripeWorld) -> None:
    account_id = await _subscribed(house)
    for instant in (APRIL, MAY, JUNE):
        await world.advance_to(instant + timedelta(minutes=5))
    await house.subscriptions.sync_all_due()
    periods = [billed.period for billed in await house.subscriptions.billing_periods(account_id)]
    assert [period.starts_at for period in periods] == [START, APRIL, MAY, JUNE]
    assert [period.ends_at for period in periods][:-1] == [APRIL, MAY, JUNE]
    assert {START, APRIL, MAY, JUNE} <= await _cuts(house, account_id)
    async with house.database.transaction() as tx:
        assert (await metering.metering_account(tx, account_id)).known_until == house.clock.now()


async def test_stale_read_never_overwrites_a_newer_one(house: BillingHouse, gateway: StripeClientGateway) -> None:
    account_id = await house.new_account()
    customer_id = await house.billing.get_or_create_customer(account_id)
    old = StripeReading(
        fetch_seq=await house.subscriptions.next_fetch_seq(),
        began_at=house.clock.now(),
        customer_id=customer_id,
        subscriptions=await gateway.list_subscriptions(customer_id),
        periods=(),
        plans=PlanIndex(),
    )
    await house.billing.create_subscription(account_id, SubscriptionPlan.PRO, "pm_card_visa")
    outcome = await house.subscriptions.upsert_subscription(account_id, old)
    assert outcome.is_stale
    record = await house.subscriptions.get_subscription(account_id)
    assert (record.plan, record.stripe_status) == (SubscriptionPlan.PRO, "active")
    assert not await house.subscriptions.update_subscription_status(account_id, "unpaid", fetch_seq=old.fetch_seq)
    newer = await house.subscriptions.next_fetch_seq()
    assert await house.subscriptions.update_subscription_status(account_id, "past_due", fetch_seq=newer)
    assert not await house.subscriptions.has_active_subscription(account_id)


async def test_cancellation_ends_the_period_and_leaves_a_calendar_month(
    house: BillingHouse, world: StripeWorld
) -> None:
    account_id = await _subscribed(house)
    live = await house.subscriptions.get_subscription(account_id)
    assert live.stripe_subscription_id is not None
    await world.advance_to(START + timedelta(days=2))
    await world.v1.subscriptions.cancel_async(live.stripe_subscription_id)
    await house.subscriptions.sync_all_due()
    record = await house.subscriptions.get_subscription(account_id)
    ended_at = START + timedelta(days=2)
    assert (record.status, record.ended_at, record.plan) == (
        SubscriptionStatus.CANCELED,
        ended_at,
        SubscriptionPlan.PRO,
    )
    assert record.period == Period(starts_at=ended_at, ends_at=datetime(2026, 4, 1, tzinfo=UTC))
    [billed] = await house.subscriptions.billing_periods(account_id)
    assert billed.period == Period(starts_at=START, ends_at=ended_at)
    assert ended_at in await _cuts(house, account_id)
    assert not await house.subscriptions.has_active_subscription(account_id)
    assert (await house.subscriptions.get_resource_limits(account_id)).services_max == 1
    again = await house.billing.create_subscription(account_id, SubscriptionPlan.STARTER, "pm_card_visa")
    assert (again.plan, again.status) == (SubscriptionPlan.STARTER, SubscriptionStatus.ACTIVE)
    assert [entry.period.starts_at for entry in await house.subscriptions.billing_periods(account_id)] == [
        START,
        ended_at,
    ]


async def test_cancellation_at_the_period_end_keeps_the_plan_until_then(
    house: BillingHouse, world: StripeWorld
) -> None:
    account_id = await _subscribed(house)
    live = await house.subscriptions.get_subscription(account_id)
    assert live.stripe_subscription_id is not None
    await world.v1.subscriptions.update_async(live.stripe_subscription_id, {"cancel_at_period_end": True})
    await house.subscriptions.sync_subscription(account_id)
    record = await house.subscriptions.get_subscription(account_id)
    assert (record.status, record.cancel_at) == (SubscriptionStatus.ACTIVE, APRIL)
    await world.advance_to(APRIL + timedelta(hours=2))
    await house.subscriptions.sync_subscription(account_id)
    record = await house.subscriptions.get_subscription(account_id)
    assert (record.status, record.ended_at, record.cancel_at) == (SubscriptionStatus.CANCELED, APRIL, None)


async def test_failed_renewal_is_past_due(house: BillingHouse, world: StripeWorld) -> None:
    account_id = await _subscribed(house)
    record = await house.subscriptions.get_subscription(account_id)
    assert record.stripe_customer_id is not None
    method = await world.v1.payment_methods.attach_async(
        "pm_card_chargeCustomerFail", {"customer": record.stripe_customer_id}
    )
    await world.v1.customers.update_async(
        record.stripe_customer_id, {"invoice_settings": {"default_payment_method": method.id}}
    )
    await world.advance_to(APRIL + timedelta(hours=2))
    await house.subscriptions.sync_subscription(account_id)
    record = await house.subscriptions.get_subscription(account_id)
    assert (record.status, record.plan, record.period.starts_at) == (
        SubscriptionStatus.PAST_DUE,
        SubscriptionPlan.PRO,
        APRIL,
    )


async def test_plan_is_found_by_metadata_when_prices_are_not_verified(
    house: BillingHouse, gateway: StripeClientGateway
) -> None:
    account_id = await _subscribed(house)
    other = build_house(house.database, house.clock, gateway, PriceBookHolder())
    outcome = await other.subscriptions.sync_subscription(account_id)
    assert (outcome.record.plan, outcome.record.plan_problem) == (SubscriptionPlan.PRO, None)


async def test_unknown_price_keeps_the_former_plan_and_is_flagged(house: BillingHouse, world: StripeWorld) -> None:
    account_id = await house.new_account()
    customer_id = await house.billing.get_or_create_customer(account_id)
    product = await world.v1.products.create_async({"name": "by hand"})
    price = await world.v1.prices.create_async(
        {"product": product.id, "currency": "usd", "unit_amount": 0, "recurring": {"interval": "month"}}
    )
    await world.v1.subscriptions.create_async({"customer": customer_id, "items": [{"price": price.id}]})
    record = (await house.subscriptions.sync_subscription(account_id)).record
    assert record.plan is SubscriptionPlan.FREE
    assert record.plan_problem is not None
    assert price.id in record.plan_problem


async def test_incomplete_subscription_grants_nothing(
    house: BillingHouse, world: StripeWorld, holder: PriceBookHolder
) -> None:
    account_id = await house.new_account()
    customer_id = await house.billing.get_or_create_customer(account_id)
    book = holder.require()
    await world.v1.subscriptions.create_async(
        {
            "customer": customer_id,
            "items": [{"price": book.plans[SubscriptionPlan.PRO].price_id}],
            "payment_behavior": "default_incomplete",
        }
    )
    record = (await house.subscriptions.sync_subscription(account_id)).record
    assert (record.plan, record.status, record.stripe_status) == (
        SubscriptionPlan.FREE,
        SubscriptionStatus.ACTIVE,
        "incomplete",
    )
    assert await house.subscriptions.billing_periods(account_id) == ()


async def test_customer_deleted_at_stripe_ends_the_subscription(house: BillingHouse, world: StripeWorld) -> None:
    account_id = await _subscribed(house)
    record = await house.subscriptions.get_subscription(account_id)
    assert record.stripe_customer_id is not None
    await world.v1.customers.delete_async(record.stripe_customer_id)
    record = (await house.subscriptions.sync_subscription(account_id)).record
    assert (record.status, record.plan) == (SubscriptionStatus.CANCELED, SubscriptionPlan.PRO)

"""Coming back: after an end, and after the customer was deleted at Stripe."""

import asyncio

import pytest

from helvetia.billing.errors import AlreadySubscribed, NotSubscribed
from helvetia.catalogue.plans import SubscriptionPlan
from helvetia.kernel.identity import AccountId
from helvetia.kernel.status import SubscriptionStatus
from helvetia.subscriptions import store as subscriptions
from support.billing_house import BillingHouse
from support.stripe_world import StripeWorld

ACTOR = "user:test"
STARTER, PRO = SubscriptionPlan.STARTER, SubscriptionPlan.PRO


async def subscriber(house: BillingHouse) -> tuple[AccountId, str]:
    account_id = await house.new_account()
    await house.billing.create_subscription(account_id, PRO, "pm_card_visa")
    return account_id, await house.billing.get_or_create_customer(account_id)


async def test_w15_ended_account_subscribes_again_with_its_customer(house: BillingHouse) -> None:
    account_id, customer_id = await subscriber(house)
    await house.billing.cancel_subscription(account_id, now=True, actor=ACTOR)
    assert await house.reports.finish_cancellation(account_id)
    with pytest.raises(NotSubscribed):
        await house.billing.preview_update(account_id, STARTER, actor=ACTOR)
    again = await house.billing.create_subscription(account_id, STARTER, "pm_card_visa")
    assert (again.plan, again.status, again.stripe_customer_id) == (STARTER, SubscriptionStatus.ACTIVE, customer_id)


async def test_subscription_deleted_at_stripe_a_moment_ago_is_no_reason_to_refuse(
    house: BillingHouse, world: StripeWorld
) -> None:
    account_id, _ = await subscriber(house)
    ended = await house.subscriptions.get_subscription(account_id)
    assert ended.stripe_subscription_id is not None
    await world.v1.subscriptions.cancel_async(ended.stripe_subscription_id)
    again = await house.billing.create_subscription(account_id, STARTER, "pm_card_visa")
    assert (again.plan, again.status) == (STARTER, SubscriptionStatus.ACTIVE)
    assert again.stripe_subscription_id != ended.stripe_subscription_id
    with pytest.raises(AlreadySubscribed):
        await house.billing.create_subscription(account_id, PRO, "pm_card_visa")


async def test_subscribing_finds_a_customer_deleted_at_stripe_a_moment_ago(
    house: BillingHouse, world: StripeWorld
) -> None:
    account_id, former = await subscriber(house)
    await world.v1.customers.delete_async(former)
    again = await house.billing.create_subscription(account_id, STARTER, "pm_card_visa")
    assert (again.plan, again.status) == (STARTER, SubscriptionStatus.ACTIVE)
    assert again.stripe_customer_id not in {None, former}


async def test_deleted_customer_is_replaced_once_by_the_next_checkouts(house: BillingHouse, world: StripeWorld) -> None:
    account_id, former = await subscriber(house)
    await world.v1.customers.delete_async(former)
    pages = await asyncio.gather(
        *(house.billing.create_checkout_session(account_id, STARTER, actor=ACTOR) for _ in range(3))
    )
    assert len({page.session_id for page in pages}) == 1
    record = await house.subscriptions.get_subscription(account_id)
    assert record.stripe_customer_id not in {None, former}
    assert (record.status, record.plan_problem) == (SubscriptionStatus.CANCELED, None)
    assert len((await world.v1.customers.list_async({"limit": 100})).data) == 1
    async with house.database.transaction() as tx:
        assert await subscriptions.find_account_of_customer(tx, former) == account_id


async def test_subscribing_after_the_customer_was_deleted_bills_the_new_one(
    house: BillingHouse, world: StripeWorld
) -> None:
    account_id, former = await subscriber(house)
    await world.v1.customers.delete_async(former)
    await house.subscriptions.sync_subscription(account_id)
    again = await house.billing.create_subscription(account_id, STARTER, "pm_card_visa")
    assert (again.plan, again.status, again.plan_problem) == (STARTER, SubscriptionStatus.ACTIVE, None)
    assert again.stripe_customer_id not in {None, former}
    billed = await house.subscriptions.billing_periods(account_id)
    assert {period.stripe_customer_id for period in billed} <= {former, again.stripe_customer_id}
    assert billed[-1].stripe_customer_id == again.stripe_customer_id
    assert (await house.subscriptions.sync_subscription(account_id)).record.status is SubscriptionStatus.ACTIVE

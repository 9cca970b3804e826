"""A whole life with only the mission's five event types subscribed: upgrade, smaller plan, failure, recovery, usage and
end; after each step every state and bill is right.
"""

from datetime import timedelta
from typing import Any

from helvetia.catalogue.plans import SubscriptionPlan
from helvetia.kernel.identity import AccountId
from helvetia.kernel.quantity import UsageMetric
from helvetia.kernel.status import SubscriptionStatus
from helvetia.stripe_gateway.client import StripeClientGateway
from support.billing_house import BillingHouse
from support.stripe_world import StripeWorld
from support.webhook_house import MISSIONS_FIVE, WebhookHouse, all_events, subscribed_house

ACTOR = "user:test"
FREE, STARTER, PRO, ENTERPRISE = SubscriptionPlan
ACTIVE, PAST_DUE, CANCELED = SubscriptionStatus.ACTIVE, SubscriptionStatus.PAST_DUE, SubscriptionStatus.CANCELED
CORE_HOURS_NS = 3_600 * 10**9


async def assert_right(
    served: WebhookHouse, world: StripeWorld, account_id: AccountId, plan: SubscriptionPlan, status: SubscriptionStatus
) -> None:
    await served.settle(sum(event["type"] in MISSIONS_FIVE for event in await all_events(world)))
    record = await served.house.subscriptions.get_subscription(account_id)
    assert (record.plan, record.status) == (plan, status)
    assert record.stripe_customer_id is not None
    await served.assert_invoices_agree(account_id, record.stripe_customer_id)


async def change(house: BillingHouse, account_id: AccountId, plan: SubscriptionPlan) -> None:
    preview = await house.billing.preview_update(account_id, plan, actor=ACTOR)
    await house.billing.update_subscription(account_id, plan, preview.change.change_id, actor=ACTOR)


async def set_card(world: StripeWorld, customer_id: str, card: str) -> None:
    method = await world.v1.payment_methods.attach_async(card, {"customer": customer_id})
    default: Any = {"invoice_settings": {"default_payment_method": method.id}}
    await world.v1.customers.update_async(customer_id, default)


async def test_whole_life_is_right_with_the_missions_five_events_alone(
    house: BillingHouse, gateway: StripeClientGateway, world: StripeWorld
) -> None:
    account_id = await house.new_account()
    async with subscribed_house(house, gateway, world, MISSIONS_FIVE) as served:
        await house.billing.create_subscription(account_id, STARTER, "pm_card_visa")
        await assert_right(served, world, account_id, STARTER, ACTIVE)
        customer_id = await house.billing.get_or_create_customer(account_id)
        await world.advance_to(house.clock.now() + timedelta(days=3))
        await change(house, account_id, ENTERPRISE)
        await assert_right(served, world, account_id, ENTERPRISE, ACTIVE)
        await change(house, account_id, PRO)
        await assert_right(served, world, account_id, ENTERPRISE, ACTIVE)
        await set_card(world, customer_id, "pm_card_chargeCustomerFail")
        await world.advance_to(house.clock.now() + timedelta(days=28, hours=3))
        await assert_right(served, world, account_id, PRO, PAST_DUE)
        await set_card(world, customer_id, "pm_card_visa")
        owed = [invoice for invoice in await world.invoices(customer_id) if invoice.status == "open"]
        for invoice in owed:
            await world.v1.invoices.pay_async(invoice.id)
        await assert_right(served, world, account_id, PRO, ACTIVE)
        start = house.clock.now() + timedelta(hours=1)
        await world.advance_to(start + timedelta(days=2))
        await house.add_closed_usage(account_id, UsageMetric.COMPUTE_HOURS, 200 * CORE_HOURS_NS, start)
        await house.billing.cancel_subscription(account_id, now=True, actor=ACTOR)
        assert await house.reports.finish_cancellations() == 1
        await assert_right(served, world, account_id, PRO, CANCELED)
        assert (await world.invoices(customer_id))[0].subtotal == 200

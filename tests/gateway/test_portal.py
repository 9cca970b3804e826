"""The customer portal: configured once, opened where it is wanted."""

import asyncio

import pytest

from helvetia.billing.errors import CancellationScheduled, NotSubscribed
from helvetia.billing.open_portal import PortalPage
from helvetia.catalogue.plans import SubscriptionPlan
from support.billing_house import BillingHouse
from support.stripe_world import StripeWorld

ACTOR = "user:test"


async def test_portal_is_configured_once(house: BillingHouse, world: StripeWorld) -> None:
    account_id = await house.new_account()
    urls = await asyncio.gather(*(house.billing.create_portal_session(account_id, actor=ACTOR) for _ in range(5)))
    assert len(set(urls)) == 5
    await house.billing.create_portal_session(account_id, PortalPage.INVOICES, actor=ACTOR)
    found = [one for one in (await world.v1.billing_portal.configurations.list_async({})).data if not one.is_default]
    assert len(found) == 1
    features = found[0].features
    assert (features.subscription_update.enabled, features.payment_method_update.enabled) == (False, True)
    assert (features.subscription_cancel.mode, features.invoice_history.enabled) == ("at_period_end", True)


async def test_link_leads_to_cards_and_to_the_end(house: BillingHouse, world: StripeWorld) -> None:
    account_id = await house.new_account()
    await house.billing.create_subscription(account_id, SubscriptionPlan.PRO, "pm_card_visa")
    for page in (PortalPage.PAYMENT_METHOD, PortalPage.CANCEL):
        assert (await house.billing.create_portal_session(account_id, page, actor=ACTOR)).startswith("http")


async def test_end_without_a_subscription_is_refused(house: BillingHouse) -> None:
    with pytest.raises(NotSubscribed):
        await house.billing.create_portal_session(await house.new_account(), PortalPage.CANCEL, actor=ACTOR)


async def test_end_that_is_planned_already_is_refused(house: BillingHouse) -> None:
    account_id = await house.new_account()
    await house.billing.create_subscription(account_id, SubscriptionPlan.PRO, "pm_card_visa")
    await house.billing.cancel_subscription(account_id, actor=ACTOR)
    with pytest.raises(CancellationScheduled):
        await house.billing.create_portal_session(account_id, PortalPage.CANCEL, actor=ACTOR)

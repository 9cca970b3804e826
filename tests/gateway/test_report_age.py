"""The age of the oldest report that Stripe has not taken, as operators see it."""

from datetime import timedelta

import pytest

from helvetia.catalogue.plans import SubscriptionPlan
from helvetia.kernel.quantity import NS_PER_HOUR, UsageMetric
from helvetia.observability.metrics import REPORTS_OLDEST_DUE_S
from helvetia.stripe_gateway.errors import PricesNotVerified
from helvetia.stripe_gateway.model import PriceBook
from support.billing_house import BillingHouse


def age_s() -> float:
    return float(REPORTS_OLDEST_DUE_S._value.get())


async def test_age_of_what_stripe_has_not_taken_is_told_until_it_takes_it(
    house: BillingHouse, price_book: PriceBook
) -> None:
    """Given reports that wait, then the oldest one's age grows, also while prices are not verified, and ends at 0."""
    account_id = await house.new_account()
    await house.billing.create_subscription(account_id, SubscriptionPlan.PRO, "pm_card_visa")
    starts_at = house.clock.now()
    await house.add_closed_usage(account_id, UsageMetric.COMPUTE_HOURS, NS_PER_HOUR, starts_at)
    await house.reports.queue(account_id)
    house.clock.advance(timedelta(minutes=10))
    await house.add_closed_usage(account_id, UsageMetric.STORAGE_GB, 10**30, starts_at)
    await house.reports.queue(account_id)
    house.clock.advance(timedelta(seconds=30))
    house.prices.fail("a price is another one")
    with pytest.raises(PricesNotVerified):
        await house.reports.drain()
    assert age_s() == 630
    house.prices.fill(price_book)
    assert (await house.reports.drain()).sent_count == 2
    assert age_s() == 0

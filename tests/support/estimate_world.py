"""Subscribers with usage, and their estimate held against Stripe's own preview."""

import random
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

from helvetia.catalogue.plans import SubscriptionPlan
from helvetia.costs.estimate.model import Estimate
from helvetia.kernel.identity import AccountId
from helvetia.kernel.quantity import SOLD_UNITS, UsageMetric
from helvetia.stripe_gateway.client import StripeClientGateway
from support.billing_house import BillingHouse, MovableClock

START = datetime(2026, 3, 10, 10, 17, 23, tzinfo=UTC)


@dataclass(frozen=True, kw_only=True)
class Subscriber:
    """A PRO subscriber and Stripe's names of it."""

    account_id: AccountId
    customer_id: str
    subscription_id: str


async def new_subscriber(house: BillingHouse, plan: SubscriptionPlan = SubscriptionPlan.PRO) -> Subscriber:
    account_id = await house.new_account()
    record = await house.billing.create_subscription(account_id, plan, "pm_card_visa")
    assert record.stripe_customer_id is not None
    assert record.stripe_subscription_id is not None
    return Subscriber(
        account_id=account_id, customer_id=record.stripe_customer_id, subscription_id=record.stripe_subscription_id
    )


async def use_everything(house: BillingHouse, account_id: AccountId, luck: random.Random) -> None:
    for metric in UsageMetric:
        quantity = luck.randrange(SOLD_UNITS[metric].base_per_unit * 2000)
        await house.add_closed_usage(account_id, metric, quantity, START)


async def report(house: BillingHouse, clock: MovableClock, account_id: AccountId) -> None:
    await house.reports.queue(account_id)
    await house.reports.send_due()
    clock.wall_shift += timedelta(minutes=30)
    await house.reports.confirm_all()


async def read_estimate(house: BillingHouse, account_id: AccountId) -> Estimate:
    """What the worker does, then what the page asks; the worker's own check must have found nothing."""
    await house.subscriptions.sync_subscription(account_id)
    assert not await house.estimates.read_account(account_id)
    return await house.estimates.estimate(account_id)


async def assert_is_stripes(gateway: StripeClientGateway, subscriber: Subscriber, estimate: Estimate) -> None:
    preview = await gateway.preview_upcoming(subscriber.subscription_id)
    assert preview is not None
    ours = [
        (line.price_id, line.quantity, line.amount_minor, line.discount_minor, line.added_tax_minor)
        for line in estimate.lines
    ]
    stripes = [
        (line.price_id, line.quantity, line.amount_minor, line.discount_minor, line.tax_minor) for line in preview.lines
    ]
    assert [one[:1] + one[2:] for one in ours] == [one[:1] + one[2:] for one in stripes]
    assert [one[1] for one in ours if one[1] is not None] == [
        theirs[1] for mine, theirs in zip(ours, stripes, strict=True) if mine[1] is not None
    ]
    assert (estimate.sums.total_minor, estimate.sums.amount_due_minor) == (
        preview.total_minor,
        preview.amount_due_minor,
    )

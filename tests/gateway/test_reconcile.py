"""Comparing with Stripe: what differs is found field by field, repaired where it is safe, and reported where not."""

from collections.abc import AsyncIterator
from datetime import timedelta

import pytest

from helvetia.catalogue.plans import SubscriptionPlan
from helvetia.kernel.identity import AccountId
from helvetia.kernel.quantity import BYTES_PER_GB, NS_PER_HOUR, UsageMetric
from helvetia.meter_reports.model import ReportState
from helvetia.stripe_gateway.client import StripeClientGateway
from support.billing_house import BillingHouse
from support.stripe_world import StripeWorld
from support.webhook_house import WebhookHouse, webhook_house


@pytest.fixture
async def served(house: BillingHouse, gateway: StripeClientGateway) -> AsyncIterator[WebhookHouse]:
    async with webhook_house(house, gateway, works=False) as served:
        yield served


async def subscribed(house: BillingHouse) -> AccountId:
    account_id = await house.new_account()
    await house.billing.create_subscription(account_id, SubscriptionPlan.PRO, "pm_card_visa")
    await house.billing.mirror_invoices(account_id)
    return account_id


async def tamper(house: BillingHouse, statement: str, *values: object) -> None:
    async with house.database.transaction() as tx:
        await tx.execute(statement, values)  # type: ignore[arg-type]


async def test_nothing_differs_after_an_ordinary_life(served: WebhookHouse) -> None:
    await subscribed(served.house)
    await served.house.new_account()
    found = await served.service.compare_all()
    assert (found.compared_count, found.failed_count, found.differences, found.is_clean) == (1, 0, (), True)


async def test_every_field_that_was_spoilt_is_found_and_repaired(served: WebhookHouse) -> None:
    account_id = await subscribed(served.house)
    await tamper(
        served.house,
        "UPDATE subscriptions SET plan = 'STARTER', status = 'UNPAID', stripe_status = 'unpaid', fee_minor = 5,"
        " cancel_at = %s, current_period_end = current_period_end + interval '1 day' WHERE account_id = %s",
        *(served.house.clock.now(), account_id),
    )
    await tamper(
        served.house,
        "UPDATE invoices SET status = 'open', amount_paid_minor = 0, attempt_count = 9 WHERE account_id = %s",
        account_id,
    )
    found = await served.service.compare_all()
    assert {(one.thing, one.field) for one in found.differences} == {
        *{("subscription", name) for name in ("plan", "status", "stripe_status", "fee_minor", "cancel_at")},
        ("subscription", "current_period_end"),
        *{("invoice", name) for name in ("status", "amount_paid_minor", "attempt_count")},
    }
    assert found.is_clean
    assert (await served.service.compare_all()).differences == ()


async def test_missing_invoice_is_copied_and_deleted_draft_is_forgotten(
    served: WebhookHouse, world: StripeWorld
) -> None:
    account_id = await subscribed(served.house)
    await tamper(served.house, "DELETE FROM invoices WHERE account_id = %s", account_id)
    [missing] = (await served.service.compare_all()).differences
    assert (missing.field, missing.ours, missing.stripes, missing.is_repaired) == ("exists", "False", "True", True)
    for invoice_id, status in (("in_draft", "draft"), ("in_ghost", "paid")):
        await tamper(
            served.house,
            "INSERT INTO invoices SELECT account_id, %s, stripe_subscription_id, number, %s, billing_reason, currency,"
            " subtotal_minor, total_minor, amount_due_minor, amount_paid_minor, amount_remaining_minor, attempt_count,"
            " next_payment_attempt_at, period_start, period_end, issued_at, finalized_at, paid_at, fetch_seq"
            " FROM invoices WHERE account_id = %s AND stripe_invoice_id NOT IN ('in_draft', 'in_ghost')",
            *(invoice_id, status, account_id),
        )
    found = await served.service.compare_all()
    assert {(one.thing_id, one.is_repaired) for one in found.differences} == {("in_draft", True), ("in_ghost", False)}
    assert not found.is_clean
    await tamper(served.house, "DELETE FROM invoices WHERE stripe_invoice_id = 'in_ghost'")


async def test_deleted_and_foreign_customers_are_only_reported(served: WebhookHouse, world: StripeWorld) -> None:
    gone, foreign = await subscribed(served.house), await subscribed(served.house)
    gone_id = (await served.house.subscriptions.get_subscription(gone)).stripe_customer_id
    foreign_id = (await served.house.subscriptions.get_subscription(foreign)).stripe_customer_id
    assert gone_id is not None
    assert foreign_id is not None
    await world.v1.customers.delete_async(gone_id)
    await world.v1.customers.update_async(foreign_id, {"metadata": {"account_id": "somebody else"}})
    left = {
        (one.thing_id, one.field) for one in (await served.service.compare_all()).differences if not one.is_repaired
    }
    assert left == {(gone_id, "deleted"), (foreign_id, "account_id")}


async def test_nightly_comparison_takes_each_account_once_a_day(served: WebhookHouse) -> None:
    for _ in range(2):
        await subscribed(served.house)
    assert (await served.service.compare_due()).compared_count == 2
    assert (await served.service.compare_due()).compared_count == 0
    served.house.clock.wall_shift += timedelta(hours=25)  # type: ignore[attr-defined]
    assert (await served.service.compare_due()).compared_count == 2


async def test_refused_usage_is_reported_again_and_confirmed_usage_stands(served: WebhookHouse) -> None:
    house = served.house
    account_id = await subscribed(house)
    for metric in (UsageMetric.COMPUTE_HOURS, UsageMetric.MEMORY_GB_HOURS):
        quantity = NS_PER_HOUR * (1 if metric is UsageMetric.COMPUTE_HOURS else BYTES_PER_GB)
        await house.add_closed_usage(account_id, metric, quantity, house.clock.now(), incarnation=metric)
    await house.reports.queue(account_id)
    await house.reports.send_due()
    refused, kept = await house.all_reports(account_id)
    assert await house.reports.reject([refused.identifier, "not ours"], "no_meter") == 1
    assert await house.reports.reject([refused.identifier], "no_meter") == 0
    states = {one.identifier: one.state for one in await house.all_reports(account_id)}
    assert states[refused.identifier] is ReportState.REJECTED
    assert states[kept.identifier] is ReportState.SENT
    house.clock.wall_shift += timedelta(hours=2)  # type: ignore[attr-defined]
    assert await house.reports.queue(account_id) == 1
    reports = await house.all_reports(account_id)
    assert sum(one.value for one in reports if one.state is not ReportState.REJECTED) == refused.value + kept.value

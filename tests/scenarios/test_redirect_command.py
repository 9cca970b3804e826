"""`helvetia redirect-report`, as an operator calls it against a Stripe: exit code, words, what is left."""

from collections.abc import AsyncIterator
from datetime import UTC, datetime

import pytest

from helvetia.catalogue.plans import SubscriptionPlan
from helvetia.database.pool import Database
from helvetia.kernel.clock import ManualClock
from helvetia.kernel.quantity import NS_PER_HOUR, UsageMetric
from helvetia.meter_reports.model import ReportState
from helvetia.stripe_gateway.catalog import set_up_catalog, verify_prices
from helvetia.stripe_gateway.client import StripeClientGateway
from helvetia.stripe_gateway.price_book_holder import PriceBookHolder
from support.billing_house import BillingHouse, build_house
from support.command_shell import Shell
from support.stray_usage import at_customer, linked_to


@pytest.fixture
async def house(shell: Shell, database: Database, sandbox_url: str) -> AsyncIterator[BillingHouse]:
    """By the real time, as the command is."""
    gateway = StripeClientGateway(shell.variables["STRIPE_SECRET_KEY"], api_base=sandbox_url)
    holder = PriceBookHolder()
    holder.fill(await verify_prices(gateway, await set_up_catalog(gateway)))
    yield build_house(database, ManualClock(datetime.now(UTC)), gateway, holder)
    await gateway.close()


async def test_report_of_another_customer_is_named_by_reconcile_and_taken_back_as_it_says(
    shell: Shell, house: BillingHouse
) -> None:
    account_id, other_id = await house.new_account(), await house.new_account()
    record = await house.billing.create_subscription(account_id, SubscriptionPlan.PRO, "pm_card_visa")
    wrong_id = await house.billing.get_or_create_customer(other_id)
    async with linked_to(house, account_id, wrong_id):
        at = record.period.starts_at
        await house.add_closed_usage(account_id, UsageMetric.COMPUTE_HOURS, 7 * NS_PER_HOUR, at)
        await house.reports.queue(account_id)
        await house.reports.send_due()
    [stray] = await at_customer(house, account_id, wrong_id)
    differing = await shell.helvetia("reconcile", "--usage")
    command = f"helvetia redirect-report --report {stray.identifier} --reason"
    assert (differing.code, command in differing.out) == (1, True), differing.out
    redirect = ("redirect-report", "--report", stray.identifier)
    without = await shell.helvetia(*redirect)
    assert (without.code, "[reason_missing]" in without.err, "Traceback" in without.err) == (1, True, False)
    for _ in range(2):
        done = await shell.helvetia(*redirect, "--reason", "linked to the wrong customer")
        assert done.code == 0, done.err
        assert done.out.splitlines() == [
            f"done: 7.000000 of COMPUTE_HOURS is taken back from {wrong_id}",
            f"the worker reports it within minutes to {record.stripe_customer_id}",
        ]
    [row] = await house.all_reports(account_id)
    assert row.state is ReportState.REJECTED

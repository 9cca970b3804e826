"""`helvetia reconcile` against a real sandbox: its JSON and its exit codes, whatever it finds."""

import json
from collections.abc import AsyncIterator
from datetime import UTC, datetime

import pytest

from helvetia.catalogue.plans import SubscriptionPlan
from helvetia.database.pool import Database
from helvetia.kernel.clock import ManualClock
from helvetia.kernel.identity import AccountId
from helvetia.kernel.quantity import NS_PER_HOUR, UsageMetric
from helvetia.stripe_gateway.catalog import set_up_catalog, verify_prices
from helvetia.stripe_gateway.client import StripeClientGateway
from helvetia.stripe_gateway.price_book_holder import PriceBookHolder
from support.billing_house import BillingHouse, build_house
from support.command_shell import Shell

NOWHERE = "http://127.0.0.1:1"


@pytest.fixture
async def gateway(shell: Shell, sandbox_url: str) -> AsyncIterator[StripeClientGateway]:
    gateway = StripeClientGateway(shell.variables["STRIPE_SECRET_KEY"], api_base=sandbox_url)
    yield gateway
    await gateway.close()


@pytest.fixture
async def house(database: Database, gateway: StripeClientGateway) -> BillingHouse:
    """By the real time, as the command is."""
    holder = PriceBookHolder()
    holder.fill(await verify_prices(gateway, await set_up_catalog(gateway)))
    return build_house(database, ManualClock(datetime.now(UTC)), gateway, holder)


@pytest.fixture
async def account_id(house: BillingHouse) -> AccountId:
    """One that is subscribed and mirrored."""
    account_id = await house.new_account()
    await house.billing.create_subscription(account_id, SubscriptionPlan.PRO, "pm_card_visa")
    await house.billing.mirror_invoices(account_id)
    return account_id


async def test_equal_is_zero_and_says_what_was_read(shell: Shell, account_id: AccountId) -> None:
    answer = await shell.helvetia("reconcile", "--json")
    read = json.loads(answer.out)
    assert (answer.code, read["differences"]) == (0, [])
    assert (read["comparedAccounts"], read["failedAccounts"]) == (1, 0)
    assert read["eventsCompleteFrom"] < read["eventsCompleteUntil"]


async def test_repaired_difference_is_told_once_and_is_zero(
    shell: Shell, house: BillingHouse, account_id: AccountId
) -> None:
    async with house.database.transaction() as tx:
        await tx.execute("UPDATE subscriptions SET fee_minor = 5 WHERE account_id = %s", (account_id,))
        await tx.execute("UPDATE invoices SET attempt_count = 9 WHERE account_id = %s", (account_id,))
    answer = await shell.helvetia("reconcile", "--json")
    found = {(one["thing"], one["field"]): one for one in json.loads(answer.out)["differences"]}
    assert answer.code == 0
    assert set(found) == {("subscription", "fee_minor"), ("invoice", "attempt_count")}
    fee = found["subscription", "fee_minor"]
    assert (fee["accountId"], fee["ours"], fee["stripes"]) == (str(account_id), "5", "2900")
    assert all(one["repaired"] for one in found.values())
    again = await shell.helvetia("reconcile", "--json")
    assert (again.code, json.loads(again.out)["differences"]) == (0, [])


async def test_what_only_a_person_can_decide_is_one(shell: Shell, house: BillingHouse, account_id: AccountId) -> None:
    async with house.database.transaction() as tx:
        await tx.execute(
            "UPDATE subscriptions SET stripe_customer_id = 'cus_nobody' WHERE account_id = %s", (account_id,)
        )
    answer = await shell.helvetia("reconcile", "--json")
    [left] = json.loads(answer.out)["differences"]
    assert (answer.code, left["thingId"], left["field"], left["repaired"]) == (1, "cus_nobody", "exists", False)


async def test_stripe_away_is_one_and_a_sentence(shell: Shell, account_id: AccountId) -> None:
    answer = await shell.helvetia("reconcile", "--json", STRIPE_API_BASE=NOWHERE)
    assert (answer.code, answer.out) == (1, "")
    assert "[stripe_unavailable]" in answer.err
    assert "Traceback" not in answer.err
    assert shell.variables["STRIPE_SECRET_KEY"] not in answer.err


async def test_usage_that_agrees_is_zero(shell: Shell, account_id: AccountId) -> None:
    answer = await shell.helvetia("reconcile", "--usage", "--json")
    assert answer.code == 0
    assert json.loads(answer.out) == {"comparedAccounts": 1, "failedAccounts": {}, "differences": []}


async def test_usage_that_differs_is_one_and_nothing_is_changed(
    shell: Shell, house: BillingHouse, account_id: AccountId
) -> None:
    began_at = (await house.subscriptions.get_subscription(account_id)).period.starts_at
    await house.add_closed_usage(account_id, UsageMetric.COMPUTE_HOURS, 7 * NS_PER_HOUR, began_at)
    await house.reports.queue(account_id)
    await house.reports.send_due()
    async with house.database.transaction() as tx:
        await tx.execute("DELETE FROM meter_reports WHERE account_id = %s", (account_id,))
    answer = await shell.helvetia("reconcile", "--usage", "--json")
    differences = json.loads(answer.out)["differences"]
    assert (answer.code, [one["metric"] for one in differences]) == (1, ["COMPUTE_HOURS"])
    assert await house.all_reports(account_id) == []


async def test_usage_while_stripe_is_away_is_three(shell: Shell, account_id: AccountId) -> None:
    answer = await shell.helvetia("reconcile", "--usage", "--json", STRIPE_API_BASE=NOWHERE)
    assert (answer.code, answer.out) == (3, "")
    assert "[prices_not_verified]" in answer.err

"""Leaving: every refusal, the success that keeps the evidence, and the race with a checkout."""

import asyncio
from datetime import timedelta
from typing import Any

import pytest

from helvetia.accounts.errors import AccountNotFound, InvalidToken, OwnsOrganizations
from helvetia.accounts.model import Role
from helvetia.billing.errors import NothingCharged
from helvetia.catalogue.plans import SubscriptionPlan
from helvetia.kernel.errors import HelvetiaError
from helvetia.kernel.identity import AccountId
from helvetia.kernel.quantity import NS_PER_HOUR, UsageMetric
from helvetia.meter_reports.closing.errors import (
    CancellationUnfinished,
    InvoicesNotSettled,
    ServicesRemain,
    UsageNotBilled,
)
from helvetia.stripe_gateway.actions import CheckoutSession, NewCheckout
from helvetia.stripe_gateway.client import StripeClientGateway
from helvetia.stripe_gateway.price_book_holder import PriceBookHolder
from helvetia.subscriptions.errors import SubscriptionStillLive
from support.billing_house import BillingHouse, build_house
from support.stripe_world import StripeWorld

ACTOR = "user:test"
PRO = SubscriptionPlan.PRO


async def subscriber(house: BillingHouse) -> AccountId:
    account_id = await house.new_account()
    await house.billing.create_subscription(account_id, PRO, "pm_card_visa")
    return account_id


async def close(house: BillingHouse, account_id: AccountId) -> None:
    await house.closing.close_account(account_id, actor=ACTOR)


async def one(house: BillingHouse, statement: str, account_id: AccountId) -> Any:
    async with house.database.transaction() as tx:
        row = await (await tx.execute(statement, (account_id,))).fetchone()
    assert row is not None
    return row[0]


async def test_free_account_is_deleted_and_found_no_more(house: BillingHouse) -> None:
    user = await house.accounts.create_user("ada@example.com")
    token = await house.accounts.create_token(user.account_id, "test")
    await close(house, user.account_id)
    assert await house.accounts.find_account(user.account_id) is None
    with pytest.raises(InvalidToken):
        await house.accounts.authenticate_token(token)
    with pytest.raises(AccountNotFound):
        await close(house, user.account_id)
    assert (await house.accounts.create_user("ada@example.com")).account_id != user.account_id
    assert await one(house, "SELECT email FROM users WHERE account_id = %s", user.account_id) == (
        f"{user.account_id}@deleted.invalid"
    )
    assert "account_deleted" in await _audited(house, user.account_id)


async def _audited(house: BillingHouse, account_id: AccountId) -> list[str]:
    async with house.database.transaction() as tx:
        cursor = await tx.execute("SELECT action FROM audit_entries WHERE account_id = %s", (account_id,))
        return [row[0] for row in await cursor.fetchall()]


async def test_live_plan_is_ended_and_billed_before_the_account_goes(house: BillingHouse, world: StripeWorld) -> None:
    account_id = await subscriber(house)
    start = house.clock.now() + timedelta(hours=1)
    await world.advance_to(start + timedelta(days=1))
    await house.add_closed_usage(account_id, UsageMetric.COMPUTE_HOURS, 100 * NS_PER_HOUR, start)
    with pytest.raises(SubscriptionStillLive):
        await close(house, account_id)
    await house.billing.cancel_subscription(account_id, now=True, actor=ACTOR)
    with pytest.raises((CancellationUnfinished, SubscriptionStillLive)):
        await close(house, account_id)
    assert await house.reports.finish_cancellation(account_id)
    await close(house, account_id)
    assert await house.accounts.find_account(account_id) is None
    assert await one(house, "SELECT count(*) FROM usage_records WHERE account_id = %s", account_id) == 1
    assert await one(house, "SELECT count(*) FROM invoices WHERE account_id = %s", account_id) == 2


async def test_unfinished_cancellation_keeps_the_account(house: BillingHouse, world: StripeWorld) -> None:
    """Ended at Stripe, and our own part of it not done yet."""
    account_id = await subscriber(house)
    await house.billing.cancel_subscription(account_id, now=True, actor=ACTOR)
    record = await house.subscriptions.get_subscription(account_id)
    await world.v1.subscriptions.cancel_async(str(record.stripe_subscription_id))
    with pytest.raises(CancellationUnfinished):
        await close(house, account_id)
    await house.reports.finish_cancellation(account_id)
    await close(house, account_id)


async def test_services_and_running_containers_keep_the_account(house: BillingHouse) -> None:
    account_id = await house.new_account()
    service_id = await house.new_service(account_id)
    with pytest.raises(ServicesRemain) as refused:
        await close(house, account_id)
    assert refused.value.figures["services"] == 1
    async with house.database.transaction() as tx:
        await tx.execute("UPDATE services SET deleted_at = %s WHERE service_id = %s", (house.clock.now(), service_id))
    await close(house, account_id)


async def test_unbilled_usage_keeps_the_account(house: BillingHouse, world: StripeWorld) -> None:
    account_id = await subscriber(house)
    start = house.clock.now() + timedelta(hours=1)
    await world.advance_to(start + timedelta(days=1))
    await house.add_closed_usage(account_id, UsageMetric.COMPUTE_HOURS, NS_PER_HOUR, start)
    record = await house.subscriptions.get_subscription(account_id)
    await world.v1.subscriptions.cancel_async(str(record.stripe_subscription_id))
    with pytest.raises(UsageNotBilled):
        await close(house, account_id)
    async with house.database.transaction() as tx:
        await tx.execute(
            "UPDATE meter_reports SET state = 'dead', settled_at = %s, last_error = 'settled by the operator'"
            " WHERE account_id = %s",
            (house.clock.wall(), account_id),
        )
    await close(house, account_id)


async def test_open_invoice_keeps_the_account(house: BillingHouse, world: StripeWorld) -> None:
    account_id = await subscriber(house)
    record = await house.subscriptions.get_subscription(account_id)
    item = await world.v1.invoices.list_async({"customer": str(record.stripe_customer_id)})
    assert item.data
    await world.v1.subscriptions.cancel_async(str(record.stripe_subscription_id))
    await house.billing.mirror_invoices(account_id)
    async with house.database.transaction() as tx:
        await tx.execute(
            "INSERT INTO invoices (account_id, stripe_invoice_id, status, currency, subtotal_minor, total_minor,"
            " amount_due_minor, amount_paid_minor, amount_remaining_minor, attempt_count, period_start, period_end,"
            " issued_at, fetch_seq) VALUES (%s, 'in_open', 'open', 'usd', 5, 5, 5, 0, 5, 1, %s, %s, %s, 1)",
            (account_id, *[house.clock.now()] * 3),
        )
    with pytest.raises(InvoicesNotSettled):
        await close(house, account_id)
    async with house.database.transaction() as tx:
        await tx.execute("UPDATE invoices SET status = 'uncollectible' WHERE stripe_invoice_id = 'in_open'")
    await close(house, account_id)


async def test_only_owner_cannot_leave_before_the_organization(house: BillingHouse) -> None:
    owner, heir = await house.new_account(), await house.new_account()
    organization = (await house.accounts.create_organization("Alpine Labs", owner)).account_id
    other = (await house.accounts.create_organization("Jura Labs", owner)).account_id
    with pytest.raises(OwnsOrganizations):
        await close(house, owner)
    await close(house, organization)
    with pytest.raises(OwnsOrganizations):
        await close(house, owner)
    await house.accounts.set_role(other, heir, Role.OWNER, actor=ACTOR)
    await close(house, owner)
    with pytest.raises(AccountNotFound):
        await house.accounts.membership(organization, owner)
    assert [one.account.account_id for one in await house.accounts.memberships(heir)] == [heir, other]


async def test_open_checkout_is_closed_before_the_account_goes(house: BillingHouse, world: StripeWorld) -> None:
    account_id = await house.new_account()
    session = await house.billing.create_checkout_session(account_id, PRO, actor=ACTOR)
    await close(house, account_id)
    assert (await world.v1.checkout.sessions.retrieve_async(session.session_id)).status == "expired"
    with pytest.raises(AccountNotFound):
        await house.billing.create_checkout_session(account_id, PRO, actor=ACTOR)


@pytest.mark.parametrize("is_slow", [False, True])
async def test_checkout_and_deletion_at_once_leave_no_open_page_of_a_deleted_account(
    house: BillingHouse,
    world: StripeWorld,
    holder: PriceBookHolder,
    sandbox_url: str,
    secret_key: str,
    is_slow: bool,
) -> None:
    class Slow(StripeClientGateway):
        async def create_checkout_session(self, new: NewCheckout) -> CheckoutSession:
            await asyncio.sleep(0.5 if is_slow else 0)
            return await super().create_checkout_session(new)

    account_id = await house.new_account()
    await house.billing.get_or_create_customer(account_id)
    slow = Slow(secret_key, api_base=sandbox_url)
    other = build_house(house.database, house.clock, slow, holder, sandbox_origin=sandbox_url)
    outcomes = await asyncio.gather(
        other.billing.create_checkout_session(account_id, PRO, actor=ACTOR),
        close(house, account_id),
        return_exceptions=True,
    )
    await slow.close()
    assert all(outcome is None or isinstance(outcome, HelvetiaError | CheckoutSession) for outcome in outcomes)
    open_pages = [
        session for session in (await world.v1.checkout.sessions.list_async({"limit": 100})).data if session.url
    ]
    is_deleted = await house.accounts.find_account(account_id) is None
    assert is_deleted
    assert open_pages == []


async def test_stripe_away_deletes_no_customer_but_a_free_account(house: BillingHouse, holder: PriceBookHolder) -> None:
    nowhere = StripeClientGateway("sk_test_x", api_base="http://127.0.0.1:1")
    away = build_house(house.database, house.clock, nowhere, holder)
    customer, free = await house.new_account(), await house.new_account()
    await house.billing.get_or_create_customer(customer)
    with pytest.raises(NothingCharged):
        await close(away, customer)
    await close(away, free)
    await nowhere.close()
    assert await house.accounts.find_account(customer) is not None

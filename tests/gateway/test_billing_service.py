"""Customers, subscribing in parallel, invoices and their mirror."""

import asyncio
from datetime import UTC, datetime, timedelta
from decimal import Decimal

import pytest

from helvetia.billing.errors import AlreadySubscribed, InvalidCursor, InvoiceNotFound, SubscribingInProgress
from helvetia.billing.store import save_invoice
from helvetia.catalogue.plans import SubscriptionPlan
from helvetia.stripe_gateway.client import StripeClientGateway
from helvetia.stripe_gateway.errors import PricesNotVerified
from helvetia.stripe_gateway.price_book_holder import PriceBookHolder
from support.billing_house import BillingHouse, build_house
from support.stripe_world import StripeWorld

APRIL = datetime(2026, 4, 10, 10, 17, 23, tzinfo=UTC)


async def test_w10_parallel_callers_get_one_customer(house: BillingHouse, world: StripeWorld) -> None:
    account_id = await house.new_account()
    found = await asyncio.gather(*(house.billing.get_or_create_customer(account_id) for _ in range(8)))
    assert len(set(found)) == 1
    assert len((await world.v1.customers.list_async({"limit": 100})).data) == 1
    customer = await world.v1.customers.retrieve_async(found[0])
    assert customer.metadata is not None
    assert customer.metadata["account_id"] == str(account_id)


async def test_customer_made_before_a_crash_is_found_again(
    house: BillingHouse, gateway: StripeClientGateway, world: StripeWorld
) -> None:
    account_id = await house.new_account()
    first = await house.billing.get_or_create_customer(account_id)
    async with house.database.transaction() as tx:
        await tx.execute("UPDATE subscriptions SET stripe_customer_id = NULL WHERE account_id = %s", (account_id,))
    assert await house.billing.get_or_create_customer(account_id) == first
    assert len((await world.v1.customers.list_async({"limit": 100})).data) == 1


async def test_parallel_subscribing_yields_one_subscription(house: BillingHouse, world: StripeWorld) -> None:
    account_id = await house.new_account()
    outcomes = await asyncio.gather(
        *(house.billing.create_subscription(account_id, SubscriptionPlan.PRO, "pm_card_visa") for _ in range(4)),
        return_exceptions=True,
    )
    refused = [outcome for outcome in outcomes if isinstance(outcome, BaseException)]
    assert len(refused) == 3
    assert all(isinstance(error, (SubscribingInProgress, AlreadySubscribed)) for error in refused)
    assert len((await world.v1.subscriptions.list_async({"status": "all"})).data) == 1


async def test_nothing_is_sold_at_prices_that_are_not_verified(
    house: BillingHouse, gateway: StripeClientGateway
) -> None:
    holder = PriceBookHolder()
    holder.fail("STRIPE_PRICE_ID_PRO is wrong")
    other = build_house(house.database, house.clock, gateway, holder)
    account_id = await house.new_account()
    with pytest.raises(PricesNotVerified, match="STRIPE_PRICE_ID_PRO is wrong"):
        await other.billing.create_subscription(account_id, SubscriptionPlan.PRO, "pm_card_visa")


async def test_d07_invoices_are_mirrored_with_lines_and_paged(house: BillingHouse, world: StripeWorld) -> None:
    account_id = await house.new_account()
    assert await house.billing.mirror_invoices(account_id) == 0
    await house.billing.create_subscription(account_id, SubscriptionPlan.PRO, "pm_card_visa")
    await world.advance_to(APRIL + timedelta(hours=2))
    assert await house.billing.mirror_all() == 1
    assert await house.billing.mirror_invoices(account_id) == 0
    first = await house.billing.get_invoices(account_id, limit=1)
    assert first.next_cursor is not None
    second = await house.billing.get_invoices(account_id, limit=1, cursor=first.next_cursor)
    assert second.next_cursor is None
    reasons = [page.invoices[0].billing_reason for page in (first, second)]
    assert reasons == ["subscription_cycle", "subscription_create"]
    newest, lines = await house.billing.get_invoice(account_id, first.invoices[0].stripe_invoice_id)
    assert (newest.status, newest.total_minor) == ("paid", 2900)
    assert len(lines) == 5
    assert {line.unit_price_minor for line in lines} >= {Decimal("0.5"), Decimal("2.3"), Decimal(12)}
    other_id = await house.new_account()
    with pytest.raises(InvoiceNotFound):
        await house.billing.get_invoice(other_id, newest.stripe_invoice_id)
    with pytest.raises(InvalidCursor):
        await house.billing.get_invoices(account_id, cursor="%%%")


async def test_stale_invoice_never_overwrites_a_newer_copy(
    house: BillingHouse, gateway: StripeClientGateway, world: StripeWorld
) -> None:
    account_id = await house.new_account()
    await house.billing.create_subscription(account_id, SubscriptionPlan.PRO, "pm_card_visa")
    customer_id = await house.billing.get_or_create_customer(account_id)
    await world.advance_to(APRIL + timedelta(minutes=1))
    old_seq = await house.subscriptions.next_fetch_seq()
    draft = (await gateway.list_invoices(customer_id=customer_id))[0]
    assert draft.status == "draft"
    await world.advance_to(APRIL + timedelta(hours=2))
    await house.billing.mirror_invoices(account_id)
    async with house.database.transaction() as tx:
        assert not await save_invoice(tx, account_id, draft, fetch_seq=old_seq)
    invoice, _ = await house.billing.get_invoice(account_id, draft.invoice_id)
    assert invoice.status == "paid"

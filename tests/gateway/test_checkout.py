"""Checkout: one page, one subscription, however many ask at once."""

import asyncio
from dataclasses import replace

import pytest

from helvetia.billing.errors import AlreadySubscribed, NothingCharged, PlanNotSold, UntrustedAddress
from helvetia.billing.model import BillingConfig, checked_address
from helvetia.catalogue.plans import SubscriptionPlan
from helvetia.stripe_gateway.action_params import of_new_checkout
from helvetia.stripe_gateway.actions import NewCheckout
from helvetia.stripe_gateway.client import StripeClientGateway
from helvetia.stripe_gateway.model import PriceBook
from helvetia.stripe_gateway.price_book_holder import PriceBookHolder
from support.billing_house import BillingHouse, build_house
from support.stripe_world import StripeWorld

PRO, STARTER = SubscriptionPlan.PRO, SubscriptionPlan.STARTER
ACTOR = "user:test"


async def test_w08_fifty_parallel_checkouts_are_one_page(house: BillingHouse, world: StripeWorld) -> None:
    account_id = await house.new_account()
    sessions = await asyncio.gather(
        *(house.billing.create_checkout_session(account_id, PRO, actor=ACTOR) for _ in range(50))
    )
    assert len({session.session_id for session in sessions}) == 1
    assert len((await world.v1.checkout.sessions.list_async({"limit": 100})).data) == 1
    assert len((await world.v1.customers.list_async({"limit": 100})).data) == 1


async def test_m03_page_sells_the_fixed_and_the_four_metered_prices(
    house: BillingHouse, world: StripeWorld, price_book: PriceBook
) -> None:
    account_id = await house.new_account()
    session = await house.billing.create_checkout_session(account_id, STARTER, actor=ACTOR)
    found = await world.v1.checkout.sessions.retrieve_async(session.session_id, {"expand": ["line_items"]})
    assert found.line_items is not None
    sold = {
        line.price.id: line.quantity if "quantity" in line else None for line in found.line_items.data if line.price
    }
    wanted: dict[str, int | None] = {price.price_id: None for price in price_book.meters.values()}
    assert sold == {**wanted, price_book.plans[STARTER].price_id: 1}
    assert found.metadata is not None
    assert found.metadata.to_dict() == {"account_id": str(account_id), "plan": "STARTER"}
    assert found.success_url == "http://127.0.0.1:8000/billing/success?session_id={CHECKOUT_SESSION_ID}"
    assert found.amount_total == 900


async def test_another_plan_closes_the_page_before(house: BillingHouse, world: StripeWorld) -> None:
    account_id = await house.new_account()
    first = await house.billing.create_checkout_session(account_id, PRO, actor=ACTOR)
    second = await house.billing.create_checkout_session(account_id, STARTER, actor=ACTOR)
    assert first.session_id != second.session_id
    states = {one.id: one.status for one in (await world.v1.checkout.sessions.list_async({})).data}
    assert states == {first.session_id: "expired", second.session_id: "open"}


async def test_w08_subscriber_is_never_sent_to_a_second_checkout(house: BillingHouse, world: StripeWorld) -> None:
    account_id = await house.new_account()
    await house.billing.create_subscription(account_id, STARTER, "pm_card_visa")
    with pytest.raises(AlreadySubscribed) as refused:
        await house.billing.create_checkout_session(account_id, PRO, actor=ACTOR)
    assert refused.value.figures["change_at"] == "/api/v1/billing/subscription/change"
    assert (await world.v1.checkout.sessions.list_async({})).data == []


async def test_subscriber_found_only_at_stripe_is_refused_too(house: BillingHouse, world: StripeWorld) -> None:
    account_id = await house.new_account()
    await house.billing.create_subscription(account_id, STARTER, "pm_card_visa")
    async with house.database.transaction() as tx:
        await tx.execute("UPDATE subscriptions SET stripe_subscription_id = NULL, plan = 'FREE'")
    with pytest.raises(AlreadySubscribed):
        await house.billing.create_checkout_session(account_id, PRO, actor=ACTOR)


async def test_free_is_not_sold(house: BillingHouse) -> None:
    with pytest.raises(PlanNotSold):
        await house.billing.create_checkout_session(await house.new_account(), SubscriptionPlan.FREE, actor=ACTOR)


async def test_stripe_away_says_that_nothing_was_charged(house: BillingHouse, holder: PriceBookHolder) -> None:
    nowhere = StripeClientGateway("sk_test_x", api_base="http://127.0.0.1:1")
    other = build_house(house.database, house.clock, nowhere, holder)
    account_id = await house.new_account()
    with pytest.raises(NothingCharged) as refused:
        await other.billing.create_checkout_session(account_id, PRO, actor=ACTOR)
    assert refused.value.status == 503
    assert refused.value.figures == {"charged": "no", "retry_after_s": 10}
    await nowhere.close()
    assert (await house.subscriptions.get_subscription(account_id)).plan is SubscriptionPlan.FREE


async def test_page_of_another_host_is_not_handed_out(
    house: BillingHouse, gateway: StripeClientGateway, holder: PriceBookHolder, world: StripeWorld
) -> None:
    other = build_house(house.database, house.clock, gateway, holder, test_clock=world.test_clock)
    with pytest.raises(UntrustedAddress):
        await other.billing.create_checkout_session(await house.new_account(), PRO, actor=ACTOR)


@pytest.mark.parametrize(
    ("url", "is_good"),
    [
        ("https://checkout.stripe.com/c/pay/cs_1#x", True),
        ("https://billing.stripe.com:443/p/session/x", True),
        ("https://stripe.com.evil.example/x", False),
        ("https://evilstripe.com/x", False),
        ("http://checkout.stripe.com/x", False),
        ("https://checkout.stripe.com:8443/x", False),
        ("https://a@checkout.stripe.com/x", False),
        ("https://checkout.stripe.com:x/x", False),
        ("http://127.0.0.1:12111/x", True),
        ("http://127.0.0.1:12112/x", False),
        (None, False),
    ],
)
def test_only_stripes_addresses_are_handed_out(url: str | None, is_good: bool) -> None:
    config = BillingConfig(sandbox_origin="http://127.0.0.1:12111")
    if is_good:
        assert checked_address(url, config) == url
    else:
        with pytest.raises(UntrustedAddress):
            checked_address(url, config)


def test_tax_switch_asks_for_address_and_tax_id() -> None:
    new = NewCheckout(
        account_id=None,  # type: ignore[arg-type]
        plan=PRO,
        customer_id="cus_1",
        fixed_price_id="price_1",
        metered_price_ids=["price_2"],
        success_url="https://a.example",
        cancel_url="https://a.example",
        collects_tax=True,
        idempotency_key="k",
    )
    with_tax, without = of_new_checkout(new), of_new_checkout(replace(new, collects_tax=False))
    assert with_tax["automatic_tax"] == {"enabled": True}
    assert with_tax["tax_id_collection"] == {"enabled": True}
    assert with_tax["billing_address_collection"] == "required"
    assert with_tax["customer_update"] == {"address": "auto", "name": "auto"}
    assert not {"automatic_tax", "tax_id_collection", "customer_update"} & set(without)
    assert without["line_items"] == [{"price": "price_1", "quantity": 1}, {"price": "price_2"}]


async def test_card_of_the_subscription_becomes_the_customers(house: BillingHouse, world: StripeWorld) -> None:
    account_id = await house.new_account()
    record = await house.billing.create_subscription(account_id, STARTER, "pm_card_visa")
    customer_id = await house.billing.get_or_create_customer(account_id)
    assert not await house.billing.adopt_card(account_id)
    card = await world.v1.payment_methods.attach_async("pm_card_mastercard", {"customer": customer_id})
    assert record.stripe_subscription_id is not None
    await world.v1.subscriptions.update_async(record.stripe_subscription_id, {"default_payment_method": card.id})
    assert await house.billing.adopt_card(account_id)
    customer = await world.v1.customers.retrieve_async(customer_id)
    assert customer.invoice_settings is not None
    assert customer.invoice_settings.default_payment_method == card.id
    live = await house.billing.get_subscription(account_id)
    assert live is not None
    assert live.default_payment_method_id is None

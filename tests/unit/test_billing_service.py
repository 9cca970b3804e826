"""Every public method of BillingService three times: it does, it refuses, and Stripe is away.

One table; a method without its row fails the first test. Stripe is the sandbox; away is a port nobody listens on.
What each method does in full is proven in tests/gateway.
"""

import asyncio
import inspect
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from dataclasses import dataclass, replace
from decimal import Decimal
from uuid import uuid4

import pytest

from helvetia.billing.errors import (
    AlreadySubscribed,
    InvalidCursor,
    InvalidReport,
    InvoiceNotFound,
    NothingCharged,
    NothingToResume,
    NotSubscribed,
    PlanNotSold,
    PlanUnchanged,
    PreviewOutdated,
)
from helvetia.billing.open_portal import PortalPage
from helvetia.billing.payments.store import find_reading
from helvetia.billing.service import BillingService
from helvetia.catalogue.plans import SubscriptionPlan
from helvetia.database.pool import Database
from helvetia.kernel.clock import ManualClock
from helvetia.kernel.errors import HelvetiaError
from helvetia.kernel.identity import AccountId, new_account_id
from helvetia.kernel.quantity import UsageMetric
from helvetia.kernel.status import SubscriptionStatus
from helvetia.stripe_gateway.catalog import set_up_catalog, verify_prices
from helvetia.stripe_gateway.client import StripeClientGateway
from helvetia.stripe_gateway.errors import AlreadyUsedIdentifier, CardDeclined, StripeUnavailable
from helvetia.stripe_gateway.model import MeterEvent, PriceBook
from helvetia.stripe_gateway.price_book_holder import PriceBookHolder
from helvetia.subscriptions.errors import SubscriptionNotFound, SubscriptionStillLive
from support.billing_house import BillingHouse, build_house
from support.sandbox_process import running_sandbox
from support.stripe_world import StripeWorld

FREE, STARTER, PRO, _ = SubscriptionPlan
VISA, DECLINING = "pm_card_visa", "pm_card_chargeDeclined"
NOWHERE = "http://127.0.0.1:1"
ACTOR = "user:test"


@dataclass(frozen=True, slots=True, kw_only=True)
class World:
    """The service as it is, the same one with Stripe away, one account, and Stripe as an outsider sees it."""

    house: BillingHouse
    billing: BillingService
    away: BillingService
    book: PriceBook
    stripe: StripeWorld
    account_id: AccountId

    async def subscribe(self, plan: SubscriptionPlan = STARTER) -> str:
        record = await self.billing.create_subscription(self.account_id, plan, VISA)
        assert record.stripe_subscription_id is not None
        return record.stripe_subscription_id

    async def meter_event(self) -> MeterEvent:
        return MeterEvent(
            event_name=self.book.meters[UsageMetric.COMPUTE_HOURS].event_name,
            customer_id=await self.billing.get_or_create_customer(self.account_id),
            value=Decimal("0.5"),
            identifier=uuid4().hex,
            occurred_at=self.house.clock.now(),
        )

    async def everything(self) -> object:
        """What we and Stripe have of the account; equal before and after what must change nothing."""
        ours = await self.house.subscriptions.get_subscription(self.account_id)
        theirs = None
        if ours.stripe_subscription_id is not None:
            theirs = await self.billing.get_subscription(self.account_id)
        async with self.house.database.transaction() as tx:
            counts = await (
                await tx.execute(
                    "SELECT (SELECT count(*) FROM audit_entries), (SELECT count(*) FROM invoices),"
                    " (SELECT count(*) FROM cancellations)"
                )
            ).fetchone()
        return ours, theirs, counts


Case = Callable[[World], Awaitable[None]]


async def refused(call: Awaitable[object], *errors: type[HelvetiaError]) -> None:
    with pytest.raises(errors):
        await call


async def customer_does(world: World) -> None:
    first = await world.billing.get_or_create_customer(world.account_id)
    assert await world.billing.get_or_create_customer(world.account_id) == first
    assert (await world.stripe.v1.customers.retrieve_async(first)).id == first


async def customer_refuses(world: World) -> None:
    await refused(world.billing.get_or_create_customer(new_account_id()), SubscriptionNotFound)


async def customer_away(world: World) -> None:
    await refused(world.away.get_or_create_customer(world.account_id), StripeUnavailable)
    assert (await world.house.subscriptions.get_subscription(world.account_id)).stripe_customer_id is None
    known = await world.billing.get_or_create_customer(world.account_id)
    assert await world.away.get_or_create_customer(world.account_id) == known


async def subscribing_does(world: World) -> None:
    record = await world.billing.create_subscription(world.account_id, PRO, VISA)
    assert (record.plan, record.status) == (PRO, SubscriptionStatus.ACTIVE)


async def subscribing_refuses(world: World) -> None:
    await refused(world.billing.create_subscription(world.account_id, FREE, VISA), PlanNotSold)
    await refused(world.billing.create_subscription(world.account_id, PRO, DECLINING), CardDeclined)
    assert (await world.house.subscriptions.get_subscription(world.account_id)).plan is FREE
    await world.subscribe(PRO)
    await refused(world.billing.create_subscription(world.account_id, STARTER, VISA), AlreadySubscribed)


async def subscribing_away(world: World) -> None:
    await world.billing.get_or_create_customer(world.account_id)
    before = await world.everything()
    await refused(world.away.create_subscription(world.account_id, PRO, VISA), StripeUnavailable)
    assert await world.everything() == before
    await world.subscribe(PRO)


async def checkout_does(world: World) -> None:
    session = await world.billing.create_checkout_session(world.account_id, PRO, actor=ACTOR)
    assert session.url is not None
    assert await world.billing.create_checkout_session(world.account_id, PRO, actor=ACTOR) == session


async def checkout_refuses(world: World) -> None:
    await refused(world.billing.create_checkout_session(world.account_id, FREE, actor=ACTOR), PlanNotSold)
    await world.subscribe()
    await refused(world.billing.create_checkout_session(world.account_id, PRO, actor=ACTOR), AlreadySubscribed)


async def checkout_away(world: World) -> None:
    before = await world.everything()
    await refused(world.away.create_checkout_session(world.account_id, PRO, actor=ACTOR), NothingCharged)
    assert await world.everything() == before


async def portal_does(world: World) -> None:
    await world.subscribe()
    for page in (None, *PortalPage):
        assert (await world.billing.create_portal_session(world.account_id, page, actor=ACTOR)).startswith("http://127")


async def portal_refuses(world: World) -> None:
    visit = world.billing.create_portal_session(world.account_id, PortalPage.CANCEL, actor=ACTOR)
    await refused(visit, NotSubscribed)


async def portal_away(world: World) -> None:
    before = await world.everything()
    await refused(world.away.create_portal_session(world.account_id, actor=ACTOR), NothingCharged)
    assert await world.everything() == before


async def plans_does(world: World) -> None:
    await world.subscribe()
    found = await world.billing.list_plans(world.account_id)
    assert [one.plan for one in found if one.is_current] == [STARTER]


async def plans_refuses(world: World) -> None:
    await refused(world.billing.list_plans(new_account_id()), SubscriptionNotFound)


async def plans_away(world: World) -> None:
    assert await world.away.list_plans(world.account_id) == await world.billing.list_plans(world.account_id)


async def preview_does(world: World) -> None:
    await world.subscribe()
    preview = await world.billing.preview_update(world.account_id, PRO, actor=ACTOR)
    assert preview.change.amount_due_minor == sum(line.amount_minor for line in preview.lines) > 0


async def preview_refuses(world: World) -> None:
    await refused(world.billing.preview_update(world.account_id, PRO, actor=ACTOR), NotSubscribed)
    await world.subscribe()
    await refused(world.billing.preview_update(world.account_id, STARTER, actor=ACTOR), PlanUnchanged)


async def preview_away(world: World) -> None:
    await world.subscribe()
    before = await world.everything()
    await refused(world.away.preview_update(world.account_id, PRO, actor=ACTOR), NothingCharged)
    assert await world.everything() == before


async def update_does(world: World) -> None:
    await world.subscribe()
    token = (await world.billing.preview_update(world.account_id, PRO, actor=ACTOR)).change.change_id
    await world.billing.update_subscription(world.account_id, PRO, token, actor=ACTOR)
    assert (await world.house.subscriptions.get_subscription(world.account_id)).plan is PRO


async def update_refuses(world: World) -> None:
    await refused(world.billing.update_subscription(world.account_id, PRO, uuid4(), actor=ACTOR), NotSubscribed)
    await world.subscribe()
    await refused(world.billing.update_subscription(world.account_id, PRO, uuid4(), actor=ACTOR), PreviewOutdated)
    token = (await world.billing.preview_update(world.account_id, PRO, actor=ACTOR)).change.change_id
    other = SubscriptionPlan.ENTERPRISE
    await refused(world.billing.update_subscription(world.account_id, other, token, actor=ACTOR), PreviewOutdated)


async def update_away(world: World) -> None:
    await world.subscribe()
    token = (await world.billing.preview_update(world.account_id, PRO, actor=ACTOR)).change.change_id
    theirs = await world.billing.get_subscription(world.account_id)
    await refused(world.away.update_subscription(world.account_id, PRO, token, actor=ACTOR), NothingCharged)
    assert await world.billing.get_subscription(world.account_id) == theirs
    await world.billing.update_subscription(world.account_id, PRO, token, actor=ACTOR)
    assert (await world.house.subscriptions.get_subscription(world.account_id)).plan is PRO


async def schedule_smaller(world: World) -> None:
    await world.subscribe(PRO)
    token = (await world.billing.preview_update(world.account_id, STARTER, actor=ACTOR)).change.change_id
    await world.billing.update_subscription(world.account_id, STARTER, token, actor=ACTOR)


async def pending_does(world: World) -> None:
    assert await world.billing.pending_change(world.account_id) is None
    await schedule_smaller(world)
    change = await world.billing.pending_change(world.account_id)
    assert change is not None
    assert change.plan is STARTER


async def pending_refuses(world: World) -> None:
    await schedule_smaller(world)
    await refused(world.billing.pending_change(new_account_id()), SubscriptionNotFound)


async def pending_away(world: World) -> None:
    await schedule_smaller(world)
    assert await world.away.pending_change(world.account_id) == await world.billing.pending_change(world.account_id)


async def cancel_does(world: World) -> None:
    await world.subscribe()
    record = await world.billing.cancel_subscription(world.account_id, actor=ACTOR)
    assert record.cancel_at == record.period.ends_at
    await world.billing.cancel_subscription(world.account_id, now=True, actor=ACTOR)
    assert await world.house.reports.finish_cancellation(world.account_id)
    ended = await world.house.subscriptions.get_subscription(world.account_id)
    assert ended.status is SubscriptionStatus.CANCELED


async def cancel_refuses(world: World) -> None:
    for now in (False, True):
        await refused(world.billing.cancel_subscription(world.account_id, now=now, actor=ACTOR), NotSubscribed)


async def cancel_away(world: World) -> None:
    await world.subscribe()
    before = await world.everything()
    for now in (False, True):
        await refused(world.away.cancel_subscription(world.account_id, now=now, actor=ACTOR), NothingCharged)
    assert await world.everything() == before


async def resume_does(world: World) -> None:
    await world.subscribe()
    await world.billing.cancel_subscription(world.account_id, actor=ACTOR)
    assert (await world.billing.resume_subscription(world.account_id, actor=ACTOR)).cancel_at is None


async def resume_refuses(world: World) -> None:
    await refused(world.billing.resume_subscription(world.account_id, actor=ACTOR), NotSubscribed)
    await world.subscribe()
    await refused(world.billing.resume_subscription(world.account_id, actor=ACTOR), NothingToResume)


async def resume_away(world: World) -> None:
    await world.subscribe()
    await world.billing.cancel_subscription(world.account_id, actor=ACTOR)
    before = await world.everything()
    await refused(world.away.resume_subscription(world.account_id, actor=ACTOR), NothingCharged)
    assert await world.everything() == before


async def close_shop(billing: BillingService, account_id: AccountId) -> bool:
    async with billing.nothing_for_sale(account_id) as is_known:
        return is_known


async def closed_shop_does(world: World) -> None:
    assert await close_shop(world.billing, world.account_id) is False
    session = await world.billing.create_checkout_session(world.account_id, PRO, actor=ACTOR)
    assert await close_shop(world.billing, world.account_id) is True
    assert (await world.stripe.v1.checkout.sessions.retrieve_async(session.session_id)).status == "expired"


async def closed_shop_refuses(world: World) -> None:
    await world.subscribe()
    await refused(close_shop(world.billing, world.account_id), SubscriptionStillLive)


async def closed_shop_away(world: World) -> None:
    await world.billing.get_or_create_customer(world.account_id)
    await refused(close_shop(world.away, world.account_id), NothingCharged)


async def subscription_does(world: World) -> None:
    assert await world.billing.get_subscription(world.account_id) is None
    subscription_id = await world.subscribe()
    live = await world.billing.get_subscription(world.account_id)
    assert live is not None
    assert (live.subscription_id, live.status) == (subscription_id, "active")


async def subscription_refuses(world: World) -> None:
    await refused(world.billing.get_subscription(new_account_id()), SubscriptionNotFound)


async def subscription_away(world: World) -> None:
    assert await world.away.get_subscription(world.account_id) is None
    await world.subscribe()
    await refused(world.away.get_subscription(world.account_id), StripeUnavailable)


async def invoices_does(world: World) -> None:
    await world.subscribe()
    assert await world.billing.mirror_invoices(world.account_id) == 1
    page = await world.billing.get_invoices(world.account_id, limit=1)
    assert [(one.status, one.total_minor) for one in page.invoices] == [("paid", 900)]
    assert page.next_cursor is None


async def invoices_refuses(world: World) -> None:
    for cursor in ("%%%", "", "a" * 10_000):
        await refused(world.billing.get_invoices(world.account_id, cursor=cursor), InvalidCursor)
    assert (await world.billing.get_invoices(new_account_id())).invoices == ()


async def invoices_away(world: World) -> None:
    await invoices_does(world)
    assert await world.away.get_invoices(world.account_id) == await world.billing.get_invoices(world.account_id)


async def newest_invoice(world: World) -> str:
    await invoices_does(world)
    return (await world.billing.get_invoices(world.account_id)).invoices[0].stripe_invoice_id


async def invoice_does(world: World) -> None:
    invoice, lines = await world.billing.get_invoice(world.account_id, await newest_invoice(world))
    assert sum(line.amount_minor for line in lines) == invoice.total_minor


async def invoice_refuses(world: World) -> None:
    await refused(world.billing.get_invoice(new_account_id(), await newest_invoice(world)), InvoiceNotFound)
    await refused(world.billing.get_invoice(world.account_id, "in_none"), InvoiceNotFound)


async def invoice_away(world: World) -> None:
    newest = await newest_invoice(world)
    found = await world.away.get_invoice(world.account_id, newest)
    assert found == await world.billing.get_invoice(world.account_id, newest)


async def report_does(world: World) -> None:
    await world.billing.report_usage(await world.meter_event())


async def report_refuses(world: World) -> None:
    event = await world.meter_event()
    for wrong in (
        replace(event, value=Decimal("0.0000001")),
        replace(event, value=Decimal("1234567890.123456")),
        replace(event, identifier=""),
        replace(event, identifier="i" * 101),
    ):
        await refused(world.billing.report_usage(wrong), InvalidReport)
    await world.billing.report_usage(event)
    await refused(world.billing.report_usage(event), AlreadyUsedIdentifier)


async def report_away(world: World) -> None:
    event = await world.meter_event()
    await refused(world.away.report_usage(event), StripeUnavailable)
    await world.billing.report_usage(event)


async def card_does(world: World) -> None:
    subscription_id = await world.subscribe()
    customer_id = await world.billing.get_or_create_customer(world.account_id)
    card = await world.stripe.v1.payment_methods.attach_async("pm_card_mastercard", {"customer": customer_id})
    await world.stripe.v1.subscriptions.update_async(subscription_id, {"default_payment_method": card.id})
    assert await world.billing.adopt_card(world.account_id) is True
    customer = await world.stripe.v1.customers.retrieve_async(customer_id)
    assert customer.invoice_settings is not None
    assert customer.invoice_settings.default_payment_method == card.id


async def card_refuses(world: World) -> None:
    assert await world.billing.adopt_card(world.account_id) is False
    await refused(world.billing.adopt_card(new_account_id()), SubscriptionNotFound)


async def card_away(world: World) -> None:
    await world.subscribe()
    await refused(world.away.adopt_card(world.account_id), StripeUnavailable)


async def payments_does(world: World) -> None:
    await world.subscribe()
    await world.billing.refresh_payments(world.account_id)
    async with world.house.database.transaction() as tx:
        reading = await find_reading(tx, world.account_id, "payments")
    assert reading is not None
    assert [(one["kind"], one["amount_minor"]) for one in reading.body] == [("payment", 900)]


async def payments_refuses(world: World) -> None:
    await world.billing.refresh_payments(world.account_id)  # Stripe does not know it: there is nothing to read
    await refused(world.billing.refresh_payments(new_account_id()), SubscriptionNotFound)


async def payments_away(world: World) -> None:
    await world.subscribe()
    before = await world.everything()
    await refused(world.away.refresh_payments(world.account_id), StripeUnavailable)
    assert await world.everything() == before


async def mirror_refuses(world: World) -> None:
    assert await world.billing.mirror_invoices(world.account_id) == 0
    await refused(world.billing.mirror_invoices(new_account_id()), SubscriptionNotFound)


async def mirror_away(world: World) -> None:
    await world.subscribe()
    before = await world.everything()
    await refused(world.away.mirror_invoices(world.account_id), StripeUnavailable)
    assert await world.everything() == before


async def owe(world: World) -> str:
    """An invoice that the card on file could not pay, and a new card since."""
    await world.subscribe()
    customer_id = await world.billing.get_or_create_customer(world.account_id)
    v1 = world.stripe.v1
    failing = await v1.payment_methods.attach_async("pm_card_chargeCustomerFail", {"customer": customer_id})
    await v1.customers.update_async(customer_id, {"invoice_settings": {"default_payment_method": failing.id}})
    await v1.invoice_items.create_async({"customer": customer_id, "amount": 500, "currency": "usd"})
    made = await v1.invoices.create_async({"customer": customer_id, "pending_invoice_items_behavior": "include"})
    with pytest.raises(Exception, match="declined"):
        await v1.invoices.pay_async(made.id)
    await world.billing.mirror_invoices(world.account_id)
    assert await world.billing.offer_payment(world.account_id) is None
    card = await v1.payment_methods.attach_async("pm_card_mastercard", {"customer": customer_id})
    await v1.customers.update_async(customer_id, {"invoice_settings": {"default_payment_method": card.id}})
    return str(card.id)


async def offer_does(world: World) -> None:
    await owe(world)
    offer = await world.billing.offer_payment(world.account_id)
    assert offer is not None
    assert await world.billing.payment_offer(world.account_id) == offer


async def offer_refuses(world: World) -> None:
    assert await world.billing.offer_payment(world.account_id) is None
    assert await world.billing.payment_offer(world.account_id) is None
    await refused(world.billing.offer_payment(new_account_id()), SubscriptionNotFound)


async def offer_away(world: World) -> None:
    await offer_does(world)
    await refused(world.away.offer_payment(world.account_id), StripeUnavailable)
    assert await world.away.payment_offer(world.account_id) is not None


async def mirror_all_does(world: World) -> None:
    await world.subscribe()
    assert await world.billing.mirror_all() == 1
    assert len((await world.billing.get_invoices(world.account_id)).invoices) == 1


async def mirror_all_refuses(world: World) -> None:
    assert await world.billing.mirror_all() == 0  # nobody has a customer yet


async def mirror_all_away(world: World) -> None:
    await world.subscribe()
    await refused(world.away.mirror_all(), StripeUnavailable)


TABLE: dict[str, tuple[Case, Case, Case]] = {
    "get_or_create_customer": (customer_does, customer_refuses, customer_away),
    "create_subscription": (subscribing_does, subscribing_refuses, subscribing_away),
    "create_checkout_session": (checkout_does, checkout_refuses, checkout_away),
    "create_portal_session": (portal_does, portal_refuses, portal_away),
    "list_plans": (plans_does, plans_refuses, plans_away),
    "preview_update": (preview_does, preview_refuses, preview_away),
    "update_subscription": (update_does, update_refuses, update_away),
    "pending_change": (pending_does, pending_refuses, pending_away),
    "cancel_subscription": (cancel_does, cancel_refuses, cancel_away),
    "resume_subscription": (resume_does, resume_refuses, resume_away),
    "nothing_for_sale": (closed_shop_does, closed_shop_refuses, closed_shop_away),
    "get_subscription": (subscription_does, subscription_refuses, subscription_away),
    "get_invoices": (invoices_does, invoices_refuses, invoices_away),
    "get_invoice": (invoice_does, invoice_refuses, invoice_away),
    "report_usage": (report_does, report_refuses, report_away),
    "adopt_card": (card_does, card_refuses, card_away),
    "mirror_invoices": (invoices_does, mirror_refuses, mirror_away),
    "refresh_payments": (payments_does, payments_refuses, payments_away),
    "offer_payment": (offer_does, offer_refuses, offer_away),
    "payment_offer": (offer_does, offer_refuses, offer_away),
    "mirror_all": (mirror_all_does, mirror_all_refuses, mirror_all_away),
}


def test_every_public_method_is_in_the_table() -> None:
    methods = {name for name, _ in inspect.getmembers(BillingService, inspect.isfunction) if not name.startswith("_")}
    assert methods == set(TABLE)


@pytest.fixture(scope="module")
def sandbox_url() -> Iterator[str]:
    with running_sandbox() as url:
        yield url


@pytest.fixture(scope="module")
def key_and_book(sandbox_url: str) -> tuple[str, PriceBook]:
    """One Stripe account with its prices for all cases: each has a customer and a test clock of its own."""
    key = f"sk_test_{uuid4().hex}"

    async def prepare() -> PriceBook:
        gateway = StripeClientGateway(key, api_base=sandbox_url)
        book = await verify_prices(gateway, await set_up_catalog(gateway))
        await gateway.close()
        return book

    return key, asyncio.run(prepare())


@pytest.fixture
async def world(
    database: Database, clock: ManualClock, sandbox_url: str, key_and_book: tuple[str, PriceBook]
) -> AsyncIterator[World]:
    key, book = key_and_book
    holder = PriceBookHolder()
    holder.fill(book)
    stripe = StripeWorld(sandbox_url, key, clock)
    await stripe.start_clock()
    gateways = [StripeClientGateway(key, api_base=base) for base in (sandbox_url, NOWHERE)]
    house, away = (
        build_house(database, clock, gateway, holder, test_clock=stripe.test_clock, sandbox_origin=sandbox_url)
        for gateway in gateways
    )
    yield World(
        house=house,
        billing=house.billing,
        away=away.billing,
        book=book,
        stripe=stripe,
        account_id=await house.new_account(),
    )
    for gateway in gateways:
        await gateway.close()
    await stripe.close()


@pytest.mark.parametrize("method", TABLE)
async def test_method_refuses_and_does_and_stands_a_stripe_that_is_away(world: World, method: str) -> None:
    does, refuses, without_stripe = TABLE[method]
    for case in (refuses, does, without_stripe):
        await case(replace(world, account_id=await world.house.new_account()))

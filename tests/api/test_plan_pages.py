"""The pages about plans against the sandbox: comparing, previewing, confirming once, ending, and back from checkout."""

import re
from collections.abc import AsyncIterator, Iterator
from dataclasses import dataclass
from datetime import timedelta
from uuid import uuid4

import httpx2
import pytest

from helvetia.accounts.model import Role, User
from helvetia.billing.model import BillingConfig
from helvetia.catalogue.plans import SubscriptionPlan
from helvetia.database.pool import Database
from helvetia.enforcement.admit_service import PlanAdmission
from helvetia.enforcement.model import EnforcementConfig, OverrideKind
from helvetia.enforcement.service import EnforcementService
from helvetia.kernel.clock import ManualClock
from helvetia.stripe_gateway.catalog import set_up_catalog, verify_prices
from helvetia.stripe_gateway.client import StripeClientGateway
from helvetia.stripe_gateway.price_book_holder import PriceBookHolder
from helvetia.web.config import WebConfig
from support.sandbox_process import running_sandbox
from support.stripe_world import StripeWorld
from support.web_world import SERVICE, WebWorld, web_world

BASE = "https://cloud.example"
HTML = {"Accept": "text/html"}


@dataclass(frozen=True)
class Shop:
    """The pages, one who reads them, and Stripe as an outsider moves it."""

    web: WebWorld
    stripe: StripeWorld
    user: User
    clock: ManualClock
    enforcement: EnforcementService

    def client(self, user: User | None = None) -> httpx2.AsyncClient:
        client = self.web.as_user(user or self.user)
        client.headers.update(HTML)
        return client

    async def subscribe(self, plan: str = "STARTER", card: str = "pm_card_visa") -> None:
        await self.web.billing.create_subscription(self.user.account_id, SubscriptionPlan(plan), card)

    async def use_card(self, card: str) -> None:
        """Another card becomes the one that is charged, as by the portal."""
        record = await self.web.subscriptions.get_subscription(self.user.account_id)
        customer = record.stripe_customer_id or ""
        method = await self.stripe.v1.payment_methods.attach_async(card, {"customer": customer})
        await self.stripe.v1.customers.update_async(
            customer, {"invoice_settings": {"default_payment_method": method.id}}
        )

    async def paid_minor(self) -> list[int]:
        record = await self.web.subscriptions.get_subscription(self.user.account_id)
        assert record.stripe_customer_id is not None
        return sorted(one.amount_paid for one in await self.stripe.invoices(record.stripe_customer_id))


@pytest.fixture(scope="module")
def sandbox_url() -> Iterator[str]:
    with running_sandbox() as url:
        yield url


@pytest.fixture
async def shop(database: Database, clock: ManualClock, sandbox_url: str) -> AsyncIterator[Shop]:
    key = f"sk_test_{uuid4().hex}"
    gateway, holder = StripeClientGateway(key, api_base=sandbox_url), PriceBookHolder()
    holder.fill(await verify_prices(gateway, await set_up_catalog(gateway)))
    stripe = StripeWorld(sandbox_url, key, clock)
    await stripe.start_clock()
    billing = BillingConfig(public_base_url=BASE, sandbox_origin=sandbox_url, test_clock=stripe.test_clock)
    config = WebConfig(public_base_url=BASE)
    async with web_world(database, clock, config, gateway=gateway, prices=holder, billing_config=billing) as web:
        rules = EnforcementConfig()
        enforcement = EnforcementService(
            database, clock, rules, gateway, web.subscriptions, PlanAdmission(clock, rules)
        )
        yield Shop(web=web, stripe=stripe, user=await web.user("ada"), clock=clock, enforcement=enforcement)
    await stripe.close()


async def choose(client: httpx2.AsyncClient, plan: str) -> str:
    """The address that a choice leads to."""
    answer = await client.post("/billing/plans/choose", data={"plan": plan})
    assert answer.status_code == 303, answer.text
    return str(answer.headers["location"])


async def test_plans_show_own_use_and_what_does_not_fit(shop: Shop) -> None:
    await shop.subscribe()
    async with shop.client() as client:
        for name in ("web", "api"):
            assert (await client.post("/api/v1/services", json={**SERVICE, "name": name})).status_code == 202
        page = (await client.get("/billing/plans")).text
    assert "You are on Starter, $9.00 a month. It renews on 10 April." in page
    assert "Services: 2 in use, 1 allowed" in page
    assert page.count("does not fit") == 1
    assert re.findall(r'type="submit">([^<]+)</button>', page)[1:] == [
        "Change to Free",
        "Change to Pro",
        "Change to Enterprise",
    ]
    assert page.count('class="button"') == 1


async def test_upgrade_costs_what_its_button_said_and_happens_once(shop: Shop) -> None:
    await shop.subscribe()
    await shop.stripe.advance_to(shop.clock.now() + timedelta(days=7))
    async with shop.client() as client:
        address = await choose(client, "PRO")
        page = (await client.get(address)).text
        amount = re.search(r"Change to Pro, pay \$([0-9.]+) now", page)
        assert amount is not None
        assert f"I agree that ${amount[1]} is charged now." in page
        without = await client.post(address)
        assert (without.status_code, "Tick the box to go on" in without.text) == (422, True)
        assert await shop.paid_minor() == [900]
        for _ in range(2):
            done = await client.post(address, data={"consent": "yes"})
            assert (done.status_code, done.headers["location"]) == (303, address)
        after = (await client.get(address)).text
    assert "You are on Pro now." in after
    assert "pay $" not in after
    assert await shop.paid_minor() == sorted([900, int(amount[1].replace(".", ""))])


async def test_preview_runs_out_after_ten_minutes_and_charges_nothing(shop: Shop) -> None:
    await shop.subscribe()
    async with shop.client() as client:
        address = await choose(client, "PRO")
        shop.clock.advance(timedelta(minutes=10))
        pressed = await client.post(address, data={"consent": "yes"})
        page = (await client.get(pressed.headers["location"])).text
    assert "This preview has run out." in page
    assert "Nothing was charged and nothing was changed." in page
    assert "Look at Pro again" in page
    assert await shop.paid_minor() == [900]


async def test_declined_card_is_told_with_nothing_charged(shop: Shop) -> None:
    await shop.subscribe()
    await shop.use_card("pm_card_chargeCustomerFail")
    async with shop.client() as client:
        address = await choose(client, "PRO")
        assert (await client.post(address, data={"consent": "yes"})).status_code == 303
        page = (await client.get(address)).text
    assert "The payment was declined. You keep Starter." in page
    assert "Nothing was charged and nothing was changed." in page


async def test_smaller_plan_is_scheduled_shown_and_taken_back(shop: Shop) -> None:
    await shop.subscribe("PRO")
    async with shop.client() as client:
        address = await choose(client, "STARTER")
        page = (await client.get(address)).text
        assert "Change to Starter on 10 April" in page
        assert "Until then you keep Pro and its limits." in page
        await client.post(address)
        plans = (await client.get("/billing/plans")).text
        assert "Pro until 10 April, then Starter." in plans
        assert ">Keep Pro</button>" in plans
        for _ in range(2):
            assert (await client.post("/billing/plans/keep")).status_code == 303
        assert "You are on Pro, $29.00 a month." in (await client.get("/billing/plans")).text
        assert "You keep Pro." in (await client.get(address)).text


async def test_smaller_plan_that_does_not_fit_lets_run_what_runs_as_it_was_told(shop: Shop) -> None:
    await shop.subscribe("PRO")
    async with shop.client() as client:
        for number in range(6):
            created = await client.post("/api/v1/services", json={**SERVICE, "name": f"job-{number}", "memoryMb": 64})
            assert created.status_code == 202
        address = await choose(client, "STARTER")
        assert "Services: 6 in use, 5 allowed" in (page := (await client.get(address)).text)
        assert "What runs goes on." in page
        await client.post(address, data={"consent": "yes"})
        told = (await client.get("/billing")).text
        assert "Some of it will not fit: number of services. What runs goes on;" in told.replace("\n", " ")
        period = (await shop.web.subscriptions.get_subscription(shop.user.account_id)).period
        await shop.stripe.advance_to(period.ends_at + timedelta(hours=2))
        await shop.web.subscriptions.sync_subscription(shop.user.account_id)
        await shop.enforcement.check_quotas()
        assert (await shop.web.subscriptions.get_subscription(shop.user.account_id)).plan is SubscriptionPlan.STARTER
        services = (await client.get("/api/v1/services")).json()["services"]
        assert [one["holds"] for one in services] == [[]] * 6
        refused = await client.post("/api/v1/services", json={**SERVICE, "name": "one-more", "memoryMb": 64})
        assert refused.status_code == 403


async def test_bank_that_wants_a_word_is_told_on_the_overview_and_leads_to_the_change(shop: Shop) -> None:
    await shop.subscribe()
    await shop.use_card("pm_card_authenticationRequired")
    async with shop.client() as client:
        address = await choose(client, "PRO")
        await client.post(address, data={"consent": "yes"})
        overview = (await client.get("/billing")).text
        assert "Your bank wants you to confirm a payment." in overview
        assert f'href="{address}">Continue</a>' in overview
        assert ">Confirm at Stripe</a>" in (await client.get(address)).text
    assert await shop.paid_minor() == [0, 900]


async def test_more_time_by_the_operator_is_told_with_who_why_and_until_when(shop: Shop) -> None:
    await shop.subscribe()
    await shop.use_card("pm_card_chargeCustomerFail")
    period = (await shop.web.subscriptions.get_subscription(shop.user.account_id)).period
    await shop.stripe.advance_to(period.ends_at + timedelta(hours=2))
    await shop.web.subscriptions.sync_subscription(shop.user.account_id)
    await shop.web.billing.mirror_invoices(shop.user.account_id)
    await shop.enforcement.run_pass()
    until_at = shop.clock.now() + timedelta(days=9)
    await shop.enforcement.add_override(
        shop.user.account_id,
        OverrideKind.EXEMPT,
        until_at=until_at,
        reason="a new card is under way",
        actor="operator:eva",
    )
    async with shop.client() as client:
        assert "you have been given more time." in (await client.get("/billing")).text
        page = (await client.get("/billing/suspension")).text
    assert "“a new card is under way” (operator eva)." in page
    assert "Nothing is refused as long as you have more time." in page


async def test_end_is_planned_and_taken_back_and_now_wants_the_name(shop: Shop) -> None:
    await shop.subscribe()
    async with shop.client() as client:
        page = (await client.get("/billing/plans/end")).text
        assert "End Starter on 10 April" in page
        assert "End Starter now, pay about $0.00" in page
        await client.post("/billing/plans/end", data={"when": "period_end"})
        assert "Starter ends on 10 April." in (await client.get("/billing/plans")).text
        await client.post("/billing/plans/keep")
        wrong = await client.post("/billing/plans/end", data={"when": "now", "word": "no"})
        assert (wrong.status_code, "Type Starter to end it now." in wrong.text) == (422, True)
        for _ in range(2):
            ended = await client.post("/billing/plans/end", data={"when": "now", "word": "starter"})
            assert (ended.status_code, ended.headers["location"]) == (303, "/billing/plans")
        assert "Starter is being ended" in (await client.get("/billing/plans")).text
        assert (await client.get("/billing/plans/end")).status_code == 303


async def test_d09_way_back_from_checkout_tells_what_came_of_it_not_what_the_address_says(
    shop: Shop, sandbox_url: str
) -> None:
    async with shop.client() as client:
        page = (await client.get("/billing/plans")).text
        assert "You are on the Free plan." in page
        assert "data-dialog " not in page
        address = await choose(client, "PRO")
        assert address.startswith(f"{sandbox_url}/")
        record = await shop.web.subscriptions.get_subscription(shop.user.account_id)
        session = (
            await shop.stripe.v1.checkout.sessions.list_async({"customer": record.stripe_customer_id or ""})
        ).data[0]
        assert session.success_url == f"{BASE}/billing/success?session_id={{CHECKOUT_SESSION_ID}}"
        back = f"/billing/success?session_id={session.id}"
        assert "The payment is not finished." in (await client.get(back)).text
        assert "Nothing was bought." in (await client.get("/billing/cancel")).text
        await pay(address)
        done = (await client.get(back)).text
        assert "You are on Pro." in done
        assert "You are on Pro." in (await client.get("/billing/cancel")).text


async def pay(address: str) -> None:
    """The buyer fills in the hosted page."""
    async with httpx2.AsyncClient() as buyer:
        page = (await buyer.get(address)).text
        names = dict(re.findall(r'name="([^"]+)"[^>]*autocomplete="([^"]+)"', page))
        known = {"cc-number": "4242424242424242", "cc-exp": "12 / 34", "cc-csc": "123", "email": "ada@example.ch"}
        sent = {name: known.get(kind, "Ada") for name, kind in names.items()}
        answer = await buyer.post(address, data=sent)
        assert answer.status_code == 303, answer.text


async def test_w11_foreign_or_forged_session_shows_nothing_and_changes_nothing(shop: Shop) -> None:
    async with shop.client() as client:
        await choose(client, "PRO")
    record = await shop.web.subscriptions.get_subscription(shop.user.account_id)
    sessions = await shop.stripe.v1.checkout.sessions.list_async({"customer": record.stripe_customer_id or ""})
    bob = await shop.web.user("bob")
    async with shop.client(bob) as client:
        await choose(client, "STARTER")
        answers = [
            await client.get("/billing/success", params={"session_id": one})
            for one in (sessions.data[0].id, "cs_test_forged", "../../v1/customers", "cs_x' OR 1=1", "")
        ]
        assert [(one.status_code, "Pro" in one.text) for one in answers] == [(404, False)] * 5
    assert (await shop.web.subscriptions.get_subscription(bob.account_id)).plan is SubscriptionPlan.FREE


async def test_stripe_away_is_waited_for_and_never_called_failed(
    shop: Shop, database: Database, clock: ManualClock
) -> None:
    async with shop.client() as client:
        await choose(client, "PRO")
    async with web_world(database, clock, shop.web.config, prices=shop.web.prices) as away:
        away.tokens = shop.web.tokens
        async with away.as_user(shop.user) as client:
            client.headers.update(HTML)
            first = await client.get("/billing/success?session_id=cs_test_1")
            last = await client.get("/billing/success?session_id=cs_test_1&look=6")
            plans = await client.get("/billing/plans")
    assert "Confirming the payment." in first.text
    assert first.headers["refresh"] == "5; url=/billing/success?session_id=cs_test_1&look=1"
    assert ("It takes longer than usual." in last.text, "refresh" in last.headers) == (True, False)
    assert "fail" not in (first.text + last.text).lower()
    assert plans.status_code == 200


async def test_ended_account_may_go_on_with_free_or_buy_again(shop: Shop, sandbox_url: str) -> None:
    await shop.subscribe()
    record = await shop.web.subscriptions.get_subscription(shop.user.account_id)
    await shop.stripe.v1.subscriptions.cancel_async(record.stripe_subscription_id or "")
    await shop.web.subscriptions.sync_subscription(shop.user.account_id)
    await shop.enforcement.run_pass()
    async with shop.client() as client:
        page = (await client.get("/billing/plans")).text
        assert "Starter ended on 10 March. Choose how to go on." in page
        assert ">Go on with Free</button>" in page
        assert (await choose(client, "STARTER")).startswith(f"{sandbox_url}/")
        assert await choose(client, "FREE") == "/billing/plans"
        assert await choose(client, "FREE") == "/billing/plans"
        assert "Go on with Free" not in (await client.get("/billing/plans")).text


async def test_viewer_sees_plans_without_a_button(shop: Shop) -> None:
    organization = await shop.web.accounts.create_organization("Alpine Labs", shop.user.account_id)
    viewer = await shop.web.member(organization, Role.BILLING_VIEWER)
    async with shop.web.as_user(viewer, organization) as client:
        client.headers.update(HTML)
        page = (await client.get("/billing/plans")).text
    assert "An owner or billing admin of this account can change the plan." in page
    assert "plans/choose" not in page


async def test_prices_are_for_everybody(shop: Shop) -> None:
    async with shop.web.client() as client:
        page = await client.get("/pricing")
        german = await client.get("/pricing", headers={"Accept-Language": "de-CH"})
    assert page.status_code == 200
    for words in ("$0.01", "$0.005", "$0.12", "$0.023", "$29.00", "unlimited", "$20.63"):
        assert words in page.text
    assert "Pläne im Vergleich" in german.text

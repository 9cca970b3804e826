"""The billing API against the sandbox: buying, changing, paying, ending, and what it says when Stripe is away."""

import re
from collections.abc import AsyncIterator, Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any
from uuid import uuid4

import httpx2
import pytest

from helvetia.accounts.model import User
from helvetia.billing.model import BillingConfig
from helvetia.catalogue.plans import SubscriptionPlan
from helvetia.database.pool import Database
from helvetia.kernel.clock import ManualClock
from helvetia.stripe_gateway.catalog import set_up_catalog, verify_prices
from helvetia.stripe_gateway.client import StripeClientGateway
from helvetia.stripe_gateway.price_book_holder import PriceBookHolder
from helvetia.web.config import WebConfig
from support.sandbox_process import running_sandbox
from support.stripe_world import StripeWorld
from support.web_world import PASSWORD, WebWorld, web_world

BILLING = "/api/v1/billing"
API_DOCS = (Path(__file__).resolve().parents[2] / "docs" / "api.md").read_text()


@dataclass(frozen=True)
class Shop:
    """The API, a subscriber-to-be, and Stripe as an outsider moves it."""

    web: WebWorld
    stripe: StripeWorld
    user: User

    def client(self) -> httpx2.AsyncClient:
        return self.web.as_user(self.user)

    async def customer_id(self) -> str:
        async with self.web.database.transaction() as tx:
            row = await (
                await tx.execute(
                    "SELECT stripe_customer_id FROM subscriptions WHERE account_id = %s", (self.user.account_id,)
                )
            ).fetchone()
        assert row is not None
        return str(row[0])

    async def subscribe(self, plan: str = "STARTER", card: str = "pm_card_visa") -> None:
        """By our own service: what the hosted page leads to."""
        async with self.client() as client:
            checkout = await client.post(f"{BILLING}/checkout", json={"plan": plan})
        assert checkout.status_code == 200, checkout.text
        session = await self.stripe.v1.checkout.sessions.retrieve_async(checkout.json()["sessionId"])
        await self.stripe.v1.checkout.sessions.expire_async(session.id)
        await self.web.billing.create_subscription(self.user.account_id, SubscriptionPlan(plan), card)

    async def audited(self) -> list[str]:
        async with self.web.database.transaction() as tx:
            rows = await (await tx.execute("SELECT action FROM audit_entries ORDER BY audit_id")).fetchall()
        return [row[0] for row in rows if row[0].startswith("billing.")]


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
    billing = BillingConfig(
        public_base_url="https://cloud.example", sandbox_origin=sandbox_url, test_clock=stripe.test_clock
    )
    config = WebConfig(public_base_url="https://cloud.example")
    async with web_world(database, clock, config, gateway=gateway, prices=holder, billing_config=billing) as web:
        yield Shop(web=web, stripe=stripe, user=await web.user("ada"))
    await stripe.close()


async def test_checkout_answers_session_and_address(shop: Shop, sandbox_url: str) -> None:
    async with shop.client() as client:
        first = await client.post(f"{BILLING}/checkout", json={"plan": "PRO"}, headers={"Idempotency-Key": "a"})
        second = await client.post(f"{BILLING}/checkout", json={"plan": "PRO"}, headers={"Idempotency-Key": "b"})
        free = await client.post(f"{BILLING}/checkout", json={"plan": "FREE"})
        price = await client.post(f"{BILLING}/checkout", json={"priceId": "price_1"})
        portal = await client.post(f"{BILLING}/portal", json={"flow": "payment_method"})
    assert first.status_code == 200
    assert first.json() == second.json()
    assert first.json()["url"].startswith(f"{sandbox_url}/")
    assert (free.status_code, free.json()["code"]) == (422, "plan_not_sold")
    assert (price.status_code, price.json()["code"]) == (422, "validation_failed")
    assert portal.json()["url"].startswith(f"{sandbox_url}/")
    assert await shop.audited() == ["billing.checkout_opened", "billing.checkout_opened", "billing.portal_opened"]


async def test_w09_price_of_the_browsers_choice_is_not_taken(shop: Shop) -> None:
    async with shop.client() as client:
        answer = await client.post(f"{BILLING}/checkout", json={"plan": "price_123"})
    assert (answer.status_code, answer.json()["code"]) == (422, "validation_failed")


async def test_subscriber_is_pointed_to_the_change(shop: Shop) -> None:
    await shop.subscribe()
    async with shop.client() as client:
        answer = await client.post(f"{BILLING}/checkout", json={"plan": "PRO"})
    assert (answer.status_code, answer.json()["code"]) == (409, "already_subscribed")
    assert answer.json()["changeAt"] == f"{BILLING}/subscription/change"


async def test_d08_change_is_previewed_confirmed_and_told(shop: Shop) -> None:
    await shop.subscribe()
    async with shop.client() as client:
        plans = {plan["plan"]: plan for plan in (await client.get(f"{BILLING}/plans")).json()["plans"]}
        assert (plans["STARTER"]["isCurrent"], plans["PRO"]["fee"], plans["PRO"]["fits"]) == (True, "29.00", True)
        preview = (await client.post(f"{BILLING}/subscription/preview", json={"plan": "PRO"})).json()
        assert (preview["direction"], preview["amountDue"], preview["nextFee"]) == ("upgrade", "20.00", "29.00")
        assert [line["amount"] for line in preview["lines"]] == ["-9.00", "29.00"]
        confirm = {"plan": "PRO", "previewToken": preview["previewToken"]}
        done = await client.post(f"{BILLING}/subscription/change", json=confirm)
        assert done.json() == {
            "plan": "PRO",
            "direction": "upgrade",
            "state": "applied",
            "effectiveAt": preview["effectiveAt"],
            "charged": "20.00",
            "currency": "usd",
            "confirmUrl": None,
        }
        down = (await client.post(f"{BILLING}/subscription/preview", json={"plan": "STARTER"})).json()
        assert (down["direction"], down["amountDue"], down["effectiveAt"]) == ("downgrade", "0.00", down["periodEnd"])
        confirm = {"plan": "STARTER", "previewToken": down["previewToken"]}
        scheduled = await client.post(f"{BILLING}/subscription/change", json=confirm)
        assert scheduled.json()["state"] == "scheduled"
        now = (await client.get(f"{BILLING}/subscription")).json()
        assert (now["plan"], now["pendingChange"]["plan"]) == ("PRO", "STARTER")
        resumed = await client.post(f"{BILLING}/subscription/resume")
        assert resumed.json()["pendingChange"] is None
    assert (await shop.audited())[1:] == [
        "billing.change_previewed",
        "billing.change_confirmed",
        "billing.change_applied",
        "billing.change_previewed",
        "billing.change_confirmed",
        "billing.resumed",
    ]


async def test_confirmation_without_its_preview_gets_a_new_one(shop: Shop) -> None:
    await shop.subscribe()
    async with shop.client() as client:
        wanted = {"plan": "PRO", "previewToken": str(uuid4())}
        refused = await client.post(f"{BILLING}/subscription/change", json=wanted)
        assert (refused.status_code, refused.json()["code"]) == (409, "preview_outdated")
        assert refused.json()["amountDue"] == "20.00"
        wanted["previewToken"] = refused.json()["previewToken"]
        assert (await client.post(f"{BILLING}/subscription/change", json=wanted)).json()["state"] == "applied"


async def test_end_with_the_period_is_told_and_taken_back(shop: Shop) -> None:
    await shop.subscribe()
    async with shop.client() as client:
        ending = (await client.post(f"{BILLING}/subscription/cancel")).json()
        assert ending["cancelAt"] == ending["currentPeriodEnd"]
        assert (await client.post(f"{BILLING}/subscription/resume")).json()["cancelAt"] is None
        nothing = await client.post(f"{BILLING}/subscription/resume")
        assert (nothing.status_code, nothing.json()["code"]) == (409, "nothing_to_resume")
        now = await client.post(f"{BILLING}/subscription/cancel", json={"when": "now"})
        assert now.status_code == 200
        again = await client.post(f"{BILLING}/subscription/preview", json={"plan": "PRO"})
        assert (again.status_code, again.json()["code"]) == (409, "cancellation_under_way")


async def test_invoice_payments_and_methods_are_told(shop: Shop, sandbox_url: str) -> None:
    await shop.subscribe()
    await shop.web.billing.mirror_invoices(shop.user.account_id)
    async with shop.client() as client:
        page = (await client.get(f"{BILLING}/invoices")).json()
        assert page["asOf"] == "2026-03-10T10:17:23Z"
        invoice_id = page["invoices"][0]["id"]
        invoice = (await client.get(f"{BILLING}/invoices/{invoice_id}")).json()
        assert (invoice["total"], [line["amount"] for line in invoice["lines"]]) == ("9.00", ["9.00"])
        pdf = await client.get(f"{BILLING}/invoices/{invoice_id}/pdf")
        assert (pdf.status_code, pdf.headers["location"].startswith(f"{sandbox_url}/")) == (303, True)
        paid = await client.post(f"{BILLING}/invoices/{invoice_id}/pay")
        assert (paid.status_code, paid.json()["status"]) == (200, "paid")
        payments = (await client.get(f"{BILLING}/payments")).json()["payments"]
        assert [(one["kind"], one["amount"], one["method"]) for one in payments] == [
            ("payment", "9.00", "Visa •••• 4242")
        ]
        assert payments[0]["invoiceId"] == invoice_id
        methods = (await client.get(f"{BILLING}/payment-methods")).json()["paymentMethods"]
        assert [(one["label"], one["isDefault"]) for one in methods] == [("Visa •••• 4242", True)]


async def _paged_kinds(client: httpx2.AsyncClient, *, limit: int) -> list[list[str]]:
    pages: list[list[str]] = []
    cursor: dict[str, str] = {}
    for _ in range(10):
        page = (await client.get(f"{BILLING}/payments", params={"limit": limit, **cursor})).json()
        pages.append([one["kind"] for one in page["payments"]])
        if page["nextCursor"] is None:
            break
        cursor = {"cursor": page["nextCursor"]}
    return pages


async def test_declined_payment_says_why_in_plain_words(shop: Shop) -> None:
    await shop.subscribe()
    customer_id = await shop.customer_id()
    await _open_invoice(shop, customer_id)
    async with shop.client() as client:
        invoices = (await client.get(f"{BILLING}/invoices")).json()["invoices"]
        unpaid = next(one["id"] for one in invoices if one["status"] == "open")
        declined = await client.post(f"{BILLING}/invoices/{unpaid}/pay")
        assert (declined.status_code, declined.json()["code"]) == (402, "card_declined")
        assert (declined.json()["charged"], "bank declined" in declined.json()["detail"]) == ("no", True)
        kinds = [one["kind"] for one in (await client.get(f"{BILLING}/payments")).json()["payments"]]
        assert kinds == ["failed_attempt", "failed_attempt", "payment"]
        assert await _paged_kinds(client, limit=2) == [kinds[:2], kinds[2:]]
        refused = await client.get(f"{BILLING}/payments", params={"cursor": "%%%"})
        assert (refused.status_code, refused.json()["code"]) == (422, "invalid_cursor")
        preview = await client.post(f"{BILLING}/subscription/preview", json={"plan": "PRO"})
        assert (preview.status_code, preview.json()["code"]) == (402, "unpaid_invoices")
        await _use_card(shop, customer_id, "pm_card_visa")
        paid = await client.post(f"{BILLING}/invoices/{unpaid}/pay")
        assert (paid.status_code, paid.json()["status"]) == (200, "paid")
        assert (await client.get(f"{BILLING}/subscription")).json()["status"] == "ACTIVE"


async def test_bank_that_wants_a_confirmation_is_told_with_its_address(shop: Shop, sandbox_url: str) -> None:
    await shop.subscribe()
    customer_id = await shop.customer_id()
    await _open_invoice(shop, customer_id)
    await _use_card(shop, customer_id, "pm_card_threeDSecure2Required")
    async with shop.client() as client:
        invoices = (await client.get(f"{BILLING}/invoices")).json()["invoices"]
        unpaid = next(one["id"] for one in invoices if one["status"] == "open")
        answer = await client.post(f"{BILLING}/invoices/{unpaid}/pay")
    assert (answer.status_code, answer.json()["code"]) == (402, "payment_confirmation_needed")
    assert answer.json()["confirmUrl"].startswith("http")


async def test_w11_invoice_of_another_account_is_as_missing(shop: Shop) -> None:
    await shop.subscribe()
    await shop.web.billing.mirror_invoices(shop.user.account_id)
    async with shop.client() as client:
        invoice_id = (await client.get(f"{BILLING}/invoices")).json()["invoices"][0]["id"]
    async with shop.web.as_user(await shop.web.user("bob")) as client:
        answers = [
            await client.get(f"{BILLING}/invoices/{invoice_id}"),
            await client.get(f"{BILLING}/invoices/{invoice_id}/pdf"),
            await client.post(f"{BILLING}/invoices/{invoice_id}/pay"),
        ]
    assert [(answer.status_code, answer.json()["code"]) for answer in answers] == [(404, "invoice_not_found")] * 3


async def test_stripe_away_is_503_that_says_what_was_charged(
    shop: Shop, database: Database, clock: ManualClock
) -> None:
    await shop.subscribe()
    holder = shop.web.prices
    async with shop.client() as client:
        before = (await client.get(f"{BILLING}/payments")).json()
    async with web_world(database, clock, shop.web.config, prices=holder) as away:
        away.tokens = shop.web.tokens
        async with away.as_user(shop.user) as client:
            for path, body in (
                ("checkout", {"plan": "PRO"}),
                ("portal", {}),
                ("subscription/preview", {"plan": "PRO"}),
                ("subscription/cancel", {}),
                ("subscription/resume", None),
                ("invoices/in_1/pay", None),
            ):
                answer = await client.post(f"{BILLING}/{path}", json=body)
                assert (answer.status_code, answer.json()["charged"]) == (503, "no"), path
                assert answer.headers["retry-after"] == "10"
            assert (await client.get(f"{BILLING}/payments")).json() == before
            assert (await client.get(f"{BILLING}/payment-methods")).status_code == 503
            assert (await client.get(f"{BILLING}/subscription")).json()["plan"] == "STARTER"


async def test_everything_open_is_shown_and_paid_by_the_api(shop: Shop) -> None:
    await shop.subscribe()
    customer_id = await shop.customer_id()
    await _open_invoice(shop, customer_id)
    async with shop.client() as client:
        shown = (await client.get(f"{BILLING}/open-invoices")).json()
        assert (shown["amountDue"], len(shown["invoices"]), shown["dropped"], shown["newCardAt"]) == (
            "9.00",
            1,
            [],
            None,
        )
        agreed = {"invoices": [one["id"] for one in shown["invoices"]], "amountDue": shown["amountDue"]}
        declined = await client.post(f"{BILLING}/open-invoices/pay", json=agreed)
        assert (declined.status_code, declined.json()["code"]) == (402, "card_declined")
        assert (declined.json()["charged"], declined.json()["amountPaid"]) == ("no", "0.00")
        await _use_card(shop, customer_id, "pm_card_visa")
        await shop.web.billing.offer_payment(shop.user.account_id)
        assert (await client.get(f"{BILLING}/open-invoices")).json()["newCardAt"] is not None
        less = await client.post(f"{BILLING}/open-invoices/pay", json=agreed | {"amountDue": "8.99"})
        assert (less.status_code, less.json()["code"], less.json()["amountDue"]) == (
            409,
            "open_invoices_changed",
            "9.00",
        )
        paid = await client.post(f"{BILLING}/open-invoices/pay", json=agreed)
        assert (paid.status_code, paid.json()["amountPaid"]) == (200, "9.00")
        again = await client.post(f"{BILLING}/open-invoices/pay", json=agreed)
        assert (again.status_code, again.json()["amountPaid"], again.json()["invoices"]) == (200, "0.00", [])
        assert (await client.get(f"{BILLING}/subscription")).json()["status"] == "ACTIVE"


async def test_everything_open_is_paid_by_one_button_that_names_the_sum(shop: Shop) -> None:
    user = await shop.web.user("grace", PASSWORD)
    paying = Shop(web=shop.web, stripe=shop.stripe, user=user)
    await paying.subscribe()
    customer_id = await paying.customer_id()
    await _open_invoice(paying, customer_id)
    await _use_card(paying, customer_id, "pm_card_visa")
    await shop.web.billing.offer_payment(user.account_id)
    client = await shop.web.browser(user)
    overview = await client.get("/billing")
    assert "Your new card was not tried yet." in overview.text
    assert 'href="/billing/pay"' in overview.text
    page = await client.get("/billing/pay")
    assert "Pay $9.00 now" in page.text
    fields = dict(re.findall(r'name="(\w+)" value="([^"]*)"', page.text))
    for _ in range(2):
        pressed = await client.post("/billing/pay", data=fields)
        assert (pressed.status_code, pressed.headers["location"]) == (303, "/billing")
    assert "Nothing is open." in (await client.get("/billing/pay")).text
    assert "Payment failed." not in (await client.get("/billing")).text
    await client.aclose()


async def _use_card(shop: Shop, customer_id: str, token: str) -> None:
    attached = await shop.stripe.v1.payment_methods.attach_async(token, {"customer": customer_id})
    settings: Any = {"invoice_settings": {"default_payment_method": attached.id}}
    await shop.stripe.v1.customers.update_async(customer_id, settings)


async def _open_invoice(shop: Shop, customer_id: str) -> None:
    """A renewal whose card declines."""
    await _use_card(shop, customer_id, "pm_card_chargeCustomerFail")
    await shop.stripe.advance_to(datetime(2026, 4, 10, 13, 0, 0, tzinfo=UTC))
    await shop.web.subscriptions.sync_subscription(shop.user.account_id)
    await shop.web.billing.mirror_invoices(shop.user.account_id)


async def test_every_billing_route_is_told_in_the_docs(world: WebWorld) -> None:
    told = API_DOCS
    for path, operations in world.app.openapi()["paths"].items():
        if path.startswith("/api/v1/billing"):
            for method, operation in operations.items():
                assert f"`{method.upper()} {path}`" in told
                names = {parameter["name"] for parameter in operation["parameters"]}
                assert ("Idempotency-Key" in names) == (method == "post")

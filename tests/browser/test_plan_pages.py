"""A real browser chooses, changes and keeps a plan: by keys alone, in a dialog that behaves, without scripts too."""

import asyncio
from collections.abc import AsyncIterator, Iterator
from dataclasses import dataclass
from typing import Literal
from uuid import uuid4

import pytest
import uvicorn
from playwright.async_api import Browser, BrowserContext, Page

from helvetia.accounts.model import User
from helvetia.billing.model import BillingConfig
from helvetia.catalogue.plans import SubscriptionPlan
from helvetia.database.pool import Database
from helvetia.kernel.clock import ManualClock
from helvetia.stripe_gateway.catalog import set_up_catalog, verify_prices
from helvetia.stripe_gateway.client import StripeClientGateway
from helvetia.stripe_gateway.price_book_holder import PriceBookHolder
from helvetia.web.config import WebConfig
from support.browser_page import WATCH, barriers, sideways, watch
from support.sandbox_process import free_port, running_sandbox
from support.stripe_world import StripeWorld
from support.web_world import PASSWORD, WebWorld, web_world

pytestmark = pytest.mark.browser
KEYS_MAX = 11


@dataclass(frozen=True)
class Shop:
    """The pages on a port, with the sandbox behind them."""

    web: WebWorld
    user: User
    base: str
    sandbox_url: str

    async def signed_in(self, browser: Browser, **options: object) -> BrowserContext:
        context = await browser.new_context(**options)  # type: ignore[arg-type]
        session = await self.web.accounts.sign_in(self.user.email, PASSWORD, address="test")
        cookie = {"name": self.web.config.session_cookie, "value": session.secret, "url": self.base}
        await context.add_cookies([cookie])  # type: ignore[list-item]
        await context.add_init_script(WATCH)
        return context

    async def subscribe(self) -> None:
        await self.web.billing.create_subscription(self.user.account_id, SubscriptionPlan.STARTER, "pm_card_visa")

    async def plan(self) -> SubscriptionPlan:
        return (await self.web.subscriptions.get_subscription(self.user.account_id)).plan


@pytest.fixture(scope="module")
def sandbox_url() -> Iterator[str]:
    with running_sandbox() as url:
        yield url


@pytest.fixture
async def shop(database: Database, clock: ManualClock, sandbox_url: str) -> AsyncIterator[Shop]:
    key, port = f"sk_test_{uuid4().hex}", free_port()
    base = f"http://127.0.0.1:{port}"
    gateway, holder = StripeClientGateway(key, api_base=sandbox_url), PriceBookHolder()
    holder.fill(await verify_prices(gateway, await set_up_catalog(gateway)))
    stripe = StripeWorld(sandbox_url, key, clock)
    await stripe.start_clock()
    billing = BillingConfig(public_base_url=base, sandbox_origin=sandbox_url, test_clock=stripe.test_clock)
    config = WebConfig(public_base_url=base, is_sandbox=True, redirect_origins=(sandbox_url,))
    async with web_world(database, clock, config, gateway=gateway, prices=holder, billing_config=billing) as web:
        server = uvicorn.Server(uvicorn.Config(web.app, host="127.0.0.1", port=port, log_level="warning", ws="none"))
        task = asyncio.create_task(server.serve())
        async with asyncio.timeout(30):
            while not server.started:
                await asyncio.sleep(0.02)
        yield Shop(web=web, user=await web.user("ada", PASSWORD), base=base, sandbox_url=sandbox_url)
        server.should_exit = True
        await task
    await stripe.close()


async def test_checkout_is_reached_by_fewer_than_twelve_keys(shop: Shop, browser: Browser) -> None:
    page = await (await shop.signed_in(browser)).new_page()
    complaints, _ = watch(page)
    await page.goto(f"{shop.base}/billing/plans")
    pressed = 0
    for key in ("Tab", "Enter"):  # over the navigation
        await page.keyboard.press(key)
        pressed += 1
    while await focused(page) != "Choose Pro" and pressed < KEYS_MAX:
        await page.keyboard.press("Tab")
        pressed += 1
    await page.keyboard.press("Enter")
    pressed += 1
    await page.wait_for_url(f"{shop.sandbox_url}/**")
    assert pressed <= KEYS_MAX
    assert complaints == []


async def focused(page: Page) -> str:
    return str(await page.evaluate("document.activeElement.innerText"))


async def test_dialog_takes_the_focus_closes_by_escape_and_gives_it_back(shop: Shop, browser: Browser) -> None:
    await shop.subscribe()
    page = await (await shop.signed_in(browser)).new_page()
    complaints, _ = watch(page)
    await page.goto(f"{shop.base}/billing/plans")
    opener = page.get_by_role("button", name="Change to Pro")
    await opener.focus()
    await page.keyboard.press("Enter")
    await page.wait_for_selector("dialog[open]")
    assert await page.evaluate("document.activeElement.closest('dialog') !== null")
    assert await barriers(page) == []
    await page.keyboard.press("Escape")
    await page.wait_for_selector("dialog", state="hidden")
    assert await focused(page) == "Change to Pro"
    await page.keyboard.press("Enter")
    await page.wait_for_selector("dialog[open]")
    await page.get_by_role("link", name="Keep Starter").click()
    await page.wait_for_selector("dialog", state="hidden")
    assert await shop.plan() is SubscriptionPlan.STARTER
    assert complaints == []


async def test_dialog_stays_while_it_is_sent_and_a_double_click_is_one_change(shop: Shop, browser: Browser) -> None:
    await shop.subscribe()
    page = await (await shop.signed_in(browser)).new_page()
    await page.goto(f"{shop.base}/billing/plans")
    await page.get_by_role("button", name="Change to Pro").click()
    await page.get_by_label("I agree that $20.00 is charged now.").check()
    sent: list[str] = []
    page.on("request", lambda request: sent.append(request.url) if request.method == "POST" else None)
    await page.get_by_role("button", name="Change to Pro, pay $20.00 now").dblclick()
    await page.wait_for_url("**/billing/plans/change/*")
    assert await page.locator("h1").inner_text() == "You are on Pro now."
    assert len(sent) == 1
    await page.go_back()
    await page.go_forward()
    assert await page.locator("h1").inner_text() == "You are on Pro now."
    invoices = await shop.web.billing.mirror_invoices(shop.user.account_id)
    assert invoices == 2


async def test_plan_is_changed_and_kept_without_scripts(shop: Shop, browser: Browser) -> None:
    await shop.subscribe()
    page = await (await shop.signed_in(browser, java_script_enabled=False)).new_page()
    await page.goto(f"{shop.base}/billing/plans")
    await page.get_by_role("button", name="Change to Free").click()
    await page.get_by_role("button", name="Change to Free on 10 April").click()
    assert await page.locator("h1").inner_text() == "Starter until 10 April, then Free."
    await page.get_by_role("link", name="Back to the plans").click()
    await page.get_by_role("button", name="Keep Starter").click()
    assert "You are on Starter" in await page.locator("h1").inner_text()


PAGES = ("/pricing", "/billing/plans", "/billing/plans/end", "/billing/payment-methods", "/billing/settings")


@pytest.mark.parametrize(("theme", "width"), [("light", 360), ("dark", 1280)])
async def test_pages_have_no_barrier_and_do_not_scroll_sideways(
    shop: Shop, browser: Browser, theme: Literal["light", "dark"], width: int
) -> None:
    await shop.subscribe()
    context = await shop.signed_in(browser, color_scheme=theme, viewport={"width": width, "height": 900})
    page = await context.new_page()
    complaints, hosts = watch(page)
    preview = await shop.web.billing.preview_update(shop.user.account_id, SubscriptionPlan.PRO, actor="test")
    for path in (*PAGES, f"/billing/plans/change/{preview.change.change_id}"):
        await page.goto(f"{shop.base}{path}")
        assert await barriers(page) == [], path
        assert await sideways(page) <= 0, path
    assert complaints == []
    assert hosts == {shop.base.removeprefix("http://")}

"""A customer's whole life in a real browser, against the sandbox over HTTP.

given a user on the Free plan, and the product with its pages
when  they buy Pro by a test card, run a service, upgrade, cannot pay a renewal, pay, and end and keep their plan
then  each page tells what is true at that moment, and what they agreed to is what was charged
"""

import re
from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from playwright.async_api import Browser, Page, expect

from helvetia.kernel.status import SubscriptionStatus
from helvetia.subscriptions.service import SubscriptionService
from support.browser_page import WATCH, barriers, sideways, watch
from support.customer_life import PASSWORD, CustomerLife, customer_life
from support.sandbox_process import running_sandbox

START = datetime(2026, 3, 10, 9, tzinfo=UTC)
DAY = timedelta(days=1)
LIVE_WITHIN_MS = 15_000
pytestmark = [pytest.mark.browser, pytest.mark.slow]


@pytest.fixture
async def life(database_url: str, tmp_path: Path) -> AsyncIterator[CustomerLife]:
    with running_sandbox() as sandbox_url:
        async with customer_life(sandbox_url, database_url, tmp_path, START) as life:
            yield life


async def sign_in(page: Page, life: CustomerLife) -> None:
    await page.goto(f"{life.base_url}/sign-in")
    await page.get_by_label("E-mail").fill(life.user.email)
    await page.get_by_label("Password").fill(PASSWORD)
    await page.get_by_role("button", name="Sign in").click()
    await page.wait_for_url("**/billing")


async def look(page: Page) -> None:
    """Every page of the way: no barrier, no sideways scrolling."""
    assert await barriers(page) == []
    assert await sideways(page) <= 0


async def pay_at_checkout(page: Page, number: str) -> None:
    await page.get_by_label("Card number").fill(number)
    await page.get_by_label("Expires").fill("12 / 34")
    await page.get_by_label("Security code").fill("123")
    await page.get_by_label("Name on the card").fill("Ada Lovelace")
    await page.get_by_role("button", name=re.compile("^Subscribe, pay")).click()


async def sentence(page: Page) -> str:
    return await page.locator("h1").first.inner_text()


async def test_customer_buys_uses_upgrades_fails_pays_and_stays(life: CustomerLife, browser: Browser) -> None:
    page = await browser.new_page(viewport={"width": 1280, "height": 900}, accept_downloads=True)
    await page.add_init_script(WATCH)
    complaints, _ = watch(page)
    await sign_in(page, life)
    await _buys_starter(page, life)
    await _sees_usage(page, life)
    await _upgrades_to_pro(page, life)
    await _cannot_pay_the_renewal(page, life)
    await _pays_and_is_back(page, life)
    await _reads_the_invoice(page, life)
    await _ends_and_keeps_the_plan(page, life)
    assert [one for one in complaints if "CSP" in one or "Error" in one] == []


async def _buys_starter(page: Page, life: CustomerLife) -> None:
    await page.get_by_role("link", name="Plans", exact=True).click()
    await look(page)
    await page.get_by_role("button", name=re.compile("Starter")).click()
    await pay_at_checkout(page, "4242 4242 4242 4242")
    await page.wait_for_url(f"{life.base_url}/billing/success*")
    await life.turn()
    await page.goto(page.url)
    assert "Starter" in await sentence(page)
    await look(page)


async def _sees_usage(page: Page, life: CustomerLife) -> None:
    await life.run_services("web")
    await life.live(timedelta(hours=2), step=timedelta(minutes=5))
    await page.goto(f"{life.base_url}/billing/usage")
    await look(page)
    await expect(page.get_by_role("link", name="web").first).to_be_visible()
    before = await sentence(page)
    await life.live(timedelta(hours=6), step=timedelta(minutes=15))
    await expect(page.locator("h1").first).not_to_have_text(before, timeout=LIVE_WITHIN_MS)


async def _upgrades_to_pro(page: Page, life: CustomerLife) -> None:
    await life.advance(10 * DAY)
    await sign_in(page, life)
    await page.goto(f"{life.base_url}/billing/plans")
    await page.get_by_role("button", name=re.compile("Pro")).click()
    confirm = page.get_by_role("button", name=re.compile(r"Change to Pro, pay \$\d+\.\d\d now"))
    await expect(confirm).to_be_visible()
    amount = re.search(r"\$\d+\.\d\d", await confirm.inner_text())
    assert amount is not None
    await page.get_by_role("checkbox").check()
    await confirm.click()
    await expect(page.get_by_text(re.compile("Pro")).first).to_be_visible()
    await life.turn()
    await page.goto(f"{life.base_url}/billing/invoices")
    await look(page)
    await expect(page.get_by_text(amount.group()).first).to_be_visible()
    record = await (await life.house.get(SubscriptionService)).get_subscription(life.user.account_id)
    assert record.plan.value == "PRO"


async def _cannot_pay_the_renewal(page: Page, life: CustomerLife) -> None:
    await life.use_card("pm_card_chargeCustomerFail")
    record = await (await life.house.get(SubscriptionService)).get_subscription(life.user.account_id)
    await life.at(record.period.ends_at + timedelta(minutes=10))  # the draft takes what was used until then
    await life.at(record.period.ends_at + timedelta(hours=2))
    await sign_in(page, life)
    await page.goto(f"{life.base_url}/billing/suspension")
    await look(page)
    await expect(page.get_by_text("Services stop in").first).to_be_visible()
    await life.at(life.clock.now() + 8 * DAY)
    await life.turn()
    assert await life.host.list_running_ids() == []
    await sign_in(page, life)
    await page.goto(f"{life.base_url}/billing/suspension")
    await look(page)


async def _pays_and_is_back(page: Page, life: CustomerLife) -> None:
    await life.use_card("pm_card_visa")
    await page.goto(f"{life.base_url}/billing/pay")
    await look(page)
    await page.get_by_role("button", name=re.compile(r"^Pay \$")).click()
    await page.wait_for_url("**/billing")
    await life.turn()
    await life.turn()
    record = await (await life.house.get(SubscriptionService)).get_subscription(life.user.account_id)
    assert record.status is SubscriptionStatus.ACTIVE
    assert len(await life.host.list_running_ids()) == 1
    await page.goto(f"{life.base_url}/billing")
    assert (await sentence(page)).startswith("Pro plan. Next charge about")
    await look(page)


async def _reads_the_invoice(page: Page, life: CustomerLife) -> None:
    await page.goto(f"{life.base_url}/billing/invoices")
    link = page.get_by_role("link", name=re.compile("PDF")).first
    answer = await page.request.get(f"{life.base_url}{await link.get_attribute('href')}")
    assert (answer.status, (await answer.body())[:5]) == (200, b"%PDF-")
    for invoice in await page.locator("tbody th a").all():
        address = await invoice.get_attribute("href")
        body = await (await page.request.get(f"{life.base_url}{address}")).text()
        if "Our own count" in body:
            await page.goto(f"{life.base_url}{address}")
            break
    await look(page)
    await expect(page.get_by_text("All 4 lines of usage equal our own count to the last digit.")).to_be_visible()


async def _ends_and_keeps_the_plan(page: Page, life: CustomerLife) -> None:
    await page.goto(f"{life.base_url}/billing/plans/end")
    await look(page)
    await page.get_by_role("button", name=re.compile("^End ")).first.click()
    await life.turn()
    await page.goto(f"{life.base_url}/billing")
    assert (await sentence(page)).startswith("Pro plan until")
    await page.goto(f"{life.base_url}/billing/plans")
    await page.get_by_role("button", name="Keep Pro").click()
    await life.turn()
    await page.goto(f"{life.base_url}/billing")
    assert (await sentence(page)).startswith("Pro plan. Next charge about")

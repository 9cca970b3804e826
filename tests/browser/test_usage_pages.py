"""The usage pages in a real browser: live, zoomed by a script, whole without one, no barrier and no complaint."""

import re
from datetime import timedelta
from typing import Literal

import pytest
from playwright.async_api import Browser, Page

from helvetia.accounts.model import User
from helvetia.containers.model import ServiceChange
from helvetia.kernel.clock import ManualClock
from helvetia.kernel.identity import ServiceId
from helvetia.kernel.period import floor_hour
from support.browser_page import WATCH, barriers, sideways, watch
from support.usage_pages import add_services, change_services, use_hours
from support.web_world import PASSWORD, WebWorld

pytestmark = pytest.mark.browser


@pytest.fixture
async def user(world: WebWorld) -> User:
    return await world.user("ada", PASSWORD)


@pytest.fixture
async def services(world: WebWorld, user: User, clock: ManualClock) -> dict[str, ServiceId]:
    services = await add_services(world.database, user, clock.now() - timedelta(days=40))
    start = floor_hour(clock.now()).replace(hour=0) - timedelta(days=8)
    await use_hours(world.database, user, services, start, floor_hour(clock.now()) - timedelta(hours=1))
    async with world.database.transaction() as tx:
        await tx.execute("UPDATE subscriptions SET plan = 'ENTERPRISE' WHERE account_id = %s", (user.account_id,))
    changes = [
        ("web", start + timedelta(days=3, hours=9), ServiceChange(replicas=2)),
        ("api", start + timedelta(days=5, hours=14), ServiceChange(image="demo:2", memory_mb=256, env={"KEY": "2"})),
        ("worker", clock.now() - timedelta(hours=2), ServiceChange(image="demo:7")),
    ]
    await change_services(world.database, user, services, changes)
    return services


async def sign_in(world: WebWorld, page: Page, user: User) -> None:
    session = await world.accounts.sign_in(user.email, PASSWORD, address="test")
    cookie = {"name": world.config.session_cookie, "value": session.secret, "url": world.config.public_base_url}
    await page.context.add_cookies([cookie])  # type: ignore[list-item]


@pytest.mark.parametrize(("theme", "width"), [("light", 1280), ("dark", 360)])
async def test_pages_have_no_barrier_in_any_state(
    world: WebWorld,
    browser: Browser,
    user: User,
    services: dict[str, ServiceId],
    theme: Literal["light", "dark"],
    width: int,
) -> None:
    page = await browser.new_page(color_scheme=theme, viewport={"width": width, "height": 900})
    await page.add_init_script(WATCH)
    complaints, _ = watch(page)
    await sign_in(world, page, user)
    for path in (
        "/billing/usage",
        "/billing/usage?period=custom&from=2026-03-07&to=2026-03-08&compare=before",
        "/billing/usage?period=custom&from=2026-03-09&to=2026-03-08&metric=BANDWIDTH_GB",
        "/billing/usage?period=month&month=2025-01",
        f"/billing/usage/services/{services['web']}",
        f"/billing/usage/why?metric=BANDWIDTH_GB&service={services['web']}",
        "/billing/history",
    ):
        await page.goto(f"{world.config.public_base_url}{path}")
        for closed in await page.locator("details.numbers summary").all():
            await closed.click()
        assert await barriers(page) == [], path
        assert await sideways(page) <= 0, path
    assert complaints == []


async def test_usage_appears_on_the_open_page_and_leaves_what_the_reader_opened(
    world: WebWorld, browser: Browser, user: User, services: dict[str, ServiceId], clock: ManualClock
) -> None:
    page = await browser.new_page()
    await page.add_init_script(WATCH)
    complaints, _ = watch(page)
    await sign_in(world, page, user)
    await page.goto(f"{world.config.public_base_url}/billing/usage")
    before = await page.locator("h1").inner_text()
    await page.locator("details.numbers summary").first.click()
    hour = floor_hour(clock.now())
    await use_hours(world.database, user, services, hour - timedelta(hours=1), hour)
    await page.wait_for_function(
        "before => document.querySelector('h1').innerText !== before", arg=before, timeout=15_000
    )
    assert await page.locator("details.numbers").first.get_attribute("open") is not None
    assert await page.locator(".zoom canvas").count() == 1
    assert complaints == []


async def test_without_scripts_everything_is_told(
    world: WebWorld, browser: Browser, user: User, services: dict[str, ServiceId]
) -> None:
    context = await browser.new_context(java_script_enabled=False)
    page = await context.new_page()
    await sign_in(world, page, user)
    await page.goto(f"{world.config.public_base_url}/billing/usage")
    await page.get_by_label("Metric").select_option("BANDWIDTH_GB")
    await page.get_by_role("button", name="Show", exact=True).click()
    assert "metric=BANDWIDTH_GB" in page.url
    assert await page.locator(".rising .plot svg[role=img]").is_visible()
    assert await page.locator(".chart svg.change").count() == 3
    assert "web: scaled from 1 to 2" in await page.locator("details.numbers").first.text_content()
    rows = await page.locator("section[aria-labelledby=changes] tbody tr").all_inner_texts()
    assert [[cell.strip() for cell in row.split("\t")[1:3]] for row in rows] == [
        ["worker", "revision 2 deployed\nimage demo → demo:7"],
        ["api", "revision 2 deployed\nimage demo → demo:2, memory, MB 512 → 256, environment"],
        ["web", "scaled from 1 to 2"],
    ]
    assert "no full day since" in rows[0]
    assert (
        "a day. Means of up to 7 full UTC days"
        in await page.locator("section[aria-labelledby=changes] .finding").inner_text()
    )
    await page.locator("table.usage-table a").first.click()
    assert f"/billing/usage/services/{services['web']}" in page.url
    await page.get_by_role("link", name=re.compile("Why this number")).click()
    assert (await page.locator("h1").inner_text()).startswith("Bandwidth of web: ")
    await context.close()

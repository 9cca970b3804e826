"""A real browser signs in and reads the page, in both themes and two widths."""

from typing import Literal

import pytest
from playwright.async_api import Browser

from support.browser_page import INJECTED, WATCH, watch
from support.web_world import PASSWORD, WebWorld

pytestmark = pytest.mark.browser


@pytest.mark.parametrize("width", [320, 1280])
@pytest.mark.parametrize("theme", ["light", "dark"])
async def test_user_signs_in_reads_the_page_and_leaves(
    world: WebWorld, browser: Browser, theme: Literal["light", "dark"], width: int
) -> None:
    user = await world.user("ada", PASSWORD)
    await world.accounts.create_organization("Alpine Labs with a name that goes on and on", user.account_id)
    page = await browser.new_page(color_scheme=theme, viewport={"width": width, "height": 900})
    await page.add_init_script(WATCH)
    complaints, hosts = watch(page)
    base = world.config.public_base_url

    await page.goto(f"{base}/")
    assert page.url == f"{base}/sign-in"
    await page.get_by_label("E-mail").fill(user.email)
    await page.get_by_label("Password").fill(PASSWORD)
    await page.keyboard.press("Enter")
    await page.wait_for_url(f"{base}/billing")
    assert await page.locator("h1").inner_text() == "Free plan. Nothing is charged; usage counts anew on 1 April."
    assert await page.evaluate("document.fonts.check('16px Inter')")
    assert await page.evaluate("document.documentElement.scrollWidth") <= width

    await page.locator(".switch summary").click()
    await page.get_by_role("link", name="Alpine Labs").click()
    await page.wait_for_url("**/billing?organizationId=*")
    await page.locator(".switch summary").click()
    assert await page.evaluate("document.documentElement.scrollWidth") <= width
    await page.get_by_role("button", name="Sign out").click()
    await page.wait_for_url(f"{base}/sign-in")
    await page.goto(f"{base}/billing")
    assert page.url == f"{base}/sign-in"
    assert complaints == []
    assert hosts == {base.removeprefix("http://")}


async def test_injected_script_and_style_do_not_run(world: WebWorld, browser: Browser) -> None:
    page = await browser.new_page()
    await page.add_init_script(WATCH)
    complaints, _ = watch(page)
    await page.goto(f"{world.config.public_base_url}/sign-in")
    await page.evaluate("html => document.body.insertAdjacentHTML('beforeend', html)", INJECTED)
    await page.wait_for_timeout(200)
    assert await page.evaluate("window.hit") is None
    assert any("CSP" in complaint for complaint in complaints)

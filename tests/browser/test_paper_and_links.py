"""What a page is on paper, and that no link of it leads nowhere."""

from pathlib import Path

import pytest
from playwright.async_api import Browser, Page

from helvetia.kernel.clock import ManualClock
from support.account_stage import Stage
from support.state_builders import STATES, set_stage
from support.trials import IS_FULL
from support.web_world import PASSWORD, WebWorld

pytestmark = pytest.mark.browser
SMALL = ("free", "grace")
SHEET_WIDTH_PX = 673  # of A4, between its margins
PAGES = ("", "/usage", "/plans", "/invoices", "/payments", "/payment-methods", "/history", "/suspension", "/settings")
FOLDED = "details.numbers table"
SHOWN = "one => one.getClientRects().length > 0"


async def reader(world: WebWorld, browser: Browser, stage: Stage, width: int = 1280) -> Page:
    session = await world.accounts.sign_in(stage.user.email, PASSWORD, address="test")
    page = await browser.new_page(viewport={"width": width, "height": 900})
    cookie = {"name": world.config.session_cookie, "value": session.secret, "url": world.config.public_base_url}
    await page.context.add_cookies([cookie])  # type: ignore[list-item] # a dict of its own type
    return page


async def test_paper_has_no_navigation_and_every_table_open(
    world: WebWorld, browser: Browser, clock: ManualClock, tmp_path: Path
) -> None:
    stage, _ = await set_stage(world, clock.now(), "grace")
    page = await reader(world, browser, stage, SHEET_WIDTH_PX)
    for path in ("", "/usage", "/history", "/suspension"):
        await page.goto(f"{world.config.public_base_url}/billing{path}")
        folded = page.locator(FOLDED)
        assert not any([await table.is_visible() for table in await folded.all()])
        await page.emulate_media(media="print")
        for away in (".bar", ".actions", "details.numbers summary", ".filters"):
            assert not any([await one.is_visible() for one in await page.locator(away).all()]), (path, away)
        assert all([await table.evaluate(SHOWN) for table in await folded.all()]), path
        cut = await page.evaluate(
            "[...document.querySelectorAll('.frame')].filter(one => one.scrollWidth > one.clientWidth + 1).length"
        )
        assert (cut, await page.evaluate("document.documentElement.scrollWidth")) == (0, SHEET_WIDTH_PX), path
        await page.emulate_media(media="screen")
    await page.goto(f"{world.config.public_base_url}/billing")
    await page.emulate_media(media="print")
    sheet = await page.pdf(path=tmp_path / "sheet.pdf", prefer_css_page_size=True)
    assert sheet.startswith(b"%PDF-")


@pytest.mark.parametrize("state", SMALL if not IS_FULL else STATES)
async def test_no_link_leads_nowhere(world: WebWorld, browser: Browser, clock: ManualClock, state: str) -> None:
    stage, _ = await set_stage(world, clock.now(), state)
    page, base = await reader(world, browser, stage), world.config.public_base_url
    found: dict[str, str] = {}
    for path in PAGES:
        answer = await page.goto(f"{base}/billing{path}")
        assert answer is not None
        assert answer.status == 200, path
        for link in await page.locator("a[href]").all():
            found.setdefault(str(await link.get_attribute("href")), path)
        assert await page.evaluate(
            "[...document.querySelectorAll('a[href^=\"#\"]')].every(one => document.querySelector(one.hash))"
        ), path
    for address, where in found.items():
        if address.startswith("/") and not address.split("?")[0].endswith(("/pdf", "/pay")):  # those ask Stripe
            answer_of_link = await page.request.get(f"{base}{address}")
            assert answer_of_link.status == 200, (address, where)

"""What a page weighs and how still it stands: bytes on the wire, scripts in all, no shift while it loads."""

import gzip
from collections.abc import AsyncIterator
from decimal import Decimal

import pytest
from playwright.async_api import Browser, BrowserContext

from helvetia.containers.model import ServiceDefinition
from helvetia.containers.store import insert_service
from helvetia.kernel.clock import ManualClock
from helvetia.kernel.identity import new_service_id
from helvetia.web.dashboard.render import STATIC_PATH
from support.web_world import PASSWORD, WebWorld

HTML_BYTES_MAX = 60_000
SCRIPT_BYTES_MAX = 45_000
SHIFT_MAX = 0.02
SERVICES = 50
SHIFTS = """
window.shift = 0;
new PerformanceObserver(list => { for (const one of list.getEntries()) window.shift += one.value; })
  .observe({type: "layout-shift", buffered: true});
"""
PAGES = ("", "/usage", "/plans", "/history", "/suspension", "/settings")
pytestmark = pytest.mark.browser


@pytest.fixture
async def reader(world: WebWorld, browser: Browser, clock: ManualClock) -> AsyncIterator[BrowserContext]:
    """A signed-in browser of an account with fifty services."""
    user = await world.user("ada", PASSWORD)
    async with world.database.transaction() as tx:
        for number in range(SERVICES):
            wanted = ServiceDefinition(
                name=f"service-{number:02}", image="helvetia/demo:latest", memory_mb=64, cpu_cores=Decimal("0.1")
            )
            await insert_service(tx, user.account_id, new_service_id(), wanted, clock.now())
    session = await world.accounts.sign_in(user.email, PASSWORD, address="test")
    context = await browser.new_context(viewport={"width": 1280, "height": 900})
    cookie = {"name": world.config.session_cookie, "value": session.secret, "url": world.config.public_base_url}
    await context.add_cookies([cookie])  # type: ignore[list-item] # a dict of its own type
    await context.add_init_script(SHIFTS)
    yield context
    await context.close()


async def test_page_is_light_and_stands_still(world: WebWorld, reader: BrowserContext) -> None:
    page = await reader.new_page()
    for path in PAGES:
        answer = await page.goto(f"{world.config.public_base_url}/billing{path}", wait_until="load")
        assert answer is not None
        assert answer.status == 200, path
        assert len(gzip.compress(await answer.body())) < HTML_BYTES_MAX, path
        await page.wait_for_timeout(300)
        assert await page.evaluate("window.shift") < SHIFT_MAX, path


def test_all_scripts_together_are_small() -> None:
    sizes = {path.name: len(gzip.compress(path.read_bytes())) for path in STATIC_PATH.rglob("*.js")}
    assert sum(sizes.values()) < SCRIPT_BYTES_MAX, sizes

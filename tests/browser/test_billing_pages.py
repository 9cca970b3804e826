"""The overview, the page on a failed payment, invoices and notices in a real browser, in their main states."""

import os
from datetime import datetime, timedelta
from decimal import Decimal
from pathlib import Path
from typing import Literal

import pytest
from playwright.async_api import Browser, Page

from helvetia.accounts.model import User
from helvetia.catalogue.plans import SubscriptionPlan
from helvetia.kernel.clock import ManualClock
from support import page_states
from support.browser_page import WATCH, barriers, sideways, watch
from support.web_world import PASSWORD, WebWorld

pytestmark = pytest.mark.browser

PATHS = ("/billing", "/billing/suspension", "/billing/invoices", "/billing/payments", "/billing/notifications")
USUAL = [Decimal(number) for number in (9, 8, 10, 9, 11, 7, 8)]
SHOTS = os.environ.get("HELVETIA_SHOTS")


async def prepare(world: WebWorld, clock: ManualClock, state: str) -> tuple[User, list[str]]:
    """A user whose account is in the state, and the pages that tell of it."""
    user = await world.user("ada", PASSWORD)
    account_id, now, database = user.account_id, clock.now(), world.database
    if state == "free":
        return user, list(PATHS)
    starts_at, ends_at = now - timedelta(days=20), now + timedelta(days=10)
    await page_states.on_plan(database, account_id, SubscriptionPlan.PRO, starts_at, ends_at)
    services = await page_states.with_services(database, account_id, ["api", "web", "worker", "postgres"], now)
    history = now - timedelta(days=40)
    await page_states.with_usage(database, account_id, services, history, now, gb_of(state))
    await page_states.with_card(database, account_id, now)
    paid = await page_states.with_invoice(database, account_id, "HC-2026-0024", starts_at)
    span = (starts_at - timedelta(days=30), starts_at)
    await page_states.with_line(database, account_id, paid, 1, (starts_at, ends_at))
    await page_states.with_line(
        database, account_id, paid, 2, span, description="Bandwidth", quantity=Decimal("346.5"), amount_minor=8318
    )
    pages = [*PATHS, f"/billing/invoices/{paid}"]
    if state in {"grace", "stopped"}:
        failed_at = now - timedelta(days=2, hours=3 if state == "grace" else 24 * 6)
        owed = await page_states.payment_failed(database, account_id, failed_at)
        await page_states.with_declined(database, account_id, owed, failed_at)
        pages.append(f"/billing/invoices/{owed}")
    return user, pages


def gb_of(state: str) -> list[Decimal]:
    return [one * 2 for one in USUAL] if state == "near" else [one / 3 for one in (*USUAL[:5], USUAL[5] * 2, USUAL[6])]


async def signed_in(world: WebWorld, browser: Browser, user: User, theme: Literal["light", "dark"], width: int) -> Page:
    page = await browser.new_page(color_scheme=theme, viewport={"width": width, "height": 900})
    await page.add_init_script(WATCH)
    await page.goto(f"{world.config.public_base_url}/sign-in")
    await page.get_by_label("E-mail").fill(user.email)
    await page.get_by_label("Password").fill(PASSWORD)
    await page.keyboard.press("Enter")
    await page.wait_for_url(f"{world.config.public_base_url}/billing")
    return page


@pytest.mark.parametrize(
    ("state", "theme", "width"),
    [
        ("free", "dark", 360),
        ("active", "light", 1280),
        ("near", "dark", 1280),
        ("grace", "light", 1280),
        ("grace", "dark", 360),
        ("stopped", "light", 360),
    ],
)
async def test_pages_of_billing_have_no_barriers_and_fit(
    world: WebWorld, browser: Browser, clock: ManualClock, state: str, theme: Literal["light", "dark"], width: int
) -> None:
    user, paths = await prepare(world, clock, state)
    page = await signed_in(world, browser, user, theme, width)
    complaints, hosts = watch(page)
    for path in paths:
        answer = await page.goto(f"{world.config.public_base_url}{path}")
        assert answer is not None
        assert answer.status == 200, path
        if SHOTS is not None:
            name = path.removeprefix("/").replace("/", "-")[:24]
            await page.screenshot(path=Path(SHOTS) / f"{state}-{theme}-{width}-{name}.png", full_page=True)
        assert await barriers(page) == [], path
        assert await sideways(page) <= 0, path
    assert complaints == []
    assert hosts == {world.config.public_base_url.removeprefix("http://")}


async def test_countdown_is_right_whatever_the_readers_clock_says(
    world: WebWorld, browser: Browser, clock: ManualClock
) -> None:
    user, _ = await prepare(world, clock, "grace")
    page = await signed_in(world, browser, user, "light", 1280)
    await page.clock.install(time=datetime(2031, 1, 1))  # noqa: DTZ001 - the browser's own clock, which is wrong
    await page.goto(f"{world.config.public_base_url}/billing/suspension")
    assert await page.locator("time.countdown").inner_text() == "4 days 21 hours"
    await page.clock.fast_forward("01:00:20")
    assert await page.locator("time.countdown").inner_text() == "4 days 19 hours"


async def test_order_of_stopping_is_changed_without_scripts(
    world: WebWorld, browser: Browser, clock: ManualClock
) -> None:
    user, _ = await prepare(world, clock, "grace")
    context = await browser.new_context(java_script_enabled=False)
    page = await context.new_page()
    await page.goto(f"{world.config.public_base_url}/sign-in")
    await page.get_by_label("E-mail").fill(user.email)
    await page.get_by_label("Password").fill(PASSWORD)
    await page.keyboard.press("Enter")
    await page.wait_for_url("**/billing")
    await page.goto(f"{world.config.public_base_url}/billing/suspension")
    names = page.locator(".order tbody th")
    assert await names.all_inner_texts() == ["postgres", "worker", "web", "api"]
    await page.get_by_role("button", name="Move web up").click()
    await page.wait_for_url("**/billing/suspension#order")
    assert await names.all_inner_texts() == ["postgres", "web", "worker", "api"]

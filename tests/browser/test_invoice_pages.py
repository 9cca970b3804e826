"""Invoices beside our own count, in a real browser: without barriers, and fitting, whatever there is to tell."""

import os
import re
from collections.abc import Awaitable, Callable, Mapping
from datetime import datetime, timedelta
from decimal import Decimal
from pathlib import Path
from typing import Literal

import pytest
from playwright.async_api import Browser

from helvetia.accounts.model import User
from helvetia.catalogue.plans import SubscriptionPlan
from helvetia.kernel.clock import ManualClock
from helvetia.kernel.quantity import UsageMetric
from support import page_states
from support.browser_page import WATCH, barriers, sideways, watch
from support.invoice_states import invoice_of
from support.page_prices import verified_book
from support.trials import IS_FULL
from support.web_world import PASSWORD, WebWorld

pytestmark = pytest.mark.browser

SHOTS = os.environ.get("HELVETIA_SHOTS")


async def _equal(world: WebWorld, user: User, now: datetime) -> tuple[str, str]:
    period = page_states.former_period(now)
    invoice_id = await invoice_of(world.database, user.account_id, period)
    return f"/billing/invoices/{invoice_id}", "All 4 lines of usage equal our own count to the last digit."


async def _different(world: WebWorld, user: User, now: datetime) -> tuple[str, str]:
    period = page_states.former_period(now)
    less = {UsageMetric.BANDWIDTH_GB: Decimal("5.25"), UsageMetric.COMPUTE_HOURS: Decimal("0.5")}
    invoice_id = await invoice_of(world.database, user.account_id, period, less)
    return f"/billing/invoices/{invoice_id}", "more than this invoice charges."


async def _draft(world: WebWorld, user: User, now: datetime) -> tuple[str, str]:
    period = page_states.former_period(now)
    less = {UsageMetric.MEMORY_GB_HOURS: Decimal("21.004")}
    draft = {"status": "draft", "finalized_at": None, "paid_at": None, "attempt_count": 0, "amount_paid_minor": 0}
    invoice_id = await invoice_of(world.database, user.account_id, period, less, **draft)
    return f"/billing/invoices/{invoice_id}", "it follows before it is final."


STATES: Mapping[str, Callable[[WebWorld, User, datetime], Awaitable[tuple[str, str]]]] = {
    "equal": _equal,
    "different": _different,
    "draft": _draft,
}
SMALL = [("equal", "light", 1280), ("different", "dark", 360), ("different", "light", 1280), ("draft", "dark", 1280)]
FULL = [(state, theme, width) for state in STATES for theme in ("light", "dark") for width in (1280, 360)]


@pytest.mark.parametrize(("state", "theme", "width"), FULL if IS_FULL else SMALL)
async def test_invoice_is_told_without_barriers(
    world: WebWorld, browser: Browser, clock: ManualClock, state: str, theme: Literal["light", "dark"], width: int
) -> None:
    now, user = clock.now(), await world.user("ada", PASSWORD)
    starts_at = page_states.former_period(now).ends_at
    await page_states.on_plan(
        world.database, user.account_id, SubscriptionPlan.PRO, starts_at, starts_at + timedelta(days=30)
    )
    services = await page_states.with_services(world.database, user.account_id, ["api", "web"], now)
    since = starts_at - timedelta(days=30)
    await page_states.with_usage(world.database, user.account_id, services, since, now, [Decimal(9), Decimal(7)])
    world.prices.fill(verified_book())
    path, words = await STATES[state](world, user, now)
    base, locale = world.config.public_base_url, os.environ.get("HELVETIA_SHOTS_LOCALE")
    page = await browser.new_page(color_scheme=theme, viewport={"width": width, "height": 900}, locale=locale)
    await page.add_init_script(WATCH)
    await page.goto(f"{base}/sign-in")
    await page.get_by_label("E-mail").fill(user.email)
    await page.get_by_label(re.compile("Password|Passwort")).fill(PASSWORD)
    await page.keyboard.press("Enter")
    await page.wait_for_url(f"{base}/billing")
    complaints, _ = watch(page)
    await page.goto(f"{base}{path}")
    if SHOTS is not None:
        await page.screenshot(path=Path(SHOTS) / f"invoice-{state}-{theme}-{width}.png", full_page=True)
    if locale is None:
        assert words in await page.locator("body").inner_text()
    assert await barriers(page) == []
    assert await sideways(page) <= 0
    assert complaints == []

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


async def _given_back(world: WebWorld, user: User, now: datetime) -> tuple[str, str]:
    period = page_states.former_period(now)
    at, issued_at = period.ends_at + timedelta(hours=1), period.ends_at + timedelta(days=2)
    invoice_id = await invoice_of(world.database, user.account_id, period, credited_after_minor=1500)
    parts = {"total_minor": 1500, "after_payment_minor": 1500, "refunded_minor": 1000, "outside_minor": 0}
    why = {"reason": "product_unsatisfactory", "memo": "For the outage on 12 February"}
    note = (world.database, user.account_id, invoice_id, "HC-2026-0024-CN-01", issued_at)
    await page_states.with_credit_note(*note, **parts, **why)
    declined = {"kind": "failed_attempt", "status": "failed", "reason_code": "insufficient_funds", "reason": ""}
    entries = [
        {"happened_at": issued_at, "kind": "refund", "amount_minor": 1000, "reason_code": "requested_by_customer"},
        {"happened_at": issued_at, "kind": "refund", "amount_minor": 200, "status": "pending"},
        {"happened_at": issued_at, "kind": "to_balance", "amount_minor": 500, "status": "issued", "method": None},
        {"happened_at": at + timedelta(hours=3), "amount_minor": 8791},
        {"happened_at": at, "amount_minor": 8791, **declined},
    ]
    await page_states.with_payments(world.database, user.account_id, invoice_id, entries, now)
    return f"/billing/invoices/{invoice_id}", "$10.00 was given back to you. $2.00 is on its way back to you."


async def _credited(world: WebWorld, user: User, now: datetime) -> tuple[str, str]:
    period = page_states.former_period(now)
    owed = {"status": "open", "paid_at": None, "amount_paid_minor": 0, "credited_before_minor": 900}
    due = {"amount_due_minor": 7891, "amount_remaining_minor": 7891}
    invoice_id = await invoice_of(world.database, user.account_id, period, **owed, **due)
    at = period.ends_at + timedelta(days=2)
    taken = {"total_minor": 900, "before_payment_minor": 900, "reason": "order_change"}
    await page_states.with_credit_note(world.database, user.account_id, invoice_id, "HC-2026-0024-CN-01", at, **taken)
    void = {"total_minor": 400, "before_payment_minor": 400, "status": "void", "voided_at": at + timedelta(hours=3)}
    await page_states.with_credit_note(world.database, user.account_id, invoice_id, "HC-2026-0024-CN-02", at, **void)
    return f"/billing/invoices/{invoice_id}", "A credit note took off $9.00. $78.91 is left to pay."


async def _list(world: WebWorld, user: User, now: datetime) -> tuple[str, str]:
    await _given_back(world, user, now)
    return "/billing/invoices", "$17.00 given back"


async def _history(world: WebWorld, user: User, now: datetime) -> tuple[str, str]:
    await _given_back(world, user, now)
    return "/billing/payments", "Credit note: put on your balance"


async def _next(world: WebWorld, user: User, now: datetime) -> tuple[str, str]:
    await _equal(world, user, now)
    return "/billing/invoices/next", "Check before it is final"


STATES: Mapping[str, Callable[[WebWorld, User, datetime], Awaitable[tuple[str, str]]]] = {
    "equal": _equal,
    "different": _different,
    "draft": _draft,
    "given back": _given_back,
    "credited": _credited,
    "list": _list,
    "history": _history,
    "next": _next,
}
NARROW = ("given back", "credited", "list", "history", "next")
SMALL = [("equal", "light", 1280), ("different", "dark", 360), ("different", "light", 1280), ("draft", "dark", 1280)]
SMALL += [(state, theme, width) for state in NARROW for theme, width in (("light", 360), ("dark", 1280))]
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
        await page.screenshot(
            path=Path(SHOTS) / f"invoice-{state.replace(' ', '-')}-{theme}-{width}.png", full_page=True
        )
    if locale is None:
        assert words in await page.locator("body").inner_text()
    assert await barriers(page) == []
    assert await sideways(page) <= 0
    assert complaints == []

"""The hosted pages in a real browser: checkout and portal, from the first page to the redirect back."""

from __future__ import annotations

import re
from typing import Any, Literal

import pytest
import stripe
from playwright.async_api import Browser, Page, expect

from sandbox.harness import Shop, World

SCHEMES: tuple[Literal["light", "dark"], ...] = ("light", "dark")
pytestmark = [pytest.mark.browser, pytest.mark.asyncio(loop_scope="module")]


def open_checkout(world: World, shop: Shop, **extra: Any) -> stripe.checkout.Session:
    if not world.prices:
        world.catalogue()
    lines: list[dict[str, Any]] = [{"price": world.prices["fixed"], "quantity": 1}]
    lines += [{"price": price} for name, price in world.prices.items() if name != "fixed"]
    params = {
        "mode": "subscription",
        "line_items": lines,
        "success_url": shop.base + "/done?session={CHECKOUT_SESSION_ID}",
        "cancel_url": shop.base + "/back",
        **extra,
    }
    return world.client.v1.checkout.sessions.create(params)


async def fill_card(page: Page, number: str) -> None:
    await page.get_by_label("Card number").fill(number)
    await page.get_by_label("Expires").fill("12 / 34")
    await page.get_by_label("Security code").fill("123")
    await page.get_by_label("Name on the card").fill("Ada Lovelace")


async def pay(page: Page, number: str) -> None:
    email = page.get_by_label("E-mail")
    if await email.is_editable():
        await email.fill("ada@example.com")
    await fill_card(page, number)
    await page.get_by_role("button", name="Subscribe, pay $29.00 now").click()


async def test_good_card_leads_back_with_a_paid_subscription(page: Page, world: World, shop: Shop) -> None:
    session = open_checkout(world, shop)
    await page.goto(session.url or "")
    assert "Sandbox" in await page.title()
    await pay(page, "4242 4242 4242 4242")
    await page.wait_for_url(f"{shop.base}/done?session={session.id}")
    await expect(page.get_by_text("Back at the shop")).to_be_visible()
    done = world.client.v1.checkout.sessions.retrieve(session.id, {"expand": ["subscription"]})
    assert (done.status, done.subscription.status) == ("complete", "active")


async def test_decline_is_told_in_place_and_another_card_succeeds(page: Page, world: World, shop: Shop) -> None:
    session = open_checkout(world, shop)
    await page.goto(session.url or "")
    await pay(page, "4000 0000 0000 0002")
    alert = page.get_by_role("alert")
    assert "Your card was declined." in await alert.inner_text()
    assert await page.get_by_label("Card number").get_attribute("aria-invalid") == "true"
    assert await page.get_by_label("E-mail").input_value() == "ada@example.com"
    assert await page.get_by_label("Security code").input_value() == ""
    await pay(page, "5555 5555 5555 4444")
    await page.wait_for_url(f"{shop.base}/done*")
    assert len(world.client.v1.subscriptions.list().data) == 1


async def test_bank_step_refused_then_authorised(page: Page, world: World, shop: Shop) -> None:
    session = open_checkout(world, shop)
    await page.goto(session.url or "")
    await pay(page, "4000 0000 0000 3220")
    await page.get_by_role("button", name="Refuse").click()
    assert "could not confirm" in await page.get_by_role("alert").inner_text()
    await page.goto(session.url or "")
    await pay(page, "4000 0000 0000 3220")
    await expect(page.get_by_text("a payment of $29.00")).to_be_visible()
    await page.get_by_role("button", name="Authorise").click()
    await page.wait_for_url(f"{shop.base}/done*")
    assert world.client.v1.subscriptions.list().data[0].status == "active"


async def test_cancel_link_leads_back_and_the_session_stays_open(page: Page, world: World, shop: Shop) -> None:
    session = open_checkout(world, shop)
    await page.goto(session.url or "")
    await page.get_by_role("link", name="Back without paying").click()
    await page.wait_for_url(f"{shop.base}/back")
    assert world.client.v1.checkout.sessions.retrieve(session.id).status == "open"


async def test_return_that_leads_on_to_another_host_is_not_held_back(page: Page, world: World, shop: Shop) -> None:
    session = open_checkout(world, shop, success_url=shop.base + "/hop")
    await page.goto(session.url or "")
    await pay(page, "4242 4242 4242 4242")
    await page.wait_for_url(f"{shop.other}/landed")


async def test_expired_session_says_so(page: Page, world: World, shop: Shop) -> None:
    session = open_checkout(world, shop)
    world.client.v1.checkout.sessions.expire(session.id)
    await page.goto(session.url or "")
    await expect(page.get_by_role("heading", name="This checkout has expired")).to_be_visible()
    await page.get_by_role("link", name="Go back").click()
    await page.wait_for_url(f"{shop.base}/back")


def subscriber(world: World) -> str:
    world.catalogue()
    customer = world.customer()
    world.subscribe(customer)
    return customer


def portal(world: World, shop: Shop, customer: str, **extra: Any) -> str:
    params = {"customer": customer, "return_url": shop.base + "/billing", **extra}
    return world.client.v1.billing_portal.sessions.create(params).url


async def test_portal_changes_the_card_and_leads_back(page: Page, world: World, shop: Shop) -> None:
    customer = subscriber(world)
    await page.goto(portal(world, shop, customer))
    await expect(page.get_by_text("Renews on")).to_be_visible()
    await page.get_by_role("link", name="Add a card").click()
    await fill_card(page, "5555 5555 5555 4444")
    await page.get_by_role("button", name="Save the card").click()
    await expect(page.get_by_text("This card pays from now on.")).to_be_visible()
    await page.get_by_role("button", name="Remove Visa •••• 4242").click()
    await expect(page.get_by_text("The card was removed.")).to_be_visible()
    kept = world.client.v1.customers.retrieve(customer, {"expand": ["invoice_settings.default_payment_method"]})
    assert kept.invoice_settings.default_payment_method.card.last4 == "4444"
    await page.get_by_role("link", name="Go back").click()
    await page.wait_for_url(f"{shop.base}/billing")


async def test_portal_cancels_and_keeps(page: Page, world: World, shop: Shop) -> None:
    customer = subscriber(world)
    await page.goto(portal(world, shop, customer))
    await page.get_by_role("link", name="Cancel subscription").click()
    await page.get_by_label("Too expensive").check()
    await page.get_by_role("button", name=re.compile("Cancel on")).click()
    await expect(page.get_by_text("Ends on")).to_be_visible()
    canceled = world.client.v1.subscriptions.list({"customer": customer}).data[0]
    assert (canceled.cancel_at_period_end, canceled.cancel_at is None) == (False, False)
    await page.get_by_role("button", name="Keep my subscription").click()
    await expect(page.get_by_text("Your subscription goes on.")).to_be_visible()
    assert world.client.v1.subscriptions.list({"customer": customer}).data[0].cancel_at is None


async def test_portal_flow_redirects_when_it_is_done(page: Page, world: World, shop: Shop) -> None:
    customer = subscriber(world)
    after = {"type": "redirect", "redirect": {"return_url": shop.base + "/hop"}}
    flow = {"type": "payment_method_update", "after_completion": after}
    await page.goto(portal(world, shop, customer, flow_data=flow))
    await fill_card(page, "4242 4242 4242 4242")
    await page.get_by_role("button", name="Save the card").click()
    await page.wait_for_url(f"{shop.other}/landed")


async def test_invoice_is_paid_in_the_browser(page: Page, world: World, shop: Shop) -> None:
    world.catalogue()
    customer = world.customer(card="pm_card_chargeCustomerFail")
    world.subscribe(customer, payment_behavior="allow_incomplete")
    invoice = world.client.v1.invoices.list({"customer": customer}).data[0]
    await page.goto(invoice.hosted_invoice_url or "")
    await page.get_by_text("Pay with another card").click()
    await fill_card(page, "4242 4242 4242 4242")
    await page.get_by_role("button", name="Pay $29.00", exact=True).click()
    await expect(page.get_by_role("heading", name="$29.00 paid")).to_be_visible()
    assert world.client.v1.subscriptions.list({"customer": customer}).data[0].status == "active"


async def test_pages_work_without_scripts_and_fit_a_phone(browser: Browser, world: World, shop: Shop) -> None:
    customer = subscriber(world)
    session = open_checkout(world, shop, customer=customer)
    invoice = world.client.v1.invoices.list({"customer": customer}).data[0]
    addresses = [session.url, portal(world, shop, customer), invoice.hosted_invoice_url]
    for address, scheme in zip(addresses, (*SCHEMES, "light"), strict=True):
        page = await browser.new_page(viewport={"width": 360, "height": 740}, color_scheme=scheme)
        await page.goto(address or "")
        width = await page.evaluate("document.documentElement.scrollWidth")
        assert width <= 360, address
        small = await page.evaluate(
            "[...document.querySelectorAll('button, input, a.button')].filter(e => e.offsetHeight < 24).length"
        )
        assert small <= await page.locator("input[type=checkbox], input[type=radio]").count()
        await page.close()
    context = await browser.new_context(java_script_enabled=False)
    plain = await context.new_page()
    await plain.goto(session.url or "")
    await plain.fill("#email", "ada@example.com")
    await fill_card(plain, "4242 4242 4242 4242")
    await plain.click("button[type=submit]")
    await plain.wait_for_url(f"{shop.base}/done*")
    await context.close()

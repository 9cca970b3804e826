"""The hosted pages in a real browser where money changes: codes, taxes, discounts, and another plan."""

from __future__ import annotations

import os
import re
from pathlib import Path
from typing import Any

import pytest
from playwright.async_api import Browser, Page, expect

from sandbox.harness import Sandbox, Shop, World
from sandbox.test_pages_browser import SCHEMES, fill_card, open_checkout
from sandbox.test_portal import open_portal
from sandbox.test_portal_changes import Offer

WIDTHS = (360, 1280)
pytestmark = [pytest.mark.browser, pytest.mark.asyncio(loop_scope="module")]


def half_off(world: World) -> str:
    return world.client.v1.coupons.create({"percent_off": 50, "duration": "forever", "name": "Half"}).id


def taxed_checkout(world: World, shop: Shop) -> str:
    promotion = {"type": "coupon", "coupon": half_off(world)}
    world.client.v1.promotion_codes.create({"promotion": promotion, "code": "HALF"})
    extra = {"allow_promotion_codes": True, "automatic_tax": {"enabled": True}}
    return open_checkout(world, shop, **extra).url or ""


def lowered_checkout(world: World, shop: Shop) -> str:
    """A checkout that has a discount and a tax before anything is typed."""
    customer = world.client.v1.customers.create({"address": {"country": "CH"}, "email": "ada@example.com"}).id
    extra = {"discounts": [{"coupon": half_off(world)}], "automatic_tax": {"enabled": True}}
    return open_checkout(world, shop, customer=customer, **extra).url or ""


def taxed_invoice(world: World) -> str:
    """An open invoice with a discount, a tax, and a tax number on it."""
    v1, coupon = world.client.v1, half_off(world)
    if not world.prices:
        world.catalogue()
    rate = v1.tax_rates.create({"display_name": "VAT", "percentage": 8.1, "inclusive": False}).id
    customer = world.customer(card="pm_card_chargeCustomerFail")
    v1.customers.tax_ids.create(customer, {"type": "ch_vat", "value": "CHE-123.456.789 MWST"})
    world.subscribe(
        customer, payment_behavior="allow_incomplete", discounts=[{"coupon": coupon}], default_tax_rates=[rate]
    )
    return v1.invoices.list({"customer": customer}).data[0].hosted_invoice_url or ""


async def test_code_and_country_change_what_checkout_asks_for(page: Page, world: World, shop: Shop) -> None:
    await page.goto(taxed_checkout(world, shop))
    await page.get_by_label("Promotion code").fill("WRONG")
    await page.get_by_role("button", name="Apply").click()
    await expect(page.get_by_text("This code is not valid.").first).to_be_visible()
    await page.get_by_label("Promotion code").fill("half")
    await page.get_by_role("button", name="Apply").click()
    await expect(page.get_by_text("\N{MINUS SIGN}$14.50")).to_be_visible()
    await page.get_by_label("Country code").fill("CH")
    await page.get_by_role("button", name="Count the tax").click()
    await expect(page.get_by_text("$1.17")).to_be_visible()
    await page.get_by_label("E-mail").fill("ada@example.com")
    await fill_card(page, "4242 4242 4242 4242")
    await page.get_by_role("button", name="Subscribe, pay $15.67 now").click()
    await page.wait_for_url(f"{shop.base}/done*")
    (invoice,) = world.client.v1.invoices.list().data
    assert (invoice.subtotal, invoice.total) == (2900, 1567)


async def test_hosted_invoice_tells_discount_tax_and_number_and_takes_the_sum(page: Page, world: World) -> None:
    await page.goto(taxed_invoice(world))
    for words in ("Discount", "\N{MINUS SIGN}$14.50", "Tax", "$1.17", "Total", "CHE-123.456.789 MWST"):
        await expect(page.get_by_text(words, exact=True).first).to_be_visible()
    await page.get_by_text("Pay with another card").click()
    await fill_card(page, "4242 4242 4242 4242")
    await page.get_by_role("button", name="Pay $15.67", exact=True).click()
    await expect(page.get_by_role("heading", name="$15.67 paid")).to_be_visible()


async def test_portal_changes_the_plan_later_and_keeps_it_after_all(
    page: Page, world: World, sandbox: Sandbox, shop: Shop
) -> None:
    later = {"schedule_at_period_end": {"conditions": [{"type": "decreasing_item_amount"}]}}
    offer = Offer(world, sandbox, **later)
    await page.goto(link(offer, shop))
    await page.get_by_role("link", name="Change subscription").click()
    await page.get_by_label("Small").check()
    await page.get_by_role("button", name="Continue").click()
    await page.get_by_role("button", name=re.compile("Change on")).click()
    await expect(page.get_by_text("will change at the end of the period")).to_be_visible()
    assert offer.now().schedule is not None
    await page.get_by_role("button", name="Keep it as it is").click()
    await expect(page.get_by_text("Your subscription stays as it is.")).to_be_visible()
    assert (offer.now().schedule, offer.item().price.id) == (None, offer.prices["Middle"])


async def test_portal_update_flows_end_where_they_should(
    page: Page, world: World, sandbox: Sandbox, shop: Shop
) -> None:
    offer = Offer(world, sandbox, proration_behavior="always_invoice")
    after = {"type": "redirect", "redirect": {"return_url": shop.base + "/hop"}}
    chosen = {**offer.flow("subscription_update"), "after_completion": after}
    await page.goto(link(offer, shop, flow_data=chosen))
    await page.get_by_label("Quantity").fill("2")
    await page.get_by_role("button", name="Continue").click()
    await page.get_by_role("button", name="Change, pay $20.00 now").click()
    await page.wait_for_url(f"{shop.other}/landed")
    prepared = offer.flow("subscription_update_confirm", items=[{"id": offer.item().id, "quantity": 4}])
    await page.goto(link(offer, shop, flow_data={**prepared, "after_completion": after}))
    await page.get_by_role("button", name="Change, pay $40.00 now").click()
    await page.wait_for_url(f"{shop.other}/landed")
    assert offer.item().quantity == 4


async def test_portal_keeps_a_tax_number(page: Page, world: World, shop: Shop) -> None:
    world.catalogue()
    customer = world.customer()
    flow = {"type": "customer_update"}
    await page.goto(session(world, shop, customer, flow_data=flow))
    await page.get_by_label("Kind").select_option(label="European Union: VAT number")
    await page.get_by_label("Number", exact=True).fill("DE12")
    await page.get_by_role("button", name="Add the number").click()
    await expect(page.get_by_text("This cannot be such a number.")).to_be_visible()
    await page.get_by_label("Number", exact=True).fill("DE123456789")
    await page.get_by_role("button", name="Add the number").click()
    await expect(page.get_by_text("The tax number was added.")).to_be_visible()
    await page.get_by_role("button", name="Remove DE123456789").click()
    await expect(page.get_by_text("The tax number was removed.")).to_be_visible()
    assert world.client.v1.customers.tax_ids.list(customer).data == []


def session(world: World, shop: Shop, customer: str, **extra: Any) -> str:
    params = {"customer": customer, "return_url": shop.base + "/billing", **extra}
    return world.client.v1.billing_portal.sessions.create(params).url


def link(offer: Offer, shop: Shop, **extra: Any) -> str:
    return session(offer.world, shop, offer.customer, configuration=offer.configuration, **extra)


async def test_pages_fit_every_width_in_light_and_dark(
    browser: Browser, world: World, sandbox: Sandbox, shop: Shop
) -> None:
    offer = Offer(world, sandbox, proration_behavior="always_invoice")
    world.client.v1.customers.tax_ids.create(offer.customer, {"type": "eu_vat", "value": "DE123456789"})
    portal, whole = offer.portal(), open_portal(world, sandbox, offer.customer)
    change = f"{portal.home}{offer.path}"
    addresses = {
        "checkout": taxed_checkout(world, shop),
        "lowered": lowered_checkout(world, shop),
        "invoice": taxed_invoice(world),
        "portal": portal.home,
        "change": f"{change}/change",
        "confirm": f"{change}/confirm?quantity=3",
        "details": f"{whole.home}/details",
    }
    for width in WIDTHS:
        for scheme in SCHEMES:
            page = await browser.new_page(viewport={"width": width, "height": 900}, color_scheme=scheme)
            for name, address in addresses.items():
                await page.goto(address)
                assert await page.evaluate("document.documentElement.scrollWidth") <= width, name
                await expect(page.get_by_text("Sandbox").first).to_be_visible()
                if folder := os.environ.get("SANDBOX_SHOTS"):
                    path = Path(folder) / f"{name}-{width}-{scheme}.png"
                    await page.screenshot(path=path, full_page=True)
            await page.close()

"""The page of an invoice: its lines of usage beside our own count, each with the way to exactly that usage."""

import re
from datetime import timedelta
from decimal import Decimal
from html import unescape
from urllib.parse import parse_qsl, urlsplit

import pytest

from helvetia.accounts.model import User
from helvetia.catalogue.plans import SubscriptionPlan
from helvetia.kernel.clock import ManualClock
from helvetia.kernel.quantity import UsageMetric
from support import page_states
from support.invoice_states import invoice_of
from support.page_prices import verified_book
from support.usage_pages import add_services, use_hours
from support.web_world import WebWorld


@pytest.fixture
async def user(world: WebWorld, clock: ManualClock) -> User:
    user = await world.user("ada")
    now = clock.now()
    period = (now - timedelta(days=9), now + timedelta(days=21))
    await page_states.on_plan(world.database, user.account_id, SubscriptionPlan.PRO, *period)
    world.prices.fill(verified_book())
    return user


async def test_each_line_of_usage_leads_to_the_usage_of_exactly_its_period(
    world: WebWorld, user: User, clock: ManualClock
) -> None:
    period = page_states.former_period(clock.now())
    services = await add_services(world.database, user, period.starts_at - timedelta(days=30))
    await use_hours(
        world.database, user, services, period.starts_at - timedelta(days=2), clock.now() - timedelta(hours=1)
    )
    invoice_id = await invoice_of(world.database, user.account_id, period)
    async with world.as_user(user) as client:
        page = (await client.get(f"/billing/invoices/{invoice_id}", headers={"Accept": "text/html"})).text
        assert "All 4 lines of usage equal our own count to the last digit." in page
        links = sorted({unescape(link) for link in re.findall(r'href="(/billing/usage\?[^"]+)"', page)})
        assert len(links) == len(UsageMetric)
        detail = (await client.get(f"/api/v1/billing/invoices/{invoice_id}")).json()
        assert detail["check"]["equal"] is True
        lines = {line["metric"]: line for line in detail["check"]["lines"]}
        for link in links:
            told = dict(parse_qsl(urlsplit(link).query))
            line = lines[told["metric"]]
            assert (told["from"], told["to"]) == (line["periodStart"], line["periodEnd"])
            shown = (await client.get(link, headers={"Accept": "text/html"})).text
            assert f'value="{line["quantity"].rstrip("0").rstrip(".")}' in shown or line["quantity"] in shown
            assert f"${Decimal(line['amount']):,.2f} of usage" in shown
            assert "as on an invoice" in shown


async def test_difference_is_told_first_in_one_sentence_and_then_by_line(
    world: WebWorld, user: User, clock: ManualClock
) -> None:
    period = page_states.former_period(clock.now())
    services = await add_services(world.database, user, period.starts_at)
    await use_hours(
        world.database, user, services, period.starts_at + timedelta(hours=1), period.ends_at - timedelta(hours=1)
    )
    invoice_id = await invoice_of(world.database, user.account_id, period, {UsageMetric.BANDWIDTH_GB: Decimal(5)})
    async with world.as_user(user) as client:
        page = (await client.get(f"/billing/invoices/{invoice_id}", headers={"Accept": "text/html"})).text
        detail = (await client.get(f"/api/v1/billing/invoices/{invoice_id}")).json()
    check = detail["check"]
    assert check["equal"] is False
    different = [line for line in check["lines"] if line["verdict"] != "equal"]
    assert [line["metric"] for line in different] == ["BANDWIDTH_GB"]
    assert Decimal(different[0]["ownQuantity"]) - Decimal(different[0]["quantity"]) == 5
    assert f"We count ${check['difference']} more than this invoice charges." in page
    assert page.index("We count") < page.index("not explained; the operator is told of it")


async def test_unverified_prices_are_told_instead_of_a_comparison(
    world: WebWorld, user: User, clock: ManualClock
) -> None:
    invoice_id = await invoice_of(world.database, user.account_id, page_states.former_period(clock.now()))
    world.prices.fail("The prices have not been read from Stripe yet.")
    async with world.as_user(user) as client:
        page = (await client.get(f"/billing/invoices/{invoice_id}", headers={"Accept": "text/html"})).text
        detail = (await client.get(f"/api/v1/billing/invoices/{invoice_id}")).json()
    assert detail["check"] is None
    assert "It cannot be compared now" in page

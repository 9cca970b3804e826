"""The sandbox as a child process for the whole run; each test has a Stripe account (a key) of its own."""

from collections.abc import AsyncIterator, Iterator
from datetime import UTC, datetime
from uuid import uuid4

import pytest

from helvetia.database.pool import Database
from helvetia.kernel.clock import ManualClock
from helvetia.meter_reports.invariants import broken_invariants as broken_reports
from helvetia.stripe_gateway.catalog import set_up_catalog, verify_prices
from helvetia.stripe_gateway.client import StripeClientGateway
from helvetia.stripe_gateway.model import PriceBook
from helvetia.stripe_gateway.price_book_holder import PriceBookHolder
from helvetia.subscriptions.invariants import broken_invariants as broken_subscriptions
from support.billing_house import BillingHouse, MovableClock, build_house
from support.sandbox_process import running_sandbox
from support.stripe_world import StripeWorld

FOR_THE_OPERATOR = {
    "no plan is in doubt",
    "nothing waits for the operator",
    "what was sent is counted within a day",
}


@pytest.fixture(scope="session")
def sandbox_url() -> Iterator[str]:
    with running_sandbox() as url:
        yield url


@pytest.fixture
def secret_key() -> str:
    return f"sk_test_{uuid4().hex}"


@pytest.fixture
async def gateway(sandbox_url: str, secret_key: str) -> AsyncIterator[StripeClientGateway]:
    gateway = StripeClientGateway(secret_key, api_base=sandbox_url)
    yield gateway
    await gateway.close()


@pytest.fixture
async def price_book(gateway: StripeClientGateway) -> PriceBook:
    return await verify_prices(gateway, await set_up_catalog(gateway))


@pytest.fixture
def holder(price_book: PriceBook) -> PriceBookHolder:
    holder = PriceBookHolder()
    holder.fill(price_book)
    return holder


@pytest.fixture
async def world(sandbox_url: str, secret_key: str, clock: ManualClock) -> AsyncIterator[StripeWorld]:
    world = StripeWorld(sandbox_url, secret_key, clock)
    await world.start_clock()
    yield world
    await world.close()


@pytest.fixture
def clock() -> MovableClock:
    return MovableClock(datetime(2026, 3, 10, 10, 17, 23, tzinfo=UTC))


@pytest.fixture
async def house(
    database: Database,
    clock: MovableClock,
    gateway: StripeClientGateway,
    holder: PriceBookHolder,
    world: StripeWorld,
    sandbox_url: str,
) -> AsyncIterator[BillingHouse]:
    """Whatever a test does, the invariants hold afterwards; findings for the operator are the test's own affair."""
    yield build_house(database, clock, gateway, holder, test_clock=world.test_clock, sandbox_origin=sandbox_url)
    async with database.transaction() as tx:
        broken = {**await broken_subscriptions(tx), **await broken_reports(tx)}
    assert not {rule: rows for rule, rows in broken.items() if rule not in FOR_THE_OPERATOR}

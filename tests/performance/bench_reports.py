"""A day of usage of 100 customers drained to the sandbox while one answer in twenty is lost, and how fast rating is.

The bucket is off; the sandbox, a process of its own, shares the cores. Usage is closed and queued beforehand; what is
timed is sending 100 x 4 x 24 reports, repetitions included. Stripe's sums are then compared with the ledger.
"""

import random
import time
from datetime import timedelta
from decimal import Decimal
from uuid import uuid4

import aiohttp

from helvetia.catalogue.plans import SubscriptionPlan
from helvetia.catalogue.prices import METERED_PRICES
from helvetia.database.enums import DATABASE_ENUMS
from helvetia.database.pool import Database
from helvetia.kernel.clock import SystemClock
from helvetia.kernel.period import Period, floor_hour
from helvetia.kernel.quantity import SOLD_UNITS, UsageMetric, to_sold_quantity
from helvetia.meter_reports.model import ReportsConfig
from helvetia.rating.rate_usage import rate_usage
from helvetia.stripe_gateway.catalog import set_up_catalog, verify_prices
from helvetia.stripe_gateway.client import StripeClientGateway
from helvetia.stripe_gateway.price_book_holder import PriceBookHolder
from helvetia.subscriptions import store as subscriptions
from helvetia.subscriptions.model import BillingPeriod
from support.billing_house import BillingHouse, MovableClock, build_house
from support.databases import cloned_database, running_server
from support.sandbox_process import running_sandbox

WHAT = "usage reported to the sandbox exactly once"
CUSTOMERS, HOURS, SEED = 100, 24, 9600
RATED_POINTS = 200_000


async def run(customers: int = CUSTOMERS, hours: int = HOURS) -> dict[str, object]:
    key = f"sk_test_{uuid4().hex}"
    with running_server(is_durable=True) as server, cloned_database(server) as url, running_sandbox() as sandbox:
        database, gateway = Database(url, enums=DATABASE_ENUMS), StripeClientGateway(key, api_base=sandbox)
        await database.open()
        holder = PriceBookHolder()
        holder.fill(await verify_prices(gateway, await set_up_catalog(gateway)))
        clock = MovableClock(SystemClock().now())
        fast = ReportsConfig(calls_per_second=100_000, streams_at_once=16, batch_max=1000)
        house = build_house(database, clock, gateway, holder, pace=fast)
        async with aiohttp.ClientSession(sandbox, headers={"Authorization": f"Bearer {key}"}) as operator:
            figures = await drain_day(house, clock, operator, customers, hours)
        await gateway.close()
        await database.close()
    return {**figures, **rating_figures()}


async def drain_day(
    house: BillingHouse, clock: MovableClock, operator: aiohttp.ClientSession, customers: int, hours: int
) -> dict[str, object]:
    """Close hour after hour, queue it, and drain all; then ask the sandbox for its sums."""
    chance = random.Random(SEED)
    ends_at = floor_hour(clock.now())
    period = Period(starts_at=ends_at - timedelta(hours=hours), ends_at=ends_at + timedelta(days=1))
    billed = [await customer_with_period(house, period) for _ in range(customers)]
    totals: dict[tuple[str, UsageMetric], int] = {}
    for number in range(hours):
        for one in billed:
            for metric in UsageMetric:
                quantity = chance.randrange(10 * SOLD_UNITS[metric].base_per_unit)
                at = period.starts_at + timedelta(hours=number)
                await house.add_closed_usage(one.account_id, metric, quantity, at, incarnation=f"c:{number}")
                key = (one.stripe_customer_id, metric)
                totals[key] = totals.get(key, 0) + quantity
            await house.reports.queue(one.account_id)
    fault = {"kind": "reset_after", "path": "/v1/billing/meter_events", "probability": "0.05", "seed": str(SEED)}
    await operator.post("/_sandbox/faults", data=fault)
    sent, began_s = 0, time.monotonic()
    for _ in range(200):
        done = await house.reports.drain()
        sent += done.sent_count
        clock.wall_shift += timedelta(seconds=61)
        if sent >= len([value for value in totals.values() if value]) * hours:
            break
    took_s = time.monotonic() - began_s
    await operator.delete("/_sandbox/faults")
    different = await differences(house, totals, period)
    return {
        "reports": sent,
        "seconds": round(took_s, 1),
        "reports_per_second": round(sent / took_s),
        "sums_that_differ_at_stripe": different,
    }


async def customer_with_period(house: BillingHouse, period: Period) -> BillingPeriod:
    account_id = await house.new_account()
    customer_id = await house.billing.get_or_create_customer(account_id)
    billed = BillingPeriod(
        account_id=account_id,
        period=period,
        stripe_subscription_id=f"sub_{account_id.hex}",
        stripe_customer_id=customer_id,
        plan=SubscriptionPlan.PRO,
    )
    async with house.database.transaction() as tx:
        await subscriptions.save_periods(tx, [billed], period.starts_at)
    return billed


async def differences(house: BillingHouse, totals: dict[tuple[str, UsageMetric], int], period: Period) -> int:
    """How many customers and meters the sandbox has another sum of than the ledger's, cut to six places."""
    compare = house.settlement._compare
    book = house.settlement._prices.require()
    count = 0
    for (customer_id, metric), total in totals.items():
        found = await compare.gateway.meter_event_summaries(
            meter_id=book.meters[metric].meter_id,
            customer_id=customer_id,
            starts_at=period.starts_at,
            ends_at=period.ends_at,
        )
        count += sum((one.value for one in found), Decimal(0)) != to_sold_quantity(metric, total)
    return count


def rating_figures() -> dict[str, object]:
    """Points (a metric of a period) rated a second, best of five."""
    prices = {metric: price.unit_price_minor for metric, price in METERED_PRICES.items()}
    chance = random.Random(SEED)
    usages = [{metric: chance.randrange(10**20) for metric in UsageMetric} for _ in range(RATED_POINTS // 4)]
    best_s = float("inf")
    for _ in range(5):
        began_s = time.perf_counter()
        for usage in usages:
            rate_usage(usage, prices)
        best_s = min(best_s, time.perf_counter() - began_s)
    return {"rated_points_per_second": round(RATED_POINTS / best_s)}

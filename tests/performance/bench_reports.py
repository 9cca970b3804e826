"""A day of usage of 100 customers, one answer in twenty lost, one event in twenty refused later; how fast rating is.

The bucket is off; the sandbox, a process of its own, shares the cores. Usage is closed and queued beforehand; what is
timed is sending 100 x 4 x 24 reports and what takes the place of refused ones, repetitions included. The sandbox
counts every call: each is a report that it took, or the one repetition of a lost answer. In the end its sums are
compared with the ledger's, and the events that it counts with the reports that we hold for confirmed.
"""

import random
import time
from collections import Counter
from dataclasses import dataclass, field
from datetime import timedelta
from decimal import Decimal
from typing import Any
from uuid import uuid4

import aiohttp

from helvetia.catalogue.plans import SubscriptionPlan
from helvetia.catalogue.prices import METERED_PRICES
from helvetia.database.enums import DATABASE_ENUMS
from helvetia.database.pool import Database
from helvetia.kernel.clock import SystemClock
from helvetia.kernel.period import Period, floor_hour
from helvetia.kernel.quantity import SOLD_UNITS, UsageMetric, to_sold_quantity
from helvetia.meter_reports.model import SUMMARY_SETTLES_IN, ReportsConfig, ReportState
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
SHARE = "0.05"
TURNS_MAX, SETTLING_MAX = 200, 40
RATED_POINTS = 200_000
REFUSED = "v1.billing.meter.error_report_triggered"
_WAITING = frozenset({ReportState.DUE, ReportState.UNKNOWN, ReportState.SENT})


class CountingGateway:
    """Counts what is asked of Stripe besides the events themselves, which the sandbox counts."""

    def __init__(self, gateway: StripeClientGateway) -> None:
        self._gateway, self.calls = gateway, Counter[str]()

    def __getattr__(self, name: str) -> Any:
        self.calls[name] += 1
        return getattr(self._gateway, name)


@dataclass(frozen=True, slots=True, kw_only=True)
class Day:
    """What one run works with: our house, the sandbox seen by its operator, and what the ledger holds."""

    house: BillingHouse
    clock: MovableClock
    gateway: CountingGateway
    operator: aiohttp.ClientSession
    told: set[str] = field(default_factory=set)
    billed: list[BillingPeriod] = field(default_factory=list)
    totals: Counter[tuple[str, UsageMetric]] = field(default_factory=Counter)

    async def switch(self, kind: str, **filters: str) -> str:
        fault = {"kind": kind, "probability": SHARE, "seed": str(SEED), **filters}
        async with self.operator.post("/_sandbox/faults", data=fault) as answer:
            return str((await answer.json())["id"])

    async def strikes(self, fault_id: str) -> tuple[int, int]:
        """How many calls or events a fault could have struck, and how many it did."""
        async with self.operator.get(f"/_sandbox/faults/{fault_id}") as answer:
            fault = await answer.json()
            return fault["matched"], fault["injected"]

    async def forward(self, step: timedelta) -> None:
        """Move real time, here and at the sandbox, and hear what it refused meanwhile, as the webhook would say it."""
        self.clock.wall_shift += step
        seconds = {"seconds": str(int(step.total_seconds()))}
        async with self.operator.post("/_sandbox/clock/advance", data=seconds) as answer:
            answer.raise_for_status()
        version = {"Stripe-Version": "2026-10-28.endive"}
        query = {"types[0]": REFUSED, "limit": "20"}
        async with self.operator.get("/v2/core/events", params=query, headers=version) as answer:
            answer.raise_for_status()
            named = [one["id"] for one in (await answer.json())["data"]]
        for event_id in named:
            if event_id not in self.told:
                self.told.add(event_id)
                await self._hear(event_id)

    async def _hear(self, event_id: str) -> None:
        report = await self.gateway.retrieve_meter_error_report(event_id)
        await self.house.reports.reject(report.identifiers, report.summary)
        if not report.names_all and report.validated is not None:
            await self.house.reports.suspect(report.meter_id, report.validated, report.summary)

    async def states(self) -> Counter[ReportState]:
        found: Counter[ReportState] = Counter()
        for one in self.billed:
            found.update(report.state for report in await self.house.all_reports(one.account_id))
        return found


async def run(customers: int = CUSTOMERS, hours: int = HOURS) -> dict[str, object]:
    key = f"sk_test_{uuid4().hex}"
    with running_server(is_durable=True) as server, cloned_database(server) as url, running_sandbox() as sandbox:
        database, gateway = Database(url, enums=DATABASE_ENUMS), StripeClientGateway(key, api_base=sandbox)
        await database.open()
        holder = PriceBookHolder()
        holder.fill(await verify_prices(gateway, await set_up_catalog(gateway)))
        clock, counting = MovableClock(SystemClock().now()), CountingGateway(gateway)
        fast = ReportsConfig(calls_per_second=100_000, streams_at_once=16, batch_max=1000)
        house = build_house(database, clock, counting, holder, pace=fast)
        async with aiohttp.ClientSession(sandbox, headers={"Authorization": f"Bearer {key}"}) as operator:
            day = Day(house=house, clock=clock, gateway=counting, operator=operator)
            figures = await drain_day(day, customers, hours)
        await gateway.close()
        await database.close()
    return {**figures, **rating_figures()}


async def drain_day(day: Day, customers: int, hours: int) -> dict[str, object]:
    """Queue hour after hour, drain all while calls and events fail, settle all, and compare."""
    period = await use_a_day(day, customers, hours)
    lost = await day.switch("reset_after", path="/v1/billing/meter_events")
    refused = await day.switch("reject_usage")
    day.gateway.calls.clear()
    sent, took_s = await send_all(day)
    confirms = 0
    for _ in range(SETTLING_MAX):
        confirms += 1
        for one in day.billed:
            await day.house.reports.confirm(one.account_id, period.starts_at)
            await day.house.reports.queue(one.account_id)
        more, more_s = await send_all(day)
        sent, took_s = sent + more, took_s + more_s
        if not more and not _WAITING & (await day.states()).keys():
            break
    (calls, lost_count), (taken, refused_count) = await day.strikes(lost), await day.strikes(refused)
    states = await day.states()
    return {
        "customers_x_meters_x_hours": customers * len(UsageMetric) * hours,
        "reports_taken": taken,
        "refused_afterwards": refused_count,
        "answers_lost": lost_count,
        "calls": calls,
        "calls_beyond_reports_and_lost_answers": calls - taken - lost_count,
        "summary_calls": day.gateway.calls["meter_event_summaries"],
        "summary_calls_by_hour": day.gateway.calls["meter_event_summaries_by_hour"],
        "rounds_of_confirming": confirms,
        "seconds_of_sending": round(took_s, 1),
        "reports_per_second": round(sent / took_s),
        "confirmed_reports_over_events_counted": states[ReportState.CONFIRMED] - (taken - refused_count),
        "rows_not_settled": sum(states[state] for state in _WAITING | {ReportState.DEAD}),
        "sums_that_differ_at_stripe": await differences(day.house, day.totals, period),
    }


async def use_a_day(day: Day, customers: int, hours: int) -> Period:
    """Closed usage of every customer, metric and hour, queued hour by hour."""
    chance = random.Random(SEED)
    ends_at = floor_hour(day.clock.now())
    period = Period(starts_at=ends_at - timedelta(hours=hours), ends_at=ends_at + timedelta(days=1))
    day.billed.extend([await customer_with_period(day.house, period) for _ in range(customers)])
    for number in range(hours):
        for one in day.billed:
            for metric in UsageMetric:
                quantity = chance.randrange(1, 10 * SOLD_UNITS[metric].base_per_unit)
                at = period.starts_at + timedelta(hours=number)
                await day.house.add_closed_usage(one.account_id, metric, quantity, at, incarnation=f"c:{number}")
                day.totals[one.stripe_customer_id, metric] += quantity
            await day.house.reports.queue(one.account_id)
    return period


async def send_all(day: Day) -> tuple[int, float]:
    """Drain until nothing is due; then wait until refusals are told and summaries hold the rest."""
    sent, took_s = 0, 0.0
    for _ in range(TURNS_MAX):
        began_s = time.monotonic()
        done = await day.house.reports.drain()
        took_s += time.monotonic() - began_s
        sent += done.sent_count
        await day.forward(timedelta(seconds=61))
        if not (await day.states())[ReportState.DUE]:
            break
    await day.forward(SUMMARY_SETTLES_IN)
    return sent, took_s


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

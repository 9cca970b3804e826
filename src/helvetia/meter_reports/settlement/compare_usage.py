"""The comparison of every hop that usage takes: engine ↔ ledger ↔ outbox ↔ Stripe's meters ↔ invoice lines.

Each difference names its hop, customer, metric, hour (or run, or period), amount and money, and what mends it. Nothing
is changed here. Three waits keep false alarms out: hours that are not closed, usage closed or sent a moment ago, and
periods that Stripe may still bill are not compared yet. Fails for one account as the gateway does; the others go on.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from decimal import Decimal

from helvetia.database.pool import Database
from helvetia.kernel.clock import Clock, from_ns
from helvetia.kernel.identity import AccountId
from helvetia.kernel.period import HOUR, Period, floor_hour
from helvetia.kernel.quantity import UsageMetric, to_sold_quantity
from helvetia.meter_reports import store as reports
from helvetia.meter_reports.model import (
    REPORTABLE_FOR,
    SUMMARY_SETTLES_IN,
    MeterReport,
    ReportState,
    whole_hours,
    whole_minutes,
)
from helvetia.meter_reports.pace import Pace
from helvetia.meter_reports.queue_reports import missing_values
from helvetia.meter_reports.redirection.store import misdirected
from helvetia.meter_reports.settlement import store, store_engine
from helvetia.meter_reports.settlement.model import Billed, Hop, UsageDifference, unbilled
from helvetia.metering.store import closed_totals
from helvetia.stripe_gateway.model import PriceBook, StripeGateway
from helvetia.subscriptions.model import BillingPeriod
from helvetia.subscriptions.store import billing_periods

QUEUED_WITHIN = timedelta(minutes=15)
ENGINE_LOOKS_BACK = timedelta(days=35)
ENGINE_SETTLES_IN = timedelta(hours=1)
_ARRIVED = frozenset({ReportState.SENT, ReportState.CONFIRMED})
_WANTED = _ARRIVED | {ReportState.UNKNOWN, ReportState.DEAD}
_NOTHING = Billed()

_REPAIRS = {
    Hop.ENGINE: "a defect of metering: keep the readings; correct it by a record with a reason",
    Hop.OUTBOX: "queued by the worker's next turn; if not, look for meter_reports.queue_failed in its log",
    Hop.INVOICE: "decide its task: helvetia usage-tasks",
}


@dataclass(frozen=True, slots=True, kw_only=True)
class CompareParts:
    """What comparing works with."""

    database: Database
    clock: Clock
    gateway: StripeGateway
    pace: Pace


async def compare_usage(parts: CompareParts, book: PriceBook, account_id: AccountId) -> list[UsageDifference]:
    """Every difference of one account. Raises as the gateway does."""
    now = parts.clock.now()
    async with parts.database.transaction() as tx:
        periods = [one for one in await billing_periods(tx, account_id) if one.period.ends_at > now - REPORTABLE_FOR]
    found = await _engine(parts, book, account_id, now)
    for billed in periods:
        found += await _outbox(parts, book, billed, now)
        for metric in UsageMetric:
            found += await _stripe(parts, book, billed, metric)
            found += await _misdirected(parts, book, billed, metric)
        found += await _invoice(parts, book, billed)
    return found


async def _engine(parts: CompareParts, book: PriceBook, account_id: AccountId, now: datetime) -> list[UsageDifference]:
    ends_at = floor_hour(now - ENGINE_SETTLES_IN)
    range_ = Period(starts_at=ends_at - ENGINE_LOOKS_BACK, ends_at=ends_at)
    async with parts.database.transaction() as tx:
        differences = await store_engine.engine_differences(tx, account_id, range_)
    return [
        _difference(
            book,
            account_id,
            Hop.ENGINE,
            one.metric,
            Period(starts_at=from_ns(one.starts_ns), ends_at=max(from_ns(one.ends_ns), from_ns(one.starts_ns + 1000))),
            ours=to_sold_quantity(one.metric, one.engine),
            theirs=to_sold_quantity(one.metric, one.ledger),
        )
        for one in differences
    ]


async def _outbox(parts: CompareParts, book: PriceBook, billed: BillingPeriod, now: datetime) -> list[UsageDifference]:
    async with parts.database.transaction() as tx:
        missing = await missing_values(tx, billed)
        closed_at = await store_engine.last_closed_at(tx, billed.account_id, billed.period)
        totals = await closed_totals(tx, billed.account_id, billed.period)
    if closed_at is not None and closed_at > now - QUEUED_WITHIN:
        return []
    figures = {metric: to_sold_quantity(metric, totals[metric]) for metric in missing}
    return [
        _difference(
            book,
            billed.account_id,
            Hop.OUTBOX,
            metric,
            billed.period,
            ours=figures[metric],
            theirs=figures[metric] - value,
        )
        for metric, value in missing.items()
    ]


async def _stripe(
    parts: CompareParts, book: PriceBook, billed: BillingPeriod, metric: UsageMetric
) -> list[UsageDifference]:
    """The whole period by one call; only where that differs, each of its hours."""
    meter_id, events = book.meters[metric].meter_id, whole_minutes(billed.period)
    rows = await _rows(parts, billed, metric, events)
    await parts.pace.wait()
    total = await parts.gateway.meter_event_summaries(
        meter_id=meter_id, customer_id=billed.stripe_customer_id, starts_at=events.starts_at, ends_at=events.ends_at
    )
    if _sum(rows) == sum((one.value for one in total), Decimal(0)):
        return []
    asked = whole_hours([events.starts_at, events.ends_at - timedelta(microseconds=1)])
    rows = await _rows(parts, billed, metric, asked)
    await parts.pace.wait()
    by_hour = await parts.gateway.meter_event_summaries_by_hour(
        meter_id=meter_id, customer_id=billed.stripe_customer_id, starts_at=asked.starts_at, ends_at=asked.ends_at
    )
    counted = {one.starts_at: one.value for one in by_hour}
    hours = sorted({*counted, *(floor_hour(row.occurred_at) for row in rows)})
    wall = parts.clock.wall()
    found = []
    for hour in hours:
        of_hour = [row for row in rows if floor_hour(row.occurred_at) == hour]
        ours, theirs = _sum(of_hour), counted.get(hour, Decimal(0))
        is_fresh = any(row.last_sent_at and wall - row.last_sent_at < SUMMARY_SETTLES_IN for row in of_hour)
        if ours == theirs or is_fresh:
            continue
        period = Period(starts_at=hour, ends_at=hour + timedelta(hours=1))
        found.append(
            _difference(
                book,
                billed.account_id,
                Hop.STRIPE,
                metric,
                period,
                ours=ours,
                theirs=theirs,
                repair=_stripe_repair(of_hour, ours - theirs),
            )
        )
    return found


def _stripe_repair(of_hour: Sequence[MeterReport], difference: Decimal) -> str:
    states = {row.state for row in of_hour if row.state is not ReportState.CONFIRMED}
    if difference < 0:
        return (
            "Stripe counted more than we sent: find who else reports to this meter; credit it, or send a negative event"
        )
    if ReportState.DEAD in states:
        return "dead: Stripe takes it no more; when the invoice is final it is a task"
    if ReportState.UNKNOWN in states:
        return "unknown: the worker compares and sends what never arrived under a new identifier"
    return "taken in, but not counted: look for a meter error report at Stripe; if none comes it is a task at the end"


async def _misdirected(
    parts: CompareParts, book: PriceBook, billed: BillingPeriod, metric: UsageMetric
) -> list[UsageDifference]:
    """What went to another customer's meter: the outbox holds it for reported, and this customer is not billed it."""
    async with parts.database.transaction() as tx:
        rows = await misdirected(tx, billed, metric)
    return [
        _difference(
            book,
            billed.account_id,
            Hop.STRIPE,
            metric,
            Period(starts_at=floor_hour(row.occurred_at), ends_at=floor_hour(row.occurred_at) + HOUR),
            ours=row.value,
            theirs=Decimal(0),
            repair=f"it went to {row.stripe_customer_id}: within 24 hours, helvetia redirect-report --report"
            f" {row.identifier} --reason ...; later, credit that customer",
        )
        for row in rows
    ]


async def _rows(parts: CompareParts, billed: BillingPeriod, metric: UsageMetric, events: Period) -> list[MeterReport]:
    async with parts.database.transaction() as tx:
        rows = await reports.reports_of_range(tx, billed.account_id, billed.stripe_customer_id, metric, events)
    return [row for row in rows if row.state in _WANTED]


async def _invoice(parts: CompareParts, book: PriceBook, billed: BillingPeriod) -> list[UsageDifference]:
    metrics = {meter.price_id: metric for metric, meter in book.meters.items()}
    known_ids = [*metrics, *(plan.price_id for plan in book.plans.values())]
    async with parts.database.transaction() as tx:
        if (await store.end_facts(tx, billed, known_ids)).cause is None:
            return []
        totals = await closed_totals(tx, billed.account_id, billed.period)
        lines = await store.billed_of_period(tx, billed, metrics)
        decided = await store.decided(tx, billed.account_id, billed.period.starts_at)
    found = []
    for metric in UsageMetric:
        price = book.meters[metric].unit_price_minor
        line, settled = lines.get(metric, _NOTHING), decided.get(metric, _NOTHING)
        left = unbilled(metric, totals[metric], price, line, settled)
        if left.amount_minor or left.quantity:
            found.append(
                UsageDifference(
                    account_id=billed.account_id,
                    hop=Hop.INVOICE,
                    metric=metric,
                    starts_at=billed.period.starts_at,
                    ends_at=billed.period.ends_at,
                    ours=to_sold_quantity(metric, totals[metric]),
                    theirs=line.quantity + settled.quantity,
                    amount_minor=Decimal(left.amount_minor),
                    repair=_REPAIRS[Hop.INVOICE] if left.amount_minor else "less than a cent: nothing to decide",
                )
            )
    return found


def _difference(
    book: PriceBook,
    account_id: AccountId,
    hop: Hop,
    metric: UsageMetric,
    period: Period,
    *,
    ours: Decimal,
    theirs: Decimal,
    repair: str | None = None,
) -> UsageDifference:
    return UsageDifference(
        account_id=account_id,
        hop=hop,
        metric=metric,
        starts_at=period.starts_at,
        ends_at=period.ends_at,
        ours=ours,
        theirs=theirs,
        amount_minor=((ours - theirs) * book.meters[metric].unit_price_minor).normalize(),
        repair=repair or _REPAIRS[hop],
    )


def _sum(rows: Sequence[MeterReport]) -> Decimal:
    return sum((row.value for row in rows), Decimal(0))

"""The arrow Stripe's summary → outbox: rows are confirmed by what Stripe counted, and unknown ones decided.

The summary is asked for whole minutes, and compared with the rows whose events lie in exactly that range. Nothing is
ever sent here; a row that surely never arrived becomes due again.
"""

from collections.abc import Sequence
from decimal import Decimal

import structlog

from helvetia.database.pool import Database, Transaction
from helvetia.kernel.clock import Clock
from helvetia.kernel.period import Period
from helvetia.kernel.quantity import UsageMetric
from helvetia.meter_reports import store
from helvetia.meter_reports.model import (
    Confirmation,
    MeterReport,
    ReportState,
    Verdict,
    judge_summary,
    whole_minutes,
)
from helvetia.stripe_gateway.model import PriceBook, StripeGateway
from helvetia.subscriptions.model import BillingPeriod

_log = structlog.get_logger()

_COUNTED = frozenset({ReportState.SENT, ReportState.CONFIRMED, ReportState.UNKNOWN})


async def confirm_reports(
    database: Database, clock: Clock, gateway: StripeGateway, book: PriceBook, billed: BillingPeriod
) -> tuple[Confirmation, ...]:
    """Compare every metric of a billing period with Stripe's summary. Raises as the gateway does."""
    events = whole_minutes(billed.period)
    customer_id = billed.stripe_customer_id
    confirmations = []
    for metric in UsageMetric:
        async with database.transaction() as tx:
            before = await store.reports_of_range(tx, billed.account_id, customer_id, metric, events)
        if not before:
            continue
        counted = await _counted(gateway, book.meters[metric].meter_id, customer_id, events)
        confirmations.append(await _settle(database, clock, metric, before, counted, events))
    return tuple(confirmations)


async def _counted(gateway: StripeGateway, meter_id: str, customer_id: str, events: Period) -> Decimal:
    summaries = await gateway.meter_event_summaries(
        meter_id=meter_id, customer_id=customer_id, starts_at=events.starts_at, ends_at=events.ends_at
    )
    return sum((summary.value for summary in summaries), Decimal(0))


async def _settle(
    database: Database,
    clock: Clock,
    metric: UsageMetric,
    reports: Sequence[MeterReport],
    counted: Decimal,
    events: Period,
) -> Confirmation:
    """Only rows that were known before the summary was asked for are settled by it.

    Unknown ones wait when another row was attempted meanwhile: the summary may hold that one instead.
    """
    wall = clock.wall()
    verdict = judge_summary(reports, counted, wall)
    async with database.transaction() as tx:
        first = reports[0]
        after = await store.reports_of_range(tx, first.account_id, first.stripe_customer_id, metric, events)
        if _attempts(after) != _attempts(reports) and any(one.state is ReportState.UNKNOWN for one in reports):
            verdict = Verdict.UNDECIDED
        for report in reports:
            if verdict is Verdict.ALL_ARRIVED and report.state in {ReportState.SENT, ReportState.UNKNOWN}:
                await store.settle(tx, report, ReportState.CONFIRMED, wall=wall)
            if verdict is Verdict.UNKNOWN_NEVER_ARRIVED and report.state is ReportState.SENT:
                await store.settle(tx, report, ReportState.CONFIRMED, wall=wall)
            if verdict is Verdict.UNKNOWN_NEVER_ARRIVED and report.state is ReportState.UNKNOWN:
                await store.make_due_again(tx, report)
            if verdict is Verdict.UNDECIDED and report.is_uncounted(wall):
                await _tell_uncounted(tx, report, counted)
    return Confirmation(
        metric=metric,
        sent=sum((report.value for report in reports if report.state in _COUNTED), Decimal(0)),
        counted=counted,
        is_confirmed=verdict is Verdict.ALL_ARRIVED,
    )


async def _tell_uncounted(tx: Transaction, report: MeterReport, counted: Decimal) -> None:
    """Once per row: its invariant is broken from now on, until a summary confirms it."""
    if await store.note_uncounted(tx, report, f"sent more than a day ago, but Stripe counted {counted} in all"):
        _log.error("meter_reports.not_counted", identifier=report.identifier, sent_at=str(report.settled_at))


def _attempts(reports: Sequence[MeterReport]) -> set[tuple[str, ReportState, int]]:
    return {(one.identifier, one.state, one.attempt_count) for one in reports if one.attempt_count}

"""The arrow Stripe's summary → outbox: rows are confirmed by what Stripe counted, and unknown ones decided.

One call per metric compares a whole period. Only where the sums differ are the hours of what is open asked for. Nothing
is ever sent here; what surely never arrived is rejected, and its usage is queued anew under another identifier.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal

import structlog

from helvetia.database.pool import Database, Transaction
from helvetia.kernel.clock import Clock
from helvetia.kernel.period import Period, floor_hour
from helvetia.kernel.quantity import UsageMetric
from helvetia.meter_reports import store
from helvetia.meter_reports.judge_summary import has_all_arrived, judge_hour, open_reports
from helvetia.meter_reports.model import Confirmation, MeterReport, ReportState, whole_hours, whole_minutes
from helvetia.meter_reports.pace import Pace
from helvetia.stripe_gateway.model import PriceBook, StripeGateway
from helvetia.subscriptions.model import BillingPeriod

NEVER_ARRIVED = "it never arrived: Stripe's summary of its hour does not hold it"

_log = structlog.get_logger()

_COUNTED = frozenset({ReportState.SENT, ReportState.CONFIRMED, ReportState.UNKNOWN})


@dataclass(frozen=True, slots=True, kw_only=True)
class ConfirmParts:
    """What confirming works with."""

    database: Database
    clock: Clock
    gateway: StripeGateway
    pace: Pace


@dataclass(frozen=True, slots=True, kw_only=True)
class Asked:
    """What was asked of Stripe, what we knew just before, and what it counted."""

    metric: UsageMetric
    events: Period
    reports: Sequence[MeterReport]
    counted: Decimal


async def confirm_reports(parts: ConfirmParts, book: PriceBook, billed: BillingPeriod) -> tuple[Confirmation, ...]:
    """Compare every metric of a billing period with Stripe's summary. Raises as the gateway does."""
    return tuple(
        [
            found
            for metric in UsageMetric
            if (found := await _confirm_metric(parts, book.meters[metric].meter_id, metric, billed)) is not None
        ]
    )


async def _confirm_metric(
    parts: ConfirmParts, meter_id: str, metric: UsageMetric, billed: BillingPeriod
) -> Confirmation | None:
    events = whole_minutes(billed.period)
    before = await _read(parts, billed, metric, events)
    if not before:
        return None
    await parts.pace.wait()
    counted = sum(
        (
            summary.value
            for summary in await parts.gateway.meter_event_summaries(
                meter_id=meter_id,
                customer_id=billed.stripe_customer_id,
                starts_at=events.starts_at,
                ends_at=events.ends_at,
            )
        ),
        Decimal(0),
    )
    if has_all_arrived(before, counted):
        decided: Mapping[str, ReportState] = {one.identifier: ReportState.CONFIRMED for one in open_reports(before)}
        await _settle(parts, billed, Asked(metric=metric, events=events, reports=before, counted=counted), decided)
        is_confirmed = not any(report.is_in_doubt for report in before)
    else:
        is_confirmed = False
        await _judge_hours(parts, meter_id, metric, billed, open_reports(before))
    sent = sum((report.value for report in before if report.state in _COUNTED), Decimal(0))
    return Confirmation(metric=metric, sent=sent, counted=counted, is_confirmed=is_confirmed)


async def _judge_hours(
    parts: ConfirmParts, meter_id: str, metric: UsageMetric, billed: BillingPeriod, waiting: Sequence[MeterReport]
) -> None:
    """Look closer: the hours that hold something open, each by itself."""
    if not waiting:
        return
    asked = whole_hours(report.occurred_at for report in waiting)
    before = await _read(parts, billed, metric, asked)
    await parts.pace.wait()
    by_hour = await parts.gateway.meter_event_summaries_by_hour(
        meter_id=meter_id, customer_id=billed.stripe_customer_id, starts_at=asked.starts_at, ends_at=asked.ends_at
    )
    counted = {summary.starts_at: summary.value for summary in by_hour}
    reports: dict[datetime, list[MeterReport]] = {}
    for report in before:
        reports.setdefault(floor_hour(report.occurred_at), []).append(report)
    decided: dict[str, ReportState] = {}
    for hour, of_hour in reports.items():
        decided |= judge_hour(of_hour, counted.get(hour, Decimal(0)), parts.clock.wall())
    total = sum(counted.values(), Decimal(0))
    await _settle(parts, billed, Asked(metric=metric, events=asked, reports=before, counted=total), decided)


async def _read(
    parts: ConfirmParts, billed: BillingPeriod, metric: UsageMetric, events: Period
) -> Sequence[MeterReport]:
    async with parts.database.transaction() as tx:
        return await store.reports_of_range(tx, billed.account_id, billed.stripe_customer_id, metric, events)


async def _settle(parts: ConfirmParts, billed: BillingPeriod, asked: Asked, decided: Mapping[str, ReportState]) -> None:
    """Only rows that were known before the summary was asked for are settled by it.

    Unknown ones wait when another row was attempted meanwhile: the summary may hold that one instead.
    """
    wall = parts.clock.wall()
    async with parts.database.transaction() as tx:
        after = await store.reports_of_range(
            tx, billed.account_id, billed.stripe_customer_id, asked.metric, asked.events
        )
        is_moved = _attempts(after) != _attempts(asked.reports)
        for report in asked.reports:
            state = decided.get(report.identifier)
            if state is not None and not (is_moved and report.state is ReportState.UNKNOWN):
                error = NEVER_ARRIVED if state is ReportState.REJECTED else None
                await store.settle(tx, report, state, wall=wall, error=error)
            elif state is None and report.is_uncounted(wall):
                await _tell_uncounted(tx, report, asked.counted)


async def _tell_uncounted(tx: Transaction, report: MeterReport, counted: Decimal) -> None:
    """Once per row: its invariant is broken from now on, until a summary confirms it."""
    if await store.note_uncounted(tx, report, f"sent more than a day ago, but Stripe counted {counted} in all"):
        _log.error("meter_reports.not_counted", identifier=report.identifier, sent_at=str(report.settled_at))


def _attempts(reports: Sequence[MeterReport]) -> set[tuple[str, ReportState, int]]:
    return {(one.identifier, one.state, one.attempt_count) for one in reports if one.attempt_count}

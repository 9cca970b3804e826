"""The arrow outbox → Stripe: every row arrives once, whatever breaks.

An attempt is on record before it leaves; afterwards the row is settled. A crash in between leaves the row due, and it
is sent again with the same identifier, which Stripe takes only once ("already used" is a success). When the first
attempt is so long ago that Stripe may have forgotten the identifier, the row becomes unknown, and only Stripe's
summary decides. Streams (customer and meter) run side by side, the reports of one stream one after another, whoever
sends, all together at a bounded rate. When Stripe is away the round ends; what was not sent stays due.
"""

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

import structlog

from helvetia.billing.service import BillingService
from helvetia.billing.store import finalized_at_of_period
from helvetia.database.pool import Database, Transaction
from helvetia.kernel.clock import Clock
from helvetia.kernel.errors import HelvetiaError, Unavailable
from helvetia.kernel.identity import AccountId
from helvetia.meter_reports import store
from helvetia.meter_reports.model import (
    SENDING_LASTS,
    MeterReport,
    NextStep,
    ReportsConfig,
    ReportState,
    SendRound,
    is_too_old,
    next_step,
)
from helvetia.meter_reports.pace import Pace
from helvetia.stripe_gateway.errors import AlreadyUsedIdentifier, MeterEventAhead, MeterEventOutOfTime
from helvetia.stripe_gateway.model import MeterEvent
from helvetia.subscriptions.store import billing_periods

BATCHES_PER_DRAIN = 500
DRAIN_S = 40.0

_log = structlog.get_logger()


@dataclass(frozen=True, slots=True, kw_only=True)
class SendParts:
    """What sending works with."""

    database: Database
    clock: Clock
    billing: BillingService
    pace: Pace
    config: ReportsConfig


async def drain_reports(parts: SendParts) -> SendRound:
    """Send batch after batch until nothing is due, or Stripe does not answer; bounded."""
    rounds: list[SendRound] = []
    until_s = parts.clock.monotonic() + DRAIN_S
    for _ in range(BATCHES_PER_DRAIN):
        rounds.append(await send_reports(parts))
        if rounds[-1].failed_count or rounds[-1] == SendRound() or parts.clock.monotonic() > until_s:
            break
    return _add_up(rounds)


async def send_reports(parts: SendParts, *, account_id: AccountId | None = None, limit: int | None = None) -> SendRound:
    """Send one batch of due rows, oldest first, of one account or of all."""
    claimed, settled = await _claim(parts, account_id, limit or parts.config.batch_max)
    streams: dict[tuple[str, str], list[MeterReport]] = {}
    for report in claimed:
        streams.setdefault(report.stream, []).append(report)
    gate = asyncio.Semaphore(parts.config.streams_at_once)
    rounds = await asyncio.gather(*(_send_stream(parts, gate, stream) for stream in streams.values()))
    return _add_up([settled, *rounds])


async def _claim(parts: SendParts, account_id: AccountId | None, limit: int) -> tuple[list[MeterReport], SendRound]:
    """Take due rows for sending; settle those that may not be sent any more."""
    now, wall = parts.clock.now(), parts.clock.wall()
    by_step: dict[NextStep, list[MeterReport]] = {step: [] for step in NextStep}
    async with parts.database.transaction() as tx:
        due = await store.lock_due(tx, wall=wall, sending_lasts=SENDING_LASTS, limit=limit, account_id=account_id)
        final_ats, customers = await _periods(tx, due)
        stray_count = 0
        for report in due:
            customer_id = customers.get(_period(report), report.stripe_customer_id)
            if report.first_sent_at is None and customer_id != report.stripe_customer_id:
                reason = f"queued for another customer than its period's, {customer_id}; never sent"
                await store.settle(tx, report, ReportState.REJECTED, wall=wall, error=reason)
                stray_count += 1
                continue
            by_step[next_step(report, now=now, wall=wall, final_at=final_ats.get(_period(report)))].append(report)
        for report in by_step[NextStep.BURY]:
            reason = "older than 35 days when its turn came; Stripe takes it no more"
            if not is_too_old(report.occurred_at, now):
                reason = f"not sent before the period's invoice was final ({final_ats[_period(report)]})"
            await store.settle(tx, report, ReportState.DEAD, wall=wall, error=reason)
        for report in by_step[NextStep.ASK_SUMMARY]:
            reason = f"first sent {report.first_sent_at}, no answer within the life of the identifier"
            await store.settle(tx, report, ReportState.UNKNOWN, wall=wall, error=reason)
        claimed = await store.mark_sending(tx, by_step[NextStep.SEND], wall)
    claimed.sort(key=lambda report: (report.created_at, report.piece_start, report.revision))
    settled = SendRound(
        rejected_count=stray_count,
        dead_count=len(by_step[NextStep.BURY]),
        unknown_count=len(by_step[NextStep.ASK_SUMMARY]),
    )
    return claimed, settled


async def _periods(
    tx: Transaction, due: Sequence[MeterReport]
) -> tuple[dict[tuple[AccountId, datetime], datetime], dict[tuple[AccountId, datetime], str]]:
    """Of the periods of reports never tried: when their invoice became final, where it is; and their customers."""
    final_ats: dict[tuple[AccountId, datetime], datetime] = {}
    customers: dict[tuple[AccountId, datetime], str] = {}
    starts = {_period(report) for report in due if report.first_sent_at is None}
    for account_id in sorted({account_id for account_id, _ in starts}):
        for billed in await billing_periods(tx, account_id):
            if (account_id, billed.period.starts_at) in starts:
                customers[account_id, billed.period.starts_at] = billed.stripe_customer_id
                final_at = await finalized_at_of_period(
                    tx, account_id, billed.stripe_subscription_id, billed.period.ends_at
                )
                if final_at is not None:
                    final_ats[account_id, billed.period.starts_at] = final_at
    return final_ats, customers


def _period(report: MeterReport) -> tuple[AccountId, datetime]:
    return report.account_id, report.billing_period_start


async def _send_stream(parts: SendParts, gate: asyncio.Semaphore, stream: Sequence[MeterReport]) -> SendRound:
    """The reports of one customer and meter, one after another; the first that finds Stripe away ends it."""
    rounds: list[SendRound] = []
    async with gate:
        for position, report in enumerate(stream):
            await parts.pace.wait()
            done = await _send_one(parts, report)
            rounds.append(done)
            if done.failed_count:
                await _free(parts, stream[position + 1 :])
                break
    return _add_up(rounds)


async def _send_one(parts: SendParts, report: MeterReport) -> SendRound:
    event = MeterEvent(
        event_name=report.event_name,
        customer_id=report.stripe_customer_id,
        value=report.value,
        identifier=report.identifier,
        occurred_at=report.occurred_at,
    )
    try:
        await parts.billing.report_usage(event)
    except AlreadyUsedIdentifier:
        return await _settle(parts, report, ReportState.SENT, None)
    except MeterEventAhead as error:
        return await _failed(parts, report, error)
    except MeterEventOutOfTime as error:
        return await _settle(parts, report, ReportState.DEAD, error.detail)
    except Unavailable as error:
        return await _failed(parts, report, error)
    except HelvetiaError as error:
        # A refused repetition says nothing about the attempt before it: only a first one is surely not at Stripe.
        state = ReportState.REJECTED if report.attempt_count == 1 else ReportState.UNKNOWN
        return await _settle(parts, report, state, error.detail)
    return await _settle(parts, report, ReportState.SENT, None)


async def _settle(parts: SendParts, report: MeterReport, state: ReportState, error: str | None) -> SendRound:
    async with parts.database.transaction() as tx:
        await store.settle(tx, report, state, wall=parts.clock.wall(), error=error)
    if state is ReportState.SENT:
        return SendRound(sent_count=1)
    _log.warning("meter_reports.not_taken", identifier=report.identifier, state=state, error=error)
    return SendRound(
        dead_count=state is ReportState.DEAD,
        unknown_count=state is ReportState.UNKNOWN,
        rejected_count=state is ReportState.REJECTED,
    )


async def _failed(parts: SendParts, report: MeterReport, error: HelvetiaError) -> SendRound:
    async with parts.database.transaction() as tx:
        await store.note_error(tx, report, error.detail)
    _log.warning("meter_reports.not_answered", identifier=report.identifier, code=error.code)
    return SendRound(failed_count=1)


async def _free(parts: SendParts, reports: Sequence[MeterReport]) -> None:
    async with parts.database.transaction() as tx:
        await store.free_claim(tx, reports)


def _add_up(rounds: Sequence[SendRound]) -> SendRound:
    return SendRound(
        sent_count=sum(done.sent_count for done in rounds),
        rejected_count=sum(done.rejected_count for done in rounds),
        dead_count=sum(done.dead_count for done in rounds),
        unknown_count=sum(done.unknown_count for done in rounds),
        failed_count=sum(done.failed_count for done in rounds),
    )

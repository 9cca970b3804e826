"""The arrow usage → outbox: what Stripe has not been told yet, one row per metric and billing period.

Under the account's row lock, so that two callers never report the same difference. Adds at most one row per metric and
period; zero is never reported. Usage that Stripe takes no more becomes a dead row, which the operator settles: it
counts as reported, so it is never repeated.
"""

from dataclasses import replace
from datetime import datetime
from decimal import Decimal

from helvetia.accounts.store import lock_account
from helvetia.billing.store import finalized_at_of_period
from helvetia.database.pool import Transaction
from helvetia.kernel.clock import Clock
from helvetia.kernel.identity import AccountId
from helvetia.kernel.quantity import UsageMetric
from helvetia.meter_reports import store
from helvetia.meter_reports.model import (
    REPORTABLE_FOR,
    MeterReport,
    ReportedSoFar,
    ReportState,
    is_too_old,
    make_identifier,
    value_to_report,
)
from helvetia.metering.store import closed_totals
from helvetia.stripe_gateway.model import PriceBook
from helvetia.subscriptions.model import BillingPeriod
from helvetia.subscriptions.store import billing_periods

_NOTHING = ReportedSoFar(value=Decimal(0), rejected_count=0, last_rejected_at=None)


async def queue_reports(tx: Transaction, clock: Clock, book: PriceBook, account_id: AccountId) -> int:
    """Queue what is missing in the account's billing periods of the last 35 days; says how many rows that made."""
    await lock_account(tx, account_id)
    oldest_at = clock.now() - REPORTABLE_FOR
    queued = 0
    for billed in await billing_periods(tx, account_id):
        if billed.period.ends_at > oldest_at:
            queued += await _queue_period(tx, clock, book, billed)
    return queued


async def missing_values(tx: Transaction, billed: BillingPeriod) -> dict[UsageMetric, Decimal]:
    """Per metric, what the period's closed usage has over what its outbox holds; what agrees is left out."""
    totals = await closed_totals(tx, billed.account_id, billed.period)
    so_far = await store.reported_so_far(tx, billed.account_id, billed.period.starts_at)
    values = {
        metric: value_to_report(metric, totals.get(metric, 0), so_far.get(metric, _NOTHING).value)
        for metric in UsageMetric
    }
    return {metric: value for metric, value in values.items() if value}


async def _queue_period(tx: Transaction, clock: Clock, book: PriceBook, billed: BillingPeriod) -> int:
    totals = await closed_totals(tx, billed.account_id, billed.period)
    so_far = await store.reported_so_far(tx, billed.account_id, billed.period.starts_at)
    latest = await store.latest_closed_pieces(tx, billed.account_id, billed.period)
    final_at = await finalized_at_of_period(tx, billed.account_id, billed.stripe_subscription_id, billed.period.ends_at)
    queued = 0
    for metric in UsageMetric:
        reported = so_far.get(metric, _NOTHING)
        value = value_to_report(metric, totals.get(metric, 0), reported.value)
        if value == 0 or not reported.may_retry_at(clock.wall()):
            continue
        # Without a piece there is only something to take back: usage that turned out to be another period's.
        piece_start = latest.get(metric, billed.period.starts_at)
        report = await _new_report(tx, clock, book, billed, metric, piece_start)
        await store.insert_report(tx, _judged(replace(report, value=value), clock.now(), clock.wall(), final_at))
        queued += 1
    return queued


async def _new_report(
    tx: Transaction, clock: Clock, book: PriceBook, billed: BillingPeriod, metric: UsageMetric, piece_start: datetime
) -> MeterReport:
    revision = await store.next_revision(tx, billed.account_id, metric, piece_start)
    return MeterReport(
        account_id=billed.account_id,
        metric=metric,
        piece_start=piece_start,
        revision=revision,
        billing_period_start=billed.period.starts_at,
        billing_period_end=billed.period.ends_at,
        stripe_customer_id=billed.stripe_customer_id,
        event_name=book.meters[metric].event_name,
        identifier=make_identifier(billed.account_id, metric, billed.period, piece_start, revision),
        value=Decimal(0),
        state=ReportState.DUE,
        attempt_count=0,
        created_at=clock.now(),
        first_sent_at=None,
        last_sent_at=None,
        settled_at=None,
        last_error=None,
    )


def _judged(report: MeterReport, now: datetime, wall: datetime, final_at: datetime | None) -> MeterReport:
    """Due, unless Stripe would bill it nowhere any more."""
    if is_too_old(report.occurred_at, now):
        reason = "older than 35 days when it became known; Stripe takes it no more"
    elif final_at is not None:
        reason = f"became known after the period's invoice was final ({final_at.isoformat()}); Stripe bills it no more"
    else:
        return report
    return replace(report, state=ReportState.DEAD, settled_at=wall, last_error=reason)

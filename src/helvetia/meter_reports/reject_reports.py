"""The arrow Stripe's error report → outbox: rows that Stripe took in and refused afterwards count no more.

A row that was sent once and refused is rejected, and followed by a new revision of its piece. One that was sent more
than once is only unknown: the word may be about an earlier attempt of the same identifier while a later one was
counted, so the summary decides. A row that a summary has confirmed stays confirmed; that contradiction is logged.
Stripe names a few samples only: when it refused more than it names, what was sent to the meter just then is unknown.
"""

from collections.abc import Sequence
from datetime import timedelta

import structlog

from helvetia.database.pool import Database
from helvetia.kernel.clock import Clock
from helvetia.kernel.period import Period
from helvetia.meter_reports import store
from helvetia.meter_reports.model import MeterReport, ReportState

_REFUSABLE = frozenset({ReportState.SENT, ReportState.UNKNOWN, ReportState.DUE})
# Between Stripe's clock and ours.
CLOCKS_DIFFER_BY = timedelta(minutes=1)

_log = structlog.get_logger()


async def reject_reports(database: Database, clock: Clock, identifiers: Sequence[str], reason: str) -> int:
    """Settle the rows of these identifiers; says how many that changed. Identifiers that are not ours say nothing."""
    changed_count = 0
    async with database.transaction() as tx:
        for report in await store.lock_identified(tx, identifiers):
            state = _refused_state(report)
            if state is not None and state is not report.state:
                await store.settle(tx, report, state, wall=clock.wall(), error=reason)
                changed_count += 1
            elif report.state is ReportState.CONFIRMED:
                _log.error("meter_reports.confirmed_and_refused", identifier=report.identifier, reason=reason)
    return changed_count


def _refused_state(report: MeterReport) -> ReportState | None:
    if report.state not in _REFUSABLE or report.attempt_count == 0:
        return None
    return ReportState.REJECTED if report.attempt_count == 1 else ReportState.UNKNOWN


async def suspect_reports(database: Database, clock: Clock, event_name: str, sent: Period, reason: str) -> int:
    """What was sent to the meter in this range of real time, or just beside it, is unknown now; says how many rows."""
    async with database.transaction() as tx:
        return await store.suspect_sent(
            tx,
            event_name,
            sent_from=sent.starts_at - CLOCKS_DIFFER_BY,
            sent_until=sent.ends_at + CLOCKS_DIFFER_BY,
            reason=reason,
            wall=clock.wall(),
        )

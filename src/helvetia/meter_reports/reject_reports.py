"""The arrow Stripe's error report → outbox: rows that Stripe took in and refused afterwards count no more.

A rejected row is followed by a new revision of its piece, so the usage is reported again. A row that a summary has
confirmed stays confirmed: Stripe counted it, whatever a report says later; that contradiction is logged.
"""

from collections.abc import Sequence

import structlog

from helvetia.database.pool import Database
from helvetia.kernel.clock import Clock
from helvetia.meter_reports import store
from helvetia.meter_reports.model import ReportState

_REFUSABLE = frozenset({ReportState.SENT, ReportState.UNKNOWN, ReportState.DUE})

_log = structlog.get_logger()


async def reject_reports(database: Database, clock: Clock, identifiers: Sequence[str], reason: str) -> int:
    """Settle the rows of these identifiers as rejected; identifiers that are not ours say nothing."""
    rejected_count = 0
    async with database.transaction() as tx:
        for report in await store.lock_identified(tx, identifiers):
            was_sent = report.attempt_count > 0
            if report.state in _REFUSABLE and was_sent:
                await store.settle(tx, report, ReportState.REJECTED, wall=clock.wall(), error=reason)
                rejected_count += 1
            elif report.state is ReportState.CONFIRMED:
                _log.error("meter_reports.confirmed_and_refused", identifier=report.identifier, reason=reason)
    return rejected_count

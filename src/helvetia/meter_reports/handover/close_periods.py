"""The arrow end of a period → everything at Stripe: by our own clock, before the draft invoice becomes final.

At a period's known end its usage is cut, read, closed, reported and confirmed, again and again until Stripe's summary
holds all of it. Before an end that is planned, what was used so far is reported ten minutes ahead, in case its final
invoice is no draft. One account that fails does not keep the others; Stripe's being away ends the round.
"""

from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from datetime import datetime, timedelta

import structlog

from helvetia.database.pool import Database
from helvetia.kernel.clock import Clock
from helvetia.kernel.errors import HelvetiaError
from helvetia.kernel.identity import AccountId
from helvetia.meter_reports.errors import NotAllCounted
from helvetia.meter_reports.handover import store_periods as store
from helvetia.meter_reports.handover.store_periods import PeriodToHandOver
from helvetia.meter_reports.model import Confirmation
from helvetia.stripe_gateway.errors import StripeNotAuthorized, StripeRateLimited, StripeUnavailable

AHEAD = timedelta(minutes=10)
# Stripe keeps a renewal's draft for an hour, or as long as the account asked for: 72 hours at most.
TRIES_FOR = timedelta(hours=72)
PERIODS_PER_TURN = 50

_log = structlog.get_logger()


@dataclass(frozen=True, slots=True, kw_only=True)
class CloseParts:
    """What closing works with; `look` reads the host once, `hand_over` and `confirm` are MeterReportService's own."""

    database: Database
    clock: Clock
    look: Callable[[], Awaitable[None]]
    hand_over: Callable[[AccountId, datetime], Awaitable[None]]
    confirm: Callable[[AccountId, datetime], Awaitable[tuple[Confirmation, ...]]]


async def close_periods(parts: CloseParts) -> int:
    """Hand over every period that is over, and what is about to end; says how many were handed over."""
    now = parts.clock.now()
    async with parts.database.transaction() as tx:
        ended = await store.periods_to_close(tx, now=now, oldest=now - TRIES_FOR, limit=PERIODS_PER_TURN)
        ending = await store.periods_to_report_ahead(tx, now=now, ahead=AHEAD, limit=PERIODS_PER_TURN)
    if not ended and not ending:
        return 0
    await parts.look()
    done = [await _try(parts, period, is_over=False) for period in ending]
    done += [await _try(parts, period, is_over=True) for period in ended]
    return sum(done)


async def _try(parts: CloseParts, period: PeriodToHandOver, *, is_over: bool) -> bool:
    account_id, period_start = period.account_id, period.starts_at
    try:
        await parts.hand_over(account_id, period.through_at)
        if is_over:
            await _confirm(parts, account_id, period_start)
    except (StripeUnavailable, StripeRateLimited, StripeNotAuthorized):
        raise
    except HelvetiaError as error:
        async with parts.database.transaction() as tx:
            await store.note_attempt(tx, account_id, period_start, f"{error.code}: {error.detail}")
        _log.warning("meter_reports.period_waits", account_id=str(account_id), code=error.code)
        return False
    mark = store.mark_closed if is_over else store.mark_ahead
    async with parts.database.transaction() as tx:
        await mark(tx, account_id, period_start, parts.clock.now())
    return True


async def _confirm(parts: CloseParts, account_id: AccountId, period_start: datetime) -> None:
    """Raises NotAllCounted unless Stripe's summaries hold everything that was sent."""
    for confirmation in await parts.confirm(account_id, period_start):
        if not confirmation.is_confirmed:
            raise NotAllCounted(metric=confirmation.metric, sent=confirmation.sent, counted=confirmation.counted)

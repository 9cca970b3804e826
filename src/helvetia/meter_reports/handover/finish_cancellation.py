"""The arrow wish to end now → ended, with every second of usage billed: the only place that ends a subscription.

Stop → forced reading → close → report → confirm by Stripe's summary → end with an invoice for the usage → read back.
Each step looks at what is there, so that a crash anywhere is followed by the rest; nothing is ended in doubt. Fails
with the reason, which is kept beside the wish, and is tried again by the tick. What keeps it for longer than WAITS_FOR
(a node that is gone, a summary that never agrees) becomes the operator's: he may end it anyway, and what Stripe did
not bill then is a priced task of settlement.
"""

from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from datetime import datetime, timedelta

import structlog

from helvetia.accounts.store import lock_account
from helvetia.audit import record
from helvetia.billing.plan_change import store as cancellations
from helvetia.billing.plan_change.store import Cancellation
from helvetia.billing.service import BillingService
from helvetia.containers.model import HoldCause
from helvetia.containers.store_holds import place_holds, services_as_kept
from helvetia.database.pool import Database
from helvetia.kernel.clock import Clock
from helvetia.kernel.errors import HelvetiaError, Unavailable
from helvetia.kernel.identity import AccountId
from helvetia.meter_reports.errors import NoCancellation, NotAllCounted, ReasonMissing, StillRunning
from helvetia.meter_reports.handover import store_cancellations as store
from helvetia.meter_reports.model import Confirmation
from helvetia.metering.service import MeteringService
from helvetia.stripe_gateway.actions import StripeActions
from helvetia.stripe_gateway.errors import StripeObjectMissing
from helvetia.stripe_gateway.model import Subscription
from helvetia.subscriptions.lifecycle import CANCELED, main_item
from helvetia.subscriptions.service import SubscriptionService

ACTOR = "meter_reports.finish_cancellation"
WAITS_FOR = timedelta(hours=6)
REASON_LENGTH_MAX = 500

_log = structlog.get_logger()


@dataclass(frozen=True, slots=True, kw_only=True)
class CancelParts:
    """What ending a subscription works with; `flush` and `confirm` are MeterReportService's own."""

    database: Database
    clock: Clock
    gateway: StripeActions
    subscriptions: SubscriptionService
    billing: BillingService
    metering: MeteringService
    flush: Callable[[AccountId, datetime], Awaitable[None]]
    confirm: Callable[[AccountId, datetime], Awaitable[tuple[Confirmation, ...]]]


async def finish_cancellation(parts: CancelParts, account_id: AccountId) -> bool:
    """Says whether the end that was asked for is reached (or none was asked for); what keeps it is on record."""
    async with parts.database.transaction() as tx:
        wanted = await cancellations.open_cancellation(tx, account_id)
    if wanted is None:
        return True
    try:
        await _finish(parts, wanted)
    except HelvetiaError as error:
        await _note(parts, wanted, f"{error.code}: {error.detail}")
        _log.warning("meter_reports.cancellation_waits", account_id=str(account_id), code=error.code)
        return False
    return True


async def _note(parts: CancelParts, wanted: Cancellation, error: str) -> None:
    """Keep the reason; when it keeps the end for too long, tell the operator, once."""
    now = parts.clock.now()
    async with parts.database.transaction() as tx:
        await cancellations.note_attempt(tx, wanted, error)
        if now - wanted.requested_at < WAITS_FOR or not await cancellations.note_alarm(tx, wanted, now):
            return
        detail = {"subscription": wanted.stripe_subscription_id, "error": error}
        await record(
            tx, account_id=wanted.account_id, actor=ACTOR, action="billing.cancellation_stuck", detail=detail, at=now
        )
    _log.error("meter_reports.cancellation_stuck", account_id=str(wanted.account_id), error=error)


async def end_anyway(parts: CancelParts, account_id: AccountId, *, reason: str, actor: str) -> None:
    """From its next turn on it ends with what Stripe has; whatever is not billed then is a task.

    Raises:
        NoCancellation, ReasonMissing
    """
    if not 1 <= len(reason.strip()) <= REASON_LENGTH_MAX:
        raise ReasonMissing
    at = parts.clock.now()
    async with parts.database.transaction() as tx:
        await lock_account(tx, account_id)
        wanted = await cancellations.open_cancellation(tx, account_id)
        if wanted is None:
            raise NoCancellation
        await cancellations.force(tx, wanted, by=actor, at=at)
        detail = {"subscription": wanted.stripe_subscription_id, "kept by": wanted.last_error}
        await record(
            tx, account_id=account_id, actor=actor, action="billing.end_anyway", reason=reason, detail=detail, at=at
        )


async def _finish(parts: CancelParts, wanted: Cancellation) -> None:
    live = await parts.gateway.retrieve_subscription(wanted.stripe_subscription_id)
    if live.status != CANCELED:
        await _hold_services(parts, wanted)
        try:
            await _bill(parts, wanted, live)
        except Unavailable as error:
            if wanted.forced_at is None:
                raise
            _log.warning("meter_reports.ended_in_doubt", account_id=str(wanted.account_id), code=error.code)
        try:
            await parts.gateway.cancel_subscription_now(wanted.stripe_subscription_id)
        except StripeObjectMissing:
            _log.info("meter_reports.cancelled_before", account_id=str(wanted.account_id))
    await parts.subscriptions.sync_subscription(wanted.account_id)
    await parts.billing.mirror_invoices(wanted.account_id)
    at = parts.clock.now()
    async with parts.database.transaction() as tx:
        await cancellations.finish_cancellation(tx, wanted, at)
        await store.turn_holds_over(tx, wanted.account_id, placed_by=ACTOR, at=at)
        detail = {"subscription": wanted.stripe_subscription_id, "requested_by": wanted.requested_by}
        await record(
            tx, account_id=wanted.account_id, actor=ACTOR, action="billing.cancelled_now", detail=detail, at=at
        )


async def _bill(parts: CancelParts, wanted: Cancellation, live: Subscription) -> None:
    """Everything that was used is at Stripe and counted there. Raises StillRunning, ReportsStillDue, NotAllCounted."""
    through = await _stopped_through(parts, wanted)
    async with parts.database.transaction() as tx:
        await cancellations.set_through(tx, wanted, through)
    await parts.flush(wanted.account_id, through)
    item = main_item(live.items)
    if item is not None:
        await _confirm(parts, wanted.account_id, item.period.starts_at)


async def _hold_services(parts: CancelParts, wanted: Cancellation) -> None:
    """Nothing of the account runs any more; what its owner wishes stays written.

    By the operator's cause, because the payment's would be lifted: the account is still paid.
    """
    async with parts.database.transaction() as tx:
        await lock_account(tx, wanted.account_id)
        await place_holds(
            tx,
            wanted.account_id,
            [service.service_id for service in await services_as_kept(tx, wanted.account_id)],
            HoldCause.OPERATOR,
            reason="The subscription is being ended at your request.",
            placed_by=ACTOR,
            pass_id=None,
            at=parts.clock.now(),
        )


async def _stopped_through(parts: CancelParts, wanted: Cancellation) -> datetime:
    """The instant up to which everything is billed: now, to the second, when nothing runs any more.

    Raises:
        StillRunning
    """
    await parts.metering.sweep()
    now = parts.clock.now().replace(microsecond=0)
    async with parts.database.transaction() as tx:
        running_count = await store.running_count(tx, wanted.account_id)
        finished_at = await store.last_finish_at(tx, wanted.account_id)
    if wanted.forced_at is not None:
        return now
    if running_count or (finished_at is not None and finished_at > now):
        raise StillRunning(running=running_count)
    return now


async def _confirm(parts: CancelParts, account_id: AccountId, period_start: datetime) -> None:
    """Raises NotAllCounted unless Stripe's summaries hold everything that was sent."""
    for confirmation in await parts.confirm(account_id, period_start):
        if not confirmation.is_confirmed:
            raise NotAllCounted(metric=confirmation.metric, sent=confirmation.sent, counted=confirmation.counted)

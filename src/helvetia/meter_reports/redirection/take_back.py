"""The arrow wish → answer: Stripe takes the event back, and the row is rejected; or it refuses, and the row stands.

Asked under the wish's own key, so a repetition after a crash or a lost answer says the same. Once the key is over
nothing is asked again: Stripe's summary of the event's hour tells. Fails as the gateway does, and with
RedirectionInDoubt; the wish stays open then, and is taken up again.
"""

from dataclasses import dataclass
from decimal import Decimal

import structlog

from helvetia.audit import record
from helvetia.database.pool import Database
from helvetia.kernel.clock import Clock
from helvetia.kernel.errors import HelvetiaError, Unavailable
from helvetia.kernel.period import HOUR, Period, floor_hour
from helvetia.meter_reports import store as reports
from helvetia.meter_reports.model import MeterReport, ReportState
from helvetia.meter_reports.redirection import store
from helvetia.meter_reports.redirection.errors import RedirectionInDoubt, ReportNotFound
from helvetia.meter_reports.redirection.model import KEY_LASTS, Redirection, RedirectionState
from helvetia.stripe_gateway.actions import StripeActions
from helvetia.stripe_gateway.errors import StripeObjectMissing, StripeRefused
from helvetia.stripe_gateway.model import PriceBook

STILL_COUNTED = "Stripe's summary still holds it, and it can be taken back no more: credit the other customer."

_log = structlog.get_logger()


@dataclass(frozen=True, slots=True, kw_only=True)
class RedirectParts:
    """What redirecting works with."""

    database: Database
    clock: Clock
    gateway: StripeActions


async def take_back(parts: RedirectParts, book: PriceBook, one: Redirection) -> Redirection:
    """Ask Stripe, or once the key is over its summary; returns the wish as it stands then.

    Raises:
        StripeRefused, StripeObjectMissing: the wish is over, the row stands. Unavailable: it stays open.
    """
    async with parts.database.transaction() as tx:
        report = next(iter(await reports.lock_identified(tx, [one.identifier])), None)
    if report is None:
        raise ReportNotFound
    try:
        if parts.clock.wall() - one.key_at < KEY_LASTS:
            await _ask(parts, one, report)
        else:
            await _read_summary(parts, book, one, report)
    except Unavailable as error:
        async with parts.database.transaction() as tx:
            await store.note_error(tx, one, f"{error.code}: {error.detail}")
        raise
    except HelvetiaError as error:
        async with parts.database.transaction() as tx:
            await store.settle(tx, one, RedirectionState.REFUSED, wall=parts.clock.wall(), error=error.detail)
        _log.warning("meter_reports.not_taken_back", identifier=one.identifier, code=error.code)
        raise
    return await _finish(parts, one, f"taken back from {one.wrong_customer_id}: {one.reason}")


async def _ask(parts: RedirectParts, one: Redirection, report: MeterReport) -> None:
    try:
        await parts.gateway.cancel_meter_event(report.event_name, one.identifier, key=one.key)
    except StripeObjectMissing:
        if report.state is not ReportState.UNKNOWN:
            raise
        _log.info("meter_reports.never_arrived", identifier=one.identifier)


async def _read_summary(parts: RedirectParts, book: PriceBook, one: Redirection, report: MeterReport) -> None:
    """Returns when the summary shows that it is taken back. Raises StripeRefused when it is not, RedirectionInDoubt."""
    starts_at = floor_hour(report.occurred_at)
    hour = Period(starts_at=starts_at, ends_at=starts_at + HOUR)
    async with parts.database.transaction() as tx:
        others = await store.others_at(tx, one, report.metric, hour)
    found = await parts.gateway.meter_event_summaries_by_hour(
        meter_id=book.meters[report.metric].meter_id,
        customer_id=one.wrong_customer_id,
        starts_at=hour.starts_at,
        ends_at=hour.ends_at,
    )
    counted = sum((summary.value for summary in found), Decimal(0))
    if counted == others:
        return
    if counted == others + one.value:
        raise StripeRefused(STILL_COUNTED)
    raise RedirectionInDoubt(counted=counted, expected=others)


async def _finish(parts: RedirectParts, one: Redirection, outcome: str) -> Redirection:
    """The row counts no more and the wish is done, in one transaction."""
    wall = parts.clock.wall()
    async with parts.database.transaction() as tx:
        for report in await reports.lock_identified(tx, [one.identifier]):
            if report.state is not ReportState.REJECTED:
                await reports.settle(tx, report, ReportState.REJECTED, wall=wall, error=outcome)
        if await store.settle(tx, one, RedirectionState.DONE, wall=wall):
            await record(
                tx,
                account_id=one.account_id,
                actor=one.requested_by,
                action="meter_report.redirected",
                reason=one.reason,
                detail={"identifier": one.identifier, "from": one.wrong_customer_id, "to": one.right_customer_id},
                at=parts.clock.now(),
            )
        standing = await store.standing(tx, one.identifier)
    return standing or one

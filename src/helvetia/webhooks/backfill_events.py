"""The arrow Stripe's list → stored events: whatever was never delivered is found within minutes.

A walk reads the list from its newest event down to a little below the newest of the last complete walk, and keeps each
event under its id, as if it had been delivered. It stops after some pages and goes on from there at its next turn;
events that come meanwhile stand above it and belong to the next walk. When the end is reached the list is complete from
… until …: every boundary before the walk began is then known for each account of which no event waits, and that is
written down into metering. Fails as the gateway fails, with what was read kept.
"""

from dataclasses import dataclass, replace
from datetime import datetime, timedelta

import structlog

from helvetia.database.pool import Database, Transaction
from helvetia.kernel.clock import Clock
from helvetia.metering import store as metering
from helvetia.observability.metrics import BACKFILL_FOUND
from helvetia.stripe_gateway.errors import StripeObjectMissing
from helvetia.stripe_gateway.events import EventPage
from helvetia.stripe_gateway.model import StripeGateway
from helvetia.webhooks import store, store_walk
from helvetia.webhooks.model import Walk, WalkRound
from helvetia.webhooks.receive_event import ignored_because

PAGES_PER_TURN = 50
# Events of one second are in no order, and an event may appear in the list a little after its time.
OVERLAP = timedelta(minutes=10)
STRIPE_KEEPS = timedelta(days=30)

_log = structlog.get_logger()


@dataclass(frozen=True, slots=True, kw_only=True)
class BackfillParts:
    """What the walk works with."""

    database: Database
    clock: Clock
    gateway: StripeGateway
    is_live: bool


async def backfill_events(parts: BackfillParts) -> WalkRound:
    """Walk on, or begin a new walk; at most PAGES_PER_TURN pages."""
    walk = await _begin_or_go_on(parts)
    found_count = 0
    for _ in range(PAGES_PER_TURN):
        page = await _next_page(parts, walk)
        async with parts.database.transaction() as tx:
            found_count += await _keep(tx, parts, page)
            walk = _after_page(walk, page)
            if not page.has_more:
                walk = _completed(walk)
                await _tell_metering(tx, walk)
                walk = _at_rest(walk)
            await store_walk.save_walk(tx, walk)
        if walk.running_since_at is None:
            break
    if found_count:
        BACKFILL_FOUND.inc(found_count)
        _log.warning("webhooks.events_backfilled", count=found_count)
    return WalkRound(
        found_count=found_count,
        is_complete=walk.running_since_at is None,
        complete_from_at=walk.complete_from_at,
        complete_until_at=walk.complete_until_at,
    )


async def _begin_or_go_on(parts: BackfillParts) -> Walk:
    async with parts.database.transaction() as tx:
        walk = await store_walk.lock_walk(tx)
        if walk.running_since_at is not None and walk.running_after_event is not None:
            return walk
        floor_at = None if walk.newest_event_at is None else walk.newest_event_at - OVERLAP
        walk = replace(
            walk,
            running_since_at=parts.clock.now(),
            running_since_wall_at=parts.clock.wall(),
            running_floor_at=floor_at,
            running_newest_at=walk.newest_event_at,
            running_after_event=None,
        )
        await store_walk.save_walk(tx, walk)
    return walk


async def _next_page(parts: BackfillParts, walk: Walk) -> EventPage:
    """Where the walk goes on; from the top again when Stripe has forgotten the event it stopped at."""
    try:
        return await parts.gateway.list_events(created_from=walk.running_floor_at, after_event=walk.running_after_event)
    except StripeObjectMissing:
        return await parts.gateway.list_events(created_from=walk.running_floor_at, after_event=None)


async def _keep(tx: Transaction, parts: BackfillParts, page: EventPage) -> int:
    """Insert what is missing, in one order so that two walkers never wait for each other in a circle."""
    ours = sorted((event for event in page.events if event.is_live == parts.is_live), key=lambda one: one.event_id)
    rows = [(event, ignored_because(event)) for event in ours]
    return await store.insert_events(tx, rows, source="backfill", wall=parts.clock.wall())


def _after_page(walk: Walk, page: EventPage) -> Walk:
    if not page.events:
        return walk
    seen: list[datetime] = [event.created_at for event in page.events]
    if walk.running_newest_at is not None:
        seen.append(walk.running_newest_at)
    return replace(walk, running_newest_at=max(seen), running_after_event=page.events[-1].event_id)


def _completed(walk: Walk) -> Walk:
    """Complete from where Stripe's memory begins, or from where we were complete already when that joins up."""
    until_at = walk.running_since_wall_at
    if until_at is None:
        return walk
    remembered_from_at = until_at - STRIPE_KEEPS
    joins_up = walk.complete_until_at is not None and walk.complete_until_at >= remembered_from_at
    from_at = walk.complete_from_at if joins_up else remembered_from_at
    return replace(walk, complete_from_at=from_at, complete_until_at=until_at, newest_event_at=walk.running_newest_at)


def _at_rest(walk: Walk) -> Walk:
    return replace(
        walk,
        running_since_at=None,
        running_since_wall_at=None,
        running_floor_at=None,
        running_newest_at=None,
        running_after_event=None,
    )


async def _tell_metering(tx: Transaction, walk: Walk) -> None:
    if walk.running_since_at is not None:
        await metering.raise_known_until(tx, await store.caught_up_accounts(tx), walk.running_since_at)

"""The arrow stored event → facts read again: one job per customer, however many events it has.

The waiting events are noted first, then the customer is read, then exactly these events are stamped as handled; one
that arrives meanwhile waits for the next job. A crash anywhere leaves events unstamped, and they come due again: a
second read does no harm, and what happens once per event (a record for the operator) stands in the stamping
transaction. Events of a customer that no account has are parked; of a deleted account there is nothing to read. Fails
as Stripe fails, with the events still due.
"""

from dataclasses import dataclass

import structlog

from helvetia.accounts.errors import AccountNotFound
from helvetia.audit import store as audit
from helvetia.billing.service import BillingService
from helvetia.database.job_queue import JobQueue
from helvetia.database.pool import Database, Transaction
from helvetia.kernel.clock import Clock
from helvetia.kernel.identity import AccountId
from helvetia.meter_reports.service import MeterReportService
from helvetia.observability.metrics import WEBHOOK_OLDEST_S, WEBHOOK_PARKED, WEBHOOK_WAITING
from helvetia.stripe_gateway.errors import StripeObjectMissing
from helvetia.stripe_gateway.events import NO_CUSTOMER
from helvetia.stripe_gateway.model import StripeGateway
from helvetia.subscriptions import store as subscription_store
from helvetia.subscriptions.service import SubscriptionService
from helvetia.webhooks import store
from helvetia.webhooks.model import MONEY_BACK, Effect, WaitingEvent, handling_of

CUSTOMERS_PER_TURN = 200
EVENTS_PER_JOB = 500

_log = structlog.get_logger()


@dataclass(frozen=True, slots=True, kw_only=True)
class HandleParts:
    """What handling works with."""

    database: Database
    clock: Clock
    gateway: StripeGateway
    subscriptions: SubscriptionService
    billing: BillingService
    reports: MeterReportService
    queue: JobQueue


async def dispatch_events(parts: HandleParts) -> int:
    """Ask for a job per customer with due events; says for how many."""
    wall = parts.clock.wall()
    async with parts.database.transaction() as tx:
        await store.unpark_known(tx, wall)
        customers = await store.claim_due(tx, wall, CUSTOMERS_PER_TURN)
        for customer_id in customers:
            await parts.queue.defer(tx, "webhooks.sync_customer", key=customer_id or "nobody", customer_id=customer_id)
        waiting_count, parked_count, oldest_at = await store.waiting_counts(tx)
    WEBHOOK_WAITING.set(waiting_count)
    WEBHOOK_PARKED.set(parked_count)
    WEBHOOK_OLDEST_S.set(0 if oldest_at is None else max(0.0, (wall - oldest_at).total_seconds()))
    return len(customers)


async def handle_events(parts: HandleParts, customer_id: str) -> int:
    """Handle what waits of one customer; says how many events. Raises as the gateway does."""
    if customer_id == NO_CUSTOMER:
        return await _handle_unowned(parts)
    async with parts.database.transaction() as tx:
        account_id = await subscription_store.find_account_of_customer(tx, customer_id)
        if account_id is None:
            parked_count = await store.park(tx, customer_id, parts.clock.wall())
            _log.warning("webhooks.customer_unknown", customer_id=customer_id, events=parked_count)
            return 0
        waiting = await store.waiting_of(tx, customer_id, EVENTS_PER_JOB)
    if not waiting:
        return 0
    try:
        if (await parts.subscriptions.sync_subscription(account_id)).has_own_card:
            await parts.billing.adopt_card(account_id)
        await parts.billing.mirror_invoices(account_id)
        if any(event.event_type in MONEY_BACK for event in waiting):
            await parts.billing.refresh_payments(account_id)
        await parts.billing.offer_payment(account_id)
    except AccountNotFound:
        _log.warning("webhooks.account_deleted", account_id=str(account_id), customer_id=customer_id)
    async with parts.database.transaction() as tx:
        return await _stamp(tx, parts.clock, account_id, waiting)


async def _stamp(tx: Transaction, clock: Clock, account_id: AccountId | None, events: tuple[WaitingEvent, ...]) -> int:
    """Mark the events as handled, and write a record for each that wants one and was not handled before."""
    ids = [event.event_id for event in events]
    first_here = set(await store.mark_handled(tx, ids, outcome="synced", wall=clock.wall()))
    for event in events:
        handling = handling_of(event.event_type)
        if event.event_id not in first_here or handling.effect not in {Effect.NOTE, Effect.SYNC_AND_NOTE}:
            continue
        await audit.record(
            tx,
            account_id=account_id,
            actor="stripe",
            action=event.event_type,
            reason=handling.why,
            detail={"eventId": event.event_id, "objectId": event.object_id},
            at=clock.now(),
        )
        _log.warning("webhooks.noted", event_id=event.event_id, event_type=event.event_type, why=handling.why)
    return len(first_here)


async def _handle_unowned(parts: HandleParts) -> int:
    """Events that name no customer: refused usage, and what is only to be noted."""
    async with parts.database.transaction() as tx:
        waiting = await store.waiting_of(tx, NO_CUSTOMER, EVENTS_PER_JOB)
    for event in waiting:
        if handling_of(event.event_type).effect is Effect.METER_ERRORS:
            await _reject_named(parts, event.event_id)
    async with parts.database.transaction() as tx:
        return await _stamp(tx, parts.clock, None, waiting)


async def _reject_named(parts: HandleParts, event_id: str) -> None:
    try:
        report = await parts.gateway.retrieve_meter_error_report(event_id)
    except StripeObjectMissing:
        _log.warning("webhooks.error_report_gone", event_id=event_id)
        return
    reason = f"Stripe refused it afterwards: {', '.join(report.codes)}; {report.summary}"
    rejected_count = await parts.reports.reject(report.identifiers, reason)
    if not report.names_all and report.validated is not None:
        rejected_count += await parts.reports.suspect(report.meter_id, report.validated, reason)
    _log.error(
        "webhooks.usage_refused",
        event_id=event_id,
        meter_id=report.meter_id,
        codes=report.codes,
        errors=report.error_count,
        named=len(report.identifiers),
        rejected=rejected_count,
    )

"""The arrow usage − invoices → tasks: what no invoice will bill by itself, priced, for the operator to decide.

Compares each billing period that is over and done with at Stripe (its invoice is final; or its subscription ended and
no invoice was ever made) with our ledger, and what ran between an end made outside and the hold. It does not matter
why something was not billed: a report that came late, was refused, died, was sent and never counted, or an end that
discarded usage, all come out as the same difference. Run again, the same difference is the same task; one that went
away closes itself.
"""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from decimal import Decimal

from helvetia.accounts.store import lock_account
from helvetia.database.pool import Transaction
from helvetia.kernel.identity import AccountId, new_id
from helvetia.kernel.period import Period
from helvetia.kernel.quantity import UsageMetric
from helvetia.meter_reports.settlement import store
from helvetia.meter_reports.settlement.model import Billed, TaskCause, TaskState, UsageTask, unbilled
from helvetia.metering import store as metering
from helvetia.stripe_gateway.model import PriceBook
from helvetia.subscriptions.store import billing_periods

# A subscription that its dunning ended is held seven days after the first failure; a day more, and nobody holds it.
HELD_WITHIN = timedelta(days=8)
# Older periods are as they were decided.
LOOKS_BACK = timedelta(days=400)

_DETAILS = {
    TaskCause.LATE: "became known, or was taken back, after the period's invoice was final",
    TaskCause.ENDED: "the subscription ended without an invoice for it",
    TaskCause.AFTER_END: "ran between the end of the subscription and the hold",
}
_NOTHING = Billed()


@dataclass(frozen=True, slots=True, kw_only=True)
class _Range:
    """A range whose usage is settled: whose it is, and what invoices bill of it."""

    account_id: AccountId
    period: Period
    subscription_id: str
    customer_id: str
    cause: TaskCause
    billed: Mapping[UsageMetric, Billed]


async def open_tasks(tx: Transaction, account_id: AccountId, book: PriceBook, *, now: datetime) -> int:
    """Bring the account's open tasks to what is known now; says how many are open."""
    await lock_account(tx, account_id)
    through_at = await store.note_end(tx, account_id, now=now, held_within=HELD_WITHIN)
    if through_at is not None:
        await metering.write_cuts(tx, account_id, [through_at], reason="unpaid usage ends", recorded_at=now)
    metrics = {meter.price_id: metric for metric, meter in book.meters.items()}
    known_ids = [*metrics, *(plan.price_id for plan in book.plans.values())]
    customers: dict[str, str] = {}
    count = 0
    for billed in await billing_periods(tx, account_id):
        customers[billed.stripe_subscription_id] = billed.stripe_customer_id
        if not now - LOOKS_BACK < billed.period.ends_at <= now:
            continue
        cause = (await store.end_facts(tx, billed, known_ids)).cause
        if cause is None:
            continue
        count += await _settle(
            tx,
            book,
            _Range(
                account_id=account_id,
                period=billed.period,
                subscription_id=billed.stripe_subscription_id,
                customer_id=billed.stripe_customer_id,
                cause=cause,
                billed=await store.billed_of_period(tx, billed, metrics),
            ),
            now,
        )
    for subscription_id, period in await store.known_ends(tx, account_id):
        if subscription_id in customers and period.ends_at > now - LOOKS_BACK:
            after = _Range(
                account_id=account_id,
                period=period,
                subscription_id=subscription_id,
                customer_id=customers[subscription_id],
                cause=TaskCause.AFTER_END,
                billed={},
            )
            count += await _settle(tx, book, after, now)
    return count


async def _settle(tx: Transaction, book: PriceBook, of: _Range, now: datetime) -> int:
    used = await metering.closed_totals(tx, of.account_id, of.period)
    decided = await store.decided(tx, of.account_id, of.period.starts_at)
    known = await store.open_tasks_of(tx, of.account_id, of.period.starts_at)
    count = 0
    for metric in UsageMetric:
        price = book.meters[metric].unit_price_minor
        left = unbilled(
            metric, used.get(metric, 0), price, of.billed.get(metric, _NOTHING), decided.get(metric, _NOTHING)
        )
        task, former = _task(book, of, metric, now), known.get(metric)
        task = replace(task, quantity=left.quantity, amount_minor=left.amount_minor)
        if former is None and left.amount_minor:
            await store.insert_task(tx, task)
        elif former is not None:
            state = TaskState.OPEN if left.amount_minor else TaskState.GONE
            await store.correct_task(tx, replace(task, task_id=former.task_id, state=state))
        count += bool(left.amount_minor)
    return count


def _task(book: PriceBook, of: _Range, metric: UsageMetric, now: datetime) -> UsageTask:
    return UsageTask(
        account_id=of.account_id,
        task_id=new_id(),
        cause=of.cause,
        metric=metric,
        starts_at=of.period.starts_at,
        ends_at=of.period.ends_at,
        stripe_subscription_id=of.subscription_id,
        stripe_customer_id=of.customer_id,
        quantity=Decimal(0),
        unit_price_minor=book.meters[metric].unit_price_minor,
        amount_minor=0,
        currency=book.currency,
        detail=_DETAILS[of.cause],
        state=TaskState.OPEN,
        opened_at=now,
    )

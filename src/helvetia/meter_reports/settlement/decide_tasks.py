"""The arrow task → decision: bill it by an invoice item, or waive it with a reason; audited, done once.

Billing is written down before the first byte leaves, under a key that is the task's own. What has no answer stays
`billing` and is taken up again, under the same key and after the customer's items were read: the key may be forgotten
by then. The item waits for the subscription's next invoice; without a live subscription an invoice is made of it.
"""

from dataclasses import dataclass
from uuid import UUID

import structlog

from helvetia.accounts.store import lock_account
from helvetia.audit import record
from helvetia.database.pool import Database
from helvetia.kernel.clock import Clock
from helvetia.kernel.errors import HelvetiaError, Unavailable
from helvetia.kernel.quantity import SOLD_UNITS
from helvetia.meter_reports.errors import ReasonMissing, UsageTaskChanged, UsageTaskNotFound
from helvetia.meter_reports.settlement import store
from helvetia.meter_reports.settlement.model import TaskState, UsageTask
from helvetia.stripe_gateway.actions import InvoiceItem, NewInvoiceItem, StripeActions
from helvetia.subscriptions import store as subscriptions

REASON_LENGTH_MAX = 500
RESUMED_PER_TURN = 50

_log = structlog.get_logger()


@dataclass(frozen=True, slots=True, kw_only=True)
class DecideParts:
    """What deciding works with."""

    database: Database
    clock: Clock
    gateway: StripeActions


@dataclass(frozen=True, slots=True, kw_only=True)
class Decision:
    """What the operator wants of a task, and the amount that he saw."""

    task_id: UUID
    is_billed: bool
    amount_minor: int
    reason: str
    actor: str


async def decide_task(parts: DecideParts, decision: Decision) -> UsageTask:
    """Carry a decision out, and return the task as it stands then.

    Raises:
        UsageTaskNotFound, UsageTaskChanged, ReasonMissing, and as the gateway does: the decision stands then.
    """
    if not 1 <= len(decision.reason.strip()) <= REASON_LENGTH_MAX:
        raise ReasonMissing
    state = TaskState.BILLING if decision.is_billed else TaskState.WAIVED
    async with parts.database.transaction() as tx:
        task = await store.lock_task(tx, decision.task_id)
        if task is None:
            raise UsageTaskNotFound
        await lock_account(tx, task.account_id)
        if task.state is not TaskState.OPEN or task.amount_minor != decision.amount_minor:
            raise UsageTaskChanged(state=task.state.value, amountMinor=task.amount_minor)
        at = parts.clock.now()
        await store.decide(tx, task, state, by=decision.actor, reason=decision.reason, at=at, wall=parts.clock.wall())
        detail = {"task": str(task.task_id), "amountMinor": task.amount_minor, "quantity": str(task.quantity)}
        await record(
            tx,
            account_id=task.account_id,
            actor=decision.actor,
            action=f"usage_task.{'billed' if decision.is_billed else 'waived'}",
            reason=decision.reason,
            detail=detail,
            at=at,
        )
    return await _carry_out(parts, decision.task_id, looks_first=False)


async def resume_billing(parts: DecideParts) -> int:
    """The tick: go on with every task that is being billed; says how many are done."""
    async with parts.database.transaction() as tx:
        waiting = await store.tasks_in(tx, [TaskState.BILLING], RESUMED_PER_TURN)
    done_count = 0
    for task in waiting:
        try:
            done_count += (await _carry_out(parts, task.task_id, looks_first=True)).state is TaskState.BILLED
        except HelvetiaError as error:
            _log.warning("meter_reports.task_waits", task_id=str(task.task_id), code=error.code)
    return done_count


async def _carry_out(parts: DecideParts, task_id: UUID, *, looks_first: bool) -> UsageTask:
    async with parts.database.transaction() as tx:
        task = await store.lock_task(tx, task_id)
        if task is None:
            raise UsageTaskNotFound
        record_of = await subscriptions.find(tx, task.account_id)
    if task.state is not TaskState.BILLING:
        return task
    live_id = record_of.stripe_subscription_id if record_of.is_live_at_stripe else None
    try:
        item = await _item(parts, task, live_id, looks_first=looks_first)
        if live_id is None and item.invoice_id is None:
            await parts.gateway.invoice_pending_items(task.stripe_customer_id, key=f"usage-task-invoice:{task_id}")
    except Unavailable:
        raise
    except HelvetiaError as error:
        async with parts.database.transaction() as tx:
            await store.reopen(tx, task, error.detail)
        raise
    async with parts.database.transaction() as tx:
        await store.finish_billing(tx, task, item.item_id)
        done = await store.lock_task(tx, task_id)
    return done or task


async def _item(parts: DecideParts, task: UsageTask, live_id: str | None, *, looks_first: bool) -> InvoiceItem:
    """The task's item; made only when it surely is not there: a second time only after a look."""
    if looks_first:
        for item in await parts.gateway.list_invoice_items(task.stripe_customer_id):
            if item.task_id == str(task.task_id):
                return item
    unit = SOLD_UNITS[task.metric].name
    return await parts.gateway.create_invoice_item(
        NewInvoiceItem(
            customer_id=task.stripe_customer_id,
            subscription_id=live_id,
            task_id=str(task.task_id),
            amount_minor=task.amount_minor,
            currency=task.currency,
            description=f"{task.metric.value}: {task.quantity:f} {unit} of {task.starts_at:%Y-%m-%d} to"
            f" {task.ends_at:%Y-%m-%d}",
            starts_at=task.starts_at,
            ends_at=task.ends_at,
        )
    )

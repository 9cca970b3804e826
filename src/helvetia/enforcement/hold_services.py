"""The arrow subscription → container: place and lift holds of one account, in one transaction under its lock.

The facts are read again under the lock, so what happened since a pass looked (a payment, a new service) counts. A hold
never touches the owner's wish, so lifting it brings back exactly what was wished. Placing or lifting twice is once.
"""

from collections.abc import Sequence
from datetime import datetime
from uuid import UUID

from helvetia.accounts.store import lock_account
from helvetia.audit.store import record
from helvetia.catalogue.plans import PLANS
from helvetia.containers.model import HoldCause
from helvetia.containers.store_holds import HeldService, lift_holds, place_holds, services_as_kept
from helvetia.database.pool import Transaction
from helvetia.enforcement import store
from helvetia.enforcement.model import ACTOR, AccountFacts, Resources, ServiceFacts, Verdict
from helvetia.enforcement.plan_notices import (
    failure_notices,
    failure_series,
    held_notice,
    limit_notices,
    resumed_notice,
)
from helvetia.enforcement.policy import decide, held_for_quota
from helvetia.enforcement.read_failures import is_confirmed
from helvetia.kernel.identity import AccountId, ServiceId
from helvetia.notifications import store as notifications


def to_service_facts(held: HeldService) -> ServiceFacts:
    """What of a service the policy asks; a held one counts as if it were free."""
    size = Resources(services=1)
    if held.is_wished:
        size = Resources(services=1, memory_mb=held.memory_mb * held.replicas, cpu_cores=held.cpu_cores * held.replicas)
    return ServiceFacts(
        service_id=held.service_id,
        name=held.name,
        reserved=size,
        is_wished=held.is_wished,
        causes=frozenset(held.causes),
    )


async def services_of(tx: Transaction, account_id: AccountId) -> Sequence[ServiceFacts]:
    """Services in the order they are kept."""
    return [to_service_facts(one) for one in await services_as_kept(tx, account_id)]


async def hold_for_payment(tx: Transaction, account_id: AccountId, *, pass_id: UUID | None, at: datetime) -> bool:
    """Hold every service if the policy says so now, and what says so was read after it fell due; says whether."""
    await lock_account(tx, account_id)
    facts = await store.facts_of(tx, account_id)
    if facts is None:
        return False
    verdict = decide(facts, at)
    due_at = verdict.hold_due_at
    if verdict.services_run or due_at is None or not is_confirmed(facts, due_at):
        return False
    # The last in the order of keeping is stopped first.
    services = [one.service_id for one in reversed(await services_of(tx, account_id))]
    placed = await place_holds(
        tx,
        account_id,
        services,
        HoldCause.PAYMENT,
        reason=verdict.reason,
        placed_by=ACTOR,
        pass_id=pass_id,
        at=at,
    )
    if not placed:
        return False
    await _audit(tx, facts, "services_held", verdict.reason, placed, at)
    if facts.first_failed_at is not None:
        await notifications.cancel_series(tx, account_id, failure_series(facts.first_failed_at))
    await notifications.queue(tx, held_notice(account_id, verdict, at=at), at=at)
    return True


async def lift_payment_holds(tx: Transaction, account_id: AccountId, *, at: datetime) -> bool:
    """Lift them if the policy lets services run now, and is certain of it; says whether anything was held."""
    await lock_account(tx, account_id)
    facts = await store.facts_of(tx, account_id)
    if facts is None:
        return False
    verdict = decide(facts, at)
    if not verdict.services_run or not verdict.is_certain:
        return False
    lifted = await lift_holds(tx, account_id, HoldCause.PAYMENT, None, at=at)
    if lifted:
        await _audit(tx, facts, "services_resumed", verdict.reason, lifted, at)
        await notifications.queue(tx, resumed_notice(account_id, at=at), at=at)
    return bool(lifted)


async def tell_of_failure(tx: Transaction, account_id: AccountId, *, at: datetime) -> None:
    """Write the notices of a failure, or take back those whose reason is gone."""
    await lock_account(tx, account_id)
    facts = await store.facts_of(tx, account_id)
    if facts is None:
        return
    verdict = decide(facts, at)
    notices = failure_notices(facts, verdict)
    failed_at = facts.first_failed_at if notices else None
    if facts.noticed_failure_at is not None and facts.noticed_failure_at != failed_at and verdict.is_certain:
        await notifications.cancel_series(tx, account_id, failure_series(facts.noticed_failure_at))
    for notice in notices:
        await notifications.queue(tx, notice, at=at)
    hold_at = verdict.hold_due_at if notices else None
    await store.save_noticed(tx, account_id, failure_at=failed_at, hold_at=hold_at)


def is_told(facts: AccountFacts, verdict: Verdict) -> bool:
    """Whether the notices of this account are as they should be, or it is not certain what they should be."""
    if not verdict.is_certain:
        return True
    told = (facts.noticed_failure_at, facts.noticed_hold_at)
    if failure_notices(facts, verdict):
        return told == (facts.first_failed_at, verdict.hold_due_at)
    return told == (None, None)


async def check_quota(tx: Transaction, account_id: AccountId, *, holds: bool, tells: bool, at: datetime) -> None:
    """Look at bandwidth, storage and what fits the plan: tell at 80, 90 and 100 %, and hold where the plan suspends."""
    await lock_account(tx, account_id)
    await store.mark_checked(tx, account_id, at)
    facts = await store.facts_of(tx, account_id)
    if facts is None:
        return
    period = facts.period_at(at)
    use = await store.quota_use(tx, account_id, period)
    if tells:
        for notice in limit_notices(facts, use, period, at=at):
            await notifications.queue(tx, notice, at=at)
    services = await services_of(tx, account_id)
    wanted = {one.service_id for one in held_for_quota(facts.effective_plan, use, services)} if holds else set()
    held = {one.service_id for one in services if HoldCause.QUOTA.value in one.causes}
    await _hold_for_quota(tx, facts, [one.service_id for one in reversed(services)], wanted - held, at)
    freed = await lift_holds(tx, account_id, HoldCause.QUOTA, sorted(held - wanted), at=at) if held - wanted else []
    if freed:
        await _audit(tx, facts, "quota_hold_lifted", "there is room for it again", freed, at)


async def _hold_for_quota(
    tx: Transaction, facts: AccountFacts, in_order: Sequence[ServiceId], wanted: set[ServiceId], at: datetime
) -> None:
    services = [one for one in in_order if one in wanted]
    if not services:
        return
    reason = f"The {PLANS[facts.effective_plan].title} plan has no room for it."
    placed = await place_holds(
        tx, facts.account_id, services, HoldCause.QUOTA, reason=reason, placed_by=ACTOR, pass_id=None, at=at
    )
    if placed:
        await _audit(tx, facts, "services_held_for_quota", reason, placed, at)


async def _audit(
    tx: Transaction, facts: AccountFacts, action: str, reason: str, services: Sequence[ServiceId], at: datetime
) -> None:
    first_failed_at = facts.first_failed_at
    detail = {
        "services": [str(one) for one in services],
        "status": facts.status.value,
        "plan": facts.plan.value,
        "first_failed_at": None if first_failed_at is None else first_failed_at.isoformat(),
        "invoice": None if facts.payment is None else facts.payment.failed_invoice_id,
    }
    await record(tx, account_id=facts.account_id, actor=ACTOR, action=action, reason=reason, detail=detail, at=at)

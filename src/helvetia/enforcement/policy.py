"""The policy: what an account may do and whether its services run, as a pure function of facts and the clock.

One table (POLICY) says what each state means; `payment_state` says which state holds. Admission, the worker, the pages
and the documents all read the same rows. Every boundary is half-open: at the very second of its end a grace is over.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from decimal import Decimal

from helvetia.catalogue.plans import PLANS, UNLIMITED, ResourceLimits, SubscriptionPlan
from helvetia.enforcement.model import (
    AccountFacts,
    NewWork,
    OverrideKind,
    PaymentState,
    QuotaAction,
    QuotaUse,
    Resources,
    ServiceFacts,
    Step,
    StepKind,
    Verdict,
)
from helvetia.kernel.quantity import BYTES_PER_GB
from helvetia.kernel.status import SubscriptionStatus

GRACE = timedelta(days=7)
NOTICE_DAYS = (0, 1, 3, 5, 6)
LIMIT_MARKS_PERCENT = (80, 90, 100)


@dataclass(frozen=True, slots=True, kw_only=True)
class Rule:
    """One row of the table. Reading, stopping, deleting, exporting and paying are allowed in every state."""

    when: str
    new_work: NewWork
    services_run: bool
    code: str | None = None


POLICY: Mapping[PaymentState, Rule] = {
    PaymentState.CURRENT: Rule(
        when="ACTIVE, or FREE was chosen after the end",
        new_work=NewWork.WITHIN_LIMITS,
        services_run=True,
    ),
    PaymentState.GRACE: Rule(
        when="PAST_DUE, less than 7 days after the first failed payment",
        new_work=NewWork.WITH_WARNING,
        services_run=True,
        code="payment_past_due",
    ),
    PaymentState.LOCKED: Rule(
        when="UNPAID or ended by payment failure, less than 7 days after it",
        new_work=NewWork.REFUSED,
        services_run=True,
        code="subscription_unpaid",
    ),
    PaymentState.OVERDUE: Rule(
        when="PAST_DUE, UNPAID or ended by payment failure, 7 days after it or later",
        new_work=NewWork.REFUSED,
        services_run=False,
        code="payment_overdue",
    ),
    PaymentState.ENDED: Rule(
        when="CANCELED for any other reason, from its end until FREE or a plan is chosen",
        new_work=NewWork.REFUSED,
        services_run=False,
        code="subscription_ended",
    ),
    PaymentState.EXEMPT: Rule(
        when="an operator's exemption, until it ends",
        new_work=NewWork.WITHIN_LIMITS,
        services_run=True,
    ),
}


@dataclass(frozen=True, slots=True, kw_only=True)
class PlanRule:
    """What differs by plan. `block_new_after_days`: in a grace, new work is refused from then on; None never."""

    block_new_after_days: int | None = None
    over_bandwidth: QuotaAction = QuotaAction.BLOCK_NEW
    over_storage: QuotaAction = QuotaAction.BLOCK_NEW


PLAN_RULES: Mapping[SubscriptionPlan, PlanRule] = {
    SubscriptionPlan.FREE: PlanRule(over_bandwidth=QuotaAction.SUSPEND),
    SubscriptionPlan.STARTER: PlanRule(),
    SubscriptionPlan.PRO: PlanRule(),
    SubscriptionPlan.ENTERPRISE: PlanRule(),
}
_OWES = frozenset({SubscriptionStatus.PAST_DUE, SubscriptionStatus.UNPAID})


def decide(facts: AccountFacts, now: datetime, rules: Mapping[SubscriptionPlan, PlanRule] = PLAN_RULES) -> Verdict:
    """What holds for the account at this instant."""
    state = payment_state(facts, now)
    rule = POLICY[state]
    new_work = rule.new_work
    block_days = rules[facts.plan].block_new_after_days
    if state is PaymentState.GRACE and block_days is not None and facts.first_failed_at is not None:
        is_blocked = now >= facts.first_failed_at + timedelta(days=block_days)
        new_work = NewWork.REFUSED if is_blocked else new_work
    return Verdict(
        state=state,
        new_work=new_work,
        services_run=rule.services_run,
        reason=_reason(facts, state, now),
        hold_due_at=hold_due_at(facts),
        is_certain=state in {PaymentState.CURRENT, PaymentState.EXEMPT} or hold_due_at(facts) is not None,
    )


def payment_state(facts: AccountFacts, now: datetime) -> PaymentState:
    """Which row of the table holds. What is not known never holds a service, and never admits a new one."""
    if facts.status is SubscriptionStatus.ACTIVE or _has_chosen_free(facts):
        return PaymentState.CURRENT
    if exemption_until(facts, now) is not None:
        return PaymentState.EXEMPT
    due_at = hold_due_at(facts)
    if due_at is not None and now >= due_at:
        return PaymentState.OVERDUE if _is_failure(facts) else PaymentState.ENDED
    return PaymentState.GRACE if facts.status is SubscriptionStatus.PAST_DUE else PaymentState.LOCKED


def hold_due_at(facts: AccountFacts) -> datetime | None:
    """When services are held for payment: the end of the grace, or of the subscription; later by an extension.

    None when nothing is to be held, and also while it is not known why: then `decide` says that it is not certain.
    """
    if facts.status is SubscriptionStatus.ACTIVE or _has_chosen_free(facts):
        return None
    starts_at = facts.ended_at if facts.payment is not None else None
    if _is_failure(facts):
        failed_at = facts.first_failed_at or facts.ended_at
        starts_at = None if failed_at is None else failed_at + GRACE
    if starts_at is None:
        return None
    return max([starts_at, *(one.until_at for one in facts.overrides if one.kind is OverrideKind.EXTEND)])


def exemption_until(facts: AccountFacts, now: datetime) -> datetime | None:
    """Until when an exemption is in force; None when none is."""
    found = [one.until_at for one in facts.overrides if one.kind is OverrideKind.EXEMPT and now < one.until_at]
    return max(found, default=None)


def next_steps(facts: AccountFacts, now: datetime) -> tuple[Step, ...]:
    """What happens next if nothing changes, in order of time."""
    due_at, failed_at, exempt_until = hold_due_at(facts), facts.first_failed_at, exemption_until(facts, now)
    steps: list[Step] = []
    if due_at is not None and failed_at is not None:
        steps += [
            Step(at=failed_at + timedelta(days=day), kind=StepKind.REMINDER, what=f"a reminder is sent (day {day})")
            for day in NOTICE_DAYS
            if now < failed_at + timedelta(days=day) < due_at
        ]
    if exempt_until is not None:
        steps.append(Step(at=exempt_until, kind=StepKind.EXEMPTION_ENDS, what="the exemption ends"))
    if due_at is not None:
        held_at = max([due_at, *([exempt_until] if exempt_until else [])])
        if now < held_at:
            steps.append(Step(at=held_at, kind=StepKind.HOLD, what="services are held; data and definitions stay"))
    return tuple(sorted(steps, key=lambda step: step.at))


def _has_chosen_free(facts: AccountFacts) -> bool:
    chosen_at = facts.free_chosen_at
    return (
        facts.status is SubscriptionStatus.CANCELED
        and chosen_at is not None
        and (facts.ended_at is None or chosen_at >= facts.ended_at)
    )


def _is_failure(facts: AccountFacts) -> bool:
    return facts.status in _OWES or facts.ended_by_failure


def _reason(facts: AccountFacts, state: PaymentState, now: datetime) -> str:
    failed_at, due_at = facts.first_failed_at, hold_due_at(facts)
    since = "A payment failed" if failed_at is None else f"A payment failed on {_in_words(failed_at)}"
    until = "" if due_at is None else f" until {_in_words(due_at)}"
    exempt_until = exemption_until(facts, now)
    return {
        PaymentState.CURRENT: "Everything is paid.",
        PaymentState.GRACE: f"{since}. Services go on{until}.",
        PaymentState.LOCKED: f"{since} and was not made good. What runs goes on{until}; nothing new is started.",
        PaymentState.OVERDUE: f"{since} and the grace period is over. Pay the open invoice to bring services back.",
        PaymentState.ENDED: "The subscription has ended. Choose FREE or a plan to bring services back.",
        PaymentState.EXEMPT: f"An operator's exemption is in force until {_in_words(exempt_until or now)}.",
    }[state]


def _in_words(instant: datetime) -> str:
    return f"{instant:%Y-%m-%d %H:%M:%S} UTC"


def over_quota(limits: ResourceLimits, use: QuotaUse) -> tuple[str, ...]:
    """Which of bandwidth and storage have no room left."""
    sizes = {
        "bandwidth": (use.bandwidth_bytes, limits.bandwidth_gb_max),
        "storage": (use.storage_bytes, limits.storage_gb_max),
    }
    return tuple(
        name
        for name, (used_bytes, limit_gb) in sizes.items()
        if limit_gb != UNLIMITED and used_bytes >= limit_gb * BYTES_PER_GB
    )


def reached_marks(limits: ResourceLimits, use: QuotaUse) -> dict[str, int]:
    """The highest of 80, 90 and 100 % that each of bandwidth and storage has reached; those below 80 are left out."""
    sizes = {
        "bandwidth": (use.bandwidth_bytes, limits.bandwidth_gb_max),
        "storage": (use.storage_bytes, limits.storage_gb_max),
    }
    marks: dict[str, int] = {}
    for name, (used_bytes, limit_gb) in sizes.items():
        reached = [mark for mark in LIMIT_MARKS_PERCENT if used_bytes * 100 >= mark * limit_gb * BYTES_PER_GB]
        if limit_gb != UNLIMITED and reached:
            marks[name] = max(reached)
    return marks


def stops_beyond_limits(plan: SubscriptionPlan) -> bool:
    """Whether what does not fit this plan is held; on the others it runs on, and only nothing new starts."""
    return PLAN_RULES[plan].over_bandwidth is QuotaAction.SUSPEND


def held_for_quota(plan: SubscriptionPlan, use: QuotaUse, services: Sequence[ServiceFacts]) -> frozenset[ServiceFacts]:
    """Which services are held for quota, given all of them in the order they are kept.

    Only where the plan suspends: everything wished when the bandwidth is used up, else what does not fit its limits.
    """
    if not stops_beyond_limits(plan):
        return frozenset()
    limits = PLANS[plan].limits
    if "bandwidth" in over_quota(limits, use):
        return frozenset(one for one in services if one.is_wished)
    held, sum_kept = [], Resources()
    for one in services:
        sum_with = sum_kept + one.reserved
        if first_exceeded(limits, sum_with) is None:
            sum_kept = sum_with
        else:
            held.append(one)
    return frozenset(held)


def first_exceeded(limits: ResourceLimits, wanted: Resources) -> str | None:
    """The first of services, memory and CPU that is more than the limits allow."""
    pairs: Mapping[str, tuple[int | Decimal, int | Decimal]] = {
        "services": (wanted.services, limits.services_max),
        "memory": (wanted.memory_mb, limits.memory_mb_max),
        "cpu": (wanted.cpu_cores, limits.cpu_cores_max),
    }
    return next((name for name, (amount, allowed) in pairs.items() if allowed != UNLIMITED and amount > allowed), None)


def smallest_plan(wanted: Resources, use: QuotaUse) -> SubscriptionPlan:
    """The first plan, in the order they are sold, that has room for all of this."""
    return next(
        plan.code
        for plan in PLANS.values()
        if first_exceeded(plan.limits, wanted) is None and not over_quota(plan.limits, use)
    )


def trips_brake(new_hold_count: int, account_count: int, *, share_percent: int, accounts_min: int) -> bool:
    """Whether so many accounts would be held at once that a mistake is likelier than so many failures."""
    return new_hold_count >= accounts_min and new_hold_count * 100 > account_count * share_percent


def policy_table() -> str:
    """The table as it stands in the documents."""
    lines = [
        "| state | read, stop, delete, export, pay | start, create, scale, deploy | running services |",
        "|---|---|---|---|",
    ]
    for rule in POLICY.values():
        running = "run" if rule.services_run else "held (payment)"
        lines.append(f"| {rule.when} | yes | {rule.new_work.value} | {running} |")
    return "\n".join(lines)

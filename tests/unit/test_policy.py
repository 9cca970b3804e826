"""The whole policy table, to the second, and the defects that it makes impossible."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from pathlib import Path
from uuid import uuid4

import pytest

from helvetia.catalogue.plans import PLANS, SubscriptionPlan
from helvetia.enforcement.model import (
    AccountFacts,
    NewWork,
    Override,
    OverrideKind,
    PaymentFacts,
    PaymentState,
    QuotaUse,
    Resources,
    ServiceFacts,
)
from helvetia.enforcement.policy import (
    GRACE,
    PLAN_RULES,
    POLICY,
    PlanRule,
    decide,
    first_exceeded,
    held_for_quota,
    next_steps,
    over_quota,
    policy_table,
    reached_marks,
    smallest_plan,
    trips_brake,
)
from helvetia.kernel.identity import new_account_id, new_service_id
from helvetia.kernel.quantity import BYTES_PER_GB
from helvetia.kernel.status import SubscriptionStatus

FAILED = datetime(2026, 3, 1, 12, 0, 7, tzinfo=UTC)
SECOND = timedelta(seconds=1)
ACTIVE, PAST_DUE = SubscriptionStatus.ACTIVE, SubscriptionStatus.PAST_DUE
UNPAID, CANCELED = SubscriptionStatus.UNPAID, SubscriptionStatus.CANCELED
DOCS = Path(__file__).resolve().parents[2] / "docs"


def facts(
    status: SubscriptionStatus,
    *,
    failed_at: datetime | None = FAILED,
    by_failure: bool = False,
    ended_at: datetime | None = None,
    is_read: bool = True,
) -> AccountFacts:
    payment = PaymentFacts(
        stripe_subscription_id="sub_1",
        failed_invoice_id="in_1",
        first_failed_at=failed_at,
        ended_by_failure=by_failure,
        read_at=FAILED,
    )
    return AccountFacts(
        account_id=new_account_id(),
        plan=SubscriptionPlan.PRO,
        status=status,
        ended_at=ended_at,
        payment=payment if is_read else None,
        service_count=2,
    )


def override(kind: OverrideKind, until_at: datetime) -> Override:
    return Override(override_id=uuid4(), kind=kind, until_at=until_at, reason="a promise", actor="operator:eva")


EDGE = FAILED + GRACE
ENDED = FAILED + timedelta(days=2)
ACTIVE_FACTS = facts(ACTIVE, failed_at=None, is_read=False)
PAST_DUE_FACTS, UNPAID_FACTS = facts(PAST_DUE), facts(UNPAID)
FAILED_END = facts(CANCELED, by_failure=True, ended_at=ENDED)
WISHED_END = facts(CANCELED, failed_at=None, ended_at=ENDED)

TABLE = (
    ("active", ACTIVE_FACTS, EDGE, PaymentState.CURRENT),
    ("past due at once", PAST_DUE_FACTS, FAILED, PaymentState.GRACE),
    ("past due, last second", PAST_DUE_FACTS, EDGE - SECOND, PaymentState.GRACE),
    ("past due, seven days", PAST_DUE_FACTS, EDGE, PaymentState.OVERDUE),
    ("past due, later", PAST_DUE_FACTS, EDGE + SECOND, PaymentState.OVERDUE),
    ("unpaid, last second", UNPAID_FACTS, EDGE - SECOND, PaymentState.LOCKED),
    ("unpaid, seven days", UNPAID_FACTS, EDGE, PaymentState.OVERDUE),
    ("ended by failure, last second", FAILED_END, EDGE - SECOND, PaymentState.LOCKED),
    ("ended by failure, seven days", FAILED_END, EDGE, PaymentState.OVERDUE),
    ("ended by wish, at once", WISHED_END, ENDED, PaymentState.ENDED),
    ("ended by wish, later", WISHED_END, EDGE, PaymentState.ENDED),
    ("free chosen after it", replace(WISHED_END, free_chosen_at=ENDED), EDGE, PaymentState.CURRENT),
    ("free chosen before it", replace(WISHED_END, free_chosen_at=ENDED - SECOND), EDGE, PaymentState.ENDED),
    ("past due, failure unknown", facts(PAST_DUE, failed_at=None), EDGE, PaymentState.GRACE),
    ("unpaid, nothing read", facts(UNPAID, is_read=False), EDGE, PaymentState.LOCKED),
    ("ended, reason not read", facts(CANCELED, ended_at=ENDED, is_read=False), EDGE, PaymentState.LOCKED),
)


@pytest.mark.parametrize(("account", "now", "state"), [row[1:] for row in TABLE], ids=[row[0] for row in TABLE])
def test_state_follows_from_facts_and_clock(account: AccountFacts, now: datetime, state: PaymentState) -> None:
    verdict = decide(account, now)
    assert verdict.state is state
    assert (verdict.new_work, verdict.services_run) == (POLICY[state].new_work, POLICY[state].services_run)


def test_every_row_of_the_table_is_reached() -> None:
    exempt = replace(PAST_DUE_FACTS, overrides=(override(OverrideKind.EXEMPT, EDGE + GRACE),))
    reached = {state for *_, state in TABLE} | {decide(exempt, EDGE).state}
    assert reached == set(PaymentState)


def test_what_runs_is_never_held_on_what_is_not_known() -> None:
    for account in (
        facts(PAST_DUE, failed_at=None),
        facts(UNPAID, is_read=False),
        facts(CANCELED, ended_at=ENDED, is_read=False),
    ):
        verdict = decide(account, EDGE + GRACE)
        assert (verdict.services_run, verdict.is_certain) == (True, False)


def test_e01_failed_renewal_has_its_seven_days_and_not_a_second_more() -> None:
    renewed_until = FAILED + timedelta(days=30)
    assert decide(PAST_DUE_FACTS, FAILED + timedelta(days=3)).services_run
    assert not decide(PAST_DUE_FACTS, EDGE).services_run
    assert decide(PAST_DUE_FACTS, renewed_until).new_work is NewWork.REFUSED


def test_extension_moves_the_hold_and_not_the_new_work_of_unpaid() -> None:
    until_at = EDGE + timedelta(days=3)
    extended = replace(UNPAID_FACTS, overrides=(override(OverrideKind.EXTEND, until_at),))
    assert decide(extended, until_at - SECOND).state is PaymentState.LOCKED
    assert decide(extended, until_at).state is PaymentState.OVERDUE


def test_extension_never_shortens_the_grace() -> None:
    shortened = replace(PAST_DUE_FACTS, overrides=(override(OverrideKind.EXTEND, FAILED),))
    assert decide(shortened, EDGE - SECOND).services_run


def test_exemption_ends_to_the_second() -> None:
    until_at = EDGE + timedelta(days=3)
    exempt = replace(PAST_DUE_FACTS, overrides=(override(OverrideKind.EXEMPT, until_at),))
    assert decide(exempt, until_at - SECOND).new_work is NewWork.WITHIN_LIMITS
    assert decide(exempt, until_at).state is PaymentState.OVERDUE


def test_plan_may_refuse_new_work_earlier_in_a_grace() -> None:
    rules = {**PLAN_RULES, SubscriptionPlan.PRO: PlanRule(block_new_after_days=3)}
    at = FAILED + timedelta(days=3)
    assert decide(PAST_DUE_FACTS, at - SECOND, rules).new_work is NewWork.WITH_WARNING
    assert decide(PAST_DUE_FACTS, at, rules).new_work is NewWork.REFUSED
    assert decide(PAST_DUE_FACTS, at, rules).services_run


def test_next_steps_are_told_in_order_and_end_with_the_hold() -> None:
    steps = next_steps(PAST_DUE_FACTS, FAILED + timedelta(days=2))
    assert [step.at - FAILED for step in steps] == [timedelta(days=day) for day in (3, 5, 6, 7)]
    assert "held" in steps[-1].what
    assert next_steps(PAST_DUE_FACTS, EDGE) == ()


def test_e12_limits_come_from_one_catalogue() -> None:
    for plan in PLANS.values():
        limits = plan.limits
        if limits.services_max < 0:
            continue
        full = Resources(services=limits.services_max, memory_mb=limits.memory_mb_max, cpu_cores=limits.cpu_cores_max)
        assert first_exceeded(limits, full) is None
        assert first_exceeded(limits, full + Resources(services=1)) == "services"
        assert first_exceeded(limits, full + Resources(memory_mb=1)) == "memory"
        assert first_exceeded(limits, full + Resources(cpu_cores=Decimal("0.001"))) == "cpu"


def test_smallest_plan_has_room_for_everything_together() -> None:
    assert smallest_plan(Resources(services=1, memory_mb=513), QuotaUse()) is SubscriptionPlan.STARTER
    assert smallest_plan(Resources(services=6), QuotaUse()) is SubscriptionPlan.PRO
    assert smallest_plan(Resources(), QuotaUse(bandwidth_bytes=100 * BYTES_PER_GB)) is SubscriptionPlan.PRO
    assert smallest_plan(Resources(services=10_000), QuotaUse()) is SubscriptionPlan.ENTERPRISE


def test_quota_is_over_at_its_last_byte() -> None:
    limits = PLANS[SubscriptionPlan.FREE].limits
    assert over_quota(limits, QuotaUse(bandwidth_bytes=10 * BYTES_PER_GB - 1)) == ()
    assert over_quota(limits, QuotaUse(bandwidth_bytes=10 * BYTES_PER_GB)) == ("bandwidth",)
    assert over_quota(PLANS[SubscriptionPlan.ENTERPRISE].limits, QuotaUse(bandwidth_bytes=10**18)) == ()
    assert reached_marks(limits, QuotaUse(bandwidth_bytes=8 * BYTES_PER_GB - 1)) == {}
    assert reached_marks(limits, QuotaUse(bandwidth_bytes=9 * BYTES_PER_GB)) == {"bandwidth": 90}


def service(name: str, **reserved: int) -> ServiceFacts:
    amount = Resources(services=1, memory_mb=reserved.get("memory_mb", 64), cpu_cores=Decimal("0.1"))
    return ServiceFacts(service_id=new_service_id(), name=name, reserved=amount, is_wished=True)


def test_free_keeps_what_fits_and_holds_the_newest_first() -> None:
    kept = [service("oldest"), service("newer"), service("newest")]
    held = held_for_quota(SubscriptionPlan.FREE, QuotaUse(), kept)
    assert {one.name for one in held} == {"newer", "newest"}
    assert held_for_quota(SubscriptionPlan.PRO, QuotaUse(), kept) == frozenset()


def test_free_holds_everything_when_bandwidth_is_used_up_and_nothing_for_storage() -> None:
    kept = [service("one")]
    assert held_for_quota(SubscriptionPlan.FREE, QuotaUse(bandwidth_bytes=10 * BYTES_PER_GB), kept) == set(kept)
    assert held_for_quota(SubscriptionPlan.FREE, QuotaUse(storage_bytes=10**13), kept) == frozenset()


@pytest.mark.parametrize(
    ("holds", "accounts", "trips"),
    [(4, 10, False), (5, 10, True), (5, 100, False), (6, 100, True), (500, 10_000, False), (501, 10_000, True)],
)
def test_brake_trips_above_five_percent_but_never_for_fewer_than_five(holds: int, accounts: int, trips: bool) -> None:
    assert trips_brake(holds, accounts, share_percent=5, accounts_min=5) is trips


@pytest.mark.parametrize("page", ["operator-runbook.md", "user-guide.md"])
def test_documents_print_the_table_that_is_asked(page: str) -> None:
    assert policy_table() in (DOCS / page).read_text()

from dataclasses import replace
from datetime import UTC, datetime
from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from helvetia.containers.model import (
    ContainerRecord,
    ContainerState,
    HoldCause,
    Service,
    ServiceDefinition,
    ServiceStatus,
    Wish,
)
from helvetia.containers.plan_actions import plan_actions
from helvetia.kernel.identity import new_account_id, new_service_id

NOON = datetime(2026, 3, 10, 12, tzinfo=UTC)
SERVICE = Service(
    account_id=new_account_id(),
    service_id=new_service_id(),
    definition=ServiceDefinition(name="web", image="demo", memory_mb=64, cpu_cores=Decimal("0.5"), replicas=2),
    wish=Wish.RUNNING,
    holds=frozenset(),
    revision=1,
    restart_number=0,
    status=ServiceStatus.PENDING,
    status_code=None,
    status_message=None,
    status_at=NOON,
    created_at=NOON,
    deleted_at=None,
)


def container(
    replica: int, *, generation: int = 1, state: ContainerState = ContainerState.RUNNING, number: int = 0
) -> ContainerRecord:
    return ContainerRecord(
        container_id=f"c{replica}-{generation}-{number}",
        account_id=SERVICE.account_id,
        service_id=SERVICE.service_id,
        revision=generation,
        replica=replica,
        state=state,
        created_ns=number,
        started_ns=number,
        finished_ns=None,
        restart_count=0,
        exit_code=None,
        oom_killed=False,
        process_id=1,
    )


def test_missing_replicas_are_started() -> None:
    (plan,) = plan_actions([SERVICE], [container(0)])
    assert [spec.replica for spec in plan.start] == [1]
    assert plan.stop == []


@pytest.mark.parametrize(
    "change",
    [
        {"wish": Wish.STOPPED},
        {"holds": frozenset({HoldCause.PAYMENT})},
        {"holds": frozenset({HoldCause.PAYMENT, HoldCause.OPERATOR})},
        {"deleted_at": NOON},
    ],
)
def test_service_that_must_not_run_is_stopped(change: dict[str, object]) -> None:
    (plan,) = plan_actions([replace(SERVICE, **change)], [container(0), container(1)])  # type: ignore[arg-type]
    assert len(plan.stop) == 2
    assert plan.start == []


def test_older_generation_is_replaced() -> None:
    (plan,) = plan_actions([replace(SERVICE, restart_number=1)], [container(0), container(1)])
    assert len(plan.stop) == 2
    assert [spec.replica for spec in plan.start] == [0, 1]


def test_two_containers_of_one_replica_leave_the_elder() -> None:
    (plan,) = plan_actions([SERVICE], [container(0, number=1), container(0, number=2), container(1)])
    assert [one.container_id for one in plan.stop] == ["c0-1-2"]


def test_container_of_an_unknown_service_is_left_alone() -> None:
    stranger = replace(container(0), service_id=new_service_id())
    (plan,) = plan_actions([SERVICE], [stranger])
    assert plan.stop == []


@given(
    st.lists(st.tuples(st.integers(0, 4), st.integers(1, 3), st.sampled_from(ContainerState)), max_size=12),
    st.integers(0, 4),
    st.booleans(),
)
def test_carrying_out_a_plan_leaves_nothing_to_do(
    present: list[tuple[int, int, ContainerState]], replicas: int, is_held: bool
) -> None:
    definition = replace(SERVICE.definition, replicas=replicas)
    holds = frozenset({HoldCause.QUOTA}) if is_held else frozenset()
    service = replace(SERVICE, definition=definition, holds=holds, revision=2)
    containers = [container(r, generation=g, state=s, number=n) for n, (r, g, s) in enumerate(present)]
    (plan,) = plan_actions([service], containers)
    stopped = {one.container_id for one in plan.stop}
    after = [one for one in containers if one.container_id not in stopped]
    after += [container(spec.replica, generation=2, number=100 + n) for n, spec in enumerate(plan.start)]
    (again,) = plan_actions([service], after)
    assert (again.stop, again.start) == ([], [])
    assert again.live_count == (0 if is_held else replicas)

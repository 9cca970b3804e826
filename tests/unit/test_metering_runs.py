"""How looks at containers become runs: any order, any repetition, never more than was seen."""

from dataclasses import replace
from itertools import permutations
from uuid import UUID

from hypothesis import given
from hypothesis import strategies as st

from helvetia.containers.model import ContainerRecord, ContainerState
from helvetia.kernel.identity import AccountId, ServiceId
from helvetia.kernel.quantity import NS_PER_HOUR, NS_PER_S, UsageMetric
from helvetia.metering.lifecycle.trace_runs import Sighting, sight, trace_runs
from helvetia.metering.model import NOBODY, FindingCause, Life, Piece, Run, WrittenPiece
from helvetia.metering.windows.plan_rows import plan_rows

OWNER, SERVICE = AccountId(UUID(int=1)), ServiceId(UUID(int=2))
COMPUTE = UsageMetric.COMPUTE_HOURS


def container(started_ns: int, finished_ns: int | None = None, *, restarts: int = 0) -> ContainerRecord:
    return ContainerRecord(
        container_id="c",
        account_id=OWNER,
        service_id=SERVICE,
        revision=1,
        replica=1,
        state=ContainerState.RUNNING if finished_ns is None else ContainerState.EXITED,
        created_ns=0,
        started_ns=started_ns,
        finished_ns=finished_ns,
        restart_count=restarts,
        exit_code=None if finished_ns is None else 1,
        oom_killed=False,
        process_id=1,
    )


def look(record: ContainerRecord, looked_ns: int) -> Run:
    run = sight(record, OWNER, "n", looked_ns)
    assert run is not None
    return run


def test_a_finish_that_the_engine_noted_before_the_start_is_a_life_of_nothing() -> None:
    """Seen of one in 24 containers that end at once, by 1.3 ms: the engine notes the start after the process began."""
    run = look(container(5 * NS_PER_S, 5 * NS_PER_S - 1_308_732), 9 * NS_PER_S)
    assert (run.started_ns, run.finished_ns, run.seen_ns) == (5 * NS_PER_S, 5 * NS_PER_S, 5 * NS_PER_S)


@given(st.lists(st.integers(100, 1_000), min_size=1, max_size=3), st.integers(100, 1_000))
def test_looks_in_any_order_leave_the_same_run(looked: list[int], finished_ns: int) -> None:
    looks = [look(container(100), one) for one in looked] + [look(container(100, finished_ns), 2_000)]
    results = set()
    for order in permutations(looks):
        run = order[0]
        for one in order[1:]:
            run = run.merge(one)
        results.add(run)
    assert len(results) == 1
    assert results.pop().finished_ns == finished_ns


def test_a_bound_gives_way_to_a_later_look_and_to_the_engines_own_finish() -> None:
    gone = replace(look(container(100), 500).vanish(), final_until_ns=NS_PER_HOUR)
    assert (gone.finished_ns, gone.vanished) == (500, True)
    assert gone.merge(look(container(100), 400)) == gone
    back = gone.merge(look(container(100), 600))
    assert (back.finished_ns, back.seen_ns, back.vanished, back.final_until_ns) == (None, 600, False, 0)
    told = gone.merge(look(container(100, 450), 700))
    assert (told.finished_ns, told.seen_ns, told.vanished) == (450, 450, False)


def test_a_finish_told_by_a_clock_that_was_ahead_is_no_later_than_the_look_that_saw_it() -> None:
    hour, second = NS_PER_HOUR, NS_PER_S
    run = look(container(hour, 9 * hour), 2 * hour)
    assert run.finished_ns == 2 * hour + 5 * second
    assert run.merge(look(container(hour, 9 * hour), 10 * hour)) == run


def test_a_finish_during_a_long_look_is_the_engines_own() -> None:
    """A busy engine takes longer to tell of many containers than any clock is off: seen at a load of 28."""
    finished_ns = 29 * NS_PER_S
    run = sight(container(NS_PER_S, finished_ns), OWNER, "n", 10 * NS_PER_S, told_ns=30 * NS_PER_S)
    assert run is not None
    assert run.finished_ns == finished_ns
    late = sight(container(NS_PER_S, 90 * NS_PER_S), OWNER, "n", 10 * NS_PER_S, told_ns=30 * NS_PER_S)
    assert late is not None
    assert late.finished_ns == 35 * NS_PER_S


def test_a_stopped_container_without_a_finish_has_only_shown_that_it_started() -> None:
    record = replace(container(100), state=ContainerState.EXITED)
    assert look(record, 900).seen_ns == 100


def test_restarts_that_nobody_saw_are_told_and_not_guessed() -> None:
    former = look(container(100), 500)
    trace = trace_runs([Sighting(record=container(900, restarts=3), looked_ns=950)], [former], {SERVICE: OWNER}, "n")
    assert trace.runs["c:100"].finished_ns == 500
    assert trace.runs["c:900"].finished_ns is None
    assert [(one.cause, one.starts_ns, one.ends_ns) for one in trace.findings] == [
        (FindingCause.RUNS_UNSEEN, 500, 900),
        (FindingCause.FINISH_UNSEEN, 500, 900),
    ]


def test_a_container_of_no_service_is_the_operators_finding() -> None:
    trace = trace_runs([Sighting(record=container(100), looked_ns=950)], [], {}, "n")
    assert trace.changed == []
    assert [(one.account_id, one.cause) for one in trace.findings] == [(NOBODY, FindingCause.OWNER_UNKNOWN)]


LIFE = Life(service_id=SERVICE, incarnation="c:0", starts_ns=0, ends_ns=None, seen_ns=0, final_until_ns=None)
quantities = st.integers(0, 1_000)


def piece(starts_ns: int, ends_ns: int, quantity: int) -> Piece:
    return Piece(
        metric=COMPUTE,
        starts_ns=starts_ns,
        ends_ns=ends_ns,
        quantity=quantity,
        reading_count=0,
        first_reading_ns=None,
        last_reading_ns=None,
        bound="",
    )


def written(
    starts_ns: int, ends_ns: int, quantity: int, *, is_open: bool
) -> dict[tuple[UsageMetric, int], WrittenPiece]:
    one = WrittenPiece(
        metric=COMPUTE,
        starts_ns=starts_ns,
        ends_ns=ends_ns,
        furthest_ns=ends_ns,
        quantity=quantity,
        revision=0,
        is_open=is_open,
    )
    return {(COMPUTE, starts_ns): one}


@given(quantities, quantities, quantities)
def test_differences_to_a_closed_piece_add_up_to_what_is_known(old: int, first: int, second: int) -> None:
    rows = plan_rows(
        LIFE, [piece(0, 40, first), piece(40, 100, second)], written(0, 100, old, is_open=False), (0, 40, 100)
    )
    assert all(row.is_closed for row in rows)
    assert old + sum(row.piece.quantity for row in rows) == first + second
    assert [(row.piece.ends_ns, row.revision) for row in rows] == [(40, 1), (100, 0)]


def test_a_closed_piece_that_is_right_gets_no_difference() -> None:
    assert plan_rows(LIFE, [piece(0, 100, 7)], written(0, 100, 7, is_open=False), (0, 100)) == []


@given(quantities, quantities)
def test_an_open_piece_is_rewritten_as_it_is_known(old: int, new: int) -> None:
    rows = plan_rows(LIFE, [piece(0, 100, new)], written(0, 100, old, is_open=True), (0, 100))
    assert [(row.piece.quantity, row.revision, row.is_closed) for row in rows] == [(new, 0, False)]

"""Two clocks side by side: what is a step, and which readings are kept."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from helvetia.kernel.clock_steps import KEPT_EVERY_NS, ClockReading, ClockStep, ClockWatch
from helvetia.kernel.quantity import NS_PER_S

S = NS_PER_S


def reading(wall_s: float, lived_s: float, boot: str = "b") -> ClockReading:
    return ClockReading(boot_id=boot, wall_ns=round(wall_s * S), monotonic_ns=round(lived_s * S))


@pytest.mark.parametrize(("wall_s", "step_s"), [(150, 0), (154.9, 0), (160, 10), (5_000, 4_850), (140, -10), (146, 0)])
def test_a_wall_clock_that_went_another_way_has_stepped(wall_s: float, step_s: float) -> None:
    assert reading(wall_s, 50).step_since(reading(100, 0)) == step_s * S
    assert reading(wall_s, 50, "other").step_since(reading(100, 0)) == 0


def test_a_reading_is_kept_at_first_at_a_step_and_now_and_then() -> None:
    watch = ClockWatch()
    assert watch.must_keep(reading(0, 0))
    assert watch.must_keep(reading(1, 1))  # the first could not be kept
    watch.note_kept(reading(1, 1))
    assert not watch.must_keep(reading(2, 2))
    stepped = reading(600, 3)
    assert watch.must_keep(stepped)
    assert watch.must_keep(reading(601, 4))  # the step was not written down yet
    watch.note_kept(reading(601, 4))
    assert not watch.must_keep(reading(602, 5))
    assert watch.must_keep(reading(607 + KEPT_EVERY_NS / S, 4 + KEPT_EVERY_NS / S))


@given(
    since=st.integers(0, 1_000),
    step=st.integers(1, 1_000),
    rest=st.integers(0, 1_000),
    starts=st.integers(-500, 3_500),
    length=st.integers(0, 3_000),
    at=st.integers(0, 1_000),
)
def test_what_is_left_of_a_life_is_never_more_than_with_the_step_at_any_other_time(
    since: int, step: int, rest: int, starts: int, length: int, at: int
) -> None:
    one = ClockStep(since_ns=since, stepped_to_ns=since + step + rest, step_ns=step)
    ends = starts + length
    true_from = since + min(at, rest)
    assert _left(starts, ends, one.skipped_by(ends)) <= _left(starts, ends, (true_from, true_from + step))


def _left(starts: int, ends: int, skipped: tuple[int, int]) -> int:
    return ends - starts - max(0, min(ends, skipped[1]) - max(starts, skipped[0]))

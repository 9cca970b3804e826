"""Properties of the arithmetic: any split adds up to the whole, and only the set of readings matters."""

from dataclasses import replace
from itertools import pairwise
from uuid import UUID

from hypothesis import given
from hypothesis import strategies as st

from helvetia.kernel.identity import ServiceId
from helvetia.kernel.quantity import NS_PER_HOUR, NS_PER_S, UsageMetric
from helvetia.metering.integrate import RunReadings, Usage, integrate_holder, integrate_run
from helvetia.metering.model import Life, Reading, SizeReading
from helvetia.metering.windows.cut_windows import cut_windows

HOUR_0 = 1_773_136_800 * NS_PER_S
INTERVAL_NS = 10 * NS_PER_S
SERVICE = ServiceId(UUID(int=1))
COMPUTE, MEMORY, BANDWIDTH = UsageMetric.COMPUTE_HOURS, UsageMetric.MEMORY_GB_HOURS, UsageMetric.BANDWIDTH_GB


def life(starts_ns: int, ends_ns: int, *, final_ns: int | None = None, is_over: bool = True) -> Life:
    return Life(
        service_id=SERVICE,
        incarnation="c:1",
        starts_ns=starts_ns,
        ends_ns=ends_ns if is_over else None,
        seen_ns=ends_ns,
        final_until_ns=final_ns,
    )


def reading(sampled_ns: int, memory: int | None = 0, sent: int | None = 0) -> Reading:
    return Reading(sampled_ns=sampled_ns, interval_ns=INTERVAL_NS, memory_bytes=memory, transmitted_bytes=sent)


def count(of: Life, readings: list[Reading], cuts: list[int] = [], counted: int = 0) -> Usage:  # noqa: B006
    edges = cut_windows(of.counts_from_ns, of.known_until_ns, sorted(cuts))
    return integrate_run(of, edges, RunReadings(readings=readings, counted_bytes=counted, interval_ns=INTERVAL_NS))


def total(usage: Usage, metric: UsageMetric) -> int:
    return sum(piece.quantity for piece in usage.pieces if piece.metric is metric)


@st.composite
def runs(draw: st.DrawFn) -> tuple[Life, list[Reading]]:
    starts_ns = HOUR_0 + draw(st.integers(0, 2 * NS_PER_HOUR))
    ends_ns = starts_ns + draw(st.integers(1, 4 * NS_PER_HOUR))
    offsets = draw(st.lists(st.integers(0, ends_ns - starts_ns), max_size=30, unique=True))
    readings = [
        reading(
            starts_ns + offset,
            draw(st.one_of(st.none(), st.integers(0, 2**40))),
            draw(st.one_of(st.none(), st.integers(0, 2**50))),
        )
        for offset in sorted(offsets)
    ]
    return life(starts_ns, ends_ns), readings


cut_lists = st.lists(
    st.integers(HOUR_0 // 1000, (HOUR_0 + 6 * NS_PER_HOUR) // 1000).map(lambda us: us * 1000), max_size=6
)


@given(runs(), cut_lists)
def test_m21_any_split_adds_up_to_the_undivided_whole(run: tuple[Life, list[Reading]], cuts: list[int]) -> None:
    whole, split = count(*run), count(*run, cuts)
    undivided_edges = (run[0].counts_from_ns, run[0].known_until_ns + NS_PER_HOUR)
    seen = RunReadings(readings=run[1], counted_bytes=0, interval_ns=INTERVAL_NS)
    undivided = integrate_run(run[0], undivided_edges, seen)
    for metric in (COMPUTE, MEMORY, BANDWIDTH):
        assert total(split, metric) == total(whole, metric) == total(undivided, metric)
    assert total(split, COMPUTE) == run[0].known_until_ns - run[0].starts_ns
    assert total(split, BANDWIDTH) == max((one.transmitted_bytes or 0 for one in run[1]), default=0)


@given(runs(), cut_lists)
def test_m08_pieces_tile_the_run_without_gap_or_overlap(run: tuple[Life, list[Reading]], cuts: list[int]) -> None:
    usage = count(*run, cuts)
    pieces = [piece for piece in usage.pieces if piece.metric is COMPUTE]
    assert pieces[0].starts_ns <= run[0].starts_ns
    assert pieces[-1].ends_ns >= run[0].known_until_ns
    for one, after in pairwise(pieces):
        assert one.ends_ns == after.starts_ns
    assert all(piece.quantity >= 0 for piece in usage.pieces)


@given(runs(), cut_lists, st.randoms(use_true_random=False))
def test_order_and_repetition_of_readings_change_nothing(
    run: tuple[Life, list[Reading]], cuts: list[int], random: object
) -> None:
    whole, readings = run
    shuffled = readings * 2
    random.shuffle(shuffled)  # type: ignore[attr-defined]
    assert count(whole, shuffled, cuts) == count(whole, readings, cuts)


@given(runs(), cut_lists, st.integers(0, 20))
def test_counting_on_from_any_edge_equals_counting_all_at_once(
    run: tuple[Life, list[Reading]], cuts: list[int], which: int
) -> None:
    whole, readings = run
    edges = cut_windows(whole.counts_from_ns, whole.known_until_ns, sorted(cuts))
    final_ns = edges[which % len(edges)]
    if final_ns >= whole.known_until_ns:
        return
    at_once = count(whole, readings, cuts)
    rest = replace(whole, final_until_ns=final_ns)
    before = [one for one in readings if one.sampled_ns <= rest.reads_after_ns and one.memory_bytes is not None][-1:]
    after = [one for one in readings if one.sampled_ns > rest.reads_after_ns]
    counted = sum(
        piece.quantity for piece in at_once.pieces if piece.metric is BANDWIDTH and piece.starts_ns < final_ns
    )
    resumed = count(rest, before + after, cuts, counted)
    assert [p for p in at_once.pieces if p.starts_ns >= final_ns and p.metric is not MEMORY] == [
        p for p in resumed.pieces if p.metric is not MEMORY
    ]
    assert [p.quantity for p in at_once.pieces if p.starts_ns >= final_ns and p.metric is MEMORY] == [
        p.quantity for p in resumed.pieces if p.metric is MEMORY
    ]


@given(runs(), st.lists(st.integers(1, NS_PER_HOUR), max_size=4))
def test_a_running_pieces_value_only_grows(run: tuple[Life, list[Reading]], more: list[int]) -> None:
    whole, readings = run
    looks = sorted({one.sampled_ns for one in readings} | {whole.known_until_ns})
    former: dict[tuple[UsageMetric, int], int] = {}
    for looked_ns in looks:
        until = life(whole.starts_ns, looked_ns, is_over=False)
        usage = count(until, [one for one in readings if one.sampled_ns <= looked_ns])
        now = {(piece.metric, piece.starts_ns): piece.quantity for piece in usage.pieces}
        assert all(now[key] >= quantity for key, quantity in former.items())
        former = now


def test_m07_compute_is_the_engines_own_times_not_ticks() -> None:
    starts_ns, lived_ns = HOUR_0 + 17, 200_000_003
    usage = count(life(starts_ns, starts_ns + lived_ns), [])
    assert total(usage, COMPUTE) == lived_ns
    assert usage.gaps == []


def test_m10_a_first_reading_counts_from_zero_at_the_start_of_its_own_incarnation() -> None:
    former = life(HOUR_0, HOUR_0 + 60 * NS_PER_S)
    restarted = life(HOUR_0 + 61 * NS_PER_S, HOUR_0 + 120 * NS_PER_S)
    before = count(former, [reading(HOUR_0 + 5 * NS_PER_S, 0, 8), reading(HOUR_0 + 9 * NS_PER_S, 0, 9)])
    after = count(restarted, [reading(HOUR_0 + 65 * NS_PER_S, 0, 3), reading(HOUR_0 + 75 * NS_PER_S, 0, 4)])
    assert total(before, BANDWIDTH) + total(after, BANDWIDTH) == 13


def test_a_counter_that_falls_is_an_anomaly_and_adds_nothing() -> None:
    at = [HOUR_0 + n * INTERVAL_NS for n in range(1, 5)]
    usage = count(life(HOUR_0, at[-1]), [reading(t, 0, sent) for t, sent in zip(at, (100, 40, 110, 120), strict=True)])
    assert total(usage, BANDWIDTH) == 120
    assert [one.starts_ns for one in usage.anomalies] == [at[1]]


def test_memory_is_held_at_most_two_intervals_and_the_rest_is_a_gap() -> None:
    at_ns = HOUR_0 + INTERVAL_NS
    usage = count(life(HOUR_0, HOUR_0 + 10 * INTERVAL_NS), [reading(at_ns, 7)])
    assert total(usage, MEMORY) == 7 * 3 * INTERVAL_NS
    assert [(gap.starts_ns, gap.ends_ns) for gap in usage.gaps] == [
        (HOUR_0 + 3 * INTERVAL_NS, HOUR_0 + 10 * INTERVAL_NS)
    ]


def test_m13_memory_is_weighted_by_time_and_no_single_reading_decides() -> None:
    interval_ns = 10 * NS_PER_S
    life = Life(
        service_id=ServiceId(UUID(int=1)),
        incarnation="c",
        starts_ns=HOUR_0,
        ends_ns=HOUR_0 + 600 * NS_PER_S,
        seen_ns=HOUR_0 + 600 * NS_PER_S,
        final_until_ns=None,
    )
    levels = [1_000] * 59 + [1_000_000]  # calm for ten minutes, and a peak in the last reading alone
    readings = [
        Reading(sampled_ns=HOUR_0 + n * interval_ns, interval_ns=interval_ns, memory_bytes=level, transmitted_bytes=0)
        for n, level in enumerate(levels)
    ]
    usage = integrate_run(
        life,
        [HOUR_0, HOUR_0 + NS_PER_HOUR],
        RunReadings(readings=readings, counted_bytes=0, interval_ns=interval_ns),
    )
    (memory,) = [piece.quantity for piece in usage.pieces if piece.metric is UsageMetric.MEMORY_GB_HOURS]
    assert memory == sum(level * interval_ns for level in levels)


def test_a_first_reading_long_after_the_start_does_not_count_back() -> None:
    usage = count(life(HOUR_0, HOUR_0 + 4 * INTERVAL_NS), [reading(HOUR_0 + 3 * INTERVAL_NS, 7)])
    assert total(usage, MEMORY) == 7 * INTERVAL_NS
    assert [(gap.starts_ns, gap.ends_ns) for gap in usage.gaps] == [(HOUR_0, HOUR_0 + 3 * INTERVAL_NS)]


def test_bytes_read_on_an_edge_belong_to_the_window_that_ends_there() -> None:
    edge_ns = HOUR_0 + NS_PER_HOUR
    usage = count(life(HOUR_0, edge_ns + 1), [reading(edge_ns, 0, 5), reading(edge_ns + 1, 0, 6)])
    assert [piece.quantity for piece in usage.pieces if piece.metric is BANDWIDTH] == [5, 1]


def test_m11_storage_is_size_over_time_held_until_it_is_gone() -> None:
    held = life(HOUR_0, HOUR_0 + 3 * NS_PER_HOUR)
    sizes = [SizeReading(sampled_ns=HOUR_0, size_bytes=10), SizeReading(sampled_ns=HOUR_0 + NS_PER_HOUR, size_bytes=4)]
    usage = integrate_holder(held, cut_windows(HOUR_0, held.known_until_ns, []), sizes)
    assert [piece.quantity for piece in usage.pieces] == [10 * NS_PER_HOUR, 4 * NS_PER_HOUR, 4 * NS_PER_HOUR]


@given(st.integers(0, 10**18), st.integers(1, 4 * NS_PER_HOUR), cut_lists)
def test_windows_tile_from_their_edge_past_the_end(from_ns: int, length_ns: int, cuts: list[int]) -> None:
    edges = cut_windows(from_ns, from_ns + length_ns, sorted(cuts))
    assert edges[0] == from_ns
    assert edges[-2] < from_ns + length_ns <= edges[-1]
    assert list(edges) == sorted(set(edges))
    assert all(end - start <= NS_PER_HOUR for start, end in pairwise(edges))

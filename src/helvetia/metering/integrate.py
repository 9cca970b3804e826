"""The arrow sample → usage, the arithmetic of it: readings of one life in, exact integers per window out. Pure.

Windows are given by their edges: window i is [edges[i], edges[i + 1]). They tile, so every sum over windows is the
undivided whole, exactly. The result depends on the set of readings alone, not on their order or repetition. Never more
is counted than was seen: an instant without evidence counts nothing and is told as a gap.
"""

from bisect import bisect_left, bisect_right
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace

from helvetia.kernel.quantity import UsageMetric
from helvetia.metering.model import Life, Piece, Reading, SizeReading

HELD_INTERVALS_MAX = 2
"""A reading of memory stands for at most this many sampling intervals (metering.md, rules 4 and 6)."""

_FREE_WHILE_HELD = (UsageMetric.COMPUTE_HOURS, UsageMetric.MEMORY_GB_HOURS)


@dataclass(frozen=True, slots=True, kw_only=True)
class Hold:
    """A level held over [starts_ns, ends_ns)."""

    starts_ns: int
    ends_ns: int
    level: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Step:
    """Bytes that became known at an instant."""

    at_ns: int
    transmitted_bytes: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Stretch:
    """A stretch of time with a word about it."""

    starts_ns: int
    ends_ns: int
    detail: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Usage:
    """Pieces of one life, and what could not be counted or was not believed."""

    pieces: Sequence[Piece]
    gaps: Sequence[Stretch] = ()
    egress_gaps: Sequence[Stretch] = ()
    anomalies: Sequence[Stretch] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class RunReadings:
    """Readings of one run: all within the edges, and before them the last one that measured memory.

    `counted_bytes`: the bytes that earlier windows hold already, which is the highest counter seen there.
    `neighbours`: the last reading of memory that a former owner holds, and the first that the next one does.
    """

    readings: Sequence[Reading]
    counted_bytes: int
    interval_ns: int
    neighbours: Sequence[Reading] = ()


def integrate_run(life: Life, edges: Sequence[int], seen: RunReadings) -> Usage:
    """Compute, memory and bandwidth of a run in each window that it touches."""
    within = _believable(life, seen.readings)
    own = [reading for reading in within if reading.memory_bytes is not None]
    measured = sorted([*own, *seen.neighbours], key=lambda one: one.sampled_ns)
    steps, anomalies = byte_steps(life, within, seen.counted_bytes)
    pieces: list[Piece] = []
    for metric, quantities, readings in (
        (UsageMetric.COMPUTE_HOURS, spread(_lived(life, [_whole(life)]), edges), within),
        (UsageMetric.MEMORY_GB_HOURS, spread(_lived(life, memory_holds(life, measured)), edges), own),
        (UsageMetric.BANDWIDTH_GB, spread_steps(life, steps, edges), within),
    ):
        bound = _bound(metric, seen.interval_ns, life)
        pieces += _pieces(metric, life, edges, quantities, [reading.sampled_ns for reading in readings], bound)
    gaps = memory_gaps(life, measured, seen.interval_ns)
    return Usage(
        pieces=pieces, gaps=_owned(life, gaps), egress_gaps=_owned(life, egress_gaps(life, within)), anomalies=anomalies
    )


def integrate_holder(life: Life, edges: Sequence[int], readings: Iterable[SizeReading]) -> Usage:
    """Storage of a layer or volume: each size is held to the next, running or not, until it is gone."""
    ordered = sorted({reading.sampled_ns: reading for reading in readings}.values(), key=lambda one: one.sampled_ns)
    ends = [*(reading.sampled_ns for reading in ordered[1:]), life.known_until_ns]
    holds = [
        Hold(starts_ns=reading.sampled_ns, ends_ns=min(end, life.known_until_ns), level=reading.size_bytes)
        for reading, end in zip(ordered, ends, strict=False)
    ]
    sampled = [reading.sampled_ns for reading in ordered]
    bound = "each size is held to the next reading, until the last look at it"
    metric = UsageMetric.STORAGE_GB
    return Usage(pieces=_pieces(metric, life, edges, spread(_lived(life, holds), edges), sampled, bound))


def spread(holds: Iterable[Hold], edges: Sequence[int]) -> list[int]:
    """Level × nanoseconds of the holds in each window."""
    totals = [0] * (len(edges) - 1)
    for hold in holds:
        window = max(0, bisect_right(edges, hold.starts_ns) - 1)
        while window < len(totals) and edges[window] < hold.ends_ns:
            held_ns = min(hold.ends_ns, edges[window + 1]) - max(hold.starts_ns, edges[window])
            totals[window] += max(0, held_ns) * hold.level
            window += 1
    return totals


def spread_steps(life: Life, steps: Iterable[Step], edges: Sequence[int]) -> list[int]:
    """Bytes in the window of the later reading. A reading on an edge ends its window: its bytes were sent before."""
    totals = [0] * (len(edges) - 1)
    for step in steps:
        window = bisect_left(edges, max(step.at_ns, life.starts_ns + 1)) - 1
        if step.at_ns > life.reads_after_ns and 0 <= window < len(totals):
            totals[window] += step.transmitted_bytes
    return totals


def memory_holds(life: Life, measured: Sequence[Reading]) -> list[Hold]:
    """Each reading until the next, at most two of its intervals; the first also back to the start if that is near."""
    ends = [*(reading.sampled_ns for reading in measured[1:]), life.known_until_ns]
    holds = []
    for reading, next_ns in zip(measured, ends, strict=False):
        is_first = reading is measured[0] and reading.sampled_ns > life.reads_after_ns
        reaches_start = is_first and reading.sampled_ns - life.starts_ns <= reading.interval_ns
        holds.append(
            Hold(
                starts_ns=life.starts_ns if reaches_start else reading.sampled_ns,
                ends_ns=min(next_ns, _held_until(reading), life.known_until_ns),
                level=reading.memory_bytes or 0,
            )
        )
    return holds


def memory_gaps(life: Life, measured: Sequence[Reading], interval_ns: int) -> list[Stretch]:
    """Stretches of a run for which no reading of memory stands; a hole that a hold bridges is none."""
    detail = "memory was not read; none is counted"
    if not measured:
        lived_ns = life.known_until_ns - life.judged_from_ns
        whole = Stretch(starts_ns=life.judged_from_ns, ends_ns=life.known_until_ns, detail=detail)
        return [whole] if lived_ns > HELD_INTERVALS_MAX * interval_ns else []
    holes = []
    first = measured[0]
    if first.sampled_ns > life.reads_after_ns and first.sampled_ns - life.judged_from_ns > first.interval_ns:
        holes.append((life.judged_from_ns, first.sampled_ns))
    ends = [*(reading.sampled_ns for reading in measured[1:]), life.known_until_ns]
    holes += [(_held_until(reading), end) for reading, end in zip(measured, ends, strict=False)]
    return [
        Stretch(starts_ns=start, ends_ns=end, detail=detail)
        for start, end in holes
        if sum(until - since for since, until in life.lived(start, end))
        > (interval_ns if life.skipped or life.held else 0)
    ]


def byte_steps(life: Life, readings: Iterable[Reading], counted_bytes: int) -> tuple[list[Step], list[Stretch]]:
    """What each reading adds to the highest counter before it; one below it is an anomaly and adds nothing.

    The steps of a run add up to its highest counter, so a dip that was misread is not billed again when it is over.
    """
    steps: list[Step] = []
    anomalies: list[Stretch] = []
    highest = counted_bytes
    for reading in readings:
        counter = reading.external_bytes if life.counts_external else reading.transmitted_bytes
        if counter is None or reading.sampled_ns <= life.reads_after_ns:
            continue
        if counter < highest:
            detail = f"the counter of bytes sent fell from {highest} to {counter}"
            anomalies.append(Stretch(starts_ns=reading.sampled_ns, ends_ns=reading.sampled_ns, detail=detail))
        elif counter > highest:
            steps.append(Step(at_ns=reading.sampled_ns, transmitted_bytes=counter - highest))
            highest = counter
    return steps, anomalies


def egress_gaps(life: Life, readings: Iterable[Reading]) -> list[Stretch]:
    """Stretches of a run that is billed by the firewall in which the firewall told nothing: no bytes of them count."""
    gaps: list[Stretch] = []
    known_ns, is_open = max(life.starts_ns, life.reads_after_ns), False
    for reading in readings if life.counts_external else ():
        if reading.sampled_ns <= life.reads_after_ns or reading.transmitted_bytes is None:
            continue
        if reading.external_bytes is None:
            former = gaps.pop() if is_open else None
            starts_ns, is_open = known_ns if former is None else former.starts_ns, True
            detail = "the firewall's counters were lost; bytes sent then are not counted"
            gaps.append(Stretch(starts_ns=starts_ns, ends_ns=reading.sampled_ns, detail=detail))
        else:
            known_ns, is_open = reading.sampled_ns, False
    return gaps


def _lived(life: Life, holds: Iterable[Hold]) -> list[Hold]:
    """Holds without the time that the host's clock jumped over, or in which the service was held for payment."""
    return [
        Hold(starts_ns=since, ends_ns=until, level=hold.level)
        for hold in holds
        for since, until in life.lived(hold.starts_ns, hold.ends_ns)
    ]


def _believable(life: Life, readings: Iterable[Reading]) -> list[Reading]:
    """Each instant once, in order; a reading outside the run's life belongs to another start of its container."""
    once = {r.sampled_ns: r for r in readings if life.starts_ns <= r.sampled_ns <= life.known_until_ns}
    return [once[sampled_ns] for sampled_ns in sorted(once)]


def _owned(life: Life, gaps: Iterable[Stretch]) -> list[Stretch]:
    """The parts of gaps in the time of this owner."""
    bounds = [(max(gap.starts_ns, life.owned_from_ns), min(gap.ends_ns, life.known_until_ns), gap) for gap in gaps]
    return [
        replace(gap, starts_ns=starts_ns, ends_ns=ends_ns) for starts_ns, ends_ns, gap in bounds if starts_ns < ends_ns
    ]


def _whole(life: Life) -> Hold:
    return Hold(starts_ns=life.starts_ns, ends_ns=life.known_until_ns, level=1)


def _held_until(reading: Reading) -> int:
    return reading.sampled_ns + HELD_INTERVALS_MAX * reading.interval_ns


def _pieces(
    metric: UsageMetric, life: Life, edges: Sequence[int], quantities: Sequence[int], sampled: Sequence[int], bound: str
) -> list[Piece]:
    """One piece for each window that the life touches (or that has a quantity all the same)."""
    pieces = []
    for start, end, quantity in zip(edges, edges[1:], quantities, strict=False):
        if not quantity and (end <= life.starts_ns or start >= life.known_until_ns):
            continue
        if not life.can_recount(metric, start):
            continue
        is_held = metric in _FREE_WHILE_HELD and _is_held_within(life, start, end)
        inside = sampled[bisect_right(sampled, start) : bisect_right(sampled, end)]
        pieces.append(
            Piece(
                metric=metric,
                starts_ns=start,
                ends_ns=end,
                quantity=quantity,
                reading_count=len(inside),
                first_reading_ns=inside[0] if inside else None,
                last_reading_ns=inside[-1] if inside else None,
                bound=f"{bound}; the time held for payment is left out" if is_held else bound,
            )
        )
    return pieces


def _is_held_within(life: Life, starts_ns: int, ends_ns: int) -> bool:
    """Whether a hold for payment takes away a part of the life in a window."""
    starts_ns, ends_ns = max(starts_ns, life.starts_ns), min(ends_ns, life.known_until_ns)
    return any(held_from_ns < ends_ns and held_until_ns > starts_ns for held_from_ns, held_until_ns in life.held)


def _bound(metric: UsageMetric, interval_ns: int, life: Life) -> str:
    if metric is UsageMetric.COMPUTE_HOURS:
        return "the engine's own start and finish"
    if metric is UsageMetric.MEMORY_GB_HOURS:
        return f"each reading is held to the next, at most {HELD_INTERVALS_MAX * interval_ns} ns"
    lost = f"those of its last {interval_ns} ns or less may be missing"
    if life.counts_external:
        return f"bytes that left the host's container networks, by its firewall; {lost}"
    return f"all bytes sent by the container, for the host cannot tell which stayed inside; {lost}"

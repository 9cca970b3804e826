"""The arrow readings → shown figures: what a service's containers did besides what is billed. Pure.

Promises: differences of cumulative counters, like the bytes that are billed, and never below 0; what no reading tells
is None, not 0. Nothing here is ever billed.
"""

from collections.abc import Sequence
from dataclasses import dataclass

from helvetia.kernel.clock import from_ns
from helvetia.kernel.period import Period
from helvetia.metering.history.model import RunCounters, ShownFigures

RUNS_MAX = 2_000
"""More runs than these in a range are told from the newest ones only."""


@dataclass(frozen=True, slots=True, kw_only=True)
class _Grown:
    """By how much the counters of one run grew in the range."""

    cpu_ns: int | None
    received_bytes: int | None
    transmitted_bytes: int | None
    external_bytes: int | None

    @property
    def internal_bytes(self) -> int | None:
        if self.transmitted_bytes is None or self.external_bytes is None:
            return None
        return max(0, self.transmitted_bytes - self.external_bytes)


def sum_runs(runs: Sequence[RunCounters], period: Period, readings_from_ns: int) -> ShownFigures:
    """The figures of `runs`, newest first; of more than RUNS_MAX the oldest are left out, and the answer says so."""
    counted = runs[:RUNS_MAX]
    known_from = max(period.starts_at, from_ns(readings_from_ns))
    if len(runs) > RUNS_MAX:
        known_from = max(known_from, from_ns(runs[RUNS_MAX].lived_until_ns))
    grown = [_grown(run, readings_from_ns) for run in counted]
    sent = [one for one in grown if one.transmitted_bytes is not None]
    are_split = all(one.internal_bytes is not None for one in sent)
    return ShownFigures(
        known_from=known_from,
        cpu_ns=_sum([one.cpu_ns for one in grown]),
        memory_peak_bytes=max(
            (one.memory_peak_bytes for one in counted if one.memory_peak_bytes is not None), default=None
        ),
        received_bytes=_sum([one.received_bytes for one in grown]),
        internal_bytes=_sum([one.internal_bytes for one in sent]) if are_split else None,
    )


def _grown(run: RunCounters, readings_from_ns: int) -> _Grown:
    began_ns = run.started_ns if run.run_started_ns is None else run.run_started_ns
    from_zero = began_ns == run.started_ns and began_ns >= readings_from_ns

    def since(last: int | None, before: int | None, first: int | None) -> int | None:
        base = before if before is not None else 0 if from_zero else first
        return None if last is None or base is None else max(0, last - base)

    return _Grown(
        cpu_ns=since(run.cpu_ns, run.cpu_before_ns, run.cpu_first_ns),
        received_bytes=since(run.received_bytes, run.received_before_bytes, run.received_first_bytes),
        transmitted_bytes=since(run.transmitted_bytes, run.transmitted_before_bytes, run.transmitted_first_bytes),
        external_bytes=since(run.external_bytes, run.external_before_bytes, run.external_first_bytes),
    )


def _sum(figures: Sequence[int | None]) -> int | None:
    known = [one for one in figures if one is not None]
    return sum(known) if known else None

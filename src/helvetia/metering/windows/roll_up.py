"""The arrow sample → usage: counts what every life of an account used, window by window, since it was last final.

Promises: one transaction under the account's row lock, a fixed number of statements however many lives there are, and
the same rows however often it runs. Fails as a whole, changing nothing.

A window is final once it is settled (or is being closed) and its life is known until its end; a finished run is final
as a whole. What is final is not looked at again until a fact about it changes (a reopened run, a late boundary).
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from itertools import takewhile

from helvetia.database.pool import Transaction
from helvetia.kernel.clock import to_ns
from helvetia.kernel.clock_steps import ClockStep
from helvetia.kernel.identity import AccountId
from helvetia.kernel.quantity import NS_PER_HOUR, UsageMetric
from helvetia.metering import store, store_pieces, store_runs, store_storage
from helvetia.metering.integrate import RunReadings, Stretch, Usage, integrate_holder, integrate_run
from helvetia.metering.model import (
    Finding,
    FindingCause,
    FindingKind,
    Life,
    MeteringConfig,
    PieceKey,
    PlannedRow,
    Run,
    WrittenPiece,
    floor_hour_ns,
)
from helvetia.metering.store_pieces import LifeKey, Ranges
from helvetia.metering.windows import store_parts, store_steps
from helvetia.metering.windows.cut_windows import cut_windows
from helvetia.metering.windows.plan_rows import plan_rows

_RUN_METRICS = (UsageMetric.COMPUTE_HOURS, UsageMetric.MEMORY_GB_HOURS, UsageMetric.BANDWIDTH_GB)
_HOLDER_METRICS = (UsageMetric.STORAGE_GB,)


@dataclass(frozen=True, slots=True, kw_only=True)
class Counting:
    """One pass over one account: when it is, what is settled by then, and how much is counted at once."""

    account_id: AccountId
    now: datetime
    settled_ns: int
    config: MeteringConfig

    @property
    def interval_ns(self) -> int:
        return self.config.sample_interval_ms * 1_000_000


@dataclass(frozen=True, slots=True, kw_only=True)
class Windowed:
    """A life with the windows to count it in; `is_cut_short` when more of them are left for the next pass."""

    life: Life
    edges: Sequence[int]
    is_cut_short: bool

    @property
    def key(self) -> LifeKey:
        return self.life.service_id, self.life.incarnation

    @property
    def is_part(self) -> bool:
        """Whether another owner holds readings that matter here: only around a transfer."""
        return self.life.is_handed_over or self.edges[0] <= self.life.owned_from_ns + NS_PER_HOUR

    @property
    def recounted_from_ns(self) -> int:
        """From which edge on readings are counted: what they came to before it stands."""
        return max(self.edges[0], self.life.readings_from_ns)

    def final_until(self, settled_ns: int) -> tuple[int, bool]:
        """The edge until which nothing is expected to change, and whether that is the whole life."""
        if self.life.ends_ns is not None:
            return self.edges[-1], not self.is_cut_short
        sure_ns = min(settled_ns, self.life.known_until_ns)
        return [self.edges[0], *takewhile(lambda edge: edge <= sure_ns, self.edges[1:])][-1], False


async def roll_up_account(
    tx: Transaction, account_id: AccountId, *, now: datetime, config: MeteringConfig, through: datetime | None = None
) -> bool:
    """Count an account once; whether something is left for another pass.

    `through`: windows that end at or before it are settled now.
    """
    await store.lock_account(tx, account_id)
    settled_ns = max(to_ns(now) - config.settle_ns, 0 if through is None else to_ns(through))
    counting = Counting(account_id=account_id, now=now, settled_ns=settled_ns, config=config)
    from_ns = await store.readings_from_ns(tx)
    skipped = await store_steps.skipped_stretches(tx)
    runs = await store_runs.lock_open_runs(tx, account_id)
    since_ns = min((run.started_ns for run in runs), default=to_ns(now))
    held = await store_steps.held_stretches(tx, account_id, since_ns=since_ns)
    lives = [_life_of(run, from_ns, skipped.get(run.node, ()), held.get(run.service_id, ())) for run in runs]
    holders = await store_storage.lock_open_holders(tx, account_id, from_ns, skipped)
    if not lives and not holders:
        return False
    cuts_ns = await store.cuts_after(tx, account_id, min(life.counts_from_ns for life in (*lives, *holders)))
    more_runs = await _count(tx, counting, lives, cuts_ns, of_runs=True)
    more_holders = await _count(tx, counting, holders, cuts_ns, of_runs=False)
    return more_runs or more_holders


async def _count(
    tx: Transaction, counting: Counting, lives: Sequence[Life], cuts_ns: Sequence[int], *, of_runs: bool
) -> bool:
    if not lives:
        return False
    account_id, limit_ns = counting.account_id, counting.config.hours_per_pass * NS_PER_HOUR
    spans = {_key(life): (life.counts_from_ns, floor_hour_ns(life.counts_from_ns) + limit_ns) for life in lives}
    metrics = _RUN_METRICS if of_runs else _HOLDER_METRICS
    written = await store_pieces.written_pieces(tx, account_id, spans, metrics)
    counted = [_cut(life, spans[_key(life)][1], written.get(_key(life), {}), cuts_ns) for life in lives]
    usages = await (_use_runs if of_runs else _use_holders)(tx, counting, counted)
    rows: list[PlannedRow] = []
    marks: dict[LifeKey, tuple[int, bool]] = {}
    for one in counted:
        final_ns, is_whole = one.final_until(counting.settled_ns)
        rows += plan_rows(one.life, usages[one.key].pieces, written.get(one.key, {}), one.edges)
        if is_whole or final_ns != one.life.final_until_ns:
            marks[one.key] = final_ns, is_whole
    await store_pieces.save_rows(tx, account_id, rows, now=counting.now)
    await store_pieces.mark_final(tx, account_id, marks, of_runs=of_runs, now=counting.now)
    if of_runs:
        await _save_findings(tx, counting, counted, usages)
    return any(one.is_cut_short for one in counted)


def _cut(life: Life, limit_ns: int, written: Mapping[PieceKey, WrittenPiece], cuts_ns: Sequence[int]) -> Windowed:
    """The windows that the life touches, and those that hold something it was once thought to touch."""
    until_ns = max(life.known_until_ns, *(piece.furthest_ns for piece in written.values()), life.counts_from_ns)
    edges = cut_windows(life.counts_from_ns, min(until_ns, limit_ns), cuts_ns)
    return Windowed(life=life, edges=edges, is_cut_short=until_ns > limit_ns)


async def _use_runs(tx: Transaction, counting: Counting, counted: Sequence[Windowed]) -> Mapping[LifeKey, Usage]:
    readings = await store_pieces.readings_in(tx, counting.account_id, _reads(counted), _continued(counted))
    windows = {one.key: (floor_hour_ns(one.life.starts_ns), one.recounted_from_ns) for one in counted}
    before = await store_pieces.counted_bytes(tx, counting.account_id, windows)
    neighbours = await store_parts.neighbours(tx, counting.account_id, [one.key for one in counted if one.is_part])
    return {
        one.key: integrate_run(
            one.life,
            one.edges,
            RunReadings(
                readings=readings.get(one.key, ()),
                counted_bytes=one.life.base_bytes + before.get(one.key, 0),
                interval_ns=counting.interval_ns,
                neighbours=neighbours.get(one.key, ()),
            ),
        )
        for one in counted
    }


async def _use_holders(tx: Transaction, counting: Counting, counted: Sequence[Windowed]) -> Mapping[LifeKey, Usage]:
    sizes = await store_pieces.sizes_in(tx, counting.account_id, _reads(counted), _continued(counted))
    former = await store_parts.former_sizes(
        tx, counting.account_id, [one.key for one in counted if one.life.owned_from_ns]
    )
    return {
        one.key: integrate_holder(one.life, one.edges, [*former.get(one.key, ()), *sizes.get(one.key, ())])
        for one in counted
    }


def _reads(counted: Sequence[Windowed]) -> Ranges:
    """Which readings are needed: an hour more than is counted, for a first reading that counts back."""
    return {one.key: (one.life.reads_after_ns, one.edges[-1] + NS_PER_HOUR) for one in counted}


def _continued(counted: Sequence[Windowed]) -> set[LifeKey]:
    """Lives that began before what is counted: the last reading before it still stands for something."""
    return {one.key for one in counted if one.life.reads_after_ns >= one.life.starts_ns}


async def _save_findings(
    tx: Transaction, counting: Counting, counted: Sequence[Windowed], usages: Mapping[LifeKey, Usage]
) -> None:
    gaps = [
        _finding(counting, one, FindingKind.GAP, cause, gap)
        for one in counted
        for cause, found in (
            (FindingCause.NO_READING, usages[one.key].gaps),
            (FindingCause.EGRESS_UNKNOWN, usages[one.key].egress_gaps),
        )
        for gap in found
        if gap.starts_ns < one.edges[-1]
    ]
    anomalies = [
        _finding(counting, one, FindingKind.ANOMALY, FindingCause.COUNTER_FELL, anomaly)
        for one in counted
        for anomaly in usages[one.key].anomalies
    ]
    ranges = {one.key: (one.recounted_from_ns, one.edges[-1]) for one in counted}
    keep = {(gap.incarnation, gap.starts_ns) for gap in gaps}
    await store_runs.drop_stale_gaps(tx, counting.account_id, ranges, keep)
    await store_runs.save_findings(tx, [*gaps, *anomalies], recorded_at=counting.now)


def _finding(counting: Counting, one: Windowed, kind: FindingKind, cause: FindingCause, stretch: Stretch) -> Finding:
    return Finding(
        account_id=counting.account_id,
        service_id=one.life.service_id,
        incarnation=one.life.incarnation,
        kind=kind,
        cause=cause,
        starts_ns=stretch.starts_ns,
        ends_ns=min(stretch.ends_ns, one.edges[-1]),
        detail=stretch.detail,
    )


def _key(life: Life) -> LifeKey:
    return life.service_id, life.incarnation


def _life_of(run: Run, readings_from_ns: int, skipped: Sequence[ClockStep], held: Sequence[tuple[int, int]]) -> Life:
    return Life(
        service_id=run.service_id,
        incarnation=run.incarnation,
        starts_ns=run.started_ns if run.run_started_ns is None else run.run_started_ns,
        ends_ns=run.finished_ns,
        seen_ns=run.seen_ns,
        final_until_ns=run.final_until_ns,
        counts_external=bool(run.counts_external),
        readings_from_ns=readings_from_ns,
        skipped=skipped,
        held=held,
        owned_from_ns=0 if run.run_started_ns is None else run.started_ns,
        base_bytes=run.base_bytes,
        is_handed_over=run.owned_until_ns is not None,
    )

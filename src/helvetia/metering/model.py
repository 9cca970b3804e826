"""What metering knows: runs, holders, readings, pieces, findings and totals. Pure.

Instants of the engine are `_ns` since the epoch. Quantities are integers in base units (kernel/quantity.py).
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import date, datetime
from decimal import Decimal
from enum import StrEnum
from uuid import UUID

from helvetia.kernel.clock_steps import ClockStep
from helvetia.kernel.identity import AccountId, ServiceId
from helvetia.kernel.quantity import NS_PER_HOUR, UsageMetric

NOBODY = AccountId(UUID(int=0))
"""Findings about containers of no known service are filed under this id: the operator's, never a customer's."""

RECORD_PREFIX = "record:"
"""Incarnation of a record written through `record_usage`: this prefix and its idempotency key."""


@dataclass(frozen=True, slots=True, kw_only=True)
class MeteringConfig:
    """How often is looked, how long is waited, and the bound on every loop and batch.

    `readings_kept_days`: the longest billing period, and the 35 days in which a late fact can still be reported.
    """

    sample_interval_s: float = 10.0
    storage_interval_s: float = 300.0
    settle_s: float = 180.0
    keep_stopped_s: float = 0.0
    host_timeout_s: float = 20.0
    hours_per_pass: int = 48
    passes_max: int = 50
    removals_max: int = 200
    reconnect_wait_max_s: float = 30.0
    readings_kept_days: int = 31 + 35
    node_lost_after_s: float = 72 * 3600.0
    node_patience_s: float = 900.0

    @property
    def sample_interval_ms(self) -> int:
        return round(self.sample_interval_s * 1_000)

    @property
    def keep_stopped_ns(self) -> int:
        return round(self.keep_stopped_s * 1_000) * 1_000_000

    @property
    def settle_ns(self) -> int:
        return round(self.settle_s * 1_000) * 1_000_000


class FindingKind(StrEnum):
    """A gap: something may be missing. An anomaly: something was not believed."""

    GAP = "gap"
    ANOMALY = "anomaly"


class FindingCause(StrEnum):
    """Why; the words stored in the database."""

    NO_READING = "no_reading"
    ENGINE_UNREACHABLE = "engine_unreachable"
    FINISH_UNSEEN = "finish_unseen"
    RUNS_UNSEEN = "runs_unseen"
    COUNTER_FELL = "counter_fell"
    ABSURD_COUNTER = "absurd_counter"
    EGRESS_UNKNOWN = "egress_unknown"
    OWNER_UNKNOWN = "owner_unknown"
    STORAGE_UNOWNED = "storage_unowned"
    PAUSED = "paused"
    SIZE_UNKNOWN = "size_unknown"
    NODE_LOST = "node_lost"


@dataclass(frozen=True, slots=True, kw_only=True)
class Finding:
    """A gap or an anomaly with its cause and bounds."""

    account_id: AccountId
    service_id: ServiceId
    incarnation: str
    kind: FindingKind
    cause: FindingCause
    starts_ns: int
    ends_ns: int
    detail: str


class LeakKind(StrEnum):
    """Ways to lose money without a bill."""

    CONTAINER_UNOWNED = "container_unowned"
    STORAGE_UNOWNED = "storage_unowned"
    RUNNING_WHILE_HELD = "running_while_held"
    RUNNING_UNWISHED = "running_unwished"
    NODE_LOST = "node_lost"


@dataclass(frozen=True, slots=True, kw_only=True)
class Leak:
    """Something that uses the machine and should not, or that nobody pays; what a day of it costs at list prices."""

    kind: LeakKind
    name: str
    service_id: ServiceId
    since_at: datetime
    day_minor: Decimal
    detail: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Run:
    """One start of one container; both ends are the engine's own.

    `seen_ns`: the last instant the engine said that it ran, never past its finish. `vanished`: the finish is only the
    last instant seen, because the engine no longer tells. `final_until_ns`: its pieces are counted for good up to here.
    `counts_external`: whether its bandwidth is what left the host's networks; its first reading decides that for all.
    A run of a service that changed its owner is a run for each: `started_ns` is then where this owner's part begins,
    `run_started_ns` where the run did, `owned_until_ns` where the next owner's begins, and `base_bytes` the highest
    counter before this part.
    """

    account_id: AccountId
    service_id: ServiceId
    incarnation: str
    container_id: str
    node: str
    started_ns: int
    finished_ns: int | None
    seen_ns: int
    restart_count: int = 0
    exit_code: int | None = None
    oom_killed: bool | None = None
    vanished: bool = False
    final_until_ns: int | None = None
    closed_at: datetime | None = None
    counts_external: bool | None = None
    run_started_ns: int | None = None
    owned_until_ns: int | None = None
    base_bytes: int = 0

    def merge(self, sighting: "Run") -> "Run":
        """This run after one more look at it, in whatever order the looks arrive.

        A finish told by the engine stands; one that was only a bound gives way to a later look.
        """
        finished_ns = self._merged_finish(sighting)
        seen_ns = max(self.seen_ns, sighting.seen_ns)
        merged = replace(
            self,
            finished_ns=finished_ns,
            seen_ns=seen_ns if finished_ns is None else min(seen_ns, finished_ns),
            restart_count=max(self.restart_count, sighting.restart_count),
            exit_code=self.exit_code if sighting.exit_code is None else sighting.exit_code,
            oom_killed=self.oom_killed if sighting.oom_killed is None else sighting.oom_killed,
            counts_external=sighting.counts_external if self.counts_external is None else self.counts_external,
            vanished=self.vanished and finished_ns == self.finished_ns and sighting.finished_ns is None,
        )
        return merged if finished_ns == self.finished_ns else merged.reopened(self.end_ns, merged.end_ns)

    def vanish(self, until_ns: int | None = None) -> "Run":
        """Its finish was not seen: bounded by the last instant it was seen (or `until_ns`, if that is earlier)."""
        finished_ns = max(self.started_ns, self.seen_ns if until_ns is None else min(self.seen_ns, until_ns))
        gone = replace(self, finished_ns=finished_ns, seen_ns=finished_ns, vanished=True)
        return gone.reopened(finished_ns)

    def reopened(self, *changed_ns: int) -> "Run":
        """The same run, to be counted anew from the hour of the earliest of these instants."""
        final_until_ns = self.final_until_ns
        if final_until_ns is not None:
            final_until_ns = min(final_until_ns, *(floor_hour_ns(instant_ns) for instant_ns in changed_ns))
        return replace(self, final_until_ns=final_until_ns, closed_at=None)

    @property
    def end_ns(self) -> int:
        """Its finish, or the last instant it was seen."""
        return self.seen_ns if self.finished_ns is None else self.finished_ns

    def _merged_finish(self, sighting: "Run") -> int | None:
        if sighting.finished_ns is not None:
            # A run finishes once: of two finishes one was told, or seen, on a clock that was off.
            is_told = self.finished_ns is not None and not self.vanished
            return min(self.finished_ns or 0, sighting.finished_ns) if is_told else sighting.finished_ns
        if self.vanished and sighting.seen_ns > self.seen_ns:
            return None
        return self.finished_ns


@dataclass(frozen=True, slots=True, kw_only=True)
class Reading:
    """Cumulative counters of one run at one instant; None means not measured, never 0."""

    sampled_ns: int
    interval_ns: int
    memory_bytes: int | None
    transmitted_bytes: int | None
    external_bytes: int | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class SizeReading:
    """Bytes held at one instant."""

    sampled_ns: int
    size_bytes: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Life:
    """What pieces are cut from: a run or a storage holder. `ends_ns` is None while it goes on, seen until `seen_ns`.

    `readings_from_ns`: readings before it were dropped; what was counted of them stands. `skipped`: stretches that the
    host's clock jumped over, in order: nobody lived them, and nothing counts there (of one that nobody saw jump, the
    stretch that makes this life shortest).
    `held`: stretches [starts, ends) in which its service was held for payment, in order: where a container runs on all
    the same, its time and memory cost nothing (metering.md, rule 7).
    `owned_from_ns`: what was lived before it is a former owner's, whose last reading may still stand; `base_bytes` is
    what was sent by then.
    """

    service_id: ServiceId
    incarnation: str
    starts_ns: int
    ends_ns: int | None
    seen_ns: int
    final_until_ns: int | None
    counts_external: bool = False
    readings_from_ns: int = 0
    skipped: Sequence[ClockStep] = ()
    held: Sequence[tuple[int, int]] = ()
    owned_from_ns: int = 0
    base_bytes: int = 0
    is_handed_over: bool = False

    @property
    def known_until_ns(self) -> int:
        """Until when it surely lived: its end, or the last instant it was seen; never before its start."""
        return max(self.starts_ns, self.seen_ns if self.ends_ns is None else self.ends_ns)

    @property
    def counts_from_ns(self) -> int:
        """Where the next count begins: a window's edge."""
        edge_ns = floor_hour_ns(self.starts_ns) if self.final_until_ns is None else self.final_until_ns
        return max(edge_ns, self.owned_from_ns)

    @property
    def reads_after_ns(self) -> int:
        """Readings at or before this instant are counted already, or are of no run."""
        after_ns = max(self.counts_from_ns, self.readings_from_ns)
        return after_ns if after_ns > self.starts_ns else self.starts_ns - 1

    @property
    def judged_from_ns(self) -> int:
        """From when a missing reading is a gap: it may have been there before."""
        return max(self.starts_ns, self.readings_from_ns)

    def lived(self, starts_ns: int, ends_ns: int) -> Sequence[tuple[int, int]]:
        """The parts of a stretch that count: that no clock jumped over and no hold for payment takes away."""
        parts, from_ns = [], starts_ns
        for skipped_from_ns, skipped_until_ns in self._left_out():
            if from_ns < min(skipped_from_ns, ends_ns):
                parts.append((from_ns, min(skipped_from_ns, ends_ns)))
            from_ns = max(from_ns, skipped_until_ns)
        return [*parts, (from_ns, ends_ns)] if from_ns < ends_ns else parts

    def _left_out(self) -> Sequence[tuple[int, int]]:
        skipped = [step.skipped_by(self.ends_ns) for step in self.skipped]
        return sorted([*skipped, *self.held]) if self.held else skipped

    def can_recount(self, metric: UsageMetric, starts_ns: int) -> bool:
        """Whether what a window's piece is made of is still there; a run's time needs no readings."""
        return metric is UsageMetric.COMPUTE_HOURS or starts_ns >= self.readings_from_ns


@dataclass(frozen=True, slots=True, kw_only=True)
class Piece:
    """What one life used of one metric in one window."""

    metric: UsageMetric
    starts_ns: int
    ends_ns: int
    quantity: int
    reading_count: int
    first_reading_ns: int | None
    last_reading_ns: int | None
    bound: str


@dataclass(frozen=True, slots=True, kw_only=True)
class RolledUsage:
    """What a service used of a metric in a UTC day, or in a month by its first day: the sum of its pieces there."""

    starts_on: date
    service_id: ServiceId
    metric: UsageMetric
    quantity: int


PieceKey = tuple[UsageMetric, int]


@dataclass(frozen=True, slots=True, kw_only=True)
class WrittenPiece:
    """A piece as the ledger holds it: the sum of its revisions, the end of its last, and whether that one is open."""

    metric: UsageMetric
    starts_ns: int
    ends_ns: int
    furthest_ns: int
    quantity: int
    revision: int
    is_open: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class PlannedRow:
    """A row to insert, or to put in the place of the open one of the same revision."""

    life: Life
    piece: Piece
    revision: int
    is_closed: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class UsageRecord:
    """The mission's usage record: one piece (or one difference to it), in base units of its metric."""

    id: UUID
    account_id: AccountId
    service_id: ServiceId
    metric: UsageMetric
    incarnation: str
    revision: int
    quantity: int
    timestamp: datetime
    period_start: datetime
    period_end: datetime
    closed_at: datetime | None
    reading_count: int = 0
    first_reading_ns: int | None = None
    last_reading_ns: int | None = None
    bound: str | None = None
    reason: str | None = None
    actor: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class UsageGap:
    """A stretch in which something may be missing from the figures; nothing was guessed for it."""

    service_id: ServiceId
    cause: FindingCause
    starts_at: datetime
    ends_at: datetime
    detail: str


@dataclass(frozen=True, slots=True, kw_only=True)
class LateHost:
    """A host of which nothing was heard since, by the account's own services on it; its name is the operator's."""

    service_names: Sequence[str]
    seen_at: datetime


@dataclass(frozen=True, slots=True, kw_only=True)
class UsageTotals:
    """What was used in a period, in base units, open and closed pieces alike.

    `as_of`: everything that lives was looked at then or later; None when nothing lives. `is_complete`: no gap touches
    the period. `is_closed`: no piece of it can change any more but by a fact learnt late. `gaps`: the newest few.
    """

    quantities: Mapping[UsageMetric, int]
    as_of: datetime | None
    is_complete: bool
    is_closed: bool
    gaps: Sequence[UsageGap]


@dataclass(frozen=True, slots=True, kw_only=True)
class MeteringAccount:
    """Until when Stripe's boundaries of the account are surely known, and whether closing waits for that."""

    account_id: AccountId
    waits_for_stripe: bool
    known_until: datetime | None


def floor_hour_ns(instant_ns: int) -> int:
    """The start of the UTC hour that holds the instant."""
    return instant_ns - instant_ns % NS_PER_HOUR

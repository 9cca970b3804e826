"""What a remote node sends, and which of it is believed. Pure.

A node is trusted to tell of its own containers, not to be right: each item is judged by itself and refused with a
reason; the rest of its batch counts. Instants are nanoseconds since the epoch by the node's clock.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from itertools import starmap
from typing import cast
from uuid import UUID

from helvetia.containers.model import ContainerCounters, ContainerRecord, Counts, StorageSize
from helvetia.kernel.clock_steps import ClockReading
from helvetia.kernel.identity import AccountId, ServiceId
from helvetia.kernel.quantity import NS_PER_S
from helvetia.metering.lifecycle.judge_counters import (
    BYTES_PER_S_MAX,
    CORES_MAX,
    MEMORY_BYTES_MAX,
    SIZE_BYTES_MAX,
    absurd_counter,
)
from helvetia.metering.lifecycle.trace_runs import Sighting

SKEW_MAX_NS = 5 * NS_PER_S
"""A node whose clock is further off than this is refused until it is set right."""

AGE_MAX_NS = 35 * 86_400 * NS_PER_S
"""Older readings could not be reported any more (Stripe: 35 days)."""

ITEMS_MAX = 200
LISTED_MAX = 2_000
SIGHTINGS_MAX = 4_000
READINGS_MAX = 10_000
"""A post of several looks holds no more of them: it is one transaction."""

COLUMNS = Counts._fields
HELD_MAX = 3_000
HELD_CHARS_MAX = 200_000
"""What is there of more than that does not fit in a post: then a look at the sizes ends nothing."""

SIZE_KINDS = frozenset({"layer", "volume"})


@dataclass(frozen=True, slots=True, kw_only=True)
class NodeItem:
    """A container, with its counters if it runs; or a size."""

    record: ContainerRecord | None = None
    counters: ContainerCounters | None = None
    size: StorageSize | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class NodeBatch:
    """A part of one look at a node. `listed`: in the last part of a sweep, all containers that the engine knows.

    `held`: in the last part of a look at all sizes, every layer and volume that is there, told of or not.
    `told_ns`: when the engine had told all of the look. `clocks`: both clocks of the node at the look, now and then; a
    step shows between two of them, however late they are told.
    """

    batch_id: UUID
    looked_ns: int
    interval_ms: int
    items: Sequence[NodeItem | None]
    listed: Sequence[str] | None = None
    held: Sequence[str] | None = None
    clocks: ClockReading | None = None
    told_ns: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class NodeSighting:
    """A container that one look showed, or several showed alike, and its readings: one list for each of COLUMNS."""

    record: ContainerRecord
    looked_ns: int
    told_ns: int = 0
    columns: Sequence[Sequence[int | None]] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class NodePost:
    """Several looks at a node, told together: a container that each of them showed alike is in it once.

    `listed`: all containers that the engine knew at `listed_ns`; `clocks`: those of each look, in order.
    """

    interval_ms: int
    sightings: Sequence[NodeSighting | None]
    listed: Sequence[str] | None = None
    listed_ns: int = 0
    clocks: Sequence[ClockReading] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class ItemAnswer:
    """Whether an item is in the ledger now; if not, why."""

    accepted: bool
    reason: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class BatchAnswer:
    """One answer an item, in order; and stopped containers whose record is complete, which the node may remove."""

    answers: Sequence[ItemAnswer]
    removable: Sequence[str]


@dataclass(frozen=True, slots=True, kw_only=True)
class Refused:
    """What of a post is not in the ledger, and why: a whole sighting, or one of its readings, by their places."""

    sighting: int
    reading: int | None
    reason: str


@dataclass(frozen=True, slots=True, kw_only=True)
class PostAnswer:
    """All that is not refused is in the ledger; `removable` as in BatchAnswer."""

    refused: Sequence[Refused]
    removable: Sequence[str]


@dataclass(frozen=True, slots=True, kw_only=True)
class Node:
    """A remote node as we know it; `clock_ahead_ms` is what was last measured."""

    node: str
    created_at: datetime
    revoked_at: datetime | None
    seen_at: datetime | None
    clock_ahead_ms: int | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Ended:
    """A run, layer or volume that ends where it was last seen, because its node is lost."""

    account_id: AccountId
    service_id: ServiceId
    incarnation: str
    seen_ns: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Known:
    """What the ledger knows of things that a batch names: services with all owners they ever had, and nodes."""

    services: dict[ServiceId, tuple[frozenset[AccountId], int]]
    nodes: dict[str, str]


def refusal(item: NodeItem | None, batch: NodeBatch, node: str, known: Known, now_ns: int) -> str | None:
    """Why an item is not believed; None when it is."""
    if item is None or (item.record is None) == (item.size is None):
        return "malformed"
    if item.size is not None:
        return _refused_size(item.size, node, known, now_ns)
    assert item.record is not None  # noqa: S101 - just checked
    reason = _refused_record(item.record, batch.looked_ns, node, known, now_ns)
    return reason or (None if item.counters is None else _refused_counters(item.counters, item.record, now_ns))


def believed_clocks(batch: NodeBatch, now_ns: int) -> ClockReading | None:
    """The clocks of a look, unless the look itself is not believed."""
    clocks = batch.clocks
    return clocks if clocks is not None and clocks.wall_ns == batch.looked_ns and can_be(clocks, now_ns) else None


def can_be(clocks: ClockReading, now_ns: int) -> bool:
    """Whether clocks can have shown this in the time that is told of."""
    return now_ns - AGE_MAX_NS <= clocks.wall_ns <= now_ns + SKEW_MAX_NS and clocks.monotonic_ns >= 0


def believed(
    place: int, seen: NodeSighting | None, node: str, known: Known, now_ns: int
) -> tuple[Sighting | None, Sequence[Refused]]:
    """What is believed of a sighting: none of it if the container is not, else without the readings that are not."""
    if seen is None:
        return None, [Refused(sighting=place, reading=None, reason="malformed")]
    reason = _refused_record(seen.record, seen.looked_ns, node, known, now_ns)
    if reason is None and seen.columns and seen.record.started_ns is None:
        reason = "malformed"
    if reason is not None:
        return None, [Refused(sighting=place, reading=None, reason=reason)]
    readings = list(starmap(Counts, zip(*seen.columns, strict=True)))
    refusals: list[Refused] = []
    if _is_doubtful(seen, now_ns):
        reasons = [_refused_counts(one, seen.record.started_ns or 0, now_ns) for one in readings]
        readings = [one for one, refused in zip(readings, reasons, strict=True) if refused is None]
        refusals = [Refused(sighting=place, reading=number, reason=one) for number, one in enumerate(reasons) if one]
    looked_ns, told_ns = min(seen.looked_ns, now_ns), min(seen.told_ns, now_ns)
    return Sighting(record=seen.record, looked_ns=looked_ns, told_ns=told_ns, readings=readings), refusals


def _is_doubtful(seen: NodeSighting, now_ns: int) -> bool:
    """Whether any reading may be refused: judged by the worst of each column, which is quick and errs to doubt."""
    if not seen.columns:
        return False
    measured = list(map(_measured, seen.columns))
    ends = [(min(known, default=0), max(known, default=0)) for known in measured]
    first_ns, last_ns = ends[0]
    started_ns = seen.record.started_ns or 0
    lived_s = (first_ns - started_ns) // NS_PER_S + 1
    bounds = (MEMORY_BYTES_MAX, MEMORY_BYTES_MAX, lived_s * CORES_MAX * NS_PER_S, *[lived_s * BYTES_PER_S_MAX] * 3)
    is_out = any(least < 0 or most > bound for (least, most), bound in zip(ends[1:], bounds, strict=True))
    is_out_of_time = last_ns > now_ns + SKEW_MAX_NS or first_ns < max(started_ns, now_ns - AGE_MAX_NS)
    outward = zip(seen.columns[-1], seen.columns[-3], strict=True) if measured[-1] else ()
    return is_out or is_out_of_time or any(one is not None and not 0 <= one <= (whole or 0) for one, whole in outward)


def _measured(column: Sequence[int | None]) -> Sequence[int]:
    """Mostly the column itself."""
    if None in column:
        return [one for one in column if one is not None]
    return cast("Sequence[int]", column)


def _refused_owner(account_id: AccountId, service_id: ServiceId, known: Known) -> str | None:
    """A container of no service is recorded as the operator's finding; one that names another's account is refused."""
    owner = known.services.get(service_id)
    return "foreign_account" if owner is not None and account_id not in owner[0] else None


def _refused_record(record: ContainerRecord, looked_ns: int, node: str, known: Known, now_ns: int) -> str | None:
    instants = [one for one in (record.created_ns, record.started_ns, record.finished_ns) if one is not None]
    owner = known.services.get(record.service_id)
    if known.nodes.get(record.container_id, node) != node:
        return "other_node"
    if max(*instants, looked_ns) > now_ns + SKEW_MAX_NS:
        return "in_future"
    if looked_ns < now_ns - AGE_MAX_NS or min(instants) < 0:
        return "too_old"
    if owner is not None and record.started_ns is not None and record.started_ns < owner[1] - SKEW_MAX_NS:
        return "before_its_service"
    if record.finished_ns is not None and record.finished_ns < (record.started_ns or record.created_ns):
        return "reversed_times"
    return _refused_owner(record.account_id, record.service_id, known)


def _refused_counters(counters: ContainerCounters, record: ContainerRecord, now_ns: int) -> str | None:
    started_ns = record.started_ns
    if counters.container_id != record.container_id or started_ns is None:
        return "malformed"
    return _refused_counts(counters, started_ns, now_ns)


def _refused_counts(counters: ContainerCounters | Counts, started_ns: int, now_ns: int) -> str | None:
    if counters.sampled_ns > now_ns + SKEW_MAX_NS:
        return "in_future"
    if counters.sampled_ns < max(started_ns, now_ns - AGE_MAX_NS):
        return "too_old"
    return None if absurd_counter(counters, started_ns) is None else "absurd_counter"


def _refused_size(size: StorageSize, node: str, known: Known, now_ns: int) -> str | None:
    if known.nodes.get(size.holder, node) != node:
        return "other_node"
    if size.sampled_ns > now_ns + SKEW_MAX_NS:
        return "in_future"
    if size.sampled_ns < now_ns - AGE_MAX_NS:
        return "too_old"
    foreign = _refused_owner(size.account_id, size.service_id, known)
    if foreign is not None:
        return foreign
    is_absurd = not 0 <= (size.size_bytes or 0) <= SIZE_BYTES_MAX or size.kind not in SIZE_KINDS
    return "absurd_counter" if is_absurd else None

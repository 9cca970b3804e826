"""Usage over time, and what is behind a figure. Pure."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from uuid import UUID
from zoneinfo import ZoneInfo

from helvetia.kernel.identity import ServiceId
from helvetia.kernel.period import Period
from helvetia.kernel.quantity import UsageMetric

UTC_ZONE = ZoneInfo("UTC")


class Grain(StrEnum):
    """How finely usage is told; the words that PostgreSQL's date_trunc takes."""

    HOUR = "hour"
    DAY = "day"
    MONTH = "month"


@dataclass(frozen=True, slots=True, kw_only=True)
class UsageFilter:
    """Which usage of an account; `service_id` None: of every service, told apart only where `by_service`."""

    period: Period
    grain: Grain
    zone: ZoneInfo = UTC_ZONE
    metrics: Sequence[UsageMetric] = tuple(UsageMetric)
    service_id: ServiceId | None = None
    by_service: bool = True


@dataclass(frozen=True, slots=True, kw_only=True)
class UsageBlock:
    """Base units used of one metric in one bucket, which begins at `starts_at`: `quantities` by `service_ids`, in
    their order; the one id None: by all services together.

    Columns, not an object a cell: one answer holds tens of thousands.
    """

    starts_at: datetime
    metric: UsageMetric
    service_ids: Sequence[ServiceId | None]
    quantities: Sequence[int]


@dataclass(frozen=True, slots=True, kw_only=True)
class UsagePiece:
    """A row of the ledger with the life that it is a part of.

    `container_id` is the container or the volume; None for an external record, whose key is its incarnation.
    `lived_from_ns` and `lived_until_ns` are the engine's own start and finish, None where it told none.
    """

    id: UUID
    service_id: ServiceId
    metric: UsageMetric
    incarnation: str
    revision: int
    quantity: int
    period_start: datetime
    period_end: datetime
    closed_at: datetime | None
    reading_count: int
    first_reading_ns: int | None
    last_reading_ns: int | None
    bound: str | None
    reason: str | None
    actor: str | None
    container_id: str | None
    node: str | None
    lived_from_ns: int | None
    lived_until_ns: int | None


@dataclass(frozen=True, slots=True, kw_only=True)
class PieceReading:
    """A reading that a piece was made of; None means not measured."""

    sampled_ns: int
    memory_bytes: int | None
    transmitted_bytes: int | None
    external_bytes: int | None
    size_bytes: int | None


@dataclass(frozen=True, slots=True, kw_only=True)
class ServiceRun:
    """One start of one container of a service; `vanished`: its finish is only the last instant it was seen."""

    incarnation: str
    container_id: str
    node: str
    started_ns: int
    finished_ns: int | None
    seen_ns: int
    restart_count: int
    exit_code: int | None
    oom_killed: bool | None
    vanished: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class RunCounters:
    """Cumulative counters of one run: the last in a range, the last before it, the first in it; None: not read.

    `run_started_ns`: where the counters began, if that was before this owner's part of the run.
    """

    started_ns: int
    run_started_ns: int | None
    lived_until_ns: int
    memory_peak_bytes: int | None
    cpu_ns: int | None
    cpu_before_ns: int | None
    cpu_first_ns: int | None
    received_bytes: int | None
    received_before_bytes: int | None
    received_first_bytes: int | None
    transmitted_bytes: int | None
    transmitted_before_bytes: int | None
    transmitted_first_bytes: int | None
    external_bytes: int | None
    external_before_bytes: int | None
    external_first_bytes: int | None


@dataclass(frozen=True, slots=True, kw_only=True)
class ShownFigures:
    """What is recorded and never billed, from `known_from` on; None: no reading tells.

    `memory_peak_bytes`: the most that one container held at once since its start. `internal_bytes`: sent to containers
    of the same host; None as soon as one container's could not be told apart.
    """

    known_from: datetime
    cpu_ns: int | None
    memory_peak_bytes: int | None
    received_bytes: int | None
    internal_bytes: int | None

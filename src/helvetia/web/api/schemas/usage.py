"""Usage over time and why a figure is what it is, on the wire."""

from collections.abc import Mapping
from datetime import datetime

from helvetia.costs.explain import Explanation, PieceEvidence
from helvetia.costs.history import HistoryRow, HistoryTotal, UsageHistory
from helvetia.costs.usage_history_service import ServiceUsage
from helvetia.kernel.clock import from_ns
from helvetia.kernel.identity import ServiceId
from helvetia.kernel.money import Money
from helvetia.metering.history.model import PieceReading, ServiceRun, UsagePiece
from helvetia.metering.model import LateHost, UsageGap
from helvetia.web.api.schemas.shown import ShownAnswer, to_wire_shown
from helvetia.web.api.schemas.wire import WireAnswer, WireDecimal, WireInstant


class HistoryRowAnswer(WireAnswer):
    """What was used in [start, end). `cost` has all its places; `baseQuantity` is in the metric's base unit."""

    start: WireInstant
    end: WireInstant
    service_id: str | None
    metric: str
    quantity: WireDecimal
    cost: WireDecimal
    base_quantity: str


class HistoryTotalAnswer(WireAnswer):
    """A metric over the range: exactly the sum of its rows."""

    metric: str
    quantity: WireDecimal
    unit: str
    unit_price: WireDecimal
    cost: WireDecimal
    base_quantity: str


class UsageHistoryAnswer(WireAnswer):
    """Rows by time, metric and service; `total` is the sum of all costs, before the invoice's rounding."""

    start: WireInstant
    end: WireInstant
    grain: str
    zone: str
    currency: str
    rows: list[HistoryRowAnswer]
    totals: list[HistoryTotalAnswer]
    total: WireDecimal
    services: dict[str, str]


class GapAnswer(WireAnswer):
    """A stretch in which something may be missing; nothing was guessed for it."""

    service_id: str
    cause: str
    start: WireInstant
    end: WireInstant
    detail: str


class LateHostAnswer(WireAnswer):
    """A host, by the account's services on it (its name is the operator's), and when anything was last heard of it."""

    services: list[str]
    seen_at: WireInstant


class RunAnswer(WireAnswer):
    """One start of one container; `finishedAt` null while it runs. `finishKnown` false: its end was not seen."""

    container_id: str
    node: str
    started_at: WireInstant
    finished_at: WireInstant | None
    seen_until: WireInstant
    restart_count: int
    exit_code: int | None
    oom_killed: bool | None
    finish_known: bool


class ServiceUsageAnswer(WireAnswer):
    """One service; `asOf` null while nothing of it lives. `complete`: no gap touches the range. `lateHosts`: those of
    it that tell nothing now, so that `asOf` is long ago.
    """

    service_id: str
    name: str
    as_of: WireInstant | None
    complete: bool
    gaps: list[GapAnswer]
    late_hosts: list[LateHostAnswer]
    runs: list[RunAnswer]
    shown: ShownAnswer
    history: UsageHistoryAnswer


class PieceAnswer(WireAnswer):
    """A row of the ledger. `containerId` is the container or volume, null for an external record.

    `livedFrom` and `livedUntil` are the engine's own instants; `readings` counts what the piece was made of.
    """

    record_id: str
    service_id: str
    metric: str
    start: WireInstant
    end: WireInstant
    revision: int
    base_quantity: str
    closed_at: WireInstant | None
    container_id: str | None
    node: str | None
    lived_from: WireInstant | None
    lived_until: WireInstant | None
    readings: int
    first_reading_at: WireInstant | None
    last_reading_at: WireInstant | None
    bound: str | None
    reason: str | None
    actor: str | None


class ExplanationAnswer(WireAnswer):
    """`baseQuantity` / `basePerUnit`, cut to 6 places, is `quantity`; times `unitPrice` is `cost`; half-up, `amount`.

    `priceId` is Stripe's, null while prices are the catalogue's. The pieces of all pages add up to `baseQuantity`.
    """

    metric: str
    service_id: str | None
    start: WireInstant
    end: WireInstant
    base_quantity: str
    base_unit: str
    base_per_unit: str
    quantity: WireDecimal
    unit: str
    unit_price: WireDecimal
    price_id: str | None
    cost: WireDecimal
    amount: WireDecimal
    currency: str
    pieces: list[PieceAnswer]
    next_cursor: str | None


class ReadingAnswer(WireAnswer):
    """Cumulative counters, memory or size at one instant; null means not measured."""

    sampled_at: WireInstant
    memory_bytes: int | None
    transmitted_bytes: int | None
    external_bytes: int | None
    size_bytes: int | None


class EvidenceAnswer(WireAnswer):
    """A piece and its readings; `readingsKept` false: they were dropped 35 days after the end of their period.

    `readingsLeftOut`: how many more the piece was made of; an answer tells the first 1,000.
    """

    piece: PieceAnswer
    readings: list[ReadingAnswer]
    readings_kept: bool
    readings_left_out: int


def to_wire_history(history: UsageHistory, names: Mapping[ServiceId, str], currency: str) -> UsageHistoryAnswer:
    return to_wire_frame(history, names, currency).model_copy(update={"rows": [_row(row) for row in history.rows]})


def to_wire_frame(history: UsageHistory, names: Mapping[ServiceId, str], currency: str) -> UsageHistoryAnswer:
    """The answer but its rows."""
    wanted = history.wanted
    return UsageHistoryAnswer(
        start=wanted.period.starts_at,
        end=wanted.period.ends_at,
        grain=wanted.grain.value,
        zone=wanted.zone.key,
        currency=currency,
        rows=[],
        totals=[_total(total) for total in history.totals],
        total=history.cost_minor.scaleb(-2),
        services={str(service_id): names.get(service_id, "") for service_id in sorted(history.service_ids)},
    )


def to_wire_service_usage(usage: ServiceUsage, currency: str) -> ServiceUsageAnswer:
    return ServiceUsageAnswer(
        service_id=str(usage.service_id),
        name=usage.name,
        as_of=usage.totals.as_of,
        complete=usage.totals.is_complete,
        late_hosts=[to_wire_late_host(host) for host in usage.late_hosts],
        gaps=[to_wire_gap(gap) for gap in usage.totals.gaps],
        runs=[_run(run) for run in usage.runs],
        shown=to_wire_shown(usage.shown),
        history=to_wire_history(usage.history, {usage.service_id: usage.name}, currency),
    )


def to_wire_late_host(host: LateHost) -> LateHostAnswer:
    return LateHostAnswer(services=list(host.service_names), seen_at=host.seen_at)


def to_wire_gap(gap: UsageGap) -> GapAnswer:
    return GapAnswer(
        service_id=str(gap.service_id),
        cause=gap.cause.value,
        start=gap.starts_at,
        end=gap.ends_at,
        detail=gap.detail,
    )


def to_wire_explanation(found: Explanation) -> ExplanationAnswer:
    line = found.line
    return ExplanationAnswer(
        metric=line.metric.value,
        service_id=None if found.service_id is None else str(found.service_id),
        start=found.period.starts_at,
        end=found.period.ends_at,
        base_quantity=str(line.base_quantity),
        base_unit=found.base_unit,
        base_per_unit=str(found.base_per_unit),
        quantity=line.quantity,
        unit=line.unit,
        unit_price=line.unit_price_minor.scaleb(-2),
        price_id=found.price_id,
        cost=found.cost_minor.scaleb(-2),
        amount=Money(amount_minor=line.amount_minor, currency=found.currency).to_decimal(),
        currency=found.currency,
        pieces=[_piece(piece) for piece in found.pieces],
        next_cursor=found.next_cursor,
    )


def to_wire_evidence(found: PieceEvidence) -> EvidenceAnswer:
    return EvidenceAnswer(
        piece=_piece(found.piece),
        readings=[_reading(reading) for reading in found.readings],
        readings_kept=found.are_readings_kept,
        readings_left_out=found.readings_left_out_count,
    )


def _row(row: HistoryRow) -> HistoryRowAnswer:
    return HistoryRowAnswer(
        start=row.starts_at,
        end=row.ends_at,
        service_id=None if row.service_id is None else str(row.service_id),
        metric=row.metric.value,
        quantity=row.quantity,
        cost=row.cost_minor.scaleb(-2),
        base_quantity=str(row.base_quantity),
    )


def _total(total: HistoryTotal) -> HistoryTotalAnswer:
    return HistoryTotalAnswer(
        metric=total.metric.value,
        quantity=total.quantity,
        unit=total.unit,
        unit_price=total.unit_price_minor.scaleb(-2),
        cost=total.cost_minor.scaleb(-2),
        base_quantity=str(total.base_quantity),
    )


def _run(run: ServiceRun) -> RunAnswer:
    return RunAnswer(
        container_id=run.container_id,
        node=run.node,
        started_at=from_ns(run.started_ns),
        finished_at=_at(run.finished_ns),
        seen_until=from_ns(run.seen_ns),
        restart_count=run.restart_count,
        exit_code=run.exit_code,
        oom_killed=run.oom_killed,
        finish_known=not run.vanished,
    )


def _piece(piece: UsagePiece) -> PieceAnswer:
    return PieceAnswer(
        record_id=str(piece.id),
        service_id=str(piece.service_id),
        metric=piece.metric.value,
        start=piece.period_start,
        end=piece.period_end,
        revision=piece.revision,
        base_quantity=str(piece.quantity),
        closed_at=piece.closed_at,
        container_id=piece.container_id,
        node=piece.node,
        lived_from=_at(piece.lived_from_ns),
        lived_until=_at(piece.lived_until_ns),
        readings=piece.reading_count,
        first_reading_at=_at(piece.first_reading_ns),
        last_reading_at=_at(piece.last_reading_ns),
        bound=piece.bound,
        reason=piece.reason,
        actor=piece.actor,
    )


def _reading(reading: PieceReading) -> ReadingAnswer:
    return ReadingAnswer(
        sampled_at=from_ns(reading.sampled_ns),
        memory_bytes=reading.memory_bytes,
        transmitted_bytes=reading.transmitted_bytes,
        external_bytes=reading.external_bytes,
        size_bytes=reading.size_bytes,
    )


def _at(instant_ns: int | None) -> datetime | None:
    return None if instant_ns is None else from_ns(instant_ns)

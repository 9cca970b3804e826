"""The border between an agent and the server: batches and answers as JSON, checked by pydantic on the way in.

An item that cannot be read is None, so that it alone is refused; a batch that cannot be read is InvalidBatch.
"""

from typing import Any
from uuid import UUID

from pydantic import BaseModel, ConfigDict, Field, TypeAdapter, ValidationError

from helvetia.kernel.clock_steps import ClockReading
from helvetia.metering.errors import InvalidBatch
from helvetia.metering.nodes.model import HELD_MAX, ITEMS_MAX, LISTED_MAX, BatchAnswer, NodeBatch, NodeItem

_CLOCKS = TypeAdapter(ClockReading)
_ITEM = TypeAdapter(NodeItem)
_BATCH = TypeAdapter(NodeBatch)
_ANSWER = TypeAdapter(BatchAnswer)
INT64_MAX = 2**63 - 1
NAME_MAX = 255


class _Envelope(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)

    batch_id: UUID
    looked_ns: int = Field(ge=0, le=INT64_MAX)
    interval_ms: int = Field(ge=100, le=60_000)
    items: list[Any] = Field(max_length=ITEMS_MAX)
    listed: list[str] | None = Field(default=None, max_length=LISTED_MAX)
    held: list[str] | None = Field(default=None, max_length=HELD_MAX)
    clocks: Any = None
    told_ns: int = Field(default=0, ge=0, le=INT64_MAX)
    ends_sizes: bool = Field(default=False, description="Of agents that do not tell `held`: it ends nothing.")


def to_wire_batch(batch: NodeBatch) -> bytes:
    return _BATCH.dump_json(batch)


def from_wire_batch(body: bytes) -> NodeBatch:
    """Raises InvalidBatch."""
    try:
        envelope = _Envelope.model_validate_json(body)
    except ValidationError as error:
        raise InvalidBatch(problems=[str(one["loc"]) for one in error.errors()][:10]) from None
    return NodeBatch(
        batch_id=envelope.batch_id,
        looked_ns=envelope.looked_ns,
        interval_ms=envelope.interval_ms,
        items=[_item(one) for one in envelope.items],
        listed=envelope.listed,
        held=None if envelope.held is None else [name for name in envelope.held if is_name(name)],
        clocks=read_clocks(envelope.clocks),
        told_ns=envelope.told_ns,
    )


def read_clocks(value: object) -> ClockReading | None:
    """Clocks that cannot be read are none: the look counts without them."""
    try:
        clocks = _CLOCKS.validate_python(value)
    except ValidationError:
        return None
    return (
        clocks if is_name(clocks.boot_id) and max(abs(clocks.wall_ns), abs(clocks.monotonic_ns)) <= INT64_MAX else None
    )


def _item(value: object) -> NodeItem | None:
    try:
        item = _ITEM.validate_python(value)
    except ValidationError:
        return None
    return item if fits(item) else None


def fits(item: NodeItem) -> bool:
    """Whether every number and every name fits the ledger's columns."""
    parts = (item.record, item.counters, item.size)
    values = [getattr(part, name) for part in parts if part is not None for name in part.__slots__]
    names = [one for one in values if isinstance(one, str)]
    return (
        all(abs(one) <= INT64_MAX for one in values if isinstance(one, int))
        and all(is_name(one) for one in (*names, *(item.record.volumes if item.record is not None else ())))
        and (item.record is None or max(abs(item.record.restart_count), abs(item.record.exit_code or 0)) < 2**31)
    )


def is_name(text: str) -> bool:
    """Whether an engine can have given this name: the ledger's keys hold no zero byte and nothing of any length."""
    return 0 < len(text) <= NAME_MAX and text.isascii() and text.isprintable()


def to_wire_answer(answer: BatchAnswer) -> bytes:
    return _ANSWER.dump_json(answer)


def from_wire_answer(body: bytes) -> BatchAnswer:
    """Raises InvalidBatch."""
    try:
        return _ANSWER.validate_json(body)
    except ValidationError:
        raise InvalidBatch from None

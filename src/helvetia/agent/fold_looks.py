"""The arrow spool → post: looks that wait one behind another are told together, each container once. Pure.

Promises: a fold tells what its batches would have told one after another: a container that went on as it was is told
with its last look and all its readings; one that changed is told again. Only what can be told so is folded: a batch of
sizes, of another rhythm, or one that cannot be read is left to be posted as it is.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from operator import itemgetter
from typing import Any

from pydantic_core import from_json, to_json

from helvetia.metering.nodes.model import COLUMNS, SIGHTINGS_MAX
from helvetia.metering.nodes.wire_posts import PACKED_BYTES_MAX, pack_post

READINGS_AIM = 10_000
"""So many readings are told together: packed they fit in a request, and are written in well under a second."""

_values_of = itemgetter(*COLUMNS)
_GOES_ON = frozenset({"running", "paused"})


@dataclass(slots=True)
class _Fold:
    """`latest`: the last sighting of each container; `listed`: the first list of all, of which nothing went since."""

    sightings: list[dict[str, Any]] = field(default_factory=list)
    latest: dict[str, dict[str, Any]] = field(default_factory=dict)
    readings: int = 0
    listed: list[str] | None = None
    listed_ns: int = 0
    there: frozenset[str] = frozenset()
    clocks: list[dict[str, Any]] = field(default_factory=list)

    def takes(self, batch: dict[str, Any], readings_max: int) -> bool:
        """Whether there is room, and all that was there is there still: what is gone is told in a post of its own."""
        items = len(batch["items"])
        has_room = self.readings + items <= readings_max and len(self.sightings) + items <= SIGHTINGS_MAX
        return has_room and (batch["listed"] is None or (self.there | self.latest.keys()) <= set(batch["listed"]))

    def add(self, batch: dict[str, Any]) -> None:
        for record, counts in batch["items"]:
            self._add_item(record, counts, batch["looked_ns"], batch.get("told_ns", 0))
        if batch.get("clocks") is not None and batch["clocks"] not in self.clocks[-1:]:
            self.clocks.append(batch["clocks"])
        if batch["listed"] is not None and self.listed is None:
            self.listed, self.listed_ns = batch["listed"], batch["looked_ns"]
        if batch["listed"] is not None:
            self.there = frozenset(batch["listed"])

    def _add_item(self, record: dict[str, Any], counts: tuple[Any, ...] | None, looked_ns: int, told_ns: int) -> None:
        seen = self.latest.get(record["container_id"])
        if seen is None or seen["record"] != record:
            seen = {"record": record, "looked_ns": looked_ns, "told_ns": told_ns, "readings": []}
            self.latest[record["container_id"]] = seen
            self.sightings.append(seen)
        elif record["state"] in _GOES_ON:
            seen["looked_ns"] = max(seen["looked_ns"], looked_ns)
        if counts is not None:
            self.readings += 1
            seen["readings"].append(counts)


def fold_looks(bodies: Sequence[bytes]) -> tuple[bytes, int]:
    """The first waiting batches as one post that fits in a request, and how many they are.

    0 when the first of them must be posted as it is.
    """
    readings_max = READINGS_AIM
    while True:
        packed, count = _fold(bodies, readings_max)
        if len(packed) <= PACKED_BYTES_MAX:
            return packed, count
        if count == 1:
            return b"", 0
        readings_max //= 2


def _fold(bodies: Iterable[bytes], readings_max: int) -> tuple[bytes, int]:
    fold, count, interval_ms = _Fold(), 0, None
    for body in bodies:
        batch = _foldable(body)
        if batch is None or interval_ms not in {None, batch["interval_ms"]}:
            break
        if count and not fold.takes(batch, readings_max):
            break
        interval_ms = batch["interval_ms"]
        fold.add(batch)
        count += 1
    if not count:
        return b"", 0
    post = {
        "interval_ms": interval_ms,
        "sightings": [{**seen, "readings": list(zip(*seen["readings"], strict=True))} for seen in fold.sightings],
        "listed": fold.listed,
        "listed_ns": fold.listed_ns,
        "clocks": fold.clocks,
    }
    return pack_post(to_json(post)), count


def _foldable(body: bytes) -> dict[str, Any] | None:
    """A batch of nothing but containers, as JSON; each item is its record and what was counted."""
    try:
        batch: dict[str, Any] = from_json(body)
        tells_all = isinstance(batch["looked_ns"], int) and {"listed", "interval_ms"} <= batch.keys()
        items = [(item["record"], _counted(item["counters"])) for item in batch["items"]]
        is_fine = tells_all and batch["held"] is None and all(_is_container(record) for record, _ in items)
    except (ValueError, KeyError, TypeError):
        return None
    return {**batch, "items": items} if is_fine else None


def _counted(counters: dict[str, Any] | None) -> tuple[Any, ...] | None:
    return None if counters is None else _values_of(counters)


def _is_container(record: dict[str, Any]) -> bool:
    return isinstance(record["container_id"], str) and isinstance(record["state"], str)

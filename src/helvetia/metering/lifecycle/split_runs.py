"""The arrow run → parts: a run whose service changed its owner is a run for each of them, cut at each transfer. Pure.

Looks speak of whole runs and are merged into whole runs; what is stored are the parts. Putting together and cutting
again changes nothing, so facts may come late, twice or in any order, as for any other run.
"""

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace

from helvetia.containers.model import Counts
from helvetia.containers.store_transfers import Transfer
from helvetia.kernel.identity import ServiceId
from helvetia.metering.model import Run


@dataclass(frozen=True, slots=True, kw_only=True)
class RunBook:
    """The stored runs of some containers, whole and in parts; `parts` holds those of the runs that are cut."""

    transfers: Mapping[ServiceId, Sequence[Transfer]]
    wholes: Sequence[Run]
    parts: Mapping[str, Sequence[Run]] = field(default_factory=dict)

    @classmethod
    def of(cls, rows: Iterable[Run], transfers: Mapping[ServiceId, Sequence[Transfer]]) -> "RunBook":
        """From rows in order of their start."""
        by_run: dict[str, list[Run]] = defaultdict(list)
        for row in rows:
            by_run[_name(row)].append(row)
        cut = {name: parts for name, parts in by_run.items() if len(parts) > 1}
        wholes = [join_parts(parts) if len(parts) > 1 else parts[0] for parts in by_run.values()]
        return cls(transfers=transfers, wholes=wholes, parts=cut)

    def is_new(self, part: Run) -> bool:
        """Whether a part of a run that is cut is not stored yet."""
        return all(part.incarnation != known.incarnation for known in self.parts.get(_name(part), ()))

    def split(self, whole: Run) -> Sequence[Run]:
        """The parts of a run as it is now known; a run of one owner is its own only part."""
        transfers = [one for one in self.transfers.get(whole.service_id, ()) if one.at_ns > whole.started_ns]
        if not transfers:
            return [whole]
        known = self.parts.get(whole.incarnation) or [
            one for one in self.wholes if one.incarnation == whole.incarnation
        ]
        return split_run(whole, known, transfers)


def join_parts(parts: Sequence[Run]) -> Run:
    """The whole run; what is counted for good is known of its parts only."""
    lived = [part for part in parts if part is parts[0] or part.end_ns > part.started_ns]
    last, end = lived[-1], parts[-1]
    is_handed_over = last is not end and last.finished_ns == last.owned_until_ns
    return replace(
        last,
        account_id=end.account_id,
        incarnation=_name(last),
        started_ns=parts[0].started_ns,
        finished_ns=end.finished_ns if is_handed_over else last.finished_ns,
        final_until_ns=None,
        closed_at=None,
        run_started_ns=None,
        owned_until_ns=None,
        base_bytes=0,
    )


def split_run(whole: Run, known: Iterable[Run], transfers: Sequence[Transfer]) -> list[Run]:
    """One part for each owner whom the run has reached, or once was thought to reach."""
    former = {part.incarnation: part for part in known}
    starts = [whole.started_ns, *(one.at_ns for one in transfers)]
    ends = [*starts[1:], None]
    owners = [transfers[0].from_account_id, *(one.to_account_id for one in transfers)]
    parts: list[Run] = []
    for account_id, starts_ns, ends_ns in zip(owners, starts, ends, strict=True):
        incarnation = f"{whole.incarnation}@{starts_ns}" if parts else whole.incarnation
        old = former.get(incarnation)
        if parts and old is None and not _reaches(whole, starts_ns):
            continue
        parts.append(_part(replace(whole, account_id=account_id, incarnation=incarnation), starts_ns, ends_ns, old))
    return parts


def route(parts: Sequence[Run], readings: Sequence[Counts]) -> list[tuple[Run, Sequence[Counts]]]:
    """Each reading with the part that it was taken in; one at the instant of a transfer is still the former owner's."""
    if len(parts) == 1:
        return [(parts[0], readings)]
    found: dict[str, tuple[Run, list[Counts]]] = {}
    for reading in readings:
        part = next((one for one in reversed(parts) if one.started_ns < reading.sampled_ns), parts[0])
        found.setdefault(part.incarnation, (part, []))[1].append(reading)
    return [*found.values()]


def _part(whole: Run, starts_ns: int, ends_ns: int | None, former: Run | None) -> Run:
    is_over = ends_ns is not None and _reaches(whole, ends_ns)
    finished_ns = ends_ns if is_over else whole.finished_ns
    if finished_ns is not None:
        finished_ns = max(starts_ns, finished_ns)
    seen_ns = max(starts_ns, whole.seen_ns)
    part = replace(
        whole,
        started_ns=starts_ns,
        finished_ns=finished_ns,
        seen_ns=seen_ns if finished_ns is None else min(seen_ns, finished_ns),
        vanished=whole.vanished and not is_over,
        run_started_ns=None if starts_ns == whole.started_ns else whole.started_ns,
        owned_until_ns=ends_ns,
        final_until_ns=None if former is None else former.final_until_ns,
        closed_at=None if former is None else former.closed_at,
        base_bytes=0 if former is None else former.base_bytes,
    )
    if former is None or part.finished_ns == former.finished_ns:
        return part
    return part.reopened(former.end_ns, part.end_ns)


def _reaches(run: Run, instant_ns: int) -> bool:
    """Whether it was there when the next owner's time began."""
    return run.end_ns > instant_ns or (run.end_ns == instant_ns and run.finished_ns is None)


def _name(row: Run) -> str:
    """The incarnation of the whole run."""
    return row.incarnation if row.run_started_ns is None else f"{row.container_id}:{row.run_started_ns}"

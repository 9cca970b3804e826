"""The arrow look → run → reading: writes down what looks at one node showed, once, whoever looked.

Promises: whatever is told twice, late or in another order leaves the same rows. A look, or several that were told
together, is one transaction. Fails with DatabaseUnavailable, changing nothing.
"""

from collections import defaultdict
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import replace
from operator import attrgetter, itemgetter

import structlog

from helvetia.containers.model import ContainerCounters, ContainerRecord, Counts, StorageSize
from helvetia.containers.store_transfers import transfers_of
from helvetia.database.pool import Database, Transaction
from helvetia.kernel.clock import Clock, to_ns
from helvetia.kernel.clock_steps import ClockReading, ClockStep
from helvetia.metering import store_runs, store_storage
from helvetia.metering.lifecycle import store_readings
from helvetia.metering.lifecycle.judge_counters import Absurd, believable, believable_sizes
from helvetia.metering.lifecycle.split_runs import RunBook, route
from helvetia.metering.lifecycle.trace_runs import Sighting, trace_runs, unseen_finish
from helvetia.metering.model import NOBODY, Finding, FindingCause, FindingKind, Run
from helvetia.metering.windows import store_parts, store_steps

_log = structlog.get_logger()
_counts_of = attrgetter(*Counts._fields)
_sampled_ns = itemgetter(0)


class LookRecorder:
    """Writes looks at any node; the machine's own collector and the remote nodes' batches alike."""

    def __init__(self, database: Database, clock: Clock, *, interval_ms: int) -> None:
        self._database = database
        self._clock = clock
        self._interval_ms = interval_ms

    async def record(
        self,
        node: str,
        records: Sequence[ContainerRecord],
        counters: Sequence[ContainerCounters],
        looked_ns: int,
        gone: Sequence[str] = (),
        *,
        told_ns: int,
    ) -> None:
        """Runs, finishes and readings of one look; a run of a container that is `gone` ends when it was last seen.

        The look began at `looked_ns`, and the engine had told all of it at `told_ns`. A counter that cannot be is a
        finding, and nothing more.
        """
        sightings, absurd = believable(_sightings(records, counters, looked_ns, told_ns))
        await self.record_sightings(node, sightings, gone, gone_ns=looked_ns, absurd=absurd)

    async def record_sightings(
        self,
        node: str,
        sightings: Sequence[Sighting],
        gone: Collection[str],
        *,
        gone_ns: int,
        absurd: Iterable[Absurd] = (),
    ) -> None:
        """What one or several looks saw, each container's in order; `gone` is what was not there at `gone_ns`.

        `absurd`: readings of theirs that were not believed.
        """
        container_ids = {*(seen.record.container_id for seen in sightings), *gone}
        async with self._database.transaction() as tx:
            await store_runs.lock_node(tx, node)
            owners = await store_runs.owners(tx, {seen.record.service_id for seen in sightings})
            known = await store_runs.lock_runs_of_containers(tx, container_ids)
            book = RunBook.of(known, await transfers_of(tx, {*owners, *(run.service_id for run in known)}))
            trace = trace_runs(sightings, book.wholes, owners, node)
            findings = [*trace.findings, *_not_believed(absurd, trace.runs)]
            changed = {run.incarnation: run for run in trace.changed}
            for run in trace.runs.values():
                if run.container_id in gone and run.finished_ns is None and run.seen_ns < gone_ns:
                    changed[run.incarnation] = run.vanish()
                    detail = "its container was removed unseen; counted until it was last seen"
                    findings.append(unseen_finish(run, gone_ns, detail))
            stored = {run.incarnation: run for run in known}
            saved = await self._save(tx, book, stored, changed, _by_run(sightings, trace.runs))
            await store_runs.drop_lost_gaps(tx, _revived(known, saved))
            await store_runs.save_findings(tx, findings, recorded_at=self._clock.now())
        for finding in findings:
            if finding.account_id == NOBODY:
                _log.warning("metering.container_unowned", incarnation=finding.incarnation, detail=finding.detail)

    async def record_sizes(
        self,
        node: str,
        sizes: Sequence[StorageSize],
        looked_ns: int,
        *,
        is_whole: bool = True,
        held: Collection[str] = (),
    ) -> int:
        """Sizes of layers and volumes; after the last of a look, what was not seen is gone. How many are owned.

        `held`: what is there too, though no size of it was believed.
        """
        sizes = believable_sizes(sizes)
        async with self._database.transaction() as tx:
            owners = await store_runs.owners(tx, {size.service_id for size in sizes})
            owned = [(owners[size.service_id], size) for size in sizes if size.service_id in owners]
            transfers = await transfers_of(tx, owners)
            if transfers:
                owned = await store_parts.route_sizes(tx, owned, transfers)
            await store_storage.save_sizes(
                tx, node, owned, looked_ns=looked_ns, recorded_at=self._clock.now(), is_whole=is_whole, held=held
            )
            await store_parts.split_holders(tx, transfers)
            strays = [size for size in sizes if size.service_id not in owners]
            await store_runs.save_findings(tx, [_stray(size) for size in strays], recorded_at=self._clock.now())
        for size in strays:
            _log.warning("metering.storage_unowned", holder=size.holder, size_bytes=size.size_bytes)
        return len(owned)

    async def record_clocks(self, node: str, reading: ClockReading, looked_ns: int) -> None:
        """Compare a node's clocks with what they last showed, to whomever; time that was jumped over counts nothing.

        `looked_ns`: the instant of the look by business time, which may be ahead of the node's wall clock.
        """
        await self._compare_clocks(node, [(reading, looked_ns)])

    async def record_all_clocks(self, node: str, readings: Iterable[ClockReading]) -> None:
        """The same for several looks, one after another, of a node whose wall clock tells when they were."""
        told = [(reading, reading.wall_ns) for reading in readings]
        if told:
            await self._compare_clocks(node, told)

    async def _compare_clocks(self, node: str, told: Sequence[tuple[ClockReading, int]]) -> None:
        steps = []
        async with self._database.transaction() as tx:
            await store_runs.lock_node(tx, node)
            first = former = await store_steps.lock_clock_reading(tx, node)
            for reading, looked_ns in told:
                if former is not None and not reading.is_after(former):
                    continue
                if former is not None and (step_ns := reading.step_since(former)):
                    since_ns = looked_ns - (reading.wall_ns - former.wall_ns)
                    steps.append(ClockStep(since_ns=since_ns, stepped_to_ns=looked_ns, step_ns=step_ns))
                former = reading
            for step in steps:
                await store_steps.save_clock_step(tx, node, step, self._clock.now())
            if former is not None and former is not first:
                await store_steps.save_clock_reading(tx, node, former, self._clock.now())
        for step in steps:
            _log.warning("metering.clock_stepped", node=node, step_ms=step.step_ns // 1_000_000)

    async def record_outage(self, node: str, detail: str, until_ns: int | None = None) -> None:
        """A gap, until now or `until_ns`, for everything that runs at a node and was not seen since."""
        now = self._clock.now()
        until_ns = to_ns(now) if until_ns is None else until_ns
        async with self._database.transaction() as tx:
            await store_runs.save_outage(tx, node, until_ns=until_ns, detail=detail, recorded_at=now)

    async def unfinished(self, node: str, looked_ns: int) -> set[str]:
        """Containers of a node that run as far as we know, and were not seen since."""
        async with self._database.transaction() as tx:
            runs = await store_runs.unfinished_runs(tx, node, seen_before_ns=looked_ns)
        return {run.container_id for run in runs}

    async def _save(
        self,
        tx: Transaction,
        book: RunBook,
        stored: Mapping[str, Run],
        changed: dict[str, Run],
        readings: Iterable[tuple[Run, list[Counts]]],
    ) -> dict[str, Run]:
        """Write runs and readings, each under the owner of its time; the rows as they were written."""
        current = []
        for run, own in readings:
            newest = changed.get(run.incarnation, run)
            grown = _grow(newest, own)
            if grown is not newest:
                changed[run.incarnation] = grown
            current.append((grown, own))
        split = {run.incarnation: book.split(run) for run in (*changed.values(), *(run for run, _ in current))}
        saved = {part.incarnation: part for name in changed for part in split[name]}
        routed = [part for run, own in current for part in route(split[run.incarnation], own)]
        intake = store_readings.Intake(
            interval_ms=self._interval_ms,
            recorded_at=self._clock.now(),
            stored=stored,
            siblings=_siblings(split.values()),
        )
        late = await store_readings.insert_readings(tx, routed, intake)
        for run in late:
            saved[run.incarnation] = _earlier(saved.get(run.incarnation, run), run)
        await store_runs.save_runs(tx, saved.values(), stored)
        touched = {part.incarnation for part, _ in routed}
        for parts in split.values():
            if any(one.incarnation in touched for one in parts[:-1]) or any(book.is_new(one) for one in parts[1:]):
                await store_parts.settle_parts(tx, parts)
        return saved


def _sightings(
    records: Sequence[ContainerRecord], counters: Iterable[ContainerCounters], looked_ns: int, told_ns: int
) -> list[Sighting]:
    """A look; counters of a container that it does not tell of are dropped."""
    read = defaultdict[str, list[Counts]](list)
    for one in counters:
        read[one.container_id].append(Counts(*_counts_of(one)))
    return [
        Sighting(record=one, looked_ns=looked_ns, told_ns=told_ns, readings=read.pop(one.container_id, ()))
        for one in records
    ]


def _revived(known: Sequence[Run], changed: dict[str, Run]) -> list[Run]:
    """Runs that were given up and have been seen again."""
    return [run for run in known if run.vanished and not changed.get(run.incarnation, run).vanished]


def _siblings(split: Iterable[Sequence[Run]]) -> dict[str, list[Run]]:
    """For each part of a run of several owners, the other parts."""
    return {
        part.incarnation: [one for one in parts if one is not part]
        for parts in split
        if len(parts) > 1
        for part in parts
    }


def _earlier(one: Run, other: Run) -> Run:
    """Of two views of a run the one that is counted anew from further back."""
    firsts = [-1 if run.final_until_ns is None else run.final_until_ns for run in (one, other)]
    return one if one.closed_at is None and firsts[0] < firsts[1] else other


def _by_run(sightings: Iterable[Sighting], runs: Mapping[str, Run]) -> list[tuple[Run, list[Counts]]]:
    """The readings of each run, in order; those of nobody's container are dropped."""
    found = defaultdict[str, list[Counts]](list)
    for seen in sightings:
        if seen.readings:
            found[seen.record.incarnation or ""] += seen.readings
    return [(runs[name], sorted(own, key=_sampled_ns)) for name, own in found.items() if name in runs]


def _not_believed(absurd: Iterable[Absurd], runs: Mapping[str, Run]) -> list[Finding]:
    """One row a run, which grows while its counters stay damaged; its detail is that of the last."""
    return [
        Finding(
            account_id=runs[one.incarnation].account_id,
            service_id=runs[one.incarnation].service_id,
            incarnation=one.incarnation,
            kind=FindingKind.ANOMALY,
            cause=FindingCause.ABSURD_COUNTER,
            starts_ns=runs[one.incarnation].started_ns,
            ends_ns=one.sampled_ns,
            detail=one.detail,
        )
        for one in absurd
        if one.incarnation in runs
    ]


def _grow(run: Run, readings: Sequence[Counts]) -> Run:
    """The run after some readings of it: it was seen then, and the first that tells bytes decides which bytes count."""
    first = next((one for one in readings if one.transmitted_bytes is not None), None)
    if run.counts_external is None and first is not None:
        run = replace(run, counts_external=first.external_bytes is not None)
    if run.finished_ns is None and readings[-1].sampled_ns > run.seen_ns:
        run = replace(run, seen_ns=readings[-1].sampled_ns)
    return run


def _stray(size: StorageSize) -> Finding:
    """One row a holder, whose end grows while it is there; the detail begins with the bytes (find_leaks reads them)."""
    return Finding(
        account_id=NOBODY,
        service_id=size.service_id,
        incarnation=size.holder,
        kind=FindingKind.ANOMALY,
        cause=FindingCause.STORAGE_UNOWNED,
        starts_ns=0,
        ends_ns=size.sampled_ns,
        detail=f"{size.size_bytes or 0} bytes of {size.kind} {size.holder} belong to no service",
    )

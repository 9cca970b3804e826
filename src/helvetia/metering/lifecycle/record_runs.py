"""The arrow container → run → reading: looks at a host and stores what it says, once.

Promises: whatever is told twice, late or in another order leaves the same rows, so a crash anywhere loses and doubles
nothing; the network is never spoken to inside a transaction. Fails with HostUnavailable after writing down since when.
"""

import asyncio
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import replace

import structlog

from helvetia.containers.errors import HostUnavailable
from helvetia.containers.model import ContainerCounters, ContainerHost, ContainerRecord, ContainerState, StorageSize
from helvetia.database.pool import Database, Transaction, assert_no_transaction
from helvetia.kernel.clock import Clock, to_ns
from helvetia.metering import store_runs, store_storage
from helvetia.metering.lifecycle.trace_runs import trace_runs, unseen_finish
from helvetia.metering.model import NOBODY, MeteringConfig, Run
from helvetia.metering.readers.model import CounterReader

_log = structlog.get_logger()


class RunRecorder:
    """Looks at one host; every look is one transaction after the network is done with."""

    def __init__(
        self, database: Database, clock: Clock, host: ContainerHost, reader: CounterReader, config: MeteringConfig
    ) -> None:
        self._database = database
        self._clock = clock
        self._host = host
        self._reader = reader
        self._config = config

    async def sample(self) -> int:
        """Read the counters of everything that runs; how many readings were taken."""
        looked_ns = self._now_ns()
        async with self._host_in_time():
            records = await self._host.list_containers()
            counters = await self._reader.read(_running(records))
        await self._record(records, counters, looked_ns)
        return len(counters)

    async def look_at(self, container_id: str) -> ContainerRecord | None:
        """Look at one container now, and read its counters if it runs."""
        looked_ns = self._now_ns()
        async with self._host_in_time():
            record = await self._host.inspect(container_id)
            counters = await self._reader.read(_running([record])) if record is not None else ()
        if record is not None:
            await self._record([record], counters, looked_ns)
        return record

    async def sweep(self) -> Sequence[ContainerRecord]:
        """Look at every container; a run that the engine knows no more ends when it was last seen."""
        looked_ns = self._now_ns()
        async with self._host_in_time():
            records = list(await self._host.list_containers())
        listed = {record.container_id for record in records}
        async with self._database.transaction() as tx:
            unfinished = await store_runs.unfinished_runs(tx, self._host.node, seen_before_ns=looked_ns)
        gone: list[str] = []
        for container_id in sorted({run.container_id for run in unfinished} - listed):
            async with self._host_in_time():
                record = await self._host.inspect(container_id)
            if record is None:
                gone.append(container_id)
            else:
                records.append(record)
        await self._record(records, (), looked_ns, gone)
        return records

    async def sample_storage(self) -> int:
        """Read the sizes of all layers and volumes; how many were read."""
        looked_ns = self._now_ns()
        async with self._host_in_time():
            sizes = await self._host.read_storage()
        async with self._database.transaction() as tx:
            owners = await store_runs.owners(tx, {size.service_id for size in sizes})
            owned = [(owners[size.service_id], size) for size in sizes if size.service_id in owners]
            recorded_at = self._clock.now()
            await store_storage.save_sizes(tx, self._host.node, owned, looked_ns=looked_ns, recorded_at=recorded_at)
        _log_leaks([size for size in sizes if size.service_id not in owners])
        return len(owned)

    async def _record(
        self,
        records: Sequence[ContainerRecord],
        counters: Sequence[ContainerCounters],
        looked_ns: int,
        gone: Sequence[str] = (),
    ) -> None:
        container_ids = {*(record.container_id for record in records), *gone}
        async with self._database.transaction() as tx:
            await store_runs.lock_node(tx, self._host.node)
            owners = await store_runs.owners(tx, {record.service_id for record in records})
            known = await store_runs.lock_runs_of_containers(tx, container_ids)
            trace = trace_runs(records, known, owners, self._host.node, looked_ns)
            findings = list(trace.findings)
            changed = {run.incarnation: run for run in trace.changed}
            for run in trace.runs.values():
                if run.container_id in gone and run.finished_ns is None and run.seen_ns < looked_ns:
                    changed[run.incarnation] = run.vanish()
                    detail = "its container was removed unseen; counted until it was last seen"
                    findings.append(unseen_finish(run, looked_ns, detail))
            present = {record.container_id: trace.runs.get(record.incarnation or "") for record in records}
            await self._save(tx, changed, _pair(counters, present))
            await store_runs.save_findings(tx, findings, recorded_at=self._clock.now())
        for finding in findings:
            if finding.account_id == NOBODY:
                _log.warning("metering.container_unowned", incarnation=finding.incarnation, detail=finding.detail)

    async def _save(
        self, tx: Transaction, changed: dict[str, Run], readings: Sequence[tuple[Run, ContainerCounters]]
    ) -> None:
        for run, counters in sorted(readings, key=lambda one: one[1].sampled_ns):
            newest = changed.get(run.incarnation, run)
            if newest.counts_external is None and counters.transmitted_bytes is not None:
                newest = replace(newest, counts_external=counters.external_bytes is not None)
                changed[run.incarnation] = newest
            if newest.finished_ns is None and counters.sampled_ns > newest.seen_ns:
                changed[run.incarnation] = newest.merge(_seen_at(newest, counters.sampled_ns))
        interval_ms = self._config.sample_interval_ms
        current = [(changed.get(run.incarnation, run), counters) for run, counters in readings]
        late = await store_runs.insert_readings(tx, current, interval_ms=interval_ms, recorded_at=self._clock.now())
        changed.update((run.incarnation, run) for run in late)
        await store_runs.save_runs(tx, changed.values())

    def _now_ns(self) -> int:
        assert_no_transaction()
        return to_ns(self._clock.now())

    @asynccontextmanager
    async def _host_in_time(self) -> AsyncIterator[None]:
        """Give the host its time; when it does not answer, write down that the engine was unreachable, and say so."""
        try:
            async with asyncio.timeout(self._config.host_timeout_s):
                yield
        except TimeoutError as error:
            await self._record_outage("the engine did not answer in time")
            raise HostUnavailable from error
        except HostUnavailable as error:
            await self._record_outage(error.detail)
            raise

    async def _record_outage(self, detail: str) -> None:
        now = self._clock.now()
        async with self._database.transaction() as tx:
            await store_runs.save_outage(tx, self._host.node, until_ns=to_ns(now), detail=detail, recorded_at=now)


def _running(records: Sequence[ContainerRecord]) -> list[ContainerRecord]:
    return [record for record in records if record.state is ContainerState.RUNNING and record.started_ns is not None]


def _pair(counters: Sequence[ContainerCounters], present: dict[str, Run | None]) -> list[tuple[Run, ContainerCounters]]:
    """Counters with the run that they belong to; those of nobody's container are dropped."""
    pairs = ((present.get(one.container_id), one) for one in counters)
    return [(run, one) for run, one in pairs if run is not None]


def _seen_at(run: Run, seen_ns: int) -> Run:
    return replace(run, seen_ns=seen_ns)


def _log_leaks(sizes: Sequence[StorageSize]) -> None:
    for size in sizes:
        _log.warning("metering.storage_unowned", holder=size.holder, size_bytes=size.size_bytes)

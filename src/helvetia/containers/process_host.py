"""The ContainerHost for a machine without a container engine: the built-in demo workloads as real local processes.

Promises: runs nothing but `helvetia/demo` (no customer's program ever runs on the bare machine); instants are the
machine's own, taken when a process was started and when its end was seen; what /proc does not tell of one process is
None. A restart of ours finds living processes again by id and start time, and watches them on. One that died in
between has no known finish: it is set to the last moment it was seen alive, so it is never billed longer than it ran.
"""

import asyncio
import platform
import signal
import subprocess
from collections.abc import AsyncIterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Final

from helvetia.containers.errors import ContainerRefused
from helvetia.containers.model import ContainerCounters, ContainerEvent, ContainerRecord, ContainerSpec, StorageSize
from helvetia.containers.processes.event_hub import EventHub
from helvetia.containers.processes.folders import Folders, size_of_tree
from helvetia.containers.processes.launch import check_spec, launch, say_go
from helvetia.containers.processes.proc_files import read_memory, read_process
from helvetia.containers.processes.state import ProcessEntry, load_entries, save_entries
from helvetia.containers.processes.watch import ProcessWatch
from helvetia.kernel.clock import Clock, to_ns
from helvetia.kernel.identity import ServiceId, new_id

KILL_WAIT_S: Final = 5
CLOSE_GRACE_S: Final = 2
_SIGNALLED: Final = 128  # how shells, and Docker, tell which signal ended a process


class ProcessHost:
    """Demo workloads of one data directory."""

    def __init__(self, clock: Clock, data_directory: Path, *, node: str | None = None) -> None:
        self._clock = clock
        self._folders = Folders(data_directory)
        self._state_path = data_directory / "processes.json"
        self._node = node or platform.node() or "processes"
        self._entries = load_entries(self._state_path)
        self._children: dict[str, subprocess.Popen[bytes]] = {}
        self._watch = ProcessWatch(self._on_end)
        self._events = EventHub()

    @property
    def node(self) -> str:
        return self._node

    async def list_containers(self) -> Sequence[ContainerRecord]:
        self._look()
        seen_ns = self._now_ns()
        for entry in self._running():
            self._entries[entry.container_id] = replace(entry, seen_ns=seen_ns)
        self._save()
        return [entry.record() for entry in self._entries.values()]

    async def list_running_ids(self) -> Sequence[str]:
        self._look()
        return [entry.container_id for entry in self._running()]

    async def inspect(self, container_id: str) -> ContainerRecord | None:
        self._look()
        entry = self._entries.get(container_id)
        return None if entry is None else entry.record()

    async def create_and_start(self, spec: ContainerSpec) -> ContainerRecord:
        """Start one workload; one of this slot that already runs is the answer."""
        check_spec(spec)
        self._look()
        for entry in self._running():
            if entry.slot == (str(spec.service_id), spec.revision, spec.replica):
                return entry.record()
        container_id = new_id().hex
        try:
            self._start(container_id, spec)
        except OSError as error:
            self._folders.remove_layer(container_id)
            raise ContainerRefused(f"The workload could not be started: {error.strerror}.") from error
        return self._entries[container_id].record()

    async def stop(self, container_id: str, *, grace_s: int = 10) -> None:
        self._look()
        if not await self._watch.stop(container_id, signal.SIGTERM, grace_s):
            await self._watch.stop(container_id, signal.SIGKILL, KILL_WAIT_S)

    async def remove(self, container_id: str) -> None:
        self._look()
        entry = self._entries.get(container_id)
        if entry is None:
            return
        if entry.finished_ns is None:
            raise ContainerRefused("The workload runs; stop it first.")
        await asyncio.to_thread(self._folders.remove_layer, container_id)
        self._entries.pop(container_id, None)
        self._save()

    async def remove_volumes(self, service_id: ServiceId) -> None:
        await asyncio.to_thread(self._folders.remove_volumes, service_id)

    async def read_counters(self, containers: Sequence[ContainerRecord]) -> Sequence[ContainerCounters]:
        """Memory and processor time of each. A process shares the machine's network: its bytes are not measured."""
        self._look()
        wanted = {record.container_id for record in containers}
        found = [self._read_one(entry) for entry in self._running() if entry.container_id in wanted]
        return [counters for counters in found if counters is not None]

    async def read_storage(self) -> Sequence[StorageSize]:
        return await asyncio.to_thread(self._read_sizes, [entry.record() for entry in self._entries.values()])

    async def events(self) -> AsyncIterator[ContainerEvent]:
        async for event in self._events.subscribe():
            yield event

    async def close(self) -> None:
        """Stop every workload, also those of an earlier life of ours."""
        self._look()
        await asyncio.gather(*(self.stop(container_id, grace_s=CLOSE_GRACE_S) for container_id in self._watch.ids()))
        for container_id in self._watch.ids():
            self._watch.drop(container_id)
        self._save()
        self._events.close()

    def _running(self) -> list[ProcessEntry]:
        return [entry for entry in self._entries.values() if entry.finished_ns is None]

    def _start(self, container_id: str, spec: ContainerSpec) -> None:
        """Written down before it may work: when we die in between, it ends by itself."""
        volumes = self._folders.make_volumes(spec)
        child = launch(spec, self._folders.make_layer(container_id), volumes)
        try:
            process = read_process(child.pid)
            if process is None or not self._watch.add(container_id, child.pid):
                raise ProcessLookupError("it ended at once")
        except OSError:
            child.kill()
            child.communicate()
            raise
        now_ns = self._now_ns()
        self._children[container_id] = child
        self._entries[container_id] = ProcessEntry(
            container_id=container_id,
            account_id=str(spec.account_id),
            service_id=str(spec.service_id),
            revision=spec.revision,
            replica=spec.replica,
            started_ns=now_ns,
            seen_ns=now_ns,
            process_id=child.pid,
            start_ticks=process.start_ticks,
            volumes=tuple(volume.holder for volume in volumes),
        )
        self._save()
        say_go(child)
        self._events.publish(ContainerEvent(container_id=container_id, action="start", occurred_ns=now_ns))

    def _look(self) -> None:
        """Watch what lives and is not yet watched (of an earlier life of ours); close what died unseen."""
        for entry in self._running():
            process = read_process(entry.process_id)
            is_alive = process is not None and process.is_alive and process.start_ticks == entry.start_ticks
            if entry.container_id in self._watch:
                if not is_alive:
                    self._watch.end(entry.container_id)
            elif not is_alive or not self._watch.add(entry.container_id, entry.process_id):
                self._finish(entry, entry.seen_ns, None)

    def _on_end(self, container_id: str) -> None:
        """Called at the moment a watched process ends; only of our own children is the exit code known."""
        finished_ns = self._now_ns()
        child = self._children.pop(container_id, None)
        code = None if child is None else child.wait()
        self._finish(
            self._entries[container_id], finished_ns, _SIGNALLED - code if code is not None and code < 0 else code
        )

    def _finish(self, entry: ProcessEntry, finished_ns: int, exit_code: int | None) -> None:
        finished_ns = max(finished_ns, entry.started_ns)
        self._entries[entry.container_id] = replace(entry, finished_ns=finished_ns, exit_code=exit_code)
        self._save()
        self._events.publish(ContainerEvent(container_id=entry.container_id, action="die", occurred_ns=finished_ns))

    def _read_one(self, entry: ProcessEntry) -> ContainerCounters | None:
        sampled_ns = self._now_ns()
        memory_bytes, process = read_memory(entry.process_id), read_process(entry.process_id)
        if process is None or memory_bytes is None or process.start_ticks != entry.start_ticks:
            return None
        return ContainerCounters(
            container_id=entry.container_id,
            sampled_ns=sampled_ns,
            memory_bytes=memory_bytes,
            memory_peak_bytes=None,
            cpu_ns=process.cpu_ns,
            transmitted_bytes=None,
            received_bytes=None,
        )

    def _read_sizes(self, records: Sequence[ContainerRecord]) -> list[StorageSize]:
        held = [
            (one.container_id, "layer", one.account_id, one.service_id, self._folders.layer(one.container_id))
            for one in records
        ]
        held += [(one.holder, "volume", one.account_id, one.service_id, one.path) for one in self._folders.volumes()]
        return [
            StorageSize(
                holder=holder,
                kind=kind,
                account_id=account_id,
                service_id=service_id,
                sampled_ns=self._now_ns(),
                size_bytes=size_bytes,
            )
            for holder, kind, account_id, service_id, path in held
            if (size_bytes := size_of_tree(path)) is not None
        ]

    def _save(self) -> None:
        save_entries(self._state_path, self._entries.values())

    def _now_ns(self) -> int:
        return to_ns(self._clock.wall())

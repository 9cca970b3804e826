"""An engine over a made-up tree of control groups: it only tells what runs, and counts how often it is asked of one."""

import asyncio
from collections.abc import Sequence
from dataclasses import replace
from datetime import datetime, timedelta

from helvetia.containers.model import ContainerRecord, ContainerState, StorageSize
from helvetia.containers.simulated_host import SimulatedHost
from helvetia.kernel.clock import Clock, ManualClock, to_ns
from helvetia.kernel.identity import AccountId, ServiceId
from support.cgroup_machine import Machine

LAYER_BYTES = 50_000_000


class SteppedClock(ManualClock):
    """All three faces stand still until they are moved together: hours of ticks without waiting."""

    def wall(self) -> datetime:
        return self.now()

    def monotonic(self) -> float:
        return (self.now() - datetime.fromtimestamp(0, self.now().tzinfo)) / timedelta(seconds=1)


class TreeHost(SimulatedHost):
    """Containers of one service, made of recorded files."""

    def __init__(self, clock: Clock, machine: Machine, account_id: AccountId, service_id: ServiceId) -> None:
        super().__init__("tree", clock, node="tree")
        self.clock = clock
        self.machine = machine
        self.owner = {"account_id": account_id, "service_id": service_id}
        self.records: dict[str, ContainerRecord] = {}
        self.inspected: list[str] = []
        self.hanging: set[str] = set()

    def add(self, number: int) -> ContainerRecord:
        now_ns = to_ns(self.clock.now())
        record = replace(self.machine.add(number), replica=number, created_ns=now_ns, started_ns=now_ns, **self.owner)
        self.records[record.container_id] = record
        return record

    def restart(self, record: ContainerRecord, process_id: int) -> ContainerRecord:
        """By the engine itself, between two looks: nobody is told."""
        again = self.machine.restart(record, process_id, started_ns=to_ns(self.clock.now()))
        self.records[record.container_id] = again
        return again

    def end(self, record: ContainerRecord) -> None:
        self.machine.end_process(record)
        self.records[record.container_id] = replace(
            record, state=ContainerState.EXITED, finished_ns=to_ns(self.clock.now()), exit_code=0, process_id=None
        )

    async def list_containers(self) -> Sequence[ContainerRecord]:
        return list(self.records.values())

    async def inspect(self, container_id: str) -> ContainerRecord | None:
        self.inspected.append(container_id)
        if container_id in self.hanging:
            await asyncio.Event().wait()
        return self.records.get(container_id)

    async def read_storage(self) -> Sequence[StorageSize]:
        return [
            StorageSize(
                holder=container_id,
                kind="layer",
                sampled_ns=to_ns(self.clock.now()),
                size_bytes=LAYER_BYTES,
                **self.owner,
            )
            for container_id in self.records
        ]

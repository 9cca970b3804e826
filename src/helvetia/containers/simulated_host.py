"""The ContainerHost of scenarios: containers that exist only as figures, on the injected business clock.

Promises: the same calls at the same instants give the same ids, times and counters, to the nanosecond, and time moves
only with the clock. A container's use is a function of the time since its start, written in its environment (see
containers/simulated/profile.py). Faults: `is_available = False` (the engine is away), `loses_next_answer = True` (the
next container is made, but nobody is told).
"""

import hashlib
from collections.abc import AsyncIterator, Sequence
from dataclasses import replace
from typing import Final

from helvetia.containers.errors import ContainerRefused, HostUnavailable, ImageNotFound
from helvetia.containers.model import (
    ContainerCounters,
    ContainerEvent,
    ContainerRecord,
    ContainerSpec,
    ContainerState,
    StorageSize,
)
from helvetia.containers.processes.event_hub import EventHub
from helvetia.containers.simulated.profile import Profile, read_profile
from helvetia.containers.simulated.run import SimulatedContainer
from helvetia.kernel.clock import Clock, to_ns
from helvetia.kernel.identity import AccountId, ServiceId

KILLED: Final = 137
MISSING_IMAGE: Final = "missing"
"""An image whose name begins so is not on this host."""


class SimulatedHost:
    """Scripted containers of one installation."""

    def __init__(self, installation_id: str, clock: Clock, *, node: str = "simulated") -> None:
        self.is_available = True
        self.loses_next_answer = False
        self.sizes_fail = False
        self._installation_id = installation_id
        self._clock = clock
        self._node = node
        self._made = 0
        self._containers: dict[str, SimulatedContainer] = {}
        self._volumes: dict[str, tuple[AccountId, ServiceId, Profile, int]] = {}
        self._events = EventHub()

    @property
    def node(self) -> str:
        return self._node

    async def list_containers(self) -> Sequence[ContainerRecord]:
        self._answer()
        return [one.record(self._now_ns()) for one in self._containers.values()]

    async def list_running_ids(self) -> Sequence[str]:
        listed = await self.list_containers()
        return [one.container_id for one in listed if one.state is ContainerState.RUNNING]

    async def inspect(self, container_id: str) -> ContainerRecord | None:
        self._answer()
        found = self._containers.get(container_id)
        return None if found is None else found.record(self._now_ns())

    async def create_and_start(self, spec: ContainerSpec) -> ContainerRecord:
        """Start one; one of this slot that already runs is the answer of an earlier call that was lost."""
        self._answer()
        if spec.image.startswith(MISSING_IMAGE):
            raise ImageNotFound(f"No such image: {spec.image}.")
        try:
            profile = read_profile(spec.env)
        except ValueError as error:
            raise ContainerRefused(str(error)) from error
        now_ns = self._now_ns()
        for one in self._containers.values():
            if one.is_of(spec) and one.record(now_ns).state is ContainerState.RUNNING:
                return one.record(now_ns)
        made = self._make(spec, profile, now_ns)
        self._events.publish(ContainerEvent(container_id=made.container_id, action="start", occurred_ns=now_ns))
        if self.loses_next_answer:
            self.loses_next_answer = False
            raise HostUnavailable
        return made.record(now_ns)

    async def stop(self, container_id: str, *, grace_s: int = 10) -> None:
        self._answer()
        self._end(container_id, exit_code=0)

    async def remove(self, container_id: str) -> None:
        self._answer()
        found = self._containers.get(container_id)
        if found is not None and found.record(self._now_ns()).state is ContainerState.RUNNING:
            raise ContainerRefused("The container runs; stop it first.")
        self._containers.pop(container_id, None)

    async def remove_volumes(self, service_id: ServiceId) -> None:
        self._answer()
        self._volumes = {name: one for name, one in self._volumes.items() if one[1] != service_id}

    async def read_counters(self, containers: Sequence[ContainerRecord]) -> Sequence[ContainerCounters]:
        self._answer()
        now_ns = self._now_ns()
        found = [self._containers.get(record.container_id) for record in containers]
        counters = [one.counters(now_ns) for one in found if one is not None]
        return [one for one in counters if one is not None]

    async def read_storage(self) -> Sequence[StorageSize]:
        self._answer()
        now_ns = self._now_ns()
        layers = [one.layer_size(now_ns) for one in self._containers.values()]
        volumes = [
            StorageSize(
                holder=name,
                kind="volume",
                account_id=account_id,
                service_id=service_id,
                sampled_ns=now_ns,
                size_bytes=None if self.sizes_fail else profile.volume_bytes.at(now_ns - made_ns),
            )
            for name, (account_id, service_id, profile, made_ns) in self._volumes.items()
        ]
        return layers + volumes

    async def events(self) -> AsyncIterator[ContainerEvent]:
        self._answer()
        async for event in self._events.subscribe():
            yield event

    async def close(self) -> None:
        self._events.close()

    def kill(self, container_id: str, *, is_out_of_memory: bool = False) -> None:
        """It dies now, by itself."""
        self._end(container_id, exit_code=KILLED, is_out_of_memory=is_out_of_memory)

    def restart(self, container_id: str) -> None:
        """The engine starts it again by itself: the run before is overwritten, its counters begin at 0."""
        found = self._containers[container_id]
        self._containers[container_id] = replace(
            found,
            started_ns=self._now_ns(),
            stopped_ns=None,
            exit_code=0,
            is_out_of_memory=False,
            restart_count=found.restart_count + 1,
        )

    def cut_events(self) -> None:
        """Every event stream ends, as when the connection is lost."""
        self._events.close()

    def _make(self, spec: ContainerSpec, profile: Profile, now_ns: int) -> SimulatedContainer:
        self._made += 1
        container_id = hashlib.sha256(f"{self._installation_id}:{self._made}".encode()).hexdigest()
        names = tuple(f"{spec.service_id}/{volume.name}" for volume in spec.volumes)
        made = SimulatedContainer(
            container_id=container_id,
            spec=spec,
            profile=profile,
            process_id=self._made,
            created_ns=now_ns,
            started_ns=now_ns,
            volumes=names,
        )
        self._containers[container_id] = made
        for name in names:
            self._volumes.setdefault(name, (spec.account_id, spec.service_id, profile, now_ns))
        return made

    def _end(self, container_id: str, *, exit_code: int, is_out_of_memory: bool = False) -> None:
        found = self._containers.get(container_id)
        now_ns = self._now_ns()
        if found is None or found.record(now_ns).state is not ContainerState.RUNNING:
            return
        self._containers[container_id] = replace(
            found, stopped_ns=now_ns, exit_code=exit_code, is_out_of_memory=is_out_of_memory
        )
        self._events.publish(ContainerEvent(container_id=container_id, action="die", occurred_ns=now_ns))

    def _answer(self) -> None:
        if not self.is_available:
            raise HostUnavailable

    def _now_ns(self) -> int:
        return to_ns(self._clock.now())

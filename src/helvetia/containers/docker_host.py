"""The ContainerHost of a Docker Engine.

Promises: only containers and volumes that carry this installation's label are listed, read, stopped or removed; a
repeated `create_and_start` never leaves two running replicas. Fails with HostUnavailable when the engine is away.
"""

import asyncio
import json
import platform
import re
from collections.abc import AsyncIterator, Mapping, Sequence
from typing import Any, Final

import structlog

from helvetia.containers.docker.convert import (
    Json,
    from_docker_event,
    from_docker_inspect,
    is_ours,
    layer_sizes,
    volume_sizes,
)
from helvetia.containers.docker.create_body import container_name, create_body, next_start_number
from helvetia.containers.docker.engine import DockerEngine, EngineRefusal, each
from helvetia.containers.docker.read_stats import read_stats
from helvetia.containers.errors import ContainerRefused, HostUnavailable, ImageNotFound
from helvetia.containers.model import (
    INSTALLATION_LABEL,
    REPLICA_LABEL,
    REVISION_LABEL,
    SERVICE_LABEL,
    ContainerCounters,
    ContainerEvent,
    ContainerRecord,
    ContainerSpec,
    ContainerState,
    StorageSize,
)
from helvetia.kernel.clock import Clock, SystemClock, to_ns
from helvetia.kernel.identity import ServiceId

INSPECT_PARALLEL_MAX: Final = 16
CREATE_TRIES: Final = 5
CREATE_PAUSE_S: Final = 0.2
EVENT_SILENCE_MAX_S: Final = 600
BUSY_TRIES: Final = 50
BUSY_PAUSE_S: Final = 0.2
_STORAGE_PATIENCE: Final = 6  # sizes are walked on disk: so many times the ordinary timeout
_BUSY: Final = "disk usage operation is already running"
_NOT_FOUND: Final = 404
_CONFLICT: Final = 409
_LIVE: Final = frozenset({ContainerState.RUNNING, ContainerState.PAUSED})

_log = structlog.get_logger(__name__)


class DockerHost:
    """Containers of one installation on one engine; others on the same engine are never touched."""

    def __init__(
        self,
        installation_id: str,
        *,
        url: str | None = None,
        timeout_s: float = 10.0,
        node: str | None = None,
        clock: Clock | None = None,
    ) -> None:
        self.engine = DockerEngine(url, timeout_s=timeout_s)
        self._installation_id = installation_id
        self._node = node or platform.node() or "docker"
        self._clock = clock or SystemClock()
        self._unattributed: set[str] = set()

    @property
    def node(self) -> str:
        return self._node

    async def list_containers(self) -> Sequence[ContainerRecord]:
        return await self._records(await self._listed())

    async def list_running_ids(self) -> Sequence[str]:
        return [str(one["Id"]) for one in await self._get("containers/json", filters=self._filters(status="running"))]

    async def inspect(self, container_id: str) -> ContainerRecord | None:
        body = await self._inspect(container_id)
        return None if body is None else self._record(body)

    async def create_and_start(self, spec: ContainerSpec) -> ContainerRecord:
        """Run one replica; one of this slot that already runs is the answer of an earlier call that was lost.

        The name of a start is the same for every caller, so of two calls at once the engine refuses one, which then
        finds the other's container. When the engine goes away between create and start, the next call starts it.
        """
        for _ in range(CREATE_TRIES):
            listed = await self._listed(_slot_labels(spec))
            present = await self._records(listed)
            for record in present:
                if record.state in _LIVE:
                    return record
            waiting = [record.container_id for record in present if record.state is ContainerState.CREATED]
            container_id = waiting[0] if waiting else await self._create(spec, next_start_number(listed))
            if container_id is not None:
                return await self._start(container_id)
            await asyncio.sleep(CREATE_PAUSE_S)
        raise HostUnavailable("The container is being created by another call; try again in a moment.")

    async def stop(self, container_id: str, *, grace_s: int = 10) -> None:
        """Stop it. One that never started is removed at once: it has no run that anybody would still record.

        Raises:
            ContainerRefused: it belongs to somebody else, and was not touched.
        """
        body = await self._own(container_id)
        if body is None:
            return
        try:
            record = self._record(body)
            if record is not None and record.state is ContainerState.CREATED:
                await self._delete(f"containers/{body['Id']}", v="1")
                return
            await self.engine.post(
                f"containers/{body['Id']}/stop", params={"t": str(grace_s)}, timeout_s=grace_s + self.engine.timeout_s
            )
        except EngineRefusal as refusal:
            if refusal.status != _NOT_FOUND:
                raise _broken(refusal) from refusal

    async def remove(self, container_id: str) -> None:
        """Remove a stopped one; `v=1` takes the unnamed volumes of its image along, named ones stay.

        Raises:
            ContainerRefused: it runs, or belongs to somebody else.
        """
        body = await self._own(container_id)
        if body is not None:
            await self._delete(f"containers/{body['Id']}", v="1")

    async def remove_volumes(self, service_id: ServiceId) -> None:
        filters = self._filters({SERVICE_LABEL: str(service_id)})
        answer = await self._get("volumes", filters=filters)
        for volume in answer.get("Volumes") or ():
            if is_ours(volume.get("Labels"), self._installation_id):
                await self._delete(f"volumes/{volume['Name']}")

    async def read_counters(self, containers: Sequence[ContainerRecord]) -> Sequence[ContainerCounters]:
        return await read_stats(self.engine, [record for record in containers if record.state in _LIVE])

    async def read_storage(self) -> Sequence[StorageSize]:
        patience_s = _STORAGE_PATIENCE * self.engine.timeout_s
        listed = await self._get("containers/json", patience_s, all="1", size="1", filters=self._filters())
        usage = await self._disk_usage(patience_s)
        sampled_ns = to_ns(self._clock.wall())
        volumes = usage.get("Volumes") or ()
        return layer_sizes(listed, self._installation_id, sampled_ns) + volume_sizes(
            volumes, listed, self._installation_id, sampled_ns
        )

    async def _disk_usage(self, patience_s: float) -> Json:
        """Engines before 23.0 refuse to measure for two callers at once: not an outage, only a wait for our turn."""
        for _ in range(BUSY_TRIES):
            try:
                usage: Json = await self.engine.get("system/df", {"type": "volume"}, timeout_s=patience_s)
            except EngineRefusal as refusal:
                if _BUSY not in refusal.message:
                    raise _broken(refusal) from refusal
                await asyncio.sleep(BUSY_PAUSE_S)
            else:
                return usage
        raise HostUnavailable("The container engine measures its disk for others all the time.")

    async def events(self) -> AsyncIterator[ContainerEvent]:
        label = f"{INSTALLATION_LABEL}={self._installation_id}"
        filters = json.dumps({"type": ["container"], "event": ["start", "die"], "label": [label]})
        try:
            async for line in self.engine.lines(
                "events", params={"filters": filters}, silence_max_s=EVENT_SILENCE_MAX_S
            ):
                yield from_docker_event(json.loads(line))
        except EngineRefusal as refusal:
            raise _broken(refusal) from refusal
        except (KeyError, TypeError, ValueError) as error:  # a line that was cut short, or is no event
            raise HostUnavailable("The container engine answers in a way that is not understood.") from error

    async def close(self) -> None:
        await self.engine.close()

    async def _listed(self, labels: Mapping[str, str] | None = None) -> Sequence[Json]:
        listed: Sequence[Json] = await self._get("containers/json", all="1", filters=self._filters(labels))
        return listed

    async def _records(self, listed: Sequence[Json]) -> list[ContainerRecord]:
        bodies = await each(self._inspect, [str(one["Id"]) for one in listed], INSPECT_PARALLEL_MAX)
        records = [self._record(body) for body in bodies if body is not None]
        return [record for record in records if record is not None]

    def _filters(self, labels: Mapping[str, str] | None = None, **others: str) -> str:
        wanted = {INSTALLATION_LABEL: self._installation_id, **(labels or {})}
        filters = {name: [value] for name, value in others.items()}
        return json.dumps({"label": [f"{name}={value}" for name, value in wanted.items()], **filters})

    async def _inspect(self, container_id: str) -> Json | None:
        if re.fullmatch(r"[0-9A-Za-z][0-9A-Za-z_.-]*", container_id) is None:
            return None
        try:
            body: Json = await self.engine.get(f"containers/{container_id}/json")
        except EngineRefusal as refusal:
            if refusal.status == _NOT_FOUND:
                return None
            raise _broken(refusal) from refusal
        return body

    async def _own(self, container_id: str) -> Json | None:
        body = await self._inspect(container_id)
        if body is not None and not is_ours(body["Config"]["Labels"], self._installation_id):
            raise ContainerRefused("This container does not belong to this installation; it was not touched.")
        return body

    def _record(self, body: Json) -> ContainerRecord | None:
        try:
            record = from_docker_inspect(body, self._installation_id)
            if record is None and is_ours(body["Config"]["Labels"], self._installation_id):
                self._note_unattributed(body["Id"])
        except (KeyError, TypeError, ValueError) as error:
            raise HostUnavailable("The container engine answers in a way that is not understood.") from error
        return record

    def _note_unattributed(self, container_id: str) -> None:
        if container_id not in self._unattributed:
            self._unattributed.add(container_id)
            _log.warning("containers.unattributed", container_id=container_id)

    async def _create(self, spec: ContainerSpec, number: int) -> str | None:
        """The new container's id, or None when another call has just taken this start's name."""
        body = create_body(spec, self._installation_id, number)
        try:
            answer = await self.engine.post("containers/create", body, params={"name": container_name(spec, number)})
        except EngineRefusal as refusal:
            if refusal.status == _CONFLICT:
                return None
            if refusal.status == _NOT_FOUND:
                raise ImageNotFound(f"{refusal.message}. The host does not pull images by itself.") from refusal
            raise ContainerRefused(refusal.message) from refusal
        return str(answer["Id"])

    async def _start(self, container_id: str) -> ContainerRecord:
        try:
            await self.engine.post(f"containers/{container_id}/start")
        except EngineRefusal as refusal:
            await self._delete(f"containers/{container_id}", v="1", force="1")
            raise ContainerRefused(refusal.message) from refusal
        record = await self.inspect(container_id)
        if record is None:
            raise ContainerRefused("The container was removed while it started.")
        return record

    async def _delete(self, path: str, **params: str) -> None:
        try:
            await self.engine.delete(path, params)
        except EngineRefusal as refusal:
            if refusal.status == _NOT_FOUND or "already in progress" in refusal.message:
                return
            if refusal.status == _CONFLICT:
                raise ContainerRefused(refusal.message) from refusal
            raise _broken(refusal) from refusal

    async def _get(self, path: str, timeout_s: float | None = None, **params: str) -> Any:
        try:
            return await self.engine.get(path, params, timeout_s=timeout_s)
        except EngineRefusal as refusal:
            raise _broken(refusal) from refusal


def _slot_labels(spec: ContainerSpec) -> dict[str, str]:
    return {
        SERVICE_LABEL: str(spec.service_id),
        REVISION_LABEL: str(spec.revision),
        REPLICA_LABEL: str(spec.replica),
    }


def _broken(refusal: EngineRefusal) -> HostUnavailable:
    return HostUnavailable(f"The container engine failed: {refusal.message}")

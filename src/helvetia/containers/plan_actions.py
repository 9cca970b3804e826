"""What must be done so that the engine runs what is wished and not held: pure, from two lists to a list of actions."""

from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from helvetia.containers.model import ContainerRecord, ContainerSpec, ContainerState, Service
from helvetia.kernel.identity import ServiceId
from helvetia.kernel.quantity import BYTES_PER_MB

_LIVE = frozenset({ContainerState.CREATED, ContainerState.RUNNING, ContainerState.PAUSED})


@dataclass(frozen=True, slots=True, kw_only=True)
class ServicePlan:
    """The actions for one service; containers to stop first, then replicas to start."""

    service: Service
    stop: Sequence[ContainerRecord]
    start: Sequence[ContainerSpec]
    live_count: int
    present_count: int


def plan_actions(services: Iterable[Service], containers: Iterable[ContainerRecord]) -> list[ServicePlan]:
    """One plan per service. Containers of no known service are left alone: they are metering's leak finding."""
    by_service: dict[ServiceId, list[ContainerRecord]] = defaultdict(list)
    for container in containers:
        by_service[container.service_id].append(container)
    return [_plan(service, by_service[service.service_id]) for service in services]


def _plan(service: Service, present: Sequence[ContainerRecord]) -> ServicePlan:
    wanted = range(service.definition.replicas) if service.should_run else range(0)
    kept: dict[int, ContainerRecord] = {}
    stop: list[ContainerRecord] = []
    live = [container for container in present if container.state in _LIVE]
    for container in sorted(live, key=lambda one: one.created_ns):
        is_wanted = container.revision == service.generation and container.replica in wanted
        if is_wanted and container.replica not in kept and container.state is not ContainerState.CREATED:
            kept[container.replica] = container
        else:
            stop.append(container)
    return ServicePlan(
        service=service,
        stop=stop,
        start=[_spec(service, replica) for replica in wanted if replica not in kept],
        live_count=len(kept),
        present_count=len(present),
    )


def _spec(service: Service, replica: int) -> ContainerSpec:
    definition = service.definition
    return ContainerSpec(
        account_id=service.account_id,
        service_id=service.service_id,
        revision=service.generation,
        replica=replica,
        image=definition.image,
        command=definition.command,
        env=definition.env,
        memory_bytes=definition.memory_mb * BYTES_PER_MB,
        cpu_cores=definition.cpu_cores,
        volumes=definition.volumes,
    )

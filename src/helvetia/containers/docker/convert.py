"""From the Docker Engine's JSON to our records. Pure; instants are read by hand, to the nanosecond.

A container that cannot be attributed is None; any other shape that is not understood raises KeyError, TypeError or
ValueError, which the host turns into HostUnavailable: containers must never seem to vanish because an answer changed.
"""

import re
from collections.abc import Iterable, Mapping, Sequence
from datetime import date
from typing import Any, Final
from uuid import UUID

from helvetia.containers.model import (
    ACCOUNT_LABEL,
    INSTALLATION_LABEL,
    REPLICA_LABEL,
    REVISION_LABEL,
    SERVICE_LABEL,
    ContainerCounters,
    ContainerEvent,
    ContainerRecord,
    ContainerState,
    StorageSize,
)
from helvetia.kernel.identity import AccountId, ServiceId

Json = Mapping[str, Any]

_TIME: Final = re.compile(
    r"(\d{4})-(\d\d)-(\d\d)T(\d\d):(\d\d):(\d\d)(?:\.(\d{1,9})\d*)?(?:Z|([+-])(\d\d):(\d\d))", re.ASCII
)
_EPOCH_ORDINAL: Final = date(1970, 1, 1).toordinal()
_SECOND_NS: Final = 1_000_000_000
COUNTER_MAX: Final = 2**62


def parse_engine_time(text: str) -> int | None:
    """Nanoseconds since the epoch of an RFC 3339 instant; None for Go's zero time, which means never.

    Raises:
        ValueError: this is no such instant.
    """
    match = _TIME.fullmatch(text)
    if match is None:
        raise ValueError(f"{text!r} is not an instant")
    year, month, day, hour, minute, second = (int(part) for part in match.groups()[:6])
    if year == 1:
        return None
    days = date(year, month, day).toordinal() - _EPOCH_ORDINAL
    offset_s = 0
    if match[8] is not None:
        offset_s = (int(match[9]) * 60 + int(match[10])) * (60 if match[8] == "+" else -60)
    seconds = days * 86_400 + hour * 3_600 + minute * 60 + second - offset_s
    return seconds * _SECOND_NS + int((match[7] or "").ljust(9, "0"))


def is_ours(labels: Json | None, installation_id: str) -> bool:
    """Whether these labels say that it belongs to this installation."""
    return (labels or {}).get(INSTALLATION_LABEL) == installation_id


def owner_of(labels: Json) -> tuple[AccountId, ServiceId] | None:
    """Whom a labelled container or volume belongs to; None when the labels do not say."""
    try:
        return AccountId(UUID(labels[ACCOUNT_LABEL])), ServiceId(UUID(labels[SERVICE_LABEL]))
    except (KeyError, ValueError, AttributeError):
        return None


def from_docker_inspect(body: Json, installation_id: str) -> ContainerRecord | None:
    """A container of this installation; None when it is another's, or nobody's by its labels."""
    labels = body["Config"]["Labels"]
    if not is_ours(labels, installation_id):
        return None
    owner, slot = owner_of(labels), _slot_of(labels)
    if owner is None or slot is None:
        return None
    state = body["State"]
    kind = _state_of(state)
    created_ns = parse_engine_time(body["Created"])
    if created_ns is None:
        raise ValueError("a container without an instant of creation")
    return ContainerRecord(
        container_id=body["Id"],
        account_id=owner[0],
        service_id=owner[1],
        revision=slot[0],
        replica=slot[1],
        state=kind,
        created_ns=created_ns,
        started_ns=parse_engine_time(state["StartedAt"]),
        finished_ns=parse_engine_time(state["FinishedAt"]) if kind is ContainerState.EXITED else None,
        restart_count=int(body.get("RestartCount") or 0),
        exit_code=int(state["ExitCode"]) if kind is ContainerState.EXITED else None,
        oom_killed=bool(state.get("OOMKilled")),
        process_id=int(state["Pid"]) or None,
        volumes=tuple(mounted_volumes(body)),
        mac_address=_mac_address(body),
    )


def mounted_volumes(body: Json) -> list[str]:
    """Names of the volumes that a container (listed or inspected) mounts, those of its image included."""
    return [mount["Name"] for mount in body.get("Mounts") or () if mount.get("Type") == "volume"]


def from_docker_stats(container_id: str, body: Json) -> ContainerCounters | None:
    """One answer of the stats API; None for a container that does not run, whose answer holds no figures."""
    sampled_ns = parse_engine_time(body["read"])
    memory = body.get("memory_stats") or {}
    if sampled_ns is None or "usage" not in memory:
        return None
    figures = memory.get("stats") or {}
    inactive = figures.get("total_inactive_file", figures.get("inactive_file", 0))
    networks = body.get("networks")
    counters = ContainerCounters(
        container_id=container_id,
        sampled_ns=sampled_ns,
        memory_bytes=max(0, memory["usage"] - inactive),
        memory_peak_bytes=memory.get("max_usage"),
        cpu_ns=body["cpu_stats"]["cpu_usage"]["total_usage"],
        transmitted_bytes=None if networks is None else _sum(networks, "tx_bytes"),
        received_bytes=None if networks is None else _sum(networks, "rx_bytes"),
    )
    return counters if _is_sane(counters) else None


def from_docker_event(body: Json) -> ContainerEvent:
    return ContainerEvent(container_id=body["Actor"]["ID"], action=body["Action"], occurred_ns=int(body["timeNano"]))


def layer_sizes(listed: Iterable[Json], installation_id: str, sampled_ns: int) -> list[StorageSize]:
    """Sizes of the writable layers in a list that was asked with `size=1` (a size of 0 is left out on the wire)."""
    return [
        StorageSize(
            holder=body["Id"],
            kind="layer",
            account_id=owner[0],
            service_id=owner[1],
            sampled_ns=sampled_ns,
            size_bytes=_known_size(body.get("SizeRw", 0)),
        )
        for body in listed
        if is_ours(body["Labels"], installation_id) and (owner := owner_of(body["Labels"])) is not None
    ]


def volume_sizes(
    volumes: Sequence[Json], listed: Iterable[Json], installation_id: str, sampled_ns: int
) -> list[StorageSize]:
    """Sizes of our labelled volumes, and of unnamed ones that an image made for one of our containers.

    The engine says -1 of a volume that it could not walk just now, and may leave one out; a mounted one is there.
    """
    mounted = {
        name: owner_of(body["Labels"])
        for body in listed
        if is_ours(body["Labels"], installation_id)
        for name in mounted_volumes(body)
    }
    sizes: list[StorageSize] = []
    untold = [{"Name": name} for name in mounted.keys() - {volume["Name"] for volume in volumes}]
    for volume in (*volumes, *untold):
        labels = volume.get("Labels")
        owner = owner_of(labels or {}) if is_ours(labels, installation_id) else mounted.get(volume["Name"])
        if owner is None:
            continue
        sizes.append(
            StorageSize(
                holder=volume["Name"],
                kind="volume",
                account_id=owner[0],
                service_id=owner[1],
                sampled_ns=sampled_ns,
                size_bytes=_known_size((volume.get("UsageData") or {}).get("Size", -1)),
            )
        )
    return sizes


def _known_size(size: Any) -> int | None:
    """What the engine says of a size, or None where it cannot be one."""
    return size if isinstance(size, int) and 0 <= size <= COUNTER_MAX else None


def _slot_of(labels: Json) -> tuple[int, int] | None:
    try:
        return int(labels[REVISION_LABEL]), int(labels[REPLICA_LABEL])
    except (KeyError, ValueError):
        return None


def _mac_address(body: Json) -> str | None:
    """The address of its one interface; of several networks none is told."""
    networks = list((body.get("NetworkSettings") or {}).get("Networks", {}).values())
    return str(networks[0]["MacAddress"]).lower() or None if len(networks) == 1 else None


def _state_of(state: Json) -> ContainerState:
    if state.get("Restarting"):
        return ContainerState.EXITED  # between two runs
    if state["Running"]:
        return ContainerState.PAUSED if state.get("Paused") else ContainerState.RUNNING
    return ContainerState.CREATED if parse_engine_time(state["StartedAt"]) is None else ContainerState.EXITED


def _sum(networks: Mapping[str, Json], key: str) -> int:
    return sum(int(interface[key]) for interface in networks.values())


def _is_sane(counters: ContainerCounters) -> bool:
    figures = (
        counters.memory_bytes,
        counters.memory_peak_bytes,
        counters.cpu_ns,
        counters.transmitted_bytes,
        counters.received_bytes,
    )
    return all(figure is None or 0 <= figure <= COUNTER_MAX for figure in figures)

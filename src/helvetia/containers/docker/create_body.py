"""What the engine is asked to run: one replica as the body of `POST /containers/create`. Pure.

Nothing of a customer's definition can reach the host: no privileged mode, host network, host path, device or added
capability is ever written here, volumes are mounted by a name that we derive, and nothing is published.

Capabilities: dropping ALL would break most ordinary images, whose entrypoints take over a volume and then change to
their own user (databases, web servers), and adding some back is what we never do. So Docker's default set is cut to
what such an entrypoint needs; raw sockets, device nodes, chroot, audit and capability changes are gone.
"""

import hashlib
from collections.abc import Iterable, Mapping
from typing import Any, Final

from helvetia.containers.model import (
    ACCOUNT_LABEL,
    INSTALLATION_LABEL,
    OWN_MAC_PREFIX,
    REPLICA_LABEL,
    REVISION_LABEL,
    SERVICE_LABEL,
    ContainerSpec,
    Volume,
)
from helvetia.kernel.identity import ServiceId

START_LABEL: Final = "helvetia.start"
DROPPED_CAPABILITIES: Final = ("AUDIT_WRITE", "MKNOD", "NET_RAW", "SETFCAP", "SETPCAP", "SYS_CHROOT")
PIDS_MAX: Final = 1_024
_LOG_OPTIONS: Final = {"max-size": "10m", "max-file": "3"}
_CORE_NANO: Final = 1_000_000_000


def container_name(spec: ContainerSpec, start_number: int) -> str:
    """The same for a repeated call, so that the engine itself refuses a second container of one start."""
    return f"helvetia-{spec.service_id}-{spec.revision}-{spec.replica}-{start_number}"


def mac_address(name: str) -> str:
    """An address of the container's own, so that the firewall's counters are of this container and no later one."""
    digest = hashlib.sha256(name.encode()).hexdigest()
    return ":".join([OWN_MAC_PREFIX, *(digest[at : at + 2] for at in range(0, 10, 2))])


def next_start_number(listed: Iterable[Mapping[str, Any]]) -> int:
    """One more than the highest among the listed containers of a slot."""
    numbers = [str(body["Labels"].get(START_LABEL, "")) for body in listed]
    return max((int(number) for number in numbers if number.isdecimal()), default=-1) + 1


def volume_name(service_id: ServiceId, name: str) -> str:
    return f"helvetia-{service_id}-{name}"


def create_body(spec: ContainerSpec, installation_id: str, start_number: int) -> Mapping[str, object]:
    """The whole body. Labels of the image are overridden by ours."""
    owner = owner_labels(spec, installation_id)
    slot = {REVISION_LABEL: str(spec.revision), REPLICA_LABEL: str(spec.replica), START_LABEL: str(start_number)}
    body: dict[str, object] = {
        "Image": spec.image,
        "Env": [f"{key}={value}" for key, value in spec.env.items()],
        "Labels": owner | slot,
        "MacAddress": mac_address(container_name(spec, start_number)),
        "HostConfig": {
            "AutoRemove": False,  # metering.md rule 2: a stopped container waits for its closing record
            "RestartPolicy": {"Name": "no"},  # our reconciler restarts, so that each run is a container of its own
            "Privileged": False,
            "NetworkMode": "bridge",
            "IpcMode": "private",
            "SecurityOpt": ["no-new-privileges"],
            "CapDrop": list(DROPPED_CAPABILITIES),
            "Memory": spec.memory_bytes,
            "MemorySwap": spec.memory_bytes,
            "NanoCpus": int(spec.cpu_cores * _CORE_NANO),
            "PidsLimit": PIDS_MAX,
            "LogConfig": {"Type": "json-file", "Config": dict(_LOG_OPTIONS)},
            "Mounts": [_mount(spec, volume, owner) for volume in spec.volumes],
        },
    }
    if spec.command:
        body["Cmd"] = list(spec.command)
    return body


def owner_labels(spec: ContainerSpec, installation_id: str) -> dict[str, str]:
    return {
        INSTALLATION_LABEL: installation_id,
        ACCOUNT_LABEL: str(spec.account_id),
        SERVICE_LABEL: str(spec.service_id),
    }


def _mount(spec: ContainerSpec, volume: Volume, labels: Mapping[str, str]) -> Mapping[str, object]:
    return {
        "Type": "volume",
        "Source": volume_name(spec.service_id, volume.name),
        "Target": volume.path,
        "VolumeOptions": {"Labels": dict(labels)},
    }

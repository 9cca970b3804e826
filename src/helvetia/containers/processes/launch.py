"""Starts one demo workload as a process: our own program, and of a customer's definition only its known parameters."""

import re
import subprocess
import sys
from collections.abc import Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Final

from helvetia.containers.errors import ContainerRefused, ImageNotFound
from helvetia.containers.model import ContainerSpec
from helvetia.containers.processes.demo_workload import (
    CPU_LIMIT,
    GO,
    MEMORY_LIMIT,
    PARAMETERS,
    VOLUME_PATH,
    WAIT_OPTION,
)
from helvetia.containers.processes.folders import VolumeFolder

DEMO_IMAGES: Final = frozenset({"helvetia/demo", "helvetia/demo:latest"})
_VOLUME_NAME: Final = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.-]{0,62}", re.ASCII)


def check_spec(spec: ContainerSpec) -> None:
    """Raises ImageNotFound or ContainerRefused for what this host does not run."""
    if spec.image not in DEMO_IMAGES:
        raise ImageNotFound(
            f"This host has no container engine and runs only the built-in demo workload, image helvetia/demo, "
            f"not {spec.image}. Connect a Docker Engine to run other images."
        )
    if spec.command:
        raise ContainerRefused("The demo workload takes no command here; set its parameters in the environment.")
    if not all(_VOLUME_NAME.fullmatch(volume.name) for volume in spec.volumes):
        raise ContainerRefused("The name of a volume holds letters, digits, dots, dashes and underscores only.")


def launch(spec: ContainerSpec, layer: Path, volumes: Sequence[VolumeFolder]) -> subprocess.Popen[bytes]:
    """Start it; it waits for `say_go`, and ends by itself when we die before. Raises OSError."""
    return subprocess.Popen(  # noqa: S603 - a fixed command
        [sys.executable, "-I", "-m", "helvetia.containers.processes.demo_workload", WAIT_OPTION],
        cwd=layer,
        env=_environment(spec, volumes),
        stdin=subprocess.PIPE,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        start_new_session=True,  # a Ctrl-C in our terminal reaches us alone; we stop our workloads ourselves
    )


def say_go(child: subprocess.Popen[bytes]) -> None:
    """Let it work."""
    with suppress(BrokenPipeError):  # it is dead already, which its watch tells
        if child.stdin is not None:
            child.stdin.write(GO)
            child.stdin.close()


def _environment(spec: ContainerSpec, volumes: Sequence[VolumeFolder]) -> Mapping[str, str]:
    """Nothing of ours passes, and of the customer's nothing that an interpreter or a loader would obey."""
    environment = {name: value for name, value in spec.env.items() if name in PARAMETERS}
    environment[MEMORY_LIMIT] = str(spec.memory_bytes)
    environment[CPU_LIMIT] = str(spec.cpu_cores)
    if volumes:
        environment[VOLUME_PATH] = str(volumes[0].path)
    return environment

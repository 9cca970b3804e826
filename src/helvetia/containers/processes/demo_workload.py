"""The built-in demo workload, a program of its own (`python -m …demo_workload`), with a known use of each resource.

Parameters from the environment: MEMORY_MB held resident, DISK_MB written to the working directory, VOLUME_MB to the
first volume, CPU the busy part of one core, SEND_BYTES_PER_S to the loopback interface (nothing leaves the machine),
RUN_SECONDS after which it ends with EXIT_CODE. Above its memory limit it ends with 137, like a container.
"""

import os
import socket
import sys
import time
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from helvetia.kernel.clock import SystemClock

PARAMETERS: Final = (
    "MEMORY_MB",
    "DISK_MB",
    "VOLUME_MB",
    "CPU",
    "SEND_BYTES_PER_S",
    "RUN_SECONDS",
    "EXIT_CODE",
)
MEMORY_LIMIT: Final = "HELVETIA_MEMORY_LIMIT_BYTES"
CPU_LIMIT: Final = "HELVETIA_CPU_LIMIT_CORES"
VOLUME_PATH: Final = "HELVETIA_VOLUME_PATH"
WAIT_OPTION: Final = "--wait-for-go"
GO: Final = b"go\n"
OUT_OF_MEMORY: Final = 137
WRONG_PARAMETER: Final = 64
_MB: Final = 2**20
_TICK_S: Final = 0.1
_DISK_MAX_MB: Final = 4_096
_DATAGRAM_BYTES: Final = 1_000


@dataclass(frozen=True, slots=True, kw_only=True)
class Parameters:
    memory_mb: int
    disk_mb: int
    volume_mb: int
    cpu: float
    send_bytes_per_s: int
    run_s: float
    exit_code: int


def read_parameters(env: Mapping[str, str]) -> Parameters:
    """Raises ValueError for what is not a number."""
    return Parameters(
        memory_mb=int(env.get("MEMORY_MB", "0")),
        disk_mb=min(int(env.get("DISK_MB", "0")), _DISK_MAX_MB),
        volume_mb=min(int(env.get("VOLUME_MB", "0")), _DISK_MAX_MB),
        cpu=max(0.0, min(float(env.get("CPU", "0")), float(env.get(CPU_LIMIT, "1")), 1.0)),
        send_bytes_per_s=int(env.get("SEND_BYTES_PER_S", "0")),
        run_s=float(env.get("RUN_SECONDS", "inf")),
        exit_code=int(env.get("EXIT_CODE", "0")),
    )


def main() -> int:
    """Wait for the word of the host, so that a host that dies before it wrote us down leaves nothing running."""
    if WAIT_OPTION in sys.argv and sys.stdin.buffer.readline() != GO:
        return 0
    env = os.environ  # noqa: TID251 - a program of its own: these are its parameters, not the product's settings
    try:
        parameters = read_parameters(env)
    except ValueError:
        return WRONG_PARAMETER
    if parameters.memory_mb * _MB > int(env.get(MEMORY_LIMIT, sys.maxsize)):
        return OUT_OF_MEMORY
    block = b"\x01" * (parameters.memory_mb * _MB)  # not zeros: the kernel would lend those without holding a page
    _write(Path("demo.bin"), parameters.disk_mb)
    if VOLUME_PATH in env:
        _write(Path(env[VOLUME_PATH]) / "demo.vol", parameters.volume_mb)
    _work(parameters)
    del block
    return parameters.exit_code


def _write(path: Path, size_mb: int) -> None:
    if size_mb > 0:
        with path.open("wb") as file:
            for _ in range(size_mb):
                file.write(b"\x01" * _MB)


def _work(parameters: Parameters) -> None:
    clock = SystemClock()
    ends_s = clock.monotonic() + parameters.run_s
    sent = 0
    started_s = clock.monotonic()
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as target:
        while (now_s := clock.monotonic()) < ends_s:
            while sent < (now_s - started_s) * parameters.send_bytes_per_s:
                sent += target.sendto(bytes(_DATAGRAM_BYTES), ("127.0.0.1", 9))
            while clock.monotonic() < now_s + _TICK_S * parameters.cpu:
                pass
            time.sleep(min(_TICK_S * (1 - parameters.cpu), max(0.0, ends_s - clock.monotonic())))


if __name__ == "__main__":
    sys.exit(main())

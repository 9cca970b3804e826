"""The script of a simulated container, read from its environment. Pure, integers only.

A size (`SIM_MEMORY_BYTES`, `SIM_LAYER_BYTES`, `SIM_VOLUME_BYTES`) is one number, or steps `bytes@seconds`:
"1000@0,5000@60" is 1000 bytes from the start and 5000 from its 60th second on. A rate (`SIM_BYTES_PER_S`,
`SIM_RECEIVED_BYTES_PER_S`) is bytes per second. `SIM_CPU_PERCENT` is of one core. `SIM_RUN_MS` ends the container by
itself that long after its start, with `SIM_EXIT_CODE`. `SIM_UNMEASURED=1`: the host cannot tell its bytes.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

from helvetia.kernel.quantity import BYTES_PER_MB

_SECOND_NS: Final = 1_000_000_000
_MILLISECOND_NS: Final = 1_000_000


@dataclass(frozen=True, slots=True, kw_only=True)
class Steps:
    """A size that holds from each instant to the next; instants count from the start."""

    steps: tuple[tuple[int, int], ...]

    def at(self, elapsed_ns: int) -> int:
        """The size at this time since the start; 0 before the first step."""
        return next((size for from_ns, size in reversed(self.steps) if from_ns <= elapsed_ns), 0)

    def highest_until(self, elapsed_ns: int) -> int:
        return max((size for from_ns, size in self.steps if from_ns <= elapsed_ns), default=0)


@dataclass(frozen=True, slots=True, kw_only=True)
class Profile:
    """What a container uses, as functions of the time since its start."""

    memory_bytes: Steps
    layer_bytes: Steps
    volume_bytes: Steps
    sent_bytes_per_s: int
    received_bytes_per_s: int
    cpu_percent: int
    run_ns: int | None
    exit_code: int
    is_network_measured: bool

    def sent_bytes(self, elapsed_ns: int) -> int:
        return elapsed_ns * self.sent_bytes_per_s // _SECOND_NS

    def received_bytes(self, elapsed_ns: int) -> int:
        return elapsed_ns * self.received_bytes_per_s // _SECOND_NS

    def cpu_ns(self, elapsed_ns: int) -> int:
        return elapsed_ns * self.cpu_percent // 100


def read_profile(env: Mapping[str, str]) -> Profile:
    """Raises ValueError when a figure is not a whole number that is not negative."""
    run_ms = env.get("SIM_RUN_MS")
    return Profile(
        memory_bytes=_steps(env.get("SIM_MEMORY_BYTES", str(64 * BYTES_PER_MB))),
        layer_bytes=_steps(env.get("SIM_LAYER_BYTES", "0")),
        volume_bytes=_steps(env.get("SIM_VOLUME_BYTES", "0")),
        sent_bytes_per_s=_whole(env.get("SIM_BYTES_PER_S", "0")),
        received_bytes_per_s=_whole(env.get("SIM_RECEIVED_BYTES_PER_S", "0")),
        cpu_percent=_whole(env.get("SIM_CPU_PERCENT", "0")),
        run_ns=None if run_ms is None else _whole(run_ms) * _MILLISECOND_NS,
        exit_code=_whole(env.get("SIM_EXIT_CODE", "0")),
        is_network_measured=env.get("SIM_UNMEASURED") != "1",
    )


def _steps(text: str) -> Steps:
    pairs = [step.partition("@") for step in text.split(",")]
    return Steps(steps=tuple(sorted((_whole(at_s or "0") * _SECOND_NS, _whole(size)) for size, _, at_s in pairs)))


def _whole(text: str) -> int:
    if not (text.isascii() and text.isdecimal()):
        raise ValueError(f"{text!r} is not a whole number")
    return int(text)

"""Which counters can be true: the bounds that hold for every reading, of this machine and of remote nodes alike. Pure.

They are far above what any machine does, and far below what a damaged counter says.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace

from helvetia.containers.model import ContainerCounters, Counts, StorageSize
from helvetia.kernel.quantity import NS_PER_S
from helvetia.metering.lifecycle.trace_runs import Sighting

MEMORY_BYTES_MAX = 2**46
SIZE_BYTES_MAX = 2**50
BYTES_PER_S_MAX = 2**37
CORES_MAX = 4_096


@dataclass(frozen=True, slots=True, kw_only=True)
class Absurd:
    """A reading of a run that was not believed, and why."""

    incarnation: str
    sampled_ns: int
    detail: str


def absurd_counter(counters: ContainerCounters | Counts, started_ns: int) -> str | None:
    """What of a reading cannot be, in a run that started then; None where all of it can.

    An engine writes a start down some thousandths late: a reading from just before it is no sign of damage.
    """
    lived_s = max(0, counters.sampled_ns - started_ns) // NS_PER_S + 1
    bounds = (
        ("memory", counters.memory_bytes, MEMORY_BYTES_MAX),
        ("peak memory", counters.memory_peak_bytes, MEMORY_BYTES_MAX),
        ("nanoseconds of CPU", counters.cpu_ns, lived_s * CORES_MAX * NS_PER_S),
        ("bytes sent", counters.transmitted_bytes, lived_s * BYTES_PER_S_MAX),
        ("bytes received", counters.received_bytes, lived_s * BYTES_PER_S_MAX),
        ("bytes sent outward", counters.external_bytes, counters.transmitted_bytes or 0),
    )
    return next((f"{name} {one}" for name, one, most in bounds if one is not None and not 0 <= one <= most), None)


def believable(sightings: Iterable[Sighting]) -> tuple[list[Sighting], list[Absurd]]:
    """A look without the readings that cannot be; its containers are there all the same."""
    found, absurd = list[Sighting](), list[Absurd]()
    for seen in sightings:
        started_ns, incarnation = seen.record.started_ns or 0, seen.record.incarnation or ""
        reasons = [absurd_counter(one, started_ns) for one in seen.readings]
        told = zip(seen.readings, reasons, strict=True)
        absurd += [
            Absurd(incarnation=incarnation, sampled_ns=one.sampled_ns, detail=f"{reason} cannot be; not counted")
            for one, reason in told
            if reason is not None
        ]
        kept = [one for one, reason in zip(seen.readings, reasons, strict=True) if reason is None]
        found.append(seen if len(kept) == len(seen.readings) else replace(seen, readings=kept))
    return found, absurd


def believable_sizes(sizes: Sequence[StorageSize]) -> Sequence[StorageSize]:
    """A size that cannot be was not read: its holder is there, and goes on with the last one."""
    return [
        replace(size, size_bytes=None) if not 0 <= (size.size_bytes or 0) <= SIZE_BYTES_MAX else size for size in sizes
    ]

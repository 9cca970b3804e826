"""Two clocks read side by side: when the wall clock went another way than the monotonic one, it was set, or it slept.

Pure. What lies between two readings of one boot can be compared, whoever took them and however long nobody looked.
"""

from dataclasses import dataclass
from typing import Self

from helvetia.kernel.clock import Clock, to_ns
from helvetia.kernel.quantity import NS_PER_S

STEP_MIN_NS = 5 * NS_PER_S
"""Clocks that part by less than this between two readings have not stepped."""

KEPT_EVERY_NS = 10 * NS_PER_S
"""So often both clocks are written down for whoever looks next; a step is written down at the look that shows it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ClockReading:
    """The wall clock and the monotonic clock at one instant; monotonic time of two boots says nothing."""

    boot_id: str
    wall_ns: int
    monotonic_ns: int

    @classmethod
    def of(cls, clock: Clock) -> Self:
        """Both clocks, now."""
        return cls(
            boot_id=clock.boot_id(),
            wall_ns=to_ns(clock.wall()),
            monotonic_ns=round(clock.monotonic() * NS_PER_S),
        )

    def is_after(self, former: "ClockReading") -> bool:
        """Whether it was taken after the other; of another boot it counts as later."""
        return self.boot_id != former.boot_id or self.monotonic_ns > former.monotonic_ns

    def step_since(self, former: "ClockReading") -> int:
        """By how many ns the wall clock was set since; 0 when it went on, or when nothing can be said."""
        if self.boot_id != former.boot_id:
            return 0
        step_ns = (self.wall_ns - former.wall_ns) - (self.monotonic_ns - former.monotonic_ns)
        return step_ns if abs(step_ns) > STEP_MIN_NS else 0


class ClockWatch:
    """Which of many readings of one process are to be kept: the first, those that show a step, and one now and then."""

    def __init__(self) -> None:
        self._kept: ClockReading | None = None
        self._last: ClockReading | None = None

    def must_keep(self, reading: ClockReading) -> bool:
        """Whether this one is to be written down; `note_kept` says that it was, and until then the next must be too."""
        last, self._last = self._last, reading
        if last is not None and reading.step_since(last):
            self._kept = None
        return self._kept is None or reading.monotonic_ns - self._kept.monotonic_ns >= KEPT_EVERY_NS

    def note_kept(self, reading: ClockReading) -> None:
        """It is safe now."""
        self._kept = reading


@dataclass(frozen=True, slots=True, kw_only=True)
class ClockStep:
    """A wall clock was set ahead by `step_ns` at some time between `since_ns` and `stepped_to_ns`, both as it shows."""

    since_ns: int
    stepped_to_ns: int
    step_ns: int

    def skipped_by(self, ends_ns: int | None) -> tuple[int, int]:
        """The stretch that a life (which ends then, or goes on) did not live.

        Nobody saw when the clock was set: it is taken to be when that makes the life shortest. One that was there
        before and after it has the same length whenever it was.
        """
        known_ns = self.stepped_to_ns if ends_ns is None else min(ends_ns, self.stepped_to_ns)
        from_ns = max(self.since_ns, known_ns - self.step_ns)
        return from_ns, from_ns + self.step_ns

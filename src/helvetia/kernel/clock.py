"""The only place where time is read.

Three clocks stand behind one object. `now()` is business time and may be simulated; `wall()` is real time, for
signatures, sessions, tokens and the 24 h life of a Stripe idempotency key; `monotonic()` measures durations.
"""

import functools
import time
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Final, Protocol
from uuid import uuid4

_BOOT_ID: Final = Path("/proc/sys/kernel/random/boot_id")


class Clock(Protocol):
    """Business time, real time and durations."""

    def now(self) -> datetime:
        """Business time, UTC; may be simulated."""
        ...

    def wall(self) -> datetime:
        """Real time, UTC; never simulated."""
        ...

    def monotonic(self) -> float:
        """Seconds on a clock that never steps; only differences mean anything."""
        ...

    def boot_id(self) -> str:
        """Names the run of the machine: what `monotonic()` says to two processes of one boot can be compared."""
        ...


class SystemClock:
    """Business time is real time."""

    def now(self) -> datetime:
        return self.wall()

    def wall(self) -> datetime:
        return datetime.now(UTC)  # noqa: TID251 - the one place

    def monotonic(self) -> float:
        return time.monotonic()  # noqa: TID251 - the one place

    def boot_id(self) -> str:
        return _boot_id()


class ShiftedClock(SystemClock):
    """Real time plus a shift: scenarios move business time ahead while the machine's own clock runs on."""

    def __init__(self, shift: timedelta = timedelta()) -> None:
        self._shift = shift

    def now(self) -> datetime:
        return self.wall() + self._shift

    def advance(self, by: timedelta) -> None:
        """Move business time ahead; it never goes back."""
        if by < timedelta():
            raise ValueError("business time never goes back")
        self._shift += by

    def advance_to(self, instant: datetime) -> None:
        """Move business time ahead to an instant, or leave it where it is when that has passed."""
        self.advance(max(timedelta(), instant - self.now()))


class ManualClock(SystemClock):
    """Business time stands still until it is moved: for tests and simulations."""

    def __init__(self, start: datetime) -> None:
        self._now = start.astimezone(UTC)

    def now(self) -> datetime:
        return self._now

    def advance(self, by: timedelta) -> None:
        """Move business time ahead; it never goes back."""
        if by < timedelta():
            raise ValueError("business time never goes back")
        self._now += by

    def advance_to(self, instant: datetime) -> None:
        """Move business time ahead to an instant, or leave it where it is when that has passed."""
        self.advance(max(timedelta(), instant - self._now))


@functools.cache
def _boot_id() -> str:
    """The kernel's name of this boot; where it gives none, a name of this process alone."""
    try:
        return _BOOT_ID.read_text().strip()
    except OSError:
        return str(uuid4())


_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_MICROSECOND = timedelta(microseconds=1)


def to_ns(instant: datetime) -> int:
    """Nanoseconds since the Unix epoch, exact."""
    return (instant - _EPOCH) // _MICROSECOND * 1_000


def from_ns(instant_ns: int) -> datetime:
    """The instant at or just before `instant_ns`, to the microsecond that a datetime can hold."""
    return _EPOCH + timedelta(microseconds=instant_ns // 1_000)


def to_unix_s(instant: datetime) -> int:
    """Whole seconds since the Unix epoch, rounded down."""
    return to_ns(instant) // 1_000_000_000


def from_unix_s(instant_s: int) -> datetime:
    return _EPOCH + timedelta(seconds=instant_s)

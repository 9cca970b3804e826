"""A metered house whose clock may be set and whose machine may boot again, while its collector runs or is away."""

from datetime import UTC, datetime, timedelta

from helvetia.database.pool import Database
from helvetia.kernel.clock import ManualClock
from helvetia.kernel.period import Period
from helvetia.metering.readers.host_reader import HostReader
from helvetia.metering.service import MeteringService
from support.metered_house import MeteredHouse

START = datetime(2026, 3, 10, 10, tzinfo=UTC)
EVER = Period(starts_at=START - timedelta(days=5), ends_at=START + timedelta(days=5))


class SettableClock(ManualClock):
    """One wall clock that may be set, and a monotonic one that never is."""

    def __init__(self, start: datetime) -> None:
        super().__init__(start)
        self.lived_s = 0.0
        self.boot = "first"

    def wall(self) -> datetime:
        return self._now

    def monotonic(self) -> float:
        return self.lived_s

    def boot_id(self) -> str:
        return self.boot

    def advance(self, by: timedelta) -> None:
        super().advance(by)
        self.lived_s += by.total_seconds()

    def set_by(self, step: timedelta) -> None:
        self._now += step

    def boot_again(self) -> None:
        self.boot += "+"
        self.lived_s = 0.0


class SettableHouse(MeteredHouse):
    clock: SettableClock

    def __init__(self, database: Database) -> None:
        super().__init__(database, START)
        self.clock = SettableClock(START)
        self.host._clock = self.clock
        self.restart()

    def restart(self) -> None:
        """The collector is a new process, which remembers nothing."""
        self.metering = self.another_collector()

    def another_collector(self) -> MeteringService:
        return MeteringService(self.database, self.clock, self.host, HostReader(self.host), self.config)

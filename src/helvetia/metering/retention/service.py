"""The ticks that keep metering's partitions and drop readings that have served.

Promises: killed anywhere, the next tick goes on; nothing that a total is made of is ever dropped; a reading is dropped
no sooner than 35 days after its billing period ended, for no period is longer than a month. Fails with
DatabaseUnavailable, changing nothing, when a table is too busy; the next tick tries again.
"""

from datetime import timedelta

import structlog

from helvetia.database.partitions import keep_partitions
from helvetia.database.pool import Database
from helvetia.kernel.clock import Clock
from helvetia.metering.model import MeteringConfig
from helvetia.metering.retention import store

_log = structlog.get_logger()


class RetentionService:
    """Partitions made ahead, and readings dropped in whole days."""

    def __init__(self, database: Database, clock: Clock, config: MeteringConfig) -> None:
        self._database = database
        self._clock = clock
        self._config = config

    async def keep_partitions(self) -> int:
        """Tick, at start and every hour: the next days and months have their partitions. How many were made."""
        made = 0
        for table in store.TABLES:
            async with self._database.transaction() as tx:
                made += await keep_partitions(tx, table, self._clock.now())
        return made

    async def drop_readings(self) -> int:
        """Tick, every few hours: drop the days whose periods are long over and counted. How many partitions went."""
        now = self._clock.now()
        async with self._database.transaction() as tx:
            until = await store.droppable_until(tx, now - timedelta(days=self._config.readings_kept_days))
            dropped = await store.drop_readings(tx, until, now=now)
        if dropped:
            _log.info("metering.readings_dropped", until=until.isoformat(), partitions=dropped)
        return dropped

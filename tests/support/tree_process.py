"""A worker's modules and its metering over a made-up tree, in a process of its own that tells what it weighs.

`python -m support.tree_process URL ACCOUNT SERVICE CONTAINERS TICKS`: prints resident bytes after the first half of
the ticks, and at the end.
"""

import asyncio
import os
import sys
import tempfile
from datetime import UTC, datetime, timedelta
from pathlib import Path
from uuid import UUID

import helvetia.cli.worker  # noqa: F401 - all that a worker loads
from helvetia.database.enums import DATABASE_ENUMS
from helvetia.database.pool import Database
from helvetia.kernel.identity import AccountId, ServiceId
from helvetia.metering.model import MeteringConfig
from helvetia.metering.readers.cgroup_reader import CgroupReader
from helvetia.metering.service import MeteringService
from support.cgroup_machine import Machine
from support.tree_host import SteppedClock, TreeHost

TICKS_A_MINUTE, TICKS_A_SIZE = 6, 30
STEP = timedelta(seconds=10)


def resident_bytes() -> int:
    return int(Path("/proc/self/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE")


async def live(url: str, owner: tuple[AccountId, ServiceId], containers: int, ticks: int, root: Path) -> None:
    database = Database(url, enums=DATABASE_ENUMS, connections_max=3)
    await database.open()
    clock, machine = SteppedClock(datetime(2026, 3, 10, 10, tzinfo=UTC)), Machine(root, 1)
    host = TreeHost(clock, machine, *owner)
    for number in range(containers):
        host.add(number)
    reader = CgroupReader(machine.layout, clock, proc_root=machine.proc)
    metering = MeteringService(database, clock, host, reader, MeteringConfig())
    for tick in range(ticks):
        clock.advance(STEP)
        assert await metering.sample() == containers
        if tick % TICKS_A_MINUTE == 0:
            await metering.sweep()
            await metering.roll_up()
            await metering.close_due()
        if tick % TICKS_A_SIZE == 0:
            await metering.sample_storage()
        if tick == ticks // 2:
            print(resident_bytes(), flush=True)
    print(resident_bytes(), flush=True)
    await database.close()


if __name__ == "__main__":
    url, account, service, containers, ticks = sys.argv[1:]
    with tempfile.TemporaryDirectory(prefix="hvtree") as directory:
        owner = AccountId(UUID(account)), ServiceId(UUID(service))
        asyncio.run(live(url, owner, int(containers), int(ticks), Path(directory)))

"""A collector as a process of its own, to be killed: `python -m support.collector_process URL INSTALLATION`."""

import asyncio
import sys

from helvetia.containers.docker_host import DockerHost
from helvetia.containers.errors import HostUnavailable
from helvetia.database.enums import DATABASE_ENUMS
from helvetia.database.pool import Database, DatabaseUnavailable
from helvetia.kernel.clock import SystemClock
from helvetia.metering.model import MeteringConfig
from helvetia.metering.readers.choose_reader import choose_reader
from helvetia.metering.service import MeteringService


async def collect(url: str, installation_id: str) -> None:
    database = Database(url, enums=DATABASE_ENUMS, connections_max=3)
    await database.open()
    host = DockerHost(installation_id, node="test-node", timeout_s=30)
    config = MeteringConfig(sample_interval_s=1, settle_s=0, keep_stopped_s=3600)
    metering = MeteringService(database, SystemClock(), host, await choose_reader(host), config)
    asyncio.get_running_loop().create_task(metering.watch_events(asyncio.Event()))
    print("ready", flush=True)
    while True:
        try:
            await metering.sample()
            await metering.sample_storage()
            await metering.sweep()
            await metering.roll_up()
            await metering.close_due()
        except (DatabaseUnavailable, HostUnavailable) as error:  # the next tick does the same again, as the worker's
            print(f"{error.code}: {error.detail} {error.__cause__!r}", file=sys.stderr, flush=True)
        await asyncio.sleep(0.1)


if __name__ == "__main__":
    asyncio.run(collect(*sys.argv[1:]))

"""The arrow run → removed container: the finalizer. The only caller of `ContainerHost.remove`.

A stopped container goes only after its record is in the ledger: its finish as the engine told it, and every piece
written up to that finish (pieces may still be open, waiting for their hour to settle: a late boundary works on stored
readings). A container of nobody is never touched. Fails with HostUnavailable; what was removed stays removed. One that
the engine refuses to remove is logged and tried again next time.
"""

import asyncio

import structlog

from helvetia.containers.errors import ContainerRefused, HostUnavailable
from helvetia.containers.model import ContainerHost, ContainerRecord, ContainerState
from helvetia.containers.store_transfers import share_owners, transfers_of
from helvetia.database.pool import Database, assert_no_transaction
from helvetia.kernel.clock import Clock, to_ns
from helvetia.metering import store_runs, store_storage
from helvetia.metering.model import MeteringConfig
from helvetia.metering.windows import store_parts

_log = structlog.get_logger()


async def remove_closed(
    database: Database, clock: Clock, host: ContainerHost, records: list[ContainerRecord], config: MeteringConfig
) -> int:
    """Remove those of the stopped containers whose record is complete; how many."""
    stopped_before_ns = to_ns(clock.now()) - config.keep_stopped_ns
    stopped = [
        one
        for one in records
        if one.state is ContainerState.EXITED
        and one.incarnation is not None
        and (one.finished_ns or one.created_ns) <= stopped_before_ns
    ]
    if not stopped:
        return 0
    async with database.transaction() as tx:
        complete = await store_runs.closed_incarnations(
            tx, {one.incarnation or "" for one in stopped}, {one.container_id for one in stopped}
        )
    removable = [one for one in stopped if one.incarnation in complete][: config.removals_max]
    removed = 0
    for record in removable:
        try:
            await _remove(database, clock, host, record.container_id, config)
        except ContainerRefused as error:
            _log.warning("metering.removal_refused", container_id=record.container_id, detail=error.detail)
        else:
            removed += 1
    return removed


async def _remove(
    database: Database, clock: Clock, host: ContainerHost, container_id: str, config: MeteringConfig
) -> None:
    assert_no_transaction()
    gone_ns = to_ns(clock.now())
    try:
        async with asyncio.timeout(config.host_timeout_s):
            await host.remove(container_id)
    except TimeoutError as error:
        raise HostUnavailable from error
    async with database.transaction() as tx:
        await share_owners(tx)
        services = await store_storage.mark_layer_gone(tx, container_id, gone_ns=gone_ns)
        await store_parts.split_holders(tx, await transfers_of(tx, services))

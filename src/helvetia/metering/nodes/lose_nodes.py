"""The arrow silence → end: what was last seen at a node that is not heard of any more ends there, and is counted.

Promises: nothing is counted past the last look; each end is told as a gap, and the whole as a priced task for the
operator. A node that comes back after all is believed: its runs and volumes go on as if they had never ended, and what
was closed meanwhile gets a difference. Fails with DatabaseUnavailable, changing nothing.
"""

import asyncio
from datetime import timedelta

import structlog

from helvetia.audit.store import record as record_decision
from helvetia.containers.errors import HostUnavailable
from helvetia.containers.model import ContainerHost
from helvetia.database.pool import Database, Transaction, assert_no_transaction
from helvetia.kernel.clock import Clock, to_ns
from helvetia.metering import store_runs
from helvetia.metering.errors import NodeNotFound
from helvetia.metering.model import Finding, FindingCause, FindingKind, MeteringConfig
from helvetia.metering.nodes import store
from helvetia.metering.nodes.model import Ended

WATCHDOG = "metering.lose_silent_nodes"
_log = structlog.get_logger()


class LostNodeService:
    """Ends what nobody hears of: by itself after a bound, or at an operator's word."""

    def __init__(self, database: Database, clock: Clock, host: ContainerHost, config: MeteringConfig) -> None:
        self._database = database
        self._clock = clock
        self._host = host
        self._config = config
        self._began_s = clock.monotonic()

    async def lose_silent_nodes(self) -> int:
        """Tick: give up nodes unheard of for `node_lost_after_s`. How many.

        Not right after a start, for then it was we who were away; nor this process's own host while it answers.
        """
        if self._clock.monotonic() - self._began_s < self._config.node_patience_s:
            return 0
        own = self._host.node if await self._own_host_answers() else None
        silent_since_ns = to_ns(self._clock.now() - timedelta(seconds=self._config.node_lost_after_s))
        async with self._database.transaction() as tx:
            silent = await store.silent_nodes(tx, seen_before_ns=silent_since_ns)
        lost = [node for node in silent if node != own]
        for node in lost:
            async with self._database.transaction() as tx:
                await store_runs.lock_node(tx, node)
                if node in await store.silent_nodes(tx, seen_before_ns=silent_since_ns):
                    await self._lose(tx, node, actor=WATCHDOG, reason="not heard of for too long")
        return len(lost)

    async def declare_lost(self, node: str, *, actor: str, reason: str) -> int:
        """End everything that was last seen at a node; how many runs, layers and volumes. Repeating it ends no more.

        Raises:
            NodeNotFound: nothing was ever seen there.
        """
        async with self._database.transaction() as tx:
            await store_runs.lock_node(tx, node)
            if not await store.has_lives(tx, node):
                raise NodeNotFound
            return await self._lose(tx, node, actor=actor, reason=reason)

    async def _lose(self, tx: Transaction, node: str, *, actor: str, reason: str) -> int:
        now = self._clock.now()
        runs = await store_runs.lock_unfinished_runs(tx, node)
        holders = await store.presume_gone(tx, node)
        await store_runs.save_runs(tx, [run.vanish() for run in runs])
        ended = [
            Ended(
                account_id=run.account_id, service_id=run.service_id, incarnation=run.incarnation, seen_ns=run.seen_ns
            )
            for run in runs
        ]
        ended += holders
        findings = [_gap(one, node, to_ns(now)) for one in ended]
        await store_runs.save_findings(tx, findings, recorded_at=now)
        if ended:
            detail = {"node": node, "runs": len(runs), "holders": len(holders)}
            await record_decision(
                tx, account_id=None, actor=actor, action="metering.node_lost", reason=reason, detail=detail, at=now
            )
            _log.warning("metering.node_lost", **detail)
        return len(ended)

    async def _own_host_answers(self) -> bool:
        assert_no_transaction()
        try:
            async with asyncio.timeout(self._config.host_timeout_s):
                await self._host.list_containers()
        except (HostUnavailable, TimeoutError):
            return False
        return True


def _gap(ended: Ended, node: str, now_ns: int) -> Finding:
    return Finding(
        account_id=ended.account_id,
        service_id=ended.service_id,
        incarnation=ended.incarnation,
        kind=FindingKind.GAP,
        cause=FindingCause.NODE_LOST,
        starts_ns=ended.seen_ns,
        ends_ns=max(ended.seen_ns, now_ns),
        detail=f"node {node} was not heard of any more; counted until it was last seen",
    )

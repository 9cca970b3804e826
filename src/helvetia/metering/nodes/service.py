"""The use cases of remote nodes: their tokens, and the arrow batch → ledger.

A batch may come twice, late, or in pieces: the same rows result. A node writes readings of its own containers only.
"""

import re
import secrets
from collections.abc import Collection, Sequence
from dataclasses import replace

from helvetia.accounts.secrets import hash_secret
from helvetia.containers.model import ContainerRecord, ContainerState, StorageSize
from helvetia.database.installation import read_installation_id
from helvetia.database.pool import Database
from helvetia.kernel.clock import Clock, to_ns
from helvetia.kernel.identity import ServiceId
from helvetia.metering.errors import ClockSkewed, InvalidNodeName, NodeNotFound, NodeRefused
from helvetia.metering.lifecycle.record_looks import LookRecorder
from helvetia.metering.nodes import store
from helvetia.metering.nodes.model import (
    SIZE_KINDS,
    SKEW_MAX_NS,
    BatchAnswer,
    ItemAnswer,
    Known,
    Node,
    NodeBatch,
    NodePost,
    PostAnswer,
    believed,
    believed_clocks,
    can_be,
    refusal,
)

TOKEN_PREFIX = "hvn_"  # noqa: S105 - the public beginning of every node token
_NAME = re.compile(r"[a-z0-9][a-z0-9.-]{0,62}", re.ASCII)


class NodeService:
    """Nodes elsewhere that sample by themselves."""

    def __init__(self, database: Database, clock: Clock) -> None:
        self._database = database
        self._clock = clock

    async def issue_token(self, node: str) -> str:
        """A new token of a node; the former one is void. Only its hash is kept. Raises InvalidNodeName."""
        if _NAME.fullmatch(node) is None:
            raise InvalidNodeName
        token = TOKEN_PREFIX + secrets.token_urlsafe(32)
        async with self._database.transaction() as tx:
            await store.save_token(tx, node, hash_secret(token), self._clock.wall())
        return token

    async def revoke_token(self, node: str) -> None:
        """Raises NodeNotFound when there is no such node with a token."""
        async with self._database.transaction() as tx:
            if not await store.revoke(tx, node, self._clock.wall()):
                raise NodeNotFound

    async def authenticate(self, token: str) -> Node:
        """Raises NodeRefused."""
        async with self._database.transaction() as tx:
            node = await store.find_by_token(tx, hash_secret(token))
        if node is None:
            raise NodeRefused
        return node

    async def list_nodes(self) -> Sequence[Node]:
        async with self._database.transaction() as tx:
            return await store.list_nodes(tx)

    async def installation_id(self) -> str:
        """What containers of this installation wear as a label."""
        return await read_installation_id(self._database)

    async def accept(self, node: Node, batch: NodeBatch, *, sent_ns: int) -> BatchAnswer:
        """Write what is believed of a batch.

        Raises:
            ClockSkewed: the node's clock is too far off; nothing was written.
        """
        now_ns = to_ns(self._clock.now())
        named = [one for item in batch.items if item is not None for one in (item.record, item.size) if one is not None]
        holders = {item.record.container_id for item in batch.items if item is not None and item.record is not None}
        holders |= {item.size.holder for item in batch.items if item is not None and item.size is not None}
        known = await self._meet(node, {one.service_id for one in named}, holders, sent_ns)
        reasons = [refusal(item, batch, node.node, known, now_ns) for item in batch.items]
        answers = [ItemAnswer(accepted=reason is None, reason=reason) for reason in reasons]
        kept = [item for item, answer in zip(batch.items, answers, strict=True) if answer.accepted and item is not None]
        looks = LookRecorder(self._database, self._clock, interval_ms=batch.interval_ms)
        records = [item.record for item in kept if item.record is not None]
        counters = [item.counters for item in kept if item.counters is not None]
        sizes = [item.size for item in kept if item.size is not None]
        sizes += _unsized(batch, answers)
        looked_ns = min(batch.looked_ns, now_ns)
        clocks = believed_clocks(batch, now_ns)
        if clocks is not None:
            await looks.record_clocks(node.node, clocks, clocks.wall_ns)
        gone: Sequence[str] = ()
        if batch.listed is not None:
            gone = sorted(await looks.unfinished(node.node, looked_ns) - set(batch.listed))
        if records or gone:
            told_ns = min(batch.told_ns, now_ns)
            await looks.record(node.node, records, counters, looked_ns, gone, told_ns=told_ns)
        if sizes or batch.held is not None:
            await looks.record_sizes(
                node.node, sizes, looked_ns, is_whole=batch.held is not None, held=batch.held or ()
            )
        return BatchAnswer(answers=answers, removable=await self._removable(node, records))

    async def accept_post(self, node: Node, post: NodePost, *, sent_ns: int) -> PostAnswer:
        """Write what is believed of several looks, in one transaction.

        Raises:
            ClockSkewed: the node's clock is too far off; nothing was written.
        """
        now_ns = to_ns(self._clock.now())
        records = [seen.record for seen in post.sightings if seen is not None]
        holders = {record.container_id for record in records}
        known = await self._meet(node, {record.service_id for record in records}, holders, sent_ns)
        judged = [believed(place, seen, node.node, known, now_ns) for place, seen in enumerate(post.sightings)]
        sightings = [seen for seen, _ in judged if seen is not None]
        looks = LookRecorder(self._database, self._clock, interval_ms=post.interval_ms)
        await looks.record_all_clocks(node.node, [one for one in post.clocks if can_be(one, now_ns)])
        gone, gone_ns = list[str](), min(post.listed_ns, now_ns)
        if post.listed is not None:
            gone = sorted(await looks.unfinished(node.node, gone_ns) - set(post.listed))
        if sightings or gone:
            await looks.record_sightings(node.node, sightings, gone, gone_ns=gone_ns)
        return PostAnswer(
            refused=[one for _, refusals in judged for one in refusals],
            removable=await self._removable(node, [seen.record for seen in sightings]),
        )

    async def _meet(
        self, node: Node, service_ids: Collection[ServiceId], holders: Collection[str], sent_ns: int
    ) -> Known:
        """Note that a node was heard of, and what the ledger knows of what it names. Raises ClockSkewed."""
        wall = self._clock.wall()
        ahead_ns = sent_ns - to_ns(wall)
        async with self._database.transaction() as tx:
            await store.note_seen(tx, node.node, wall, clock_ahead_ms=ahead_ns // 1_000_000)
            known = await store.known(tx, service_ids, holders)
        if abs(ahead_ns) > SKEW_MAX_NS:
            raise ClockSkewed(ahead_ms=ahead_ns // 1_000_000, tolerated_ms=SKEW_MAX_NS // 1_000_000)
        return known

    async def _removable(self, node: Node, records: Sequence[ContainerRecord]) -> Sequence[str]:
        """Those of the stopped containers whose record is complete."""
        stopped = [record.container_id for record in records if record.state is ContainerState.EXITED]
        if not stopped:
            return ()
        async with self._database.transaction() as tx:
            return await store.complete_containers(tx, node.node, stopped)


def _unsized(batch: NodeBatch, answers: Sequence[ItemAnswer]) -> list[StorageSize]:
    """Holders whose size is beyond belief: they are there all the same, or the end of the look would call them gone."""
    refused = [item for item, answer in zip(batch.items, answers, strict=True) if answer.reason == "absurd_counter"]
    sizes = [item.size for item in refused if item is not None and item.size is not None]
    return [replace(size, size_bytes=None) for size in sizes if size.kind in SIZE_KINDS]

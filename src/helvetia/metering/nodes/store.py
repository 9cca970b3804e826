"""All SQL of remote nodes and of what their batches name."""

from collections.abc import Collection, Sequence
from datetime import datetime

from psycopg.rows import class_row

from helvetia.database.pool import Transaction
from helvetia.kernel.clock import to_ns
from helvetia.kernel.identity import AccountId, ServiceId
from helvetia.metering.nodes.model import Ended, Known, Node

_NODE = "node, created_at, revoked_at, seen_at, clock_ahead_ms"


async def save_token(tx: Transaction, node: str, token_hash: bytes, at: datetime) -> None:
    """The one token of a node; a new one takes the place of the former."""
    await tx.execute(
        """INSERT INTO nodes (node, token_hash, created_at) VALUES (%s, %s, %s)
           ON CONFLICT (node) DO UPDATE SET token_hash = EXCLUDED.token_hash, revoked_at = NULL""",
        (node, token_hash, at),
    )


async def revoke(tx: Transaction, node: str, at: datetime) -> bool:
    cursor = await tx.execute("UPDATE nodes SET revoked_at = %s WHERE node = %s AND revoked_at IS NULL", (at, node))
    return cursor.rowcount > 0


async def find_by_token(tx: Transaction, token_hash: bytes) -> Node | None:
    async with tx.cursor(row_factory=class_row(Node)) as cursor:
        await cursor.execute(f"SELECT {_NODE} FROM nodes WHERE token_hash = %s AND revoked_at IS NULL", (token_hash,))
        return await cursor.fetchone()


async def list_nodes(tx: Transaction) -> Sequence[Node]:
    async with tx.cursor(row_factory=class_row(Node)) as cursor:
        await cursor.execute(f"SELECT {_NODE} FROM nodes ORDER BY node LIMIT 1000")
        return await cursor.fetchall()


async def note_seen(tx: Transaction, node: str, at: datetime, *, clock_ahead_ms: int) -> None:
    await tx.execute("UPDATE nodes SET seen_at = %s, clock_ahead_ms = %s WHERE node = %s", (at, clock_ahead_ms, node))


async def known(tx: Transaction, service_ids: Collection[ServiceId], holders: Collection[str]) -> Known:
    """Whose the services are and since when, and at which node containers and holders were seen before."""
    services = await tx.execute(
        """SELECT service_id, array_agg(account_id), min(created_at) FROM services WHERE service_id = ANY(%s)
           GROUP BY service_id""",
        (list(service_ids),),
    )
    found = {
        ServiceId(one): (frozenset(map(AccountId, owners)), to_ns(at)) for one, owners, at in await services.fetchall()
    }
    nodes = await tx.execute(
        """SELECT container_id, node FROM container_runs WHERE container_id = ANY(%(holders)s)
           UNION SELECT holder, node FROM storage_holders WHERE holder = ANY(%(holders)s)""",
        {"holders": list(holders)},
    )
    return Known(services=found, nodes=dict(await nodes.fetchall()))


async def complete_containers(tx: Transaction, node: str, container_ids: Collection[str]) -> Sequence[str]:
    """Those of these containers of a node all of whose runs are in the ledger for good."""
    cursor = await tx.execute(
        """SELECT container_id FROM container_runs WHERE node = %s AND container_id = ANY(%s) GROUP BY container_id
           HAVING bool_and(closed_at IS NOT NULL AND finished_ns IS NOT NULL AND NOT vanished)""",
        (node, list(container_ids)),
    )
    return [container_id for (container_id,) in await cursor.fetchall()]


async def silent_nodes(tx: Transaction, *, seen_before_ns: int) -> Sequence[str]:
    """Nodes of which something goes on as far as we know, and nothing at all was seen since."""
    cursor = await tx.execute(
        """SELECT node FROM (
               SELECT node, seen_ns FROM container_runs WHERE finished_ns IS NULL
               UNION ALL SELECT node, seen_ns FROM storage_holders WHERE gone_ns IS NULL
           ) AS life GROUP BY node HAVING max(seen_ns) < %s ORDER BY node""",
        (seen_before_ns,),
    )
    return [node for (node,) in await cursor.fetchall()]


async def has_lives(tx: Transaction, node: str) -> bool:
    """Whether anything was ever seen at a node."""
    cursor = await tx.execute(
        """SELECT FROM container_runs WHERE node = %(node)s
           UNION ALL SELECT FROM storage_holders WHERE node = %(node)s LIMIT 1""",
        {"node": node},
    )
    return await cursor.fetchone() is not None


async def presume_gone(tx: Transaction, node: str) -> Sequence[Ended]:
    """Every layer and volume of a node ends where it was last seen, until it is seen again."""
    await tx.execute(
        """SELECT FROM storage_holders WHERE node = %s AND gone_ns IS NULL
           ORDER BY account_id, service_id, holder FOR NO KEY UPDATE""",
        (node,),
    )
    async with tx.cursor(row_factory=class_row(Ended)) as cursor:
        await cursor.execute(
            """UPDATE storage_holders SET gone_ns = seen_ns, presumed_gone = true WHERE node = %s AND gone_ns IS NULL
               RETURNING account_id, service_id, holder AS incarnation, seen_ns""",
            (node,),
        )
        return await cursor.fetchall()

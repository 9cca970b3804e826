"""All SQL of storage holders (writable layers and volumes) and their sizes."""

from collections.abc import Collection, Mapping, Sequence
from datetime import datetime

from helvetia.containers.model import StorageSize
from helvetia.database.pool import Transaction
from helvetia.kernel.clock_steps import ClockStep
from helvetia.kernel.identity import AccountId, ServiceId
from helvetia.kernel.quantity import NS_PER_HOUR
from helvetia.metering.model import Life

Skipped = Mapping[str, Sequence[ClockStep]]
"""For each node, the stretches that its clock jumped over."""

_LIFE = "service_id, holder, first_ns, gone_ns, seen_ns, final_until_ns, node, of_holder"

# A holder that had gone and is there again was away in between: a size of 0 just after it went ends the former hold.
# One that was only presumed gone, with its node, was there all along: its last size is held on to the next.
_MARK_AWAY = """
INSERT INTO storage_readings (account_id, service_id, holder, sampled_ns, size_bytes, recorded_at)
SELECT h.account_id, h.service_id, h.holder, h.gone_ns + 1, 0, %(recorded_at)s
FROM storage_holders h
JOIN unnest(%(accounts)s::uuid[], %(services)s::uuid[], %(holders)s::text[], %(sampled)s::bigint[])
    AS n (account_id, service_id, holder, sampled_ns) USING (account_id, service_id, holder)
WHERE h.gone_ns < n.sampled_ns AND NOT h.presumed_gone
ON CONFLICT DO NOTHING
"""

_DROP_LOST_GAPS = """
DELETE FROM metering_findings f USING storage_holders h
JOIN unnest(%(accounts)s::uuid[], %(services)s::uuid[], %(holders)s::text[], %(sampled)s::bigint[])
    AS n (account_id, service_id, holder, sampled_ns) USING (account_id, service_id, holder)
WHERE h.presumed_gone AND h.gone_ns < n.sampled_ns AND f.account_id = h.account_id AND f.service_id = h.service_id
  AND f.incarnation = h.holder AND f.kind = 'gap' AND f.cause = 'node_lost'
"""

_SAVE_HOLDERS = f"""
INSERT INTO storage_holders AS h (account_id, service_id, holder, kind, node, first_ns, seen_ns)
SELECT n.account_id, n.service_id, n.holder, n.kind, %(node)s, n.sampled_ns, n.sampled_ns
FROM unnest(%(accounts)s::uuid[], %(services)s::uuid[], %(holders)s::text[], %(kinds)s::text[], %(sampled)s::bigint[])
    AS n (account_id, service_id, holder, kind, sampled_ns)
ON CONFLICT (account_id, service_id, holder) DO UPDATE SET
    seen_ns = greatest(h.seen_ns, EXCLUDED.seen_ns),
    final_until_ns = CASE WHEN h.gone_ns < EXCLUDED.seen_ns
            AND h.final_until_ns > h.gone_ns - mod(h.gone_ns, {NS_PER_HOUR})
        THEN h.gone_ns - mod(h.gone_ns, {NS_PER_HOUR}) ELSE h.final_until_ns END,
    closed_at = CASE WHEN h.gone_ns < EXCLUDED.seen_ns THEN NULL ELSE h.closed_at END,
    presumed_gone = h.presumed_gone AND h.gone_ns >= EXCLUDED.seen_ns,
    gone_ns = CASE WHEN h.gone_ns < EXCLUDED.seen_ns THEN NULL ELSE h.gone_ns END
"""

_INSERT_SIZES = """
INSERT INTO storage_readings (account_id, service_id, holder, sampled_ns, size_bytes, recorded_at)
SELECT n.account_id, n.service_id, n.holder, n.sampled_ns, n.size_bytes, %(recorded_at)s
FROM unnest(%(accounts)s::uuid[], %(services)s::uuid[], %(holders)s::text[], %(sampled)s::bigint[], %(sizes)s::bigint[])
    AS n (account_id, service_id, holder, sampled_ns, size_bytes) WHERE n.size_bytes IS NOT NULL
ON CONFLICT DO NOTHING
"""

# What is there and could not be sized: its last size is held on, and the stretch without one is told as a gap.
_SAVE_UNKNOWN = """
INSERT INTO metering_findings AS f (account_id, service_id, incarnation, kind, cause, starts_ns, ends_ns, detail,
    recorded_at)
SELECT n.account_id, n.service_id, n.holder, 'gap', 'size_unknown',
    coalesce((SELECT max(r.sampled_ns) FROM storage_readings r WHERE r.account_id = n.account_id
              AND r.service_id = n.service_id AND r.holder = n.holder AND r.sampled_ns <= n.sampled_ns), h.first_ns),
    n.sampled_ns, 'its size could not be read; the last one is held on', %(recorded_at)s
FROM unnest(%(accounts)s::uuid[], %(services)s::uuid[], %(holders)s::text[], %(sampled)s::bigint[], %(sizes)s::bigint[])
    AS n (account_id, service_id, holder, sampled_ns, size_bytes)
JOIN storage_holders h USING (account_id, service_id, holder) WHERE n.size_bytes IS NULL
ON CONFLICT (account_id, service_id, incarnation, kind, cause, starts_ns) DO UPDATE
    SET ends_ns = greatest(f.ends_ns, EXCLUDED.ends_ns)
"""

_LOCK_NODE_HOLDERS = """
SELECT FROM storage_holders WHERE node = %(node)s AND gone_ns IS NULL OR holder = ANY(%(holders)s)
ORDER BY account_id, service_id, holder FOR NO KEY UPDATE
"""

_MARK_GONE = """
UPDATE storage_holders SET gone_ns = seen_ns
WHERE node = %(node)s AND gone_ns IS NULL AND seen_ns < %(looked_ns)s
  AND coalesce(of_holder, holder) <> ALL(%(held)s::text[])
"""


async def save_sizes(
    tx: Transaction,
    node: str,
    sizes: Sequence[tuple[AccountId, StorageSize]],
    *,
    looked_ns: int,
    recorded_at: datetime,
    is_whole: bool = True,
    held: Collection[str] = (),
) -> None:
    """A look at a node: its sizes are stored; after a whole one, what is not there any more went when last seen.

    What is there without a size is there: it goes on with the last size that was read of it.
    """
    ordered = sorted(sizes, key=lambda one: (one[0], one[1].service_id, one[1].holder))
    values = {
        "node": node,
        "looked_ns": looked_ns,
        "recorded_at": recorded_at,
        "accounts": [account_id for account_id, _ in ordered],
        "services": [size.service_id for _, size in ordered],
        "holders": [size.holder for _, size in ordered],
        "kinds": [size.kind for _, size in ordered],
        "sampled": [size.sampled_ns for _, size in ordered],
        "sizes": [size.size_bytes for _, size in ordered],
    }
    statements = [_LOCK_NODE_HOLDERS, _DROP_LOST_GAPS, _MARK_AWAY, _SAVE_HOLDERS, _INSERT_SIZES]
    if any(size.size_bytes is None for _, size in ordered):
        statements.append(_SAVE_UNKNOWN)
    if is_whole:
        statements.append(_MARK_GONE)
        values["held"] = list(held)
    for statement in statements:
        await tx.execute(statement, values)


async def mark_layer_gone(tx: Transaction, container_id: str, *, gone_ns: int) -> Sequence[ServiceId]:
    """The layer of a container that we removed ourselves, at an instant just before. The services it was of."""
    cursor = await tx.execute(
        """UPDATE storage_holders SET gone_ns = greatest(seen_ns, %s)
           WHERE coalesce(of_holder, holder) = %s AND kind = 'layer' AND gone_ns IS NULL RETURNING service_id""",
        (gone_ns, container_id),
    )
    return [ServiceId(service_id) for (service_id,) in await cursor.fetchall()]


async def lock_open_holders(
    tx: Transaction, account_id: AccountId, readings_from_ns: int, skipped: Skipped
) -> list[Life]:
    """Holders of an account that are not counted for good, locked until the transaction ends."""
    cursor = await tx.execute(
        f"""SELECT {_LIFE} FROM storage_holders WHERE account_id = %s AND closed_at IS NULL
            ORDER BY account_id, service_id, holder FOR NO KEY UPDATE""",
        (account_id,),
    )
    return [
        Life(
            service_id=ServiceId(service_id),
            incarnation=holder,
            starts_ns=first_ns,
            ends_ns=gone_ns,
            seen_ns=seen_ns,
            final_until_ns=final_until_ns,
            readings_from_ns=readings_from_ns,
            skipped=skipped.get(node, ()),
            owned_from_ns=0 if of_holder is None else first_ns,
        )
        for service_id, holder, first_ns, gone_ns, seen_ns, final_until_ns, node, of_holder in await cursor.fetchall()
    ]


# A holder's latest size changes with its readings, by a trigger of theirs (migration 0025).
STORAGE_HELD = """
    SELECT coalesce(sum(h.size_bytes), 0) FROM storage_holders h WHERE h.account_id = %s AND h.gone_ns IS NULL
"""


async def storage_held_bytes(tx: Transaction, account_id: AccountId) -> int:
    """Bytes of all layers and volumes that are not gone, by their latest reading."""
    row = await (await tx.execute(STORAGE_HELD, (account_id,))).fetchone()
    return 0 if row is None else int(row[0])

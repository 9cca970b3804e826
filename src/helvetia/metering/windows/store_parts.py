"""All SQL of lives that change their owner: cutting them at a transfer, and what a part needs of the parts beside it.

A look writes sizes to the part of its time; whatever reaches past a transfer after that is cut there, in the same
transaction. Only services that were transferred are touched.
"""

from collections import defaultdict
from collections.abc import Collection, Mapping, Sequence
from dataclasses import replace
from itertools import pairwise

from helvetia.containers.model import StorageSize
from helvetia.containers.store_transfers import Transfer
from helvetia.database.pool import Transaction
from helvetia.kernel.identity import AccountId, ServiceId
from helvetia.kernel.quantity import NS_PER_HOUR
from helvetia.metering.model import Reading, Run, SizeReading
from helvetia.metering.store_pieces import LifeKey

_RUN_KEY = "account_id = %(account_id)s AND service_id = %(service_id)s AND incarnation = %(incarnation)s"

# Readings that were taken after the transfer and stored before it was known: a node's clock was a little ahead.
_MOVE_READINGS = """
UPDATE container_readings SET account_id = %(next_account_id)s, incarnation = %(next_incarnation)s
WHERE account_id = %(account_id)s AND service_id = %(service_id)s AND incarnation = %(incarnation)s
  AND sampled_ns > %(starts_ns)s
"""

# The highest counter until the transfer: by the pieces that are counted for good, and by the readings after these.
_RAISE_BASE = f"""
UPDATE container_runs next SET base_bytes = greatest(next.base_bytes, p.base_bytes + (
        SELECT coalesce(sum(u.quantity), 0) FROM usage_records u
        WHERE u.account_id = p.account_id AND u.service_id = p.service_id AND u.incarnation = p.incarnation
          AND u.metric = 'BANDWIDTH_GB' AND extract(epoch FROM u.period_start) * 1000000000 < p.final_until_ns
    ), (SELECT max(CASE WHEN p.counts_external THEN r.external_bytes ELSE r.transmitted_bytes END)
        FROM container_readings r
        WHERE r.account_id = p.account_id AND r.service_id = p.service_id AND r.incarnation = p.incarnation
          AND r.sampled_ns > coalesce(p.final_until_ns, 0) AND r.sampled_ns <= p.finished_ns
          AND r.sampled_ns >= coalesce(p.run_started_ns, p.started_ns)))
FROM (SELECT * FROM container_runs WHERE {_RUN_KEY}) AS p
WHERE next.account_id = %(next_account_id)s AND next.service_id = %(service_id)s
  AND next.incarnation = %(next_incarnation)s
"""

_READING = "r.sampled_ns, r.interval_ms, r.memory_bytes, r.transmitted_bytes, r.external_bytes"

_NEIGHBOURS = f"""
SELECT p.service_id, p.incarnation, n.* FROM unnest(%(services)s::uuid[], %(lives)s::text[]) AS k (service_id, life)
JOIN container_runs p ON p.account_id = %(account_id)s AND p.service_id = k.service_id AND p.incarnation = k.life
JOIN container_runs o ON o.container_id = p.container_id AND o.incarnation <> p.incarnation
    AND coalesce(o.run_started_ns, o.started_ns) = coalesce(p.run_started_ns, p.started_ns)
CROSS JOIN LATERAL (
    (SELECT {_READING} FROM container_readings r
     WHERE r.account_id = o.account_id AND r.service_id = o.service_id AND r.incarnation = o.incarnation
       AND r.memory_bytes IS NOT NULL AND r.sampled_ns BETWEEN p.run_started_ns AND p.started_ns
     ORDER BY r.sampled_ns DESC LIMIT 1)
    UNION ALL
    (SELECT {_READING} FROM container_readings r
     WHERE r.account_id = o.account_id AND r.service_id = o.service_id AND r.incarnation = o.incarnation
       AND r.memory_bytes IS NOT NULL AND r.sampled_ns > p.owned_until_ns
       AND r.sampled_ns <= coalesce(o.finished_ns, o.seen_ns)
     ORDER BY r.sampled_ns LIMIT 1)
) AS n
"""

_FORMER_SIZES = """
SELECT p.service_id, p.holder, n.sampled_ns, n.size_bytes
FROM unnest(%(services)s::uuid[], %(lives)s::text[]) AS k (service_id, life)
JOIN storage_holders p ON p.account_id = %(account_id)s AND p.service_id = k.service_id AND p.holder = k.life
JOIN storage_holders o ON o.service_id = p.service_id AND coalesce(o.of_holder, o.holder) = p.of_holder
    AND o.owned_until_ns <= p.first_ns
CROSS JOIN LATERAL (
    SELECT r.sampled_ns, r.size_bytes FROM storage_readings r
    WHERE r.account_id = o.account_id AND r.service_id = o.service_id AND r.holder = o.holder
      AND r.sampled_ns <= p.first_ns
    ORDER BY r.sampled_ns DESC LIMIT 1
) AS n
"""

_HOLDERS = """
SELECT account_id, service_id, holder, coalesce(of_holder, holder), first_ns, owned_until_ns
FROM storage_holders WHERE service_id = ANY(%s) ORDER BY first_ns
"""

_ADD_PART = """
INSERT INTO storage_holders (account_id, service_id, holder, kind, node, first_ns, seen_ns, gone_ns, presumed_gone,
    of_holder)
SELECT %(to)s, service_id, coalesce(of_holder, holder) || '@' || %(at_ns)s, kind, node, %(at_ns)s,
    greatest(seen_ns, %(at_ns)s), gone_ns, presumed_gone, coalesce(of_holder, holder)
FROM storage_holders
WHERE account_id = %(from)s AND service_id = %(service_id)s AND owned_until_ns IS NULL
  AND first_ns < %(at_ns)s AND greatest(seen_ns, gone_ns) > %(at_ns)s
ORDER BY holder ON CONFLICT DO NOTHING
"""

_MOVE_SIZES = """
UPDATE storage_readings r SET account_id = %(to)s, holder = coalesce(h.of_holder, h.holder) || '@' || %(at_ns)s
FROM storage_holders h
WHERE h.account_id = %(from)s AND h.service_id = %(service_id)s AND h.owned_until_ns IS NULL
  AND h.first_ns < %(at_ns)s AND greatest(h.seen_ns, h.gone_ns) > %(at_ns)s
  AND r.account_id = h.account_id AND r.service_id = h.service_id AND r.holder = h.holder AND r.sampled_ns > %(at_ns)s
"""

_END_PART = f"""
UPDATE storage_holders SET owned_until_ns = %(at_ns)s, gone_ns = %(at_ns)s, seen_ns = %(at_ns)s, closed_at = NULL,
    presumed_gone = false,
    final_until_ns = CASE WHEN final_until_ns > %(at_ns)s::bigint - mod(%(at_ns)s::bigint, {NS_PER_HOUR})
        THEN %(at_ns)s::bigint - mod(%(at_ns)s::bigint, {NS_PER_HOUR}) ELSE final_until_ns END
WHERE account_id = %(from)s AND service_id = %(service_id)s AND owned_until_ns IS NULL
  AND first_ns < %(at_ns)s AND greatest(seen_ns, gone_ns) > %(at_ns)s
"""


async def settle_parts(tx: Transaction, parts: Sequence[Run]) -> None:
    """Readings lie with the part of their time, and each part knows what was sent before it."""
    for part, following in pairwise(parts):
        values = {
            "account_id": part.account_id,
            "service_id": part.service_id,
            "incarnation": part.incarnation,
            "next_account_id": following.account_id,
            "next_incarnation": following.incarnation,
            "starts_ns": following.started_ns,
        }
        await tx.execute(_MOVE_READINGS, values)
        await tx.execute(_RAISE_BASE, values)


async def neighbours(
    tx: Transaction, account_id: AccountId, keys: Collection[LifeKey]
) -> Mapping[LifeKey, Sequence[Reading]]:
    """For parts of runs, the last reading of memory before them and the first after, which other owners hold."""
    found: dict[LifeKey, list[Reading]] = defaultdict(list)
    if not keys:
        return found
    cursor = await tx.execute(_NEIGHBOURS, _values(account_id, keys))
    for service_id, life, sampled_ns, interval_ms, memory_bytes, sent, external in await cursor.fetchall():
        reading = Reading(
            sampled_ns=sampled_ns,
            interval_ns=interval_ms * 1_000_000,
            memory_bytes=memory_bytes,
            transmitted_bytes=sent,
            external_bytes=external,
        )
        found[service_id, life].append(reading)
    return found


async def former_sizes(
    tx: Transaction, account_id: AccountId, keys: Collection[LifeKey]
) -> Mapping[LifeKey, Sequence[SizeReading]]:
    """For parts of holders, the last sizes before them, which former owners hold."""
    found: dict[LifeKey, list[SizeReading]] = defaultdict(list)
    if not keys:
        return found
    cursor = await tx.execute(_FORMER_SIZES, _values(account_id, keys))
    for service_id, life, sampled_ns, size_bytes in await cursor.fetchall():
        found[service_id, life].append(SizeReading(sampled_ns=sampled_ns, size_bytes=size_bytes))
    return found


async def route_sizes(
    tx: Transaction, sizes: Sequence[tuple[AccountId, StorageSize]], transfers: Mapping[ServiceId, Sequence[Transfer]]
) -> list[tuple[AccountId, StorageSize]]:
    """Each size under the part of its holder that it was read in; a new holder's under the owner of that time."""
    parts: dict[tuple[ServiceId, str], list[tuple[int, int | None, AccountId, str]]] = defaultdict(list)
    cursor = await tx.execute(_HOLDERS, (list(transfers),))
    for account_id, service_id, holder, of_holder, first_ns, until_ns in await cursor.fetchall():
        parts[service_id, of_holder].append((first_ns, until_ns, account_id, holder))
    routed = []
    for owner, size in sizes:
        known = parts.get((size.service_id, size.holder), ())
        own = [part for part in known if part[1] is None or size.sampled_ns <= part[1]]
        if own:
            routed.append((own[0][2], replace(size, holder=own[0][3])))
        else:
            routed.append((owner_at(transfers.get(size.service_id, ()), size.sampled_ns, owner), size))
    return routed


async def split_holders(tx: Transaction, transfers: Mapping[ServiceId, Sequence[Transfer]]) -> None:
    """Cut, at each transfer, every layer and volume of the service that has reached past it."""
    for service_id, own in transfers.items():
        for transfer in own:
            values = {
                "service_id": service_id,
                "from": transfer.from_account_id,
                "to": transfer.to_account_id,
                "at_ns": transfer.at_ns,
            }
            for statement in (_ADD_PART, _MOVE_SIZES, _END_PART):
                await tx.execute(statement, values)


def owner_at(transfers: Sequence[Transfer], instant_ns: int, owner: AccountId) -> AccountId:
    """Who owned the service at an instant; `owner` is who does now."""
    later = [one for one in transfers if instant_ns <= one.at_ns]
    return later[0].from_account_id if later else owner


def _values(account_id: AccountId, keys: Collection[LifeKey]) -> dict[str, object]:
    return {
        "account_id": account_id,
        "services": [service_id for service_id, _ in keys],
        "lives": [life for _, life in keys],
    }

"""All SQL of leaks and open gaps: what the operator should look at."""

from collections.abc import Sequence
from typing import Any

from psycopg.rows import dict_row

from helvetia.database.pool import Transaction
from helvetia.metering.model import NOBODY

SHOWN_MAX = 200

_STRAYS = """
SELECT cause, incarnation, service_id, starts_ns, recorded_at, detail FROM metering_findings
WHERE account_id = %s AND cause IN ('owner_unknown', 'storage_unowned') AND ends_ns >= %s
ORDER BY ends_ns DESC LIMIT %s
"""

# Runs that were seen lately and should have been stopped a while ago.
_UNWANTED = """
SELECT r.container_id, r.service_id, r.seen_ns, s.updated_at, h.placed_at, h.cause, g.memory_bytes
FROM container_runs r JOIN services s USING (account_id, service_id)
LEFT JOIN LATERAL (
    SELECT min(h.placed_at) AS placed_at, min(h.cause) AS cause FROM service_holds h
    WHERE h.account_id = r.account_id AND h.service_id = r.service_id
) AS h ON true
LEFT JOIN LATERAL (
    SELECT g.memory_bytes FROM container_readings g
    WHERE g.account_id = r.account_id AND g.service_id = r.service_id AND g.incarnation = r.incarnation
    ORDER BY g.sampled_ns DESC LIMIT 1
) AS g ON true
WHERE r.finished_ns IS NULL AND r.seen_ns >= %(seen_ns)s
  AND s.transferred_at IS NULL
  AND (h.placed_at < %(patience)s OR (s.wish = 'stopped' OR s.deleted_at IS NOT NULL) AND s.updated_at < %(patience)s)
ORDER BY r.seen_ns DESC LIMIT %(limit)s
"""

# What was given up with its node and did not come back, with its last level: what a day of it may be worth.
_LOST = """
SELECT r.node, 'run' AS kind, f.service_id, f.starts_ns, (
    SELECT g.memory_bytes FROM container_readings g
    WHERE g.account_id = r.account_id AND g.service_id = r.service_id AND g.incarnation = r.incarnation
      AND g.sampled_ns <= r.seen_ns AND g.sampled_ns > r.seen_ns - %(day_ns)s
    ORDER BY g.sampled_ns DESC LIMIT 1) AS held_bytes
FROM metering_findings f JOIN container_runs r USING (account_id, service_id, incarnation)
WHERE f.kind = 'gap' AND f.cause = 'node_lost' AND f.ends_ns >= %(since_ns)s
UNION ALL
SELECT h.node, h.kind, f.service_id, f.starts_ns, (
    SELECT g.size_bytes FROM storage_readings g
    WHERE g.account_id = h.account_id AND g.service_id = h.service_id AND g.holder = h.holder
      AND g.sampled_ns <= h.seen_ns AND g.sampled_ns > h.seen_ns - %(day_ns)s
    ORDER BY g.sampled_ns DESC LIMIT 1)
FROM metering_findings f JOIN storage_holders h
    ON h.account_id = f.account_id AND h.service_id = f.service_id AND h.holder = f.incarnation
WHERE f.kind = 'gap' AND f.cause = 'node_lost' AND f.ends_ns >= %(since_ns)s
ORDER BY node, starts_ns
"""

_OPEN_GAPS = """
SELECT cause, count(*) AS count, min(starts_ns) AS starts_ns FROM metering_findings
WHERE kind = 'gap' AND ends_ns >= %s GROUP BY cause ORDER BY cause
"""


async def strays(tx: Transaction, *, seen_ns: int) -> Sequence[dict[str, Any]]:
    """Containers and storage of nobody that were seen since an instant."""
    async with tx.cursor(row_factory=dict_row) as cursor:
        await cursor.execute(_STRAYS, (NOBODY, seen_ns, SHOWN_MAX))
        return await cursor.fetchall()


async def unwanted_runs(tx: Transaction, *, seen_ns: int, patience: Any) -> Sequence[dict[str, Any]]:
    """Containers that run although their service was held, stopped or deleted before `patience`."""
    async with tx.cursor(row_factory=dict_row) as cursor:
        await cursor.execute(_UNWANTED, {"seen_ns": seen_ns, "patience": patience, "limit": SHOWN_MAX})
        return await cursor.fetchall()


async def lost_lives(tx: Transaction, *, since_ns: int, day_ns: int) -> Sequence[dict[str, Any]]:
    """Runs, layers and volumes that ended with their node since an instant."""
    async with tx.cursor(row_factory=dict_row) as cursor:
        await cursor.execute(_LOST, {"since_ns": since_ns, "day_ns": day_ns})
        return await cursor.fetchall()


async def open_gaps(tx: Transaction, *, since_ns: int) -> Sequence[dict[str, Any]]:
    """Gaps that reach into the time since an instant, by cause."""
    async with tx.cursor(row_factory=dict_row) as cursor:
        await cursor.execute(_OPEN_GAPS, (since_ns,))
        return await cursor.fetchall()

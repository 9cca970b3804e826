"""All SQL that turns readings into rows of the ledger, always for all lives of one account at once."""

from collections import defaultdict
from collections.abc import Collection, Iterable, Mapping, Sequence
from datetime import datetime
from typing import Any

from helvetia.database.pool import Transaction
from helvetia.kernel.clock import from_ns, to_ns
from helvetia.kernel.identity import AccountId, ServiceId, new_id
from helvetia.kernel.quantity import NS_PER_HOUR, UsageMetric
from helvetia.metering.model import PieceKey, PlannedRow, Reading, SizeReading, WrittenPiece

LifeKey = tuple[ServiceId, str]
Ranges = Mapping[LifeKey, tuple[int, int]]
"""For each life: after the first instant, until the second; or from one window's edge to another."""

_RANGES = "unnest(%(services)s::uuid[], %(lives)s::text[], %(after)s::bigint[], %(until)s::bigint[])"
_NEED = f"{_RANGES} AS n (service_id, life, after_ns, until_ns)"
_WINDOWS = """unnest(%(services)s::uuid[], %(lives)s::text[], %(after)s::timestamptz[], %(until)s::timestamptz[])
    AS n (service_id, life, starts_at, ends_at)"""

_READINGS = f"""
SELECT n.service_id, n.life, r.sampled_ns, r.interval_ms, r.memory_bytes, r.transmitted_bytes, r.external_bytes
FROM {_NEED} JOIN container_readings r ON r.account_id = %(account_id)s AND r.service_id = n.service_id
    AND r.incarnation = n.life AND r.sampled_ns > n.after_ns AND r.sampled_ns <= n.until_ns
    AND r.sampled_ns > %(first)s AND r.sampled_ns <= %(last)s
"""

_READING_BEFORE = f"""
SELECT n.service_id, n.life, p.sampled_ns, p.interval_ms, p.memory_bytes, p.transmitted_bytes, p.external_bytes
FROM {_NEED} CROSS JOIN LATERAL (
    SELECT r.sampled_ns, r.interval_ms, r.memory_bytes, r.transmitted_bytes, r.external_bytes FROM container_readings r
    WHERE r.account_id = %(account_id)s AND r.service_id = n.service_id AND r.incarnation = n.life
      AND r.sampled_ns <= n.after_ns AND r.sampled_ns > %(since)s AND r.memory_bytes IS NOT NULL
    ORDER BY r.sampled_ns DESC LIMIT 1) AS p
"""

_SIZES = f"""
SELECT n.service_id, n.life, r.sampled_ns, r.size_bytes
FROM {_NEED} JOIN storage_readings r ON r.account_id = %(account_id)s AND r.service_id = n.service_id
    AND r.holder = n.life AND r.sampled_ns > n.after_ns AND r.sampled_ns <= n.until_ns
    AND r.sampled_ns > %(first)s AND r.sampled_ns <= %(last)s
"""

_SIZE_BEFORE = f"""
SELECT n.service_id, n.life, p.sampled_ns, p.size_bytes
FROM {_NEED} CROSS JOIN LATERAL (
    SELECT r.sampled_ns, r.size_bytes FROM storage_readings r
    WHERE r.account_id = %(account_id)s AND r.service_id = n.service_id AND r.holder = n.life
      AND r.sampled_ns <= n.after_ns AND r.sampled_ns > %(since)s
    ORDER BY r.sampled_ns DESC LIMIT 1) AS p
"""

_LOOK_BACK_NS = 6 * NS_PER_HOUR
"""The last reading before a range is looked for here first, which is in one or two partitions, then everywhere."""

_WRITTEN = f"""
SELECT n.service_id, n.life, u.metric, u.period_start, max(u.period_end), sum(u.quantity), max(u.revision),
    (array_agg(u.period_end ORDER BY u.revision DESC))[1], bool_or(u.closed_at IS NULL)
FROM {_WINDOWS} JOIN usage_records u ON u.account_id = %(account_id)s AND u.service_id = n.service_id
    AND u.incarnation = n.life AND u.metric = ANY(%(metrics)s)
    AND u.period_start >= n.starts_at AND u.period_start < n.ends_at
    AND u.period_start >= %(first)s AND u.period_start < %(last)s
GROUP BY n.service_id, n.life, u.metric, u.period_start
"""

# What was summed up to an edge is kept with the run, and only what came after it is added: pieces before the edge
# change only in a pass that counts from an earlier one, and that pass sums anew.
_COUNTED_BYTES = f"""
WITH counted AS (
    SELECT n.service_id, n.life, n.ends_at, coalesce(r.counted_bytes, 0) + (
        SELECT coalesce(sum(u.quantity), 0) FROM usage_records u
        WHERE u.account_id = %(account_id)s AND u.service_id = n.service_id AND u.incarnation = n.life
          AND u.metric = 'BANDWIDTH_GB' AND u.period_start >= coalesce(r.counted_until, n.starts_at)
          AND u.period_start < n.ends_at
          AND u.period_start >= %(first)s AND u.period_start < %(last)s) AS bytes
    FROM {_WINDOWS} LEFT JOIN container_runs r ON r.account_id = %(account_id)s AND r.service_id = n.service_id
        AND r.incarnation = n.life AND r.counted_until <= n.ends_at
), kept AS (
    UPDATE container_runs r SET counted_until = c.ends_at, counted_bytes = c.bytes FROM counted c
    WHERE r.account_id = %(account_id)s AND r.service_id = c.service_id AND r.incarnation = c.life
      AND r.counted_until IS DISTINCT FROM c.ends_at
)
SELECT service_id, life, bytes FROM counted
"""

_SAVE_ROWS = """
INSERT INTO usage_records (id, account_id, "timestamp", service_id, incarnation, metric, revision, quantity,
    period_start, period_end, closed_at, reading_count, first_reading_ns, last_reading_ns, bound)
SELECT r.id, %(account_id)s, %(now)s, r.service_id, r.incarnation, r.metric, r.revision, r.quantity, r.period_start,
    r.period_end, CASE WHEN r.is_closed THEN %(now)s::timestamptz END, r.reading_count, r.first_reading_ns,
    r.last_reading_ns, r.bound
FROM unnest(%(ids)s::uuid[], %(service_id)s::uuid[], %(incarnation)s::text[], %(metric)s::usage_metric[],
    %(revision)s::integer[], %(quantity)s::numeric[], %(period_start)s::timestamptz[], %(period_end)s::timestamptz[],
    %(is_closed)s::boolean[], %(reading_count)s::integer[], %(first_reading_ns)s::bigint[],
    %(last_reading_ns)s::bigint[], %(bound)s::text[])
    AS r (id, service_id, incarnation, metric, revision, quantity, period_start, period_end, is_closed, reading_count,
          first_reading_ns, last_reading_ns, bound)
ON CONFLICT (account_id, service_id, incarnation, metric, period_start, revision) DO UPDATE SET
    quantity = EXCLUDED.quantity, period_end = EXCLUDED.period_end, "timestamp" = EXCLUDED."timestamp",
    reading_count = EXCLUDED.reading_count, first_reading_ns = EXCLUDED.first_reading_ns,
    last_reading_ns = EXCLUDED.last_reading_ns, bound = EXCLUDED.bound
"""

_MARKS = """
unnest(%(services)s::uuid[], %(lives)s::text[], %(final)s::bigint[], %(whole)s::boolean[])
    AS n (service_id, life, final_ns, is_whole)
"""

_MARK_RUNS = f"""
UPDATE container_runs r SET final_until_ns = n.final_ns, closed_at = CASE WHEN n.is_whole THEN %(now)s::timestamptz END
FROM {_MARKS} WHERE r.account_id = %(account_id)s AND r.service_id = n.service_id AND r.incarnation = n.life
"""

_MARK_HOLDERS = f"""
UPDATE storage_holders h SET final_until_ns = n.final_ns, closed_at = CASE WHEN n.is_whole THEN %(now)s::timestamptz END
FROM {_MARKS} WHERE h.account_id = %(account_id)s AND h.service_id = n.service_id AND h.holder = n.life
"""

_ENDS_NS = "(extract(epoch FROM u.period_end) * 1000000000)::bigint"

_IS_FINAL = f"""
(EXISTS (SELECT FROM container_runs r WHERE r.account_id = u.account_id AND r.service_id = u.service_id
         AND r.incarnation = u.incarnation AND r.final_until_ns >= {_ENDS_NS})
 OR EXISTS (SELECT FROM storage_holders h WHERE h.account_id = u.account_id AND h.service_id = u.service_id
         AND h.holder = u.incarnation AND h.final_until_ns >= {_ENDS_NS}))
"""


def _values(account_id: AccountId, ranges: Ranges) -> dict[str, Any]:
    """The ranges, and the bounds of all of them: constants, by which the planner leaves out whole partitions."""
    keys = list(ranges)
    after, until = [ranges[key][0] for key in keys], [ranges[key][1] for key in keys]
    return {
        "account_id": account_id,
        "services": [service_id for service_id, _ in keys],
        "lives": [life for _, life in keys],
        "after": after,
        "until": until,
        "first": min(after, default=0),
        "last": max(until, default=0),
    }


def _windows(account_id: AccountId, ranges: Ranges) -> dict[str, Any]:
    values = _values(account_id, ranges)
    return {
        **values,
        "after": [from_ns(edge_ns) for edge_ns in values["after"]],
        "until": [from_ns(edge_ns) for edge_ns in values["until"]],
        "first": from_ns(values["first"]),
        "last": from_ns(values["last"]),
    }


async def _fetch_before(
    tx: Transaction, account_id: AccountId, ranges: Ranges, statement: str
) -> list[tuple[Any, ...]]:
    """The last row before each range: nearby in one statement, then anywhere for those that had none."""
    if not ranges:
        return []
    values = _values(account_id, ranges)
    near = await (await tx.execute(statement, {**values, "since": values["first"] - _LOOK_BACK_NS})).fetchall()
    found = {(row[0], row[1]) for row in near}
    left = {key: ranges[key] for key in ranges if key not in found}
    if not left:
        return near
    return near + await (await tx.execute(statement, {**_values(account_id, left), "since": -1})).fetchall()


def _only(ranges: Ranges, keys: Collection[LifeKey]) -> Ranges:
    return {key: ranges[key] for key in ranges if key in keys}


async def readings_in(
    tx: Transaction, account_id: AccountId, ranges: Ranges, continued: Collection[LifeKey]
) -> Mapping[LifeKey, list[Reading]]:
    """Readings in each range, and before it the last that measured memory of the lives that began before it."""
    found: dict[LifeKey, list[Reading]] = defaultdict(list)
    rows = await _fetch_before(tx, account_id, _only(ranges, continued), _READING_BEFORE)
    rows += await (await tx.execute(_READINGS, _values(account_id, ranges))).fetchall()
    for service_id, life, sampled_ns, interval_ms, memory_bytes, sent, external in rows:
        reading = Reading(
            sampled_ns=sampled_ns,
            interval_ns=interval_ms * 1_000_000,
            memory_bytes=memory_bytes,
            transmitted_bytes=sent,
            external_bytes=external,
        )
        found[service_id, life].append(reading)
    return found


async def sizes_in(
    tx: Transaction, account_id: AccountId, ranges: Ranges, continued: Collection[LifeKey]
) -> Mapping[LifeKey, list[SizeReading]]:
    """Sizes in each range, and the last before it of the holders that began before it."""
    found: dict[LifeKey, list[SizeReading]] = defaultdict(list)
    rows = await _fetch_before(tx, account_id, _only(ranges, continued), _SIZE_BEFORE)
    rows += await (await tx.execute(_SIZES, _values(account_id, ranges))).fetchall()
    for service_id, life, sampled_ns, size_bytes in rows:
        found[service_id, life].append(SizeReading(sampled_ns=sampled_ns, size_bytes=size_bytes))
    return found


async def counted_bytes(tx: Transaction, account_id: AccountId, ranges: Ranges) -> Mapping[LifeKey, int]:
    """Bytes of the pieces of each run before the end of its range, which begins where the run did.

    That is the highest counter seen by then. Only what was written since the last count is summed.
    """
    cursor = await tx.execute(_COUNTED_BYTES, _windows(account_id, ranges))
    return {(service_id, life): int(quantity) for service_id, life, quantity in await cursor.fetchall()}


async def written_pieces(
    tx: Transaction, account_id: AccountId, ranges: Ranges, metrics: Iterable[UsageMetric]
) -> Mapping[LifeKey, Mapping[PieceKey, WrittenPiece]]:
    """The ledger's pieces that start in each range."""
    cursor = await tx.execute(_WRITTEN, {**_windows(account_id, ranges), "metrics": list(metrics)})
    found: dict[LifeKey, dict[PieceKey, WrittenPiece]] = defaultdict(dict)
    for service_id, life, metric, start, furthest, quantity, revision, end, is_open in await cursor.fetchall():
        starts_ns = to_ns(start)
        found[service_id, life][metric, starts_ns] = WrittenPiece(
            metric=metric,
            starts_ns=starts_ns,
            ends_ns=to_ns(end),
            furthest_ns=to_ns(furthest),
            quantity=int(quantity),
            revision=revision,
            is_open=is_open,
        )
    return found


async def save_rows(tx: Transaction, account_id: AccountId, rows: Sequence[PlannedRow], *, now: datetime) -> None:
    """Insert rows, or rewrite the open ones among them; the database refuses to touch a closed one."""
    if not rows:
        return
    pieces = [row.piece for row in rows]
    values: dict[str, Any] = {
        name: [getattr(piece, name) for piece in pieces]
        for name in ("metric", "quantity", "reading_count", "first_reading_ns", "last_reading_ns", "bound")
    }
    await tx.execute(
        _SAVE_ROWS,
        {
            **values,
            "account_id": account_id,
            "now": now,
            "ids": [new_id() for _ in rows],
            "service_id": [row.life.service_id for row in rows],
            "incarnation": [row.life.incarnation for row in rows],
            "revision": [row.revision for row in rows],
            "is_closed": [row.is_closed for row in rows],
            "period_start": [from_ns(piece.starts_ns) for piece in pieces],
            "period_end": [from_ns(piece.ends_ns) for piece in pieces],
        },
    )


async def mark_final(
    tx: Transaction, account_id: AccountId, marks: Mapping[LifeKey, tuple[int, bool]], *, of_runs: bool, now: datetime
) -> None:
    """Until when each life is counted for good, and whether that is all of it."""
    if not marks:
        return
    values = {
        "account_id": account_id,
        "now": now,
        "services": [service_id for service_id, _ in marks],
        "lives": [life for _, life in marks],
        "final": [final_ns for final_ns, _ in marks.values()],
        "whole": [is_whole for _, is_whole in marks.values()],
    }
    await tx.execute(_MARK_RUNS if of_runs else _MARK_HOLDERS, values)


async def close_rows(
    tx: Transaction, account_id: AccountId, *, settled: datetime, known_until: datetime | None, now: datetime
) -> int:
    """Close what is final, ended at or before `settled` and, if that is given, before `known_until`."""
    cursor = await tx.execute(
        f"""UPDATE usage_records u SET closed_at = %(now)s
            WHERE u.account_id = %(account_id)s AND u.closed_at IS NULL AND u.period_end <= %(settled)s
              AND (%(known_until)s::timestamptz IS NULL OR u.period_end < %(known_until)s) AND {_IS_FINAL}""",
        {"account_id": account_id, "settled": settled, "known_until": known_until, "now": now},
    )
    return cursor.rowcount


async def close_rows_through(tx: Transaction, account_id: AccountId, *, through: datetime, now: datetime) -> int:
    """Close everything that ends at or before an instant, final or not; what comes later becomes a difference."""
    cursor = await tx.execute(
        "UPDATE usage_records SET closed_at = %s WHERE account_id = %s AND closed_at IS NULL AND period_end <= %s",
        (now, account_id, through),
    )
    return cursor.rowcount


async def accounts_with_open_lives(tx: Transaction) -> Sequence[AccountId]:
    """Accounts of which something is not counted for good."""
    cursor = await tx.execute(
        """SELECT account_id FROM container_runs WHERE closed_at IS NULL
           UNION SELECT account_id FROM storage_holders WHERE closed_at IS NULL ORDER BY account_id"""
    )
    return [AccountId(account_id) for (account_id,) in await cursor.fetchall()]


async def accounts_with_due_rows(tx: Transaction, settled: datetime) -> Sequence[AccountId]:
    """Accounts with open pieces that ended long enough ago."""
    cursor = await tx.execute(
        """SELECT DISTINCT account_id FROM usage_records WHERE closed_at IS NULL AND period_end <= %s
           ORDER BY account_id""",
        (settled,),
    )
    return [AccountId(account_id) for (account_id,) in await cursor.fetchall()]

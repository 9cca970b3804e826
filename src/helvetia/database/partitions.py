"""Tables in partitions by day or by month: made ahead, filled from the default one, and dropped in whole.

A row is never refused for want of a partition: what none covers lies in the default one, and `keep_partitions` moves it
into its own. Nothing here blocks readers for long: a new partition is made beside its table and then attached.
"""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum
from typing import Any

from helvetia.database.pool import Transaction
from helvetia.kernel.clock import from_ns, to_ns

SLICES_PER_PASS_MAX = 400
"""So many partitions are made of the default one at a time; the rest stays in it until the next pass."""

_TO_EDGE = re.compile(r"TO \('?([^')]+)'?\)")

_PARTITIONS = """
SELECT c.relname, pg_get_expr(c.relpartbound, c.oid) FROM pg_inherits i JOIN pg_class c ON c.oid = i.inhrelid
WHERE i.inhparent = to_regclass(%s) ORDER BY c.relname
"""


class Span(StrEnum):
    """How much one partition holds, in UTC."""

    DAY = "day"
    MONTH = "month"

    def floor(self, instant: datetime) -> datetime:
        """The edge at or before an instant."""
        midnight = instant.replace(hour=0, minute=0, second=0, microsecond=0)
        return midnight if self is Span.DAY else midnight.replace(day=1)

    def next(self, edge: datetime) -> datetime:
        """The edge after an edge."""
        return self.floor(edge + timedelta(days=1 if self is Span.DAY else 31))

    def label(self, edge: datetime) -> str:
        return f"d{edge:%Y%m%d}" if self is Span.DAY else f"m{edge:%Y%m}"


@dataclass(frozen=True, slots=True, kw_only=True)
class PartitionedTable:
    """A table partitioned by a column of instants: timestamptz, or nanoseconds since the epoch."""

    name: str
    column: str
    span: Span
    is_ns: bool
    ahead: int

    @property
    def default(self) -> str:
        return f"{self.name}_default"

    def value(self, edge: datetime) -> object:
        return to_ns(edge) if self.is_ns else edge

    def edge(self, value: Any) -> datetime:
        return from_ns(int(value)) if self.is_ns else datetime.fromisoformat(str(value))


@dataclass(frozen=True, slots=True, kw_only=True)
class Partition:
    """One partition; `ends_at` is None for the default one."""

    name: str
    ends_at: datetime | None


async def list_partitions(tx: Transaction, table: PartitionedTable) -> Sequence[Partition]:
    """Every partition of a table."""
    await tx.execute("SET LOCAL TimeZone = 'UTC'")
    found = []
    for name, bound in await (await tx.execute(_PARTITIONS, (table.name,))).fetchall():
        match = _TO_EDGE.search(bound)
        found.append(Partition(name=name, ends_at=None if match is None else table.edge(match[1])))
    return found


async def keep_partitions(tx: Transaction, table: PartitionedTable, now: datetime) -> int:
    """Make the present partition and the next ones, and those that the default one's rows need; how many.

    Repeating it changes nothing. Raises DatabaseUnavailable, changing nothing, when a lock cannot be had in time.
    """
    await _lock(tx, table)
    edges = [table.span.floor(now)]
    for _ in range(table.ahead):
        edges.append(table.span.next(edges[-1]))
    strays = await _edges_in_default(tx, table)
    if strays:
        await tx.execute(f"CREATE TEMP TABLE aside ON COMMIT DROP AS SELECT * FROM {table.default}")
        await tx.execute(f"TRUNCATE {table.default}")
    partitions = await list_partitions(tx, table)
    made = [edge for edge in sorted({*edges, *strays}) if not _is_covered(table, partitions, edge)]
    for edge in made:
        await _make(tx, table, edge, has_rows=edge in strays)
    if strays:
        after = table.span.next(max(strays))
        values = (table.value(min(strays)), table.value(after))
        await tx.execute(
            f"INSERT INTO {table.default} SELECT * FROM aside WHERE NOT ({table.column} >= %s AND {table.column} < %s)",
            values,
        )
        await tx.execute("DROP TABLE aside")
    return len(made)


async def drop_until(tx: Transaction, table: PartitionedTable, until: datetime) -> Sequence[str]:
    """Drop every partition that ends at or before an instant, with all its rows; their names."""
    await _lock(tx, table)
    partitions = await list_partitions(tx, table)
    names = [one.name for one in partitions if one.ends_at is not None and one.ends_at <= until]
    for name in names:
        await tx.execute(f"DROP TABLE {name}")
    return names


async def _lock(tx: Transaction, table: PartitionedTable) -> None:
    """One at a time; and rather not today than hold up every reader behind us."""
    await tx.execute("SET LOCAL lock_timeout = '2s'")
    await tx.execute("SET LOCAL TimeZone = 'UTC'")
    await tx.execute("SELECT pg_advisory_xact_lock(hashtextextended('partitions of ' || %s, 0))", (table.name,))


async def _edges_in_default(tx: Transaction, table: PartitionedTable) -> list[datetime]:
    """The spans, oldest first, of rows that lie in the default partition; it is locked when there are any."""
    if await (await tx.execute(f"SELECT FROM {table.default} LIMIT 1")).fetchone() is None:
        return []
    await tx.execute(f"LOCK TABLE {table.default} IN ACCESS EXCLUSIVE MODE")
    edges: list[datetime] = []
    values: tuple[object, ...] = ()
    where = "true"
    while len(edges) < SLICES_PER_PASS_MAX:
        row = await (
            await tx.execute(f"SELECT min({table.column}) FROM {table.default} WHERE {where}", values)
        ).fetchone()
        if row is None or row[0] is None:
            break
        edges.append(table.span.floor(from_ns(row[0]) if table.is_ns else row[0]))
        where, values = f"{table.column} >= %s", (table.value(table.span.next(edges[-1])),)
    return edges


def _is_covered(table: PartitionedTable, partitions: Sequence[Partition], edge: datetime) -> bool:
    """Whether the span has its partition, or lies in the first one, which holds all that was there before."""
    names = {one.name for one in partitions}
    before = [one.ends_at for one in partitions if one.name == f"{table.name}_before" and one.ends_at is not None]
    return f"{table.name}_{table.span.label(edge)}" in names or any(edge < ends_at for ends_at in before)


async def _make(tx: Transaction, table: PartitionedTable, edge: datetime, *, has_rows: bool) -> None:
    name = f"{table.name}_{table.span.label(edge)}"
    starts, ends = table.value(edge), table.value(table.span.next(edge))
    await tx.execute(f"CREATE TABLE {name} (LIKE {table.name} INCLUDING ALL)")
    if has_rows:
        await tx.execute(
            f"INSERT INTO {name} SELECT * FROM aside WHERE {table.column} >= %s AND {table.column} < %s", (starts, ends)
        )
    await tx.execute(f"ALTER TABLE {table.name} ATTACH PARTITION {name} FOR VALUES FROM ('{starts}') TO ('{ends}')")

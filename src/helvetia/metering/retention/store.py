"""All SQL of retention: how far readings may be dropped, and until where they were.

The horizon is the edge from which every reading that counts is there. It is an hour after the last dropped day, because
memory is held from a reading to the next; sizes are held for longer, so the last one of each holder is carried on.
"""

from datetime import datetime

from helvetia.database.partitions import PartitionedTable, Span, drop_until
from helvetia.database.pool import Transaction
from helvetia.kernel.clock import from_ns, to_ns
from helvetia.kernel.quantity import NS_PER_HOUR

READINGS = PartitionedTable(name="container_readings", column="sampled_ns", span=Span.DAY, is_ns=True, ahead=7)
SIZES = PartitionedTable(name="storage_readings", column="sampled_ns", span=Span.DAY, is_ns=True, ahead=7)
LEDGER = PartitionedTable(name="usage_records", column="period_start", span=Span.MONTH, is_ns=False, ahead=2)
TABLES = (READINGS, SIZES, LEDGER)

# Where counting goes on for each life that is not counted for good: its readings from there on are still wanted.
_WANTED = """
SELECT least((SELECT min(coalesce(final_until_ns, started_ns)) FROM container_runs WHERE closed_at IS NULL),
             (SELECT min(coalesce(final_until_ns, first_ns)) FROM storage_holders WHERE closed_at IS NULL))
"""

_CARRY = """
INSERT INTO storage_readings (account_id, service_id, holder, sampled_ns, size_bytes, recorded_at)
SELECT h.account_id, h.service_id, h.holder, %(until_ns)s, latest.size_bytes, %(now)s
FROM storage_holders h CROSS JOIN LATERAL (
    SELECT r.size_bytes FROM storage_readings r
    WHERE r.account_id = h.account_id AND r.service_id = h.service_id AND r.holder = h.holder
      AND r.sampled_ns <= %(until_ns)s
    ORDER BY r.sampled_ns DESC LIMIT 1
) AS latest
WHERE h.gone_ns IS NULL OR h.gone_ns > %(until_ns)s
ON CONFLICT DO NOTHING
"""


async def droppable_until(tx: Transaction, wanted_until: datetime) -> datetime:
    """The last edge of a day up to which no reading is wanted any more."""
    row = await (await tx.execute(_WANTED)).fetchone()
    if row is not None and row[0] is not None:
        wanted_until = min(wanted_until, from_ns(row[0] - NS_PER_HOUR))
    return Span.DAY.floor(wanted_until)


async def drop_readings(tx: Transaction, until: datetime, *, now: datetime) -> int:
    """Drop readings before the edge of a day; how many partitions went. What they were counted to stays."""
    await tx.execute(_CARRY, {"until_ns": to_ns(until), "now": now})
    names = [*await drop_until(tx, READINGS, until), *await drop_until(tx, SIZES, until)]
    if names:
        await tx.execute(
            "UPDATE metering_horizon SET readings_from_ns = greatest(readings_from_ns, %s)",
            (to_ns(until) + NS_PER_HOUR,),
        )
    return len(names)

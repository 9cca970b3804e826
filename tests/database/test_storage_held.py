"""What storage is held is told by each holder's latest reading, however long ago that was."""

from datetime import UTC, datetime

from helvetia.database.pool import Database
from helvetia.kernel.clock import to_ns
from helvetia.kernel.quantity import NS_PER_HOUR
from helvetia.metering.store_storage import storage_held_bytes
from support.usage_world import open_account

NOW = datetime(2026, 3, 10, 10, 17, 23, tzinfo=UTC)
NOW_NS = to_ns(NOW)


async def test_holder_whose_size_was_not_told_for_days_counts_by_its_last_one(database: Database) -> None:
    account_id, (service_id, _) = await open_account(database, NOW)
    told_h = {"now": (0, 30, 1_000), "long ago": (24 * 20, 24 * 40, 20_000), "never": (), "gone": (0,)}
    async with database.transaction() as tx:
        for holder, hours in told_h.items():
            await tx.execute(
                "INSERT INTO storage_holders (account_id, service_id, holder, kind, node, first_ns, seen_ns, gone_ns)"
                " VALUES (%s, %s, %s, 'layer', 'n', 0, %s, %s)",
                (account_id, service_id, holder, NOW_NS, NOW_NS if holder == "gone" else None),
            )
            for at, back in enumerate(hours, start=1):
                await tx.execute(
                    "INSERT INTO storage_readings (account_id, service_id, holder, sampled_ns, size_bytes, recorded_at)"
                    " VALUES (%s, %s, %s, %s, %s, %s)",
                    (account_id, service_id, holder, NOW_NS - back * NS_PER_HOUR, 10**at, NOW),
                )
        assert await storage_held_bytes(tx, account_id) == 20

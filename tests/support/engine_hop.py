"""The first hop of every account on a database, from the engine to the ledger: equal in whatever was lived."""

from datetime import datetime, timedelta

from helvetia.database.pool import Transaction
from helvetia.kernel.identity import AccountId
from helvetia.kernel.period import Period, floor_hour
from helvetia.meter_reports.settlement.compare_usage import ENGINE_LOOKS_BACK, ENGINE_SETTLES_IN
from helvetia.meter_reports.settlement.store_engine import EngineDifference, engine_differences


async def engine_hop(
    tx: Transaction, now: datetime, *, settles_in: timedelta = ENGINE_SETTLES_IN
) -> dict[AccountId, list[EngineDifference]]:
    """The differences of whole hours, as the nightly comparison would find them now, by account."""
    ends_at = floor_hour(now - settles_in)
    range_ = Period(starts_at=ends_at - ENGINE_LOOKS_BACK, ends_at=ends_at)
    cursor = await tx.execute("SELECT account_id FROM metering_accounts ORDER BY account_id")
    found = {AccountId(row[0]): await engine_differences(tx, row[0], range_) for row in await cursor.fetchall()}
    return {account_id: differences for account_id, differences in found.items() if differences}

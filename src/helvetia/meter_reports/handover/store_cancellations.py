"""SQL of ending subscriptions: what still runs, and until when the last run went."""

from datetime import datetime

from helvetia.containers.model import HoldCause
from helvetia.containers.store_holds import lift_holds, place_holds
from helvetia.database.pool import Transaction
from helvetia.kernel.clock import from_ns
from helvetia.kernel.identity import AccountId, ServiceId


async def running_count(tx: Transaction, account_id: AccountId) -> int:
    """Runs of the account whose end the engine has not told yet."""
    cursor = await tx.execute(
        "SELECT count(*) FROM container_runs WHERE account_id = %s AND finished_ns IS NULL", (account_id,)
    )
    row = await cursor.fetchone()
    return 0 if row is None else int(row[0])


async def last_finish_at(tx: Transaction, account_id: AccountId) -> datetime | None:
    cursor = await tx.execute("SELECT max(finished_ns) FROM container_runs WHERE account_id = %s", (account_id,))
    row = await cursor.fetchone()
    return None if row is None or row[0] is None else from_ns(row[0])


async def turn_holds_over(tx: Transaction, account_id: AccountId, *, placed_by: str, at: datetime) -> None:
    """The holds of this placer become holds for payment, which end when the account subscribes or chooses FREE."""
    cursor = await tx.execute(
        """SELECT service_id FROM service_holds
           WHERE account_id = %s AND cause = 'operator' AND placed_by = %s""",
        (account_id, placed_by),
    )
    services = [ServiceId(service_id) for (service_id,) in await cursor.fetchall()]
    await lift_holds(tx, account_id, HoldCause.OPERATOR, services, at=at)
    await place_holds(
        tx,
        account_id,
        services,
        HoldCause.PAYMENT,
        reason="The subscription has ended.",
        placed_by=placed_by,
        pass_id=None,
        at=at,
    )

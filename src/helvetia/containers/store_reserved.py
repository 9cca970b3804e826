"""SQL of what an account's services reserve."""

from decimal import Decimal

from helvetia.database.pool import Transaction
from helvetia.kernel.identity import AccountId


async def reserved(tx: Transaction, account_id: AccountId) -> tuple[int, int, Decimal]:
    """Services that are not deleted, and the memory (MB) and cores that those wished to run reserve, all replicas."""
    row = await (
        await tx.execute(
            """SELECT count(*), coalesce(sum(memory_mb * replicas) FILTER (WHERE wish = 'running'), 0),
                   coalesce(sum(cpu_cores * replicas) FILTER (WHERE wish = 'running'), 0)
               FROM services WHERE account_id = %s AND deleted_at IS NULL""",
            (account_id,),
        )
    ).fetchone()
    return (0, 0, Decimal(0)) if row is None else (int(row[0]), int(row[1]), Decimal(row[2]))

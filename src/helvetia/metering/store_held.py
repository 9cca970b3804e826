"""SQL of what is held right now, by the latest readings."""

from helvetia.database.pool import Transaction
from helvetia.kernel.identity import AccountId

_HELD = """
    SELECT coalesce(sum(latest.size_bytes), 0) FROM storage_holders h
    CROSS JOIN LATERAL (
        SELECT r.size_bytes FROM storage_readings r
        WHERE r.account_id = h.account_id AND r.service_id = h.service_id AND r.holder = h.holder
        ORDER BY r.sampled_ns DESC LIMIT 1
    ) AS latest
    WHERE h.account_id = %s AND h.gone_ns IS NULL
"""


async def storage_held_bytes(tx: Transaction, account_id: AccountId) -> int:
    """Bytes of all layers and volumes that are not gone, by their latest reading."""
    row = await (await tx.execute(_HELD, (account_id,))).fetchone()
    return 0 if row is None else int(row[0])

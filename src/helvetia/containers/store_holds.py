"""All SQL of holds on many services at once, and of what an account's services reserve.

Whoever places or lifts here has locked the account. The wish of a service is never touched.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal
from uuid import UUID

from psycopg.rows import class_row

from helvetia.containers.model import HoldCause
from helvetia.database.pool import Transaction
from helvetia.kernel.clock import to_ns
from helvetia.kernel.identity import AccountId, ServiceId


@dataclass(frozen=True, slots=True, kw_only=True)
class HeldService:
    """A service as holds see it: what it reserves, and the causes that hold it."""

    service_id: ServiceId
    name: str
    is_wished: bool
    memory_mb: int
    cpu_cores: Decimal
    replicas: int
    causes: Sequence[str]
    held_at: datetime | None


_KEPT = """
SELECT s.service_id, s.name, s.wish = 'running' AS is_wished, s.memory_mb, s.cpu_cores, s.replicas,
       coalesce(h.causes, '{}') AS causes, h.held_at
FROM services s LEFT JOIN LATERAL (
    SELECT array_agg(h.cause ORDER BY h.cause) AS causes, min(h.placed_at) AS held_at FROM service_holds h
    WHERE h.account_id = s.account_id AND h.service_id = s.service_id
) AS h ON true
WHERE s.account_id = %s AND s.deleted_at IS NULL
ORDER BY s.stop_rank DESC NULLS FIRST, s.created_at, s.service_id
"""

_PLACE = """
WITH placed AS (
    INSERT INTO service_holds (account_id, service_id, cause, reason, placed_by, placed_at, pass_id)
    SELECT %(account_id)s, one, %(cause)s, %(reason)s, %(placed_by)s, %(at)s, %(pass_id)s
    FROM unnest(%(services)s::uuid[]) AS one
    ON CONFLICT DO NOTHING RETURNING service_id
), touched AS (
    UPDATE services SET updated_at = %(at)s
    WHERE account_id = %(account_id)s AND service_id IN (SELECT service_id FROM placed)
)
SELECT service_id FROM placed
"""

_LIFT = """
WITH lifted AS (
    DELETE FROM service_holds
    WHERE account_id = %(account_id)s AND cause = %(cause)s
      AND (%(services)s::uuid[] IS NULL OR service_id = ANY(%(services)s::uuid[])) RETURNING service_id
), touched AS (
    UPDATE services SET updated_at = %(at)s
    WHERE account_id = %(account_id)s AND service_id IN (SELECT service_id FROM lifted)
), ended AS (
    UPDATE payment_hold_stretches SET ends_ns = greatest(starts_ns, %(at_ns)s)
    WHERE account_id = %(account_id)s AND ends_ns IS NULL AND %(cause)s = 'payment'
      AND service_id IN (SELECT service_id FROM lifted)
)
SELECT service_id FROM lifted
"""

RESERVED = """
SELECT count(*) AS services,
       coalesce(sum(w.memory_mb::bigint * w.replicas) FILTER (WHERE w.wish = 'running'), 0) AS memory_mb,
       coalesce(sum(w.cpu_cores * w.replicas) FILTER (WHERE w.wish = 'running'), 0) AS cpu_cores
FROM services w WHERE w.account_id = %s AND w.deleted_at IS NULL
  AND NOT EXISTS (SELECT FROM service_holds q WHERE q.account_id = w.account_id
                  AND q.service_id = w.service_id AND q.cause = 'quota')
"""


async def services_as_kept(tx: Transaction, account_id: AccountId) -> Sequence[HeldService]:
    """Services that are not deleted, in the order they are kept: the last is stopped first.

    Those the customer ranked are stopped by rank (1 first); all others before them are kept oldest first.
    """
    async with tx.cursor(row_factory=class_row(HeldService)) as cursor:
        await cursor.execute(_KEPT, (account_id,))
        return await cursor.fetchall()


async def place_holds(
    tx: Transaction,
    account_id: AccountId,
    services: Sequence[ServiceId],
    cause: HoldCause,
    *,
    reason: str,
    placed_by: str,
    pass_id: UUID | None,
    at: datetime,
) -> Sequence[ServiceId]:
    """Hold them for a cause; says which were not held for it before. A trigger keeps when those for payment began."""
    values = {
        "account_id": account_id,
        "services": list(services),
        "cause": cause.value,
        "reason": reason,
        "placed_by": placed_by,
        "pass_id": pass_id,
        "at": at,
    }
    cursor = await tx.execute(_PLACE, values)
    return [ServiceId(row[0]) for row in await cursor.fetchall()]


async def lift_holds(
    tx: Transaction, account_id: AccountId, cause: HoldCause, services: Sequence[ServiceId] | None, *, at: datetime
) -> Sequence[ServiceId]:
    """Lift one cause from these services (None: from all of the account); says from which. Other causes stay."""
    values = {
        "account_id": account_id,
        "cause": cause.value,
        "services": None if services is None else list(services),
        "at": at,
        "at_ns": to_ns(at),
    }
    cursor = await tx.execute(_LIFT, values)
    return [ServiceId(row[0]) for row in await cursor.fetchall()]


async def reserved(tx: Transaction, account_id: AccountId) -> tuple[int, int, Decimal]:
    """Services, memory (MB) and cores that limits count: those wished to run reserve, held ones too, but for quota."""
    row = await (await tx.execute(RESERVED, (account_id,))).fetchone()
    return (0, 0, Decimal(0)) if row is None else (int(row[0]), int(row[1]), Decimal(row[2]))


async def accounts_held_by(tx: Transaction, pass_id: UUID) -> Sequence[AccountId]:
    """Accounts with a hold that this pass placed."""
    cursor = await tx.execute("SELECT DISTINCT account_id FROM service_holds WHERE pass_id = %s", (pass_id,))
    return [AccountId(row[0]) for row in await cursor.fetchall()]


async def save_stop_order(tx: Transaction, account_id: AccountId, services: Sequence[ServiceId]) -> None:
    """The services the customer wants stopped, the first first; all others are kept longer than none of these."""
    await tx.execute("UPDATE services SET stop_rank = NULL WHERE account_id = %s", (account_id,))
    await tx.execute(
        """UPDATE services AS s SET stop_rank = n.rank
           FROM unnest(%s::uuid[]) WITH ORDINALITY AS n (service_id, rank)
           WHERE s.account_id = %s AND s.service_id = n.service_id""",
        (list(services), account_id),
    )

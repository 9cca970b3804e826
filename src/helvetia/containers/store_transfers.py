"""All SQL of services that change their owner: who owned one when, and moving it to another account.

A look at a node shares the owners while it writes; a transfer waits for looks and keeps new ones waiting, so none of
them sees a service of two owners, or of none. A former owner keeps a row of the service that is marked as transferred.
"""

from collections import defaultdict
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from helvetia.containers.model import Service
from helvetia.database.pool import Transaction
from helvetia.kernel.clock import to_ns
from helvetia.kernel.identity import AccountId, ServiceId

_LOCK = "hashtextextended('owners of services', 0)"


@dataclass(frozen=True, slots=True, kw_only=True)
class Transfer:
    """A service belonged to one account until an instant, and to another from it on."""

    at_ns: int
    from_account_id: AccountId
    to_account_id: AccountId


# One owner at any time: the former row is marked before the new one is written.
_MARK = """
UPDATE services SET transferred_at = %(at)s WHERE account_id = %(from)s AND service_id = %(service_id)s
"""

_ADD_OWNER = """
INSERT INTO services AS s (account_id, service_id, name, image, command, env, memory_mb, cpu_cores, replicas, volumes,
    wish, revision, restart_number, status, status_code, status_message, status_at, created_at, updated_at)
SELECT %(to)s, service_id, name, image, command, env, memory_mb, cpu_cores, replicas, volumes,
    wish, revision, restart_number, status, status_code, status_message, status_at, created_at, %(at)s
FROM services WHERE account_id = %(from)s AND service_id = %(service_id)s
ON CONFLICT (account_id, service_id) DO UPDATE SET name = EXCLUDED.name, image = EXCLUDED.image,
    command = EXCLUDED.command, env = EXCLUDED.env, memory_mb = EXCLUDED.memory_mb, cpu_cores = EXCLUDED.cpu_cores,
    replicas = EXCLUDED.replicas, volumes = EXCLUDED.volumes, wish = EXCLUDED.wish, revision = EXCLUDED.revision,
    restart_number = EXCLUDED.restart_number, status = EXCLUDED.status, status_code = EXCLUDED.status_code,
    status_message = EXCLUDED.status_message, status_at = EXCLUDED.status_at, updated_at = EXCLUDED.updated_at,
    deleted_at = NULL, transferred_at = NULL, stop_rank = NULL
"""

# The environment may hold secrets; what the former owner keeps is what names their usage.
_LEAVE = """
UPDATE services SET transferred_at = %(at)s, deleted_at = %(at)s, updated_at = %(at)s, wish = 'stopped',
    status = 'deleted', env = '{}', stop_rank = NULL
WHERE account_id = %(from)s AND service_id = %(service_id)s
"""

_MOVE_REVISIONS = """
WITH moved AS (
    DELETE FROM service_revisions WHERE account_id = %(from)s AND service_id = %(service_id)s RETURNING *
)
INSERT INTO service_revisions (account_id, service_id, revision, definition, created_at)
SELECT %(to)s, service_id, revision, definition, created_at FROM moved
"""

_NOTE = """
INSERT INTO service_transfers (account_id, service_id, transferred_at, to_account_id)
VALUES (%(from)s, %(service_id)s, %(at)s, %(to)s)
"""


async def share_owners(tx: Transaction) -> None:
    """No service changes its owner until the transaction ends."""
    await tx.execute(f"SELECT pg_advisory_xact_lock_shared({_LOCK})")


async def lock_owners(tx: Transaction) -> None:
    """Nobody else asks for an owner, or changes one, until the transaction ends."""
    await tx.execute(f"SELECT pg_advisory_xact_lock({_LOCK})")


async def transfers_of(tx: Transaction, services: Collection[ServiceId]) -> Mapping[ServiceId, Sequence[Transfer]]:
    """The transfers of these services, oldest first; most have none and are left out."""
    cursor = await tx.execute(
        """SELECT service_id, transferred_at, account_id, to_account_id FROM service_transfers
           WHERE service_id = ANY(%s) ORDER BY service_id, transferred_at""",
        (list(services),),
    )
    found: dict[ServiceId, list[Transfer]] = defaultdict(list)
    for service_id, at, former, to in await cursor.fetchall():
        transfer = Transfer(at_ns=to_ns(at), from_account_id=AccountId(former), to_account_id=AccountId(to))
        found[ServiceId(service_id)].append(transfer)
    return found


async def next_instant(tx: Transaction, service_id: ServiceId, now: datetime) -> datetime:
    """Now, or just after the last transfer of the service: each owner has it for some time."""
    cursor = await tx.execute("SELECT max(transferred_at) FROM service_transfers WHERE service_id = %s", (service_id,))
    row = await cursor.fetchone()
    return now if row is None or row[0] is None else max(now, row[0] + timedelta(microseconds=1))


async def name_is_taken(tx: Transaction, account_id: AccountId, name: str) -> bool:
    cursor = await tx.execute(
        "SELECT FROM services WHERE account_id = %s AND name = %s AND deleted_at IS NULL", (account_id, name)
    )
    return await cursor.fetchone() is not None


async def move_service(tx: Transaction, service: Service, to_account_id: AccountId, at: datetime) -> None:
    """The service, with its revisions, is another account's from now on; both accounts and the owners are locked."""
    values = {"from": service.account_id, "to": to_account_id, "service_id": service.service_id, "at": at}
    for statement in (_MARK, _ADD_OWNER, _LEAVE, _MOVE_REVISIONS, _NOTE):
        await tx.execute(statement, values)

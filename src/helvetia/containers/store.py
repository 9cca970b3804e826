"""All SQL of services, their revisions and their holds."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from datetime import datetime
from typing import Any

from psycopg.rows import dict_row
from psycopg.types.json import Jsonb

from helvetia.containers.model import (
    HoldCause,
    Service,
    ServiceDefinition,
    ServiceStatus,
    Volume,
    Wish,
)
from helvetia.database.pool import Transaction
from helvetia.kernel.identity import AccountId, ServiceId

_SELECT = """
SELECT s.*, coalesce((
    SELECT array_agg(h.cause) FROM service_holds h
    WHERE h.account_id = s.account_id AND h.service_id = s.service_id
), '{}') AS holds
FROM services s
"""

_INSERT = """
WITH made AS (
    INSERT INTO services (account_id, service_id, name, image, command, env, memory_mb, cpu_cores, replicas, volumes,
                          wish, status, status_at, created_at, updated_at)
    VALUES (%(account_id)s, %(service_id)s, %(name)s, %(image)s, %(command)s, %(env)s, %(memory_mb)s, %(cpu_cores)s,
            %(replicas)s, %(volumes)s, 'running', 'pending', %(at)s, %(at)s, %(at)s)
    ON CONFLICT (account_id, name) WHERE deleted_at IS NULL DO NOTHING RETURNING *
), revised AS (
    INSERT INTO service_revisions (account_id, service_id, revision, definition, created_at)
    SELECT account_id, service_id, revision, %(definition)s, %(at)s FROM made
)
SELECT made.*, '{}'::text[] AS holds FROM made
"""

_INSERT_REVISION = """
INSERT INTO service_revisions (account_id, service_id, revision, definition, created_at)
SELECT account_id, service_id, revision, %(definition)s, %(at)s FROM services
WHERE account_id = %(account_id)s AND service_id = %(service_id)s
ON CONFLICT DO NOTHING
"""

_UPDATE_DEFINITION = """
UPDATE services SET image = %(image)s, command = %(command)s, env = %(env)s, memory_mb = %(memory_mb)s,
       cpu_cores = %(cpu_cores)s, replicas = %(replicas)s, volumes = %(volumes)s,
       revision = revision + %(revisions)s, updated_at = %(at)s
WHERE account_id = %(account_id)s AND service_id = %(service_id)s
"""


def _columns(definition: ServiceDefinition) -> dict[str, Any]:
    return {
        "name": definition.name,
        "image": definition.image,
        "command": Jsonb(list(definition.command)),
        "env": Jsonb(dict(definition.env)),
        "memory_mb": definition.memory_mb,
        "cpu_cores": definition.cpu_cores,
        "replicas": definition.replicas,
        "volumes": Jsonb([asdict(volume) for volume in definition.volumes]),
    }


def _from_row(row: Mapping[str, Any]) -> Service:
    return Service(
        account_id=row["account_id"],
        service_id=row["service_id"],
        definition=ServiceDefinition(
            name=row["name"],
            image=row["image"],
            command=tuple(row["command"]),
            env=row["env"],
            memory_mb=row["memory_mb"],
            cpu_cores=row["cpu_cores"],
            replicas=row["replicas"],
            volumes=tuple(Volume(**volume) for volume in row["volumes"]),
        ),
        wish=Wish(row["wish"]),
        holds=frozenset(HoldCause(cause) for cause in row["holds"]),
        revision=row["revision"],
        restart_number=row["restart_number"],
        status=ServiceStatus(row["status"]),
        status_code=row["status_code"],
        status_message=row["status_message"],
        status_at=row["status_at"],
        created_at=row["created_at"],
        deleted_at=row["deleted_at"],
        stop_rank=row["stop_rank"],
    )


async def _fetch(tx: Transaction, where: str, values: Mapping[str, object]) -> list[Service]:
    async with tx.cursor(row_factory=dict_row) as cursor:
        await cursor.execute(_SELECT + where, values)
        return [_from_row(row) for row in await cursor.fetchall()]


async def insert_service(
    tx: Transaction, account_id: AccountId, service_id: ServiceId, definition: ServiceDefinition, at: datetime
) -> Service | None:
    """Write a new service with its first revision; None when the name is taken."""
    keys = {"account_id": account_id, "service_id": service_id, "at": at, "definition": _to_text(definition)}
    async with tx.cursor(row_factory=dict_row) as cursor:
        await cursor.execute(_INSERT, {**_columns(definition), **keys})
        row = await cursor.fetchone()
    return None if row is None else _from_row(row)


def _to_text(definition: ServiceDefinition) -> str:
    return json.dumps(asdict(definition), default=str)


async def insert_revision(
    tx: Transaction, account_id: AccountId, service_id: ServiceId, definition: ServiceDefinition, at: datetime
) -> None:
    keys = {"account_id": account_id, "service_id": service_id, "at": at}
    await tx.execute(_INSERT_REVISION, {**keys, "definition": _to_text(definition)})


async def get_service(tx: Transaction, account_id: AccountId, service_id: ServiceId) -> Service | None:
    """A service of this account that is not deleted."""
    found = await _fetch(
        tx,
        "WHERE s.account_id = %(account_id)s AND s.service_id = %(service_id)s AND s.deleted_at IS NULL",
        {"account_id": account_id, "service_id": service_id},
    )
    return found[0] if found else None


async def list_services(
    tx: Transaction, account_id: AccountId, *, after: ServiceId | None, limit: int
) -> Sequence[Service]:
    """Services of this account in order of creation, after a cursor."""
    return await _fetch(
        tx,
        """WHERE s.account_id = %(account_id)s AND s.deleted_at IS NULL
           AND (%(after)s::uuid IS NULL OR s.service_id > %(after)s) ORDER BY s.service_id LIMIT %(limit)s""",
        {"account_id": account_id, "after": after, "limit": limit},
    )


async def service_names(tx: Transaction, account_id: AccountId) -> Mapping[ServiceId, str]:
    """The names of an account's services, deleted ones too: their usage outlives them."""
    cursor = await tx.execute("SELECT service_id, name FROM services WHERE account_id = %s", (account_id,))
    return {ServiceId(service_id): name for service_id, name in await cursor.fetchall()}


async def services_to_drive(tx: Transaction) -> Sequence[Service]:
    """Every service that the reconciler looks after: all but those whose deletion is complete."""
    return await _fetch(tx, "WHERE s.status <> 'deleted' AND s.transferred_at IS NULL ORDER BY s.service_id", {})


async def last_change_at(tx: Transaction) -> datetime | None:
    """When a wish, a definition or a hold last changed."""
    row = await (await tx.execute("SELECT max(updated_at) FROM services")).fetchone()
    return row[0] if row else None


async def save_definition(
    tx: Transaction, service: Service, definition: ServiceDefinition, *, is_deploy: bool, at: datetime
) -> None:
    """Replace the definition; a deploy makes the next numbered revision, a change of replicas alone does not."""
    keys = {"account_id": service.account_id, "service_id": service.service_id, "at": at, "revisions": int(is_deploy)}
    await tx.execute(_UPDATE_DEFINITION, {**_columns(definition), **keys})
    if is_deploy:
        await insert_revision(tx, service.account_id, service.service_id, definition, at)


async def save_wish(tx: Transaction, service: Service, wish: Wish, *, restarts: int, at: datetime) -> None:
    await tx.execute(
        """UPDATE services SET wish = %s, restart_number = restart_number + %s, updated_at = %s
           WHERE account_id = %s AND service_id = %s""",
        (wish.value, restarts, at, service.account_id, service.service_id),
    )


async def mark_deleted(tx: Transaction, service: Service, at: datetime) -> None:
    """Delete the wish for it; the row, and its usage, stay."""
    await tx.execute(
        """UPDATE services SET deleted_at = %s, wish = 'stopped', updated_at = %s
           WHERE account_id = %s AND service_id = %s""",
        (at, at, service.account_id, service.service_id),
    )


async def save_status(
    tx: Transaction, service: Service, status: ServiceStatus, code: str | None, message: str | None, at: datetime
) -> None:
    """What the engine said; never touches wish, definition or holds."""
    await tx.execute(
        """UPDATE services SET status = %s, status_code = %s, status_message = %s, status_at = %s
           WHERE account_id = %s AND service_id = %s AND transferred_at IS NULL""",
        (status.value, code, message, at, service.account_id, service.service_id),
    )


async def count_services(tx: Transaction, account_id: AccountId) -> int:
    """Services that the plan's limit counts: not deleted, and not held for quota."""
    row = await (
        await tx.execute(
            """SELECT count(*) FROM services s WHERE s.account_id = %s AND s.deleted_at IS NULL
               AND NOT EXISTS (SELECT FROM service_holds h WHERE h.account_id = s.account_id
                               AND h.service_id = s.service_id AND h.cause = 'quota')""",
            (account_id,),
        )
    ).fetchone()
    return int(row[0]) if row else 0

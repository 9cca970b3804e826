"""All SQL of stored answers. Times are real (`wall`): clients repeat in real time."""

from dataclasses import dataclass
from datetime import datetime, timedelta
from uuid import UUID

from psycopg.rows import class_row

from helvetia.database.pool import Transaction
from helvetia.kernel.identity import AccountId

EXPIRED_REMOVED_MAX = 50

_CLAIM = """
    INSERT INTO idempotency_keys AS k (account_id, route, key_hash, request_hash, claim_id, claimed_at, expires_at)
    VALUES (%(account_id)s, %(route)s, %(key_hash)s, %(request_hash)s, %(claim_id)s, %(wall)s, %(expires_at)s)
    ON CONFLICT (account_id, route, key_hash) DO UPDATE SET
        request_hash = excluded.request_hash, claim_id = excluded.claim_id, claimed_at = excluded.claimed_at,
        expires_at = excluded.expires_at, status = NULL, media_type = NULL, body = NULL
    WHERE k.expires_at <= %(wall)s
        OR (k.status IS NULL AND k.claimed_at <= %(dead_before)s AND k.request_hash = excluded.request_hash)
    RETURNING claim_id
"""
_FORGET_EXPIRED = """
    DELETE FROM idempotency_keys WHERE (account_id, route, key_hash) IN (
        SELECT account_id, route, key_hash FROM idempotency_keys WHERE expires_at <= %s
        LIMIT %s FOR UPDATE SKIP LOCKED)
"""


@dataclass(frozen=True, slots=True, kw_only=True)
class KeyedRequest:
    """A request and the key it came with; hashes only, so that no key and no body is kept."""

    account_id: AccountId
    route: str
    key_hash: str
    request_hash: str


@dataclass(frozen=True, slots=True, kw_only=True)
class StoredAnswer:
    """What is known of a key: `status` is None while its request is in flight; a secret answer has no body."""

    request_hash: str
    status: int | None
    media_type: str | None
    body: bytes | None


async def claim(tx: Transaction, request: KeyedRequest, claim_id: UUID, *, wall: datetime, bounds: "Bounds") -> bool:
    """Take the key for this attempt: when it is new, has expired, or its attempt died without an answer."""
    cursor = await tx.execute(
        _CLAIM,
        {
            "account_id": request.account_id,
            "route": request.route,
            "key_hash": request.key_hash,
            "request_hash": request.request_hash,
            "claim_id": claim_id,
            "wall": wall,
            "expires_at": wall + bounds.kept_for,
            "dead_before": wall - bounds.dead_after,
        },
    )
    return await cursor.fetchone() is not None


@dataclass(frozen=True, slots=True, kw_only=True)
class Bounds:
    """How long an answer is kept, and after how long without one an attempt counts as dead."""

    kept_for: timedelta = timedelta(hours=24)
    dead_after: timedelta = timedelta(minutes=2)


async def find(tx: Transaction, request: KeyedRequest) -> StoredAnswer | None:
    async with tx.cursor(row_factory=class_row(StoredAnswer)) as cursor:
        await cursor.execute(
            "SELECT request_hash, status, media_type, body FROM idempotency_keys"
            " WHERE account_id = %s AND route = %s AND key_hash = %s",
            (request.account_id, request.route, request.key_hash),
        )
        return await cursor.fetchone()


async def keep(tx: Transaction, request: KeyedRequest, claim_id: UUID, answer: StoredAnswer) -> None:
    """Store the answer, unless another attempt has taken the key over."""
    await tx.execute(
        "UPDATE idempotency_keys SET status = %s, media_type = %s, body = %s"
        " WHERE account_id = %s AND route = %s AND key_hash = %s AND claim_id = %s",
        (
            *(answer.status, answer.media_type, answer.body),
            *(request.account_id, request.route, request.key_hash, claim_id),
        ),
    )


async def free(tx: Transaction, request: KeyedRequest, claim_id: UUID) -> None:
    """Nothing was done: the key may be used again at once."""
    await tx.execute(
        "DELETE FROM idempotency_keys WHERE account_id = %s AND route = %s AND key_hash = %s AND claim_id = %s",
        (request.account_id, request.route, request.key_hash, claim_id),
    )


async def forget_expired(tx: Transaction, wall: datetime) -> None:
    """A few with every claim, so that the table never grows past a day's keys by much."""
    await tx.execute(_FORGET_EXPIRED, (wall, EXPIRED_REMOVED_MAX))

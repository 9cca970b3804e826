"""All SQL of sessions and API tokens: hashes only, looked up together with the user they belong to."""

from datetime import datetime
from typing import Any
from uuid import UUID

from helvetia.accounts.model import ApiToken, Session, User
from helvetia.accounts.store import USER, to_user
from helvetia.database.pool import Transaction
from helvetia.kernel.identity import AccountId


async def insert_session(
    tx: Transaction, session_hash: bytes, user_id: AccountId, *, created_at: datetime, expires_at: datetime
) -> None:
    await tx.execute(
        "INSERT INTO sessions (session_hash, user_id, created_at, last_seen_at, expires_at)"
        " VALUES (%s, %s, %s, %s, %s)",
        (session_hash, user_id, created_at, created_at, expires_at),
    )


async def find_session(tx: Transaction, session_hash: bytes) -> Session | None:
    """A session that was not revoked; whether it has ended is the model's to say."""
    cursor = await tx.execute(
        f"SELECT {USER}, s.last_seen_at, s.expires_at FROM sessions s"
        " JOIN users u ON u.account_id = s.user_id JOIN accounts a ON a.account_id = u.account_id"
        " WHERE s.session_hash = %s AND s.revoked_at IS NULL AND a.deleted_at IS NULL",
        (session_hash,),
    )
    row = await cursor.fetchone()
    if row is None:
        return None
    return Session(user=to_user(row[:4]), last_seen_at=row[4], expires_at=row[5])


async def touch_session(tx: Transaction, session_hash: bytes, seen_at: datetime) -> None:
    await tx.execute("UPDATE sessions SET last_seen_at = %s WHERE session_hash = %s", (seen_at, session_hash))


async def revoke_session(tx: Transaction, session_hash: bytes, revoked_at: datetime) -> AccountId | None:
    """The user whose session ended, or None when it had ended before."""
    cursor = await tx.execute(
        "UPDATE sessions SET revoked_at = %s WHERE session_hash = %s AND revoked_at IS NULL RETURNING user_id",
        (revoked_at, session_hash),
    )
    row = await cursor.fetchone()
    return None if row is None else AccountId(row[0])


async def revoke_sessions(tx: Transaction, user_id: AccountId, revoked_at: datetime) -> int:
    cursor = await tx.execute(
        "UPDATE sessions SET revoked_at = %s WHERE user_id = %s AND revoked_at IS NULL", (revoked_at, user_id)
    )
    return cursor.rowcount


async def insert_token(tx: Transaction, token: ApiToken, token_hash: bytes, user_id: AccountId) -> None:
    await tx.execute(
        "INSERT INTO api_tokens (token_hash, token_id, user_id, name, created_at) VALUES (%s, %s, %s, %s, %s)",
        (token_hash, token.token_id, user_id, token.name, token.created_at),
    )


async def find_token_user(tx: Transaction, token_hash: bytes) -> tuple[User, datetime | None] | None:
    """The user of a token that was not revoked, and when it was last used."""
    cursor = await tx.execute(
        f"SELECT {USER}, t.last_used_at FROM api_tokens t"
        " JOIN users u ON u.account_id = t.user_id JOIN accounts a ON a.account_id = u.account_id"
        " WHERE t.token_hash = %s AND t.revoked_at IS NULL AND a.deleted_at IS NULL",
        (token_hash,),
    )
    row = await cursor.fetchone()
    return None if row is None else (to_user(row[:4]), row[4])


async def touch_token(tx: Transaction, token_hash: bytes, used_at: datetime) -> None:
    await tx.execute("UPDATE api_tokens SET last_used_at = %s WHERE token_hash = %s", (used_at, token_hash))


async def tokens_of(tx: Transaction, user_id: AccountId) -> tuple[ApiToken, ...]:
    """The user's tokens that were not revoked, newest first; their number is bounded at creation."""
    cursor = await tx.execute(
        "SELECT token_id, name, created_at, last_used_at FROM api_tokens"
        " WHERE user_id = %s AND revoked_at IS NULL ORDER BY created_at DESC, token_id DESC",
        (user_id,),
    )
    return tuple(_to_token(row) for row in await cursor.fetchall())


async def revoke_token(tx: Transaction, user_id: AccountId, token_id: UUID, revoked_at: datetime) -> bool:
    cursor = await tx.execute(
        "UPDATE api_tokens SET revoked_at = %s WHERE token_id = %s AND user_id = %s AND revoked_at IS NULL",
        (revoked_at, token_id, user_id),
    )
    return cursor.rowcount == 1


async def revoke_tokens(tx: Transaction, user_id: AccountId, revoked_at: datetime) -> None:
    await tx.execute(
        "UPDATE api_tokens SET revoked_at = %s WHERE user_id = %s AND revoked_at IS NULL", (revoked_at, user_id)
    )


def _to_token(row: tuple[Any, ...]) -> ApiToken:
    token_id, name, created_at, last_used_at = row
    return ApiToken(token_id=token_id, name=name, created_at=created_at, last_used_at=last_used_at)

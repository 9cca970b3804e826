"""All SQL of accounts, users and memberships; a deleted account is nowhere to be found."""

from datetime import datetime
from typing import Any

from psycopg.errors import UniqueViolation

from helvetia.accounts.errors import AccountNotFound, EmailTaken
from helvetia.accounts.model import Account, AccountKind, Member, Membership, Role, User
from helvetia.database.pool import Transaction
from helvetia.kernel.identity import AccountId

USER = "u.account_id, u.email, u.language, u.time_zone"
_ACCOUNT = "a.account_id, a.kind, a.name, a.created_at"


def _to_account(row: tuple[Any, ...]) -> Account:
    account_id, kind, name, created_at = row
    return Account(account_id=AccountId(account_id), kind=AccountKind(kind), name=name, created_at=created_at)


def to_user(row: tuple[Any, ...]) -> User:
    """A row of `USER`."""
    return User(account_id=AccountId(row[0]), email=row[1], language=row[2], time_zone=row[3])


async def insert_account(tx: Transaction, account: Account) -> None:
    await tx.execute(
        "INSERT INTO accounts (account_id, kind, name, created_at) VALUES (%s, %s, %s, %s)",
        (account.account_id, account.kind, account.name, account.created_at),
    )


async def insert_user(tx: Transaction, user: User, password_hash: str | None) -> None:
    """Raises EmailTaken; addresses are compared without regard to case."""
    try:
        await tx.execute(
            "INSERT INTO users (account_id, email, password_hash) VALUES (%s, %s, %s)",
            (user.account_id, user.email, password_hash),
        )
    except UniqueViolation as error:
        raise EmailTaken from error


async def lock_account(tx: Transaction, account_id: AccountId) -> Account:
    """The account, its row locked until the transaction ends: the lock of admission, reporting and sync.

    Raises:
        AccountNotFound
    """
    row = await (
        await tx.execute(
            f"SELECT {_ACCOUNT} FROM accounts a"
            " WHERE a.account_id = %s AND a.deleted_at IS NULL FOR NO KEY UPDATE OF a",
            (account_id,),
        )
    ).fetchone()
    if row is None:
        raise AccountNotFound
    return _to_account(row)


async def find_account(tx: Transaction, account_id: AccountId) -> Account | None:
    cursor = await tx.execute(
        f"SELECT {_ACCOUNT} FROM accounts a WHERE a.account_id = %s AND a.deleted_at IS NULL", (account_id,)
    )
    row = await cursor.fetchone()
    return None if row is None else _to_account(row)


async def find_user(tx: Transaction, user_id: AccountId) -> User | None:
    cursor = await tx.execute(
        f"SELECT {USER} FROM users u JOIN accounts a USING (account_id)"
        " WHERE u.account_id = %s AND a.deleted_at IS NULL",
        (user_id,),
    )
    row = await cursor.fetchone()
    return None if row is None else to_user(row)


async def find_user_by_email(tx: Transaction, email: str) -> tuple[User, str | None] | None:
    """The user of this address, whatever its case, with the hash of their password."""
    cursor = await tx.execute(
        f"SELECT {USER}, u.password_hash FROM users u JOIN accounts a USING (account_id)"
        " WHERE lower(u.email) = lower(%s) AND a.deleted_at IS NULL",
        (email,),
    )
    row = await cursor.fetchone()
    return None if row is None else (to_user(row[:4]), row[4])


async def set_password_hash(tx: Transaction, user_id: AccountId, password_hash: str) -> None:
    await tx.execute("UPDATE users SET password_hash = %s WHERE account_id = %s", (password_hash, user_id))


async def upsert_membership(
    tx: Transaction, account_id: AccountId, user_id: AccountId, role: Role, created_at: datetime
) -> None:
    await tx.execute(
        "INSERT INTO memberships (account_id, user_id, role, created_at) VALUES (%s, %s, %s, %s)"
        " ON CONFLICT (account_id, user_id) DO UPDATE SET role = excluded.role",
        (account_id, user_id, role, created_at),
    )


async def delete_membership(tx: Transaction, account_id: AccountId, user_id: AccountId) -> bool:
    cursor = await tx.execute("DELETE FROM memberships WHERE account_id = %s AND user_id = %s", (account_id, user_id))
    return cursor.rowcount == 1


async def memberships_of(tx: Transaction, user_id: AccountId, limit: int) -> tuple[Membership, ...]:
    """The user's own account first, then organizations by name."""
    cursor = await tx.execute(
        f"SELECT {_ACCOUNT}, m.role FROM memberships m JOIN accounts a USING (account_id)"
        " WHERE m.user_id = %s AND a.deleted_at IS NULL"
        " ORDER BY a.kind = 'organization', lower(a.name), a.account_id LIMIT %s",
        (user_id, limit),
    )
    rows = await cursor.fetchall()
    return tuple(Membership(account=_to_account(row[:4]), role=Role(row[4])) for row in rows)


async def find_membership(tx: Transaction, account_id: AccountId, user_id: AccountId) -> Membership | None:
    cursor = await tx.execute(
        f"SELECT {_ACCOUNT}, m.role FROM memberships m JOIN accounts a USING (account_id)"
        " WHERE m.account_id = %s AND m.user_id = %s AND a.deleted_at IS NULL",
        (account_id, user_id),
    )
    row = await cursor.fetchone()
    return None if row is None else Membership(account=_to_account(row[:4]), role=Role(row[4]))


async def members_of(tx: Transaction, account_id: AccountId, limit: int) -> tuple[Member, ...]:
    """Who belongs to an account and as what, by address."""
    cursor = await tx.execute(
        "SELECT u.account_id, u.email, m.role FROM memberships m JOIN users u ON u.account_id = m.user_id"
        " JOIN accounts p ON p.account_id = m.user_id AND p.deleted_at IS NULL"
        " WHERE m.account_id = %s ORDER BY lower(u.email) LIMIT %s",
        (account_id, limit),
    )
    rows = await cursor.fetchall()
    return tuple(Member(user_id=AccountId(row[0]), email=row[1], role=Role(row[2])) for row in rows)


async def save_reader_settings(
    tx: Transaction, user_id: AccountId, language: str | None, time_zone: str | None
) -> bool:
    """How the pages speak to a user; says whether there is such a user."""
    cursor = await tx.execute(
        "UPDATE users SET language = %s, time_zone = %s WHERE account_id = %s", (language, time_zone, user_id)
    )
    return cursor.rowcount == 1


async def count_owners(tx: Transaction, account_id: AccountId) -> int:
    cursor = await tx.execute(
        "SELECT count(*) FROM memberships WHERE account_id = %s AND role = 'OWNER'", (account_id,)
    )
    row = await cursor.fetchone()
    return int(row[0]) if row else 0


async def count_organizations_owned(tx: Transaction, user_id: AccountId) -> int:
    cursor = await tx.execute(
        "SELECT count(*) FROM memberships m JOIN accounts a USING (account_id)"
        " WHERE m.user_id = %s AND m.role = 'OWNER' AND a.kind = 'organization' AND a.deleted_at IS NULL",
        (user_id,),
    )
    row = await cursor.fetchone()
    return int(row[0]) if row else 0


async def count_organizations_owned_alone(tx: Transaction, user_id: AccountId) -> int:
    """Organizations that would be left without an owner."""
    cursor = await tx.execute(
        "SELECT count(*) FROM memberships m JOIN accounts a USING (account_id)"
        " WHERE m.user_id = %s AND m.role = 'OWNER' AND a.kind = 'organization' AND a.deleted_at IS NULL"
        " AND NOT EXISTS (SELECT FROM memberships o WHERE o.account_id = m.account_id AND o.role = 'OWNER'"
        " AND o.user_id <> m.user_id)",
        (user_id,),
    )
    row = await cursor.fetchone()
    return int(row[0]) if row else 0


async def mark_deleted(tx: Transaction, account_id: AccountId, deleted_at: datetime) -> None:
    """The row stays, so that its usage keeps its owner."""
    await tx.execute(
        "UPDATE accounts SET deleted_at = %s WHERE account_id = %s AND deleted_at IS NULL", (deleted_at, account_id)
    )


async def forget_user(tx: Transaction, user_id: AccountId) -> None:
    """Their address is free again and stands nowhere any more; they are a member of nothing."""
    await tx.execute(
        "UPDATE users SET email = account_id || '@deleted.invalid', password_hash = NULL WHERE account_id = %s",
        (user_id,),
    )
    await tx.execute("DELETE FROM memberships WHERE user_id = %s AND account_id <> user_id", (user_id,))
    await tx.execute("UPDATE accounts SET name = 'deleted' WHERE account_id = %s", (user_id,))


async def answer(tx: Transaction) -> None:
    """The smallest question: does the database answer?"""
    await tx.execute("SELECT 1 FROM installation LIMIT 1")

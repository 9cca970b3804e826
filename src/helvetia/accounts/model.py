"""Accounts, users, roles and what each role may do: one table, which every route asks."""

import re
from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum
from types import MappingProxyType
from typing import Protocol
from uuid import UUID

from helvetia.accounts.errors import InvalidEmail, InvalidName, WeakPassword
from helvetia.database.pool import Transaction
from helvetia.kernel.identity import AccountId

EMAIL_LENGTH_MAX = 254
NAME_LENGTH_MAX = 100
PASSWORD_LENGTH_MIN = 12
PASSWORD_LENGTH_MAX = 256
ORGANIZATIONS_OWNED_MAX = 20
TOKENS_MAX = 50


class AccountKind(StrEnum):
    USER = "user"
    ORGANIZATION = "organization"


@dataclass(frozen=True, slots=True, kw_only=True)
class Account:
    """Who owns services and pays: a user or an organization."""

    account_id: AccountId
    kind: AccountKind
    name: str
    created_at: datetime


@dataclass(frozen=True, slots=True, kw_only=True)
class User:
    """Somebody who signs in; `account_id` is the account that is theirs alone.

    `language` and `time_zone` (an IANA name) are how the pages speak to them; None: as their browser asks, in UTC.
    """

    account_id: AccountId
    email: str
    language: str | None = None
    time_zone: str | None = None


class Permission(StrEnum):
    """What a route may ask for."""

    READ_SERVICES = "READ_SERVICES"
    RUN_SERVICES = "RUN_SERVICES"
    READ_BILLING = "READ_BILLING"
    MOVE_MONEY = "MOVE_MONEY"
    MANAGE_ACCOUNT = "MANAGE_ACCOUNT"


class Role(StrEnum):
    """What a member is in an account; the words stored in the database."""

    OWNER = "OWNER"
    BILLING_ADMIN = "BILLING_ADMIN"
    BILLING_VIEWER = "BILLING_VIEWER"
    DEVELOPER = "DEVELOPER"
    MEMBER = "MEMBER"


_READS = frozenset({Permission.READ_SERVICES})
ROLE_PERMISSIONS = MappingProxyType(
    {
        Role.OWNER: frozenset(Permission),
        Role.BILLING_ADMIN: _READS | {Permission.READ_BILLING, Permission.MOVE_MONEY},
        Role.BILLING_VIEWER: frozenset({Permission.READ_BILLING}),
        Role.DEVELOPER: _READS | {Permission.RUN_SERVICES},
        Role.MEMBER: _READS,
    }
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Membership:
    """A user's place in an account; in their own account every user is the owner."""

    account: Account
    role: Role

    def allows(self, permission: Permission) -> bool:
        return permission in ROLE_PERMISSIONS[self.role]


@dataclass(frozen=True, slots=True, kw_only=True)
class Member:
    """Somebody who belongs to an account."""

    user_id: AccountId
    email: str
    role: Role


@dataclass(frozen=True, slots=True, kw_only=True)
class SessionLimits:
    """How long a session lives untouched, and how long at most."""

    idle: timedelta = timedelta(hours=2)
    absolute: timedelta = timedelta(hours=12)


@dataclass(frozen=True, slots=True, kw_only=True)
class Session:
    """A signed-in browser, as the database knows it: without the secret."""

    user: User
    last_seen_at: datetime
    expires_at: datetime

    def has_ended(self, wall: datetime, limits: SessionLimits) -> bool:
        return wall >= self.expires_at or wall - self.last_seen_at >= limits.idle


@dataclass(frozen=True, slots=True, kw_only=True)
class IssuedSession:
    """A new session with its secret, told once."""

    user: User
    secret: str
    expires_at: datetime


@dataclass(frozen=True, slots=True, kw_only=True)
class ApiToken:
    """An API token as its owner may see it later: without the secret."""

    token_id: UUID
    name: str
    created_at: datetime
    last_used_at: datetime | None


@dataclass(frozen=True, slots=True, kw_only=True)
class IssuedToken:
    """A new API token with its secret, told once."""

    token: ApiToken
    secret: str


class AccountHooks(Protocol):
    """What else happens with an account, in the same transaction; subscriptions implements it."""

    async def account_created(self, tx: Transaction, account: Account) -> None:
        """Write what every account has from its first moment."""
        ...

    async def check_deletable(self, tx: Transaction, account_id: AccountId) -> None:
        """Raises a Conflict while something still runs or is owed."""
        ...


_EMAIL = re.compile(r"[^\s@\x00-\x1f\x7f<>\",;:\\()\[\]]{1,64}@[A-Za-z0-9](?:[A-Za-z0-9.-]*[A-Za-z0-9])?")


def checked_email(email: str) -> str:
    """The address without outer spaces, its domain in lower case.

    Raises:
        InvalidEmail
    """
    email = email.strip()
    if len(email) > EMAIL_LENGTH_MAX or not _EMAIL.fullmatch(email) or not email.isprintable():
        raise InvalidEmail
    local, _, domain = email.rpartition("@")
    return f"{local}@{domain.lower()}"


def checked_name(name: str) -> str:
    """The name without outer spaces.

    Raises:
        InvalidName
    """
    name = name.strip()
    if not 1 <= len(name) <= NAME_LENGTH_MAX or not name.isprintable():
        raise InvalidName
    return name


def checked_password(password: str) -> str:
    """The password, as it is.

    Raises:
        WeakPassword
    """
    if not PASSWORD_LENGTH_MIN <= len(password) <= PASSWORD_LENGTH_MAX:
        raise WeakPassword
    return password

"""The use cases of accounts: create, join, sign in and out, and who stands behind a session or a token.

Instants of accounts are business time; sessions and tokens live by real time, which no simulation moves.
"""

from datetime import datetime, timedelta
from uuid import UUID

from helvetia.accounts import credential_store, store
from helvetia.accounts.errors import (
    AccountNotFound,
    InvalidEmail,
    InvalidToken,
    LastOwner,
    OwnsOrganizations,
    SessionEnded,
    TokenNotFound,
    TooManyOrganizations,
    TooManyTokens,
    WrongCredentials,
)
from helvetia.accounts.limit_attempts import AttemptLimiter
from helvetia.accounts.model import (
    ORGANIZATIONS_OWNED_MAX,
    PASSWORD_LENGTH_MAX,
    TOKENS_MAX,
    Account,
    AccountHooks,
    AccountKind,
    ApiToken,
    IssuedSession,
    IssuedToken,
    Membership,
    Role,
    SessionLimits,
    User,
    checked_email,
    checked_name,
    checked_password,
)
from helvetia.accounts.secrets import (
    TOKEN_PREFIX,
    Passwords,
    hash_secret,
    new_session_secret,
    new_token_secret,
)
from helvetia.audit.store import record
from helvetia.database.pool import Database, Transaction
from helvetia.kernel.clock import Clock
from helvetia.kernel.identity import AccountId, new_account_id, new_id

# A last-seen instant is written at most this often, so that reading a page is not a write each time.
_TOUCH_EVERY = timedelta(seconds=60)
_MEMBERSHIPS_SHOWN_MAX = 200


class AccountService:
    """Accounts and credentials; every decision is audited in its own transaction."""

    def __init__(self, database: Database, clock: Clock, hooks: AccountHooks) -> None:
        self._database = database
        self._clock = clock
        self._hooks = hooks
        self._limits = SessionLimits()
        self._passwords = Passwords()
        self._attempts = AttemptLimiter(clock)

    async def create_user(self, email: str, password: str | None = None) -> User:
        """A new user with an account of their own; without a password only API tokens let them in.

        Raises:
            InvalidEmail, WeakPassword, EmailTaken
        """
        email = checked_email(email)
        password_hash = None if password is None else await self._passwords.hash(checked_password(password))
        user = User(account_id=new_account_id(), email=email)
        async with self._database.transaction() as tx:
            account = self._new_account(user.account_id, AccountKind.USER, email)
            await store.insert_account(tx, account)
            await store.insert_user(tx, user, password_hash)
            await self._finish_account(tx, account, owner_id=user.account_id)
        return user

    async def create_organization(self, name: str, owner_user_id: AccountId) -> Account:
        """A new organization with its first owner.

        Raises:
            InvalidName, AccountNotFound (no such user), TooManyOrganizations
        """
        account = self._new_account(new_account_id(), AccountKind.ORGANIZATION, checked_name(name))
        async with self._database.transaction() as tx:
            await store.lock_account(tx, owner_user_id)
            if await store.find_user(tx, owner_user_id) is None:
                raise AccountNotFound
            if await store.count_organizations_owned(tx, owner_user_id) >= ORGANIZATIONS_OWNED_MAX:
                raise TooManyOrganizations(maximum=ORGANIZATIONS_OWNED_MAX)
            await store.insert_account(tx, account)
            await self._finish_account(tx, account, owner_id=owner_user_id)
        return account

    async def set_role(self, account_id: AccountId, user_id: AccountId, role: Role, *, actor: str) -> None:
        """Let a user join an organization, or change what they are in it.

        Raises:
            AccountNotFound: the account, or the user, or an account that is a user's own.
            LastOwner
        """
        async with self._database.transaction() as tx:
            account = await store.lock_account(tx, account_id)
            if account.kind is not AccountKind.ORGANIZATION or await store.find_user(tx, user_id) is None:
                raise AccountNotFound
            if role is not Role.OWNER:
                await self._check_owner_remains(tx, account_id, user_id)
            await store.upsert_membership(tx, account_id, user_id, role, self._clock.now())
            await self._audit(tx, account_id, actor, "role_set", user_id=str(user_id), role=role)

    async def remove_member(self, account_id: AccountId, user_id: AccountId, *, actor: str) -> None:
        """Raises AccountNotFound, LastOwner."""
        async with self._database.transaction() as tx:
            account = await store.lock_account(tx, account_id)
            if account.kind is not AccountKind.ORGANIZATION:
                raise AccountNotFound
            await self._check_owner_remains(tx, account_id, user_id)
            if not await store.delete_membership(tx, account_id, user_id):
                raise AccountNotFound
            await self._audit(tx, account_id, actor, "member_removed", user_id=str(user_id))

    async def delete_account(self, account_id: AccountId, *, actor: str) -> None:
        """Nobody finds it any more; what it used stays on record. Ending what it has is the caller's affair.

        Raises:
            AccountNotFound, OwnsOrganizations, and a Conflict of the hooks while something runs or is owed
        """
        async with self._database.transaction() as tx:
            account = await store.lock_account(tx, account_id)
            await self._hooks.check_deletable(tx, account_id)
            if account.kind is AccountKind.USER:
                if await store.count_organizations_owned_alone(tx, account_id):
                    raise OwnsOrganizations
                wall = self._clock.wall()
                await credential_store.revoke_sessions(tx, account_id, wall)
                await credential_store.revoke_tokens(tx, account_id, wall)
                await store.forget_user(tx, account_id)
            await store.mark_deleted(tx, account_id, self._clock.now())
            await self._audit(tx, account_id, actor, "account_deleted", kind=account.kind)

    async def find_account(self, account_id: AccountId) -> Account | None:
        async with self._database.transaction() as tx:
            return await store.find_account(tx, account_id)

    async def find_user_by_email(self, email: str) -> User | None:
        found = await self._find_by_email(email)
        return found and found[0]

    async def memberships(self, user_id: AccountId) -> tuple[Membership, ...]:
        """The user's own account first, then at most 200 organizations by name."""
        async with self._database.transaction() as tx:
            return await store.memberships_of(tx, user_id, _MEMBERSHIPS_SHOWN_MAX)

    async def membership(self, account_id: AccountId, user_id: AccountId) -> Membership:
        """Raises AccountNotFound alike for an account that does not exist and one the user does not belong to."""
        async with self._database.single_statement() as tx:
            membership = await store.find_membership(tx, account_id, user_id)
        if membership is None:
            raise AccountNotFound
        return membership

    async def sign_in(self, email: str, password: str, *, address: str) -> IssuedSession:
        """A new session for this e-mail and password; `address` is the peer's, for the limit on attempts.

        Raises:
            TooManyAttempts, WrongCredentials, SignInBusy
        """
        self._attempts.count(email=email, address=address)
        found = await self._find_by_email(email)
        user, password_hash = found if found is not None else (None, None)
        fits = await self._passwords.verify(password[: PASSWORD_LENGTH_MAX + 1], password_hash)
        if user is None or not fits:
            raise WrongCredentials
        self._attempts.forgive(email=email, address=address)
        return await self._open_session(user)

    async def authenticate_session(self, secret: str, *, is_use: bool = True) -> User:
        """Who is signed in with this session; without `is_use` the look does not keep it alive.

        Raises:
            SessionEnded: signed out, idle too long, too old, or never ours.
        """
        session_hash, wall = hash_secret(secret), self._clock.wall()
        async with self._database.transaction() as tx:
            session = await credential_store.find_session(tx, session_hash)
            if session is None or session.has_ended(wall, self._limits):
                raise SessionEnded
            if is_use and wall - session.last_seen_at >= _TOUCH_EVERY:
                await credential_store.touch_session(tx, session_hash, wall)
        return session.user

    async def sign_out(self, secret: str) -> None:
        """End this session; one that has ended is fine."""
        async with self._database.transaction() as tx:
            user_id = await credential_store.revoke_session(tx, hash_secret(secret), self._clock.wall())
            if user_id is not None:
                await self._audit(tx, user_id, f"user:{user_id}", "signed_out")

    async def sign_out_everywhere(self, user_id: AccountId) -> int:
        """End all sessions of a user; returns how many."""
        async with self._database.transaction() as tx:
            count = await credential_store.revoke_sessions(tx, user_id, self._clock.wall())
            await self._audit(tx, user_id, f"user:{user_id}", "signed_out_everywhere", sessions=count)
        return count

    async def authenticate_token(self, secret: str) -> User:
        """Whose API token this is.

        Raises:
            InvalidToken
        """
        if not secret.startswith(TOKEN_PREFIX):
            raise InvalidToken
        token_hash, wall = hash_secret(secret), self._clock.wall()
        async with self._database.single_statement() as tx:
            found = await credential_store.find_token_user(tx, token_hash)
        if found is None:
            raise InvalidToken
        user, last_used_at = found
        if last_used_at is None or wall - last_used_at >= _TOUCH_EVERY:
            async with self._database.single_statement() as tx:
                await credential_store.touch_token(tx, token_hash, wall)
        return user

    async def create_token(self, user_id: AccountId, name: str) -> str:
        """The secret of a new API token; it cannot be read again."""
        return (await self.issue_token(user_id, name)).secret

    async def issue_token(self, user_id: AccountId, name: str) -> IssuedToken:
        """A new API token with its secret.

        Raises:
            InvalidName, AccountNotFound (no such user), TooManyTokens
        """
        token = ApiToken(token_id=new_id(), name=checked_name(name), created_at=self._clock.wall(), last_used_at=None)
        secret = new_token_secret()
        async with self._database.transaction() as tx:
            await store.lock_account(tx, user_id)
            if await store.find_user(tx, user_id) is None:
                raise AccountNotFound
            if len(await credential_store.tokens_of(tx, user_id)) >= TOKENS_MAX:
                raise TooManyTokens(maximum=TOKENS_MAX)
            await credential_store.insert_token(tx, token, hash_secret(secret), user_id)
            await self._audit(tx, user_id, f"user:{user_id}", "token_created", token_id=str(token.token_id))
        return IssuedToken(token=token, secret=secret)

    async def list_tokens(self, user_id: AccountId) -> tuple[ApiToken, ...]:
        async with self._database.transaction() as tx:
            return await credential_store.tokens_of(tx, user_id)

    async def revoke_token(self, user_id: AccountId, token_id: UUID) -> None:
        """Raises TokenNotFound alike for another user's token, a revoked one and none."""
        async with self._database.transaction() as tx:
            if not await credential_store.revoke_token(tx, user_id, token_id, self._clock.wall()):
                raise TokenNotFound
            await self._audit(tx, user_id, f"user:{user_id}", "token_revoked", token_id=str(token_id))

    async def check_database(self) -> None:
        """Raises DatabaseUnavailable when the database does not answer."""
        async with self._database.transaction() as tx:
            await store.answer(tx)

    def _new_account(self, account_id: AccountId, kind: AccountKind, name: str) -> Account:
        return Account(account_id=account_id, kind=kind, name=name, created_at=self._clock.now())

    async def _finish_account(self, tx: Transaction, account: Account, *, owner_id: AccountId) -> None:
        await store.upsert_membership(tx, account.account_id, owner_id, Role.OWNER, account.created_at)
        await self._hooks.account_created(tx, account)
        await self._audit(tx, account.account_id, f"user:{owner_id}", "account_created", kind=account.kind)

    async def _check_owner_remains(self, tx: Transaction, account_id: AccountId, user_id: AccountId) -> None:
        membership = await store.find_membership(tx, account_id, user_id)
        is_owner = membership is not None and membership.role is Role.OWNER
        if is_owner and await store.count_owners(tx, account_id) == 1:
            raise LastOwner

    async def _find_by_email(self, email: str) -> tuple[User, str | None] | None:
        try:
            email = checked_email(email)
        except InvalidEmail:
            return None
        async with self._database.transaction() as tx:
            return await store.find_user_by_email(tx, email)

    async def _open_session(self, user: User) -> IssuedSession:
        secret, wall = new_session_secret(), self._clock.wall()
        expires_at: datetime = wall + self._limits.absolute
        async with self._database.transaction() as tx:
            await credential_store.insert_session(
                tx, hash_secret(secret), user.account_id, created_at=wall, expires_at=expires_at
            )
            await self._audit(tx, user.account_id, f"user:{user.account_id}", "signed_in")
        return IssuedSession(user=user, secret=secret, expires_at=expires_at)

    async def _audit(self, tx: Transaction, account_id: AccountId, actor: str, action: str, **detail: object) -> None:
        await record(tx, account_id=account_id, actor=actor, action=action, detail=detail, at=self._clock.wall())

"""Who calls, for which account, and whether their role allows it: each route declares exactly one of these.

`Needs(permission)` asks the role table; `SIGNED_IN` asks only for a user; `Open(reason)` lets everybody in. A route
without one does not pass the tests. Another tenant's organization answers exactly like a missing one.
"""

from dataclasses import dataclass
from typing import Annotated
from uuid import UUID

from fastapi import Depends, Request

from helvetia.accounts.errors import AccountNotFound
from helvetia.accounts.model import Account, Membership, Permission, User
from helvetia.accounts.service import AccountService
from helvetia.kernel.errors import Forbidden, NotSignedIn
from helvetia.kernel.identity import AccountId
from helvetia.web.config import WebConfig
from helvetia.web.errors import TwoOrganizations
from helvetia.web.middleware.csrf import SAFE_METHODS, check_csrf

ORGANIZATION_PARAMETER = "organizationId"
ORGANIZATION_HEADER = "X-Organization-Id"
_SCHEME = "bearer"


@dataclass(frozen=True, slots=True, kw_only=True)
class Caller:
    """A signed-in user acting for one account; `session_secret` is None for an API token."""

    user: User
    membership: Membership
    session_secret: str | None

    @property
    def account(self) -> Account:
        return self.membership.account

    @property
    def account_id(self) -> AccountId:
        return self.membership.account.account_id

    @property
    def actor(self) -> str:
        """Who it was, in the words of the audit record."""
        return f"user:{self.user.account_id}"

    def allows(self, permission: Permission) -> bool:
        return self.membership.allows(permission)


class Authenticator:
    """Finds the caller of a request; the application holds one."""

    def __init__(self, accounts: AccountService, config: WebConfig) -> None:
        self._accounts = accounts
        self._config = config

    async def find_caller(self, request: Request, *, is_use: bool = True) -> Caller:
        """`is_use` False: a page that is only left open, which keeps no session alive.

        Raises NotSignedIn, CrossSiteRequest, FormExpired, AccountNotFound.
        """
        user, session_secret = await self._find_user(request, is_use=is_use)
        request.state.user = user  # an error page speaks the reader's language, too
        account_id = _selected_account(request) or user.account_id
        membership = await self._accounts.membership(account_id, user.account_id)
        return Caller(user=user, membership=membership, session_secret=session_secret)

    async def _find_user(self, request: Request, *, is_use: bool) -> tuple[User, str | None]:
        authorization = request.headers.get("authorization")
        if authorization is not None:
            scheme, _, token = authorization.partition(" ")
            if scheme.lower() != _SCHEME:
                raise NotSignedIn
            return await self._accounts.authenticate_token(token.strip()), None
        secret = request.cookies.get(self._config.session_cookie)
        if not secret:
            raise NotSignedIn
        user = await self._accounts.authenticate_session(secret, is_use=is_use)
        if request.method not in SAFE_METHODS:
            await check_csrf(request, self._config, secret)
        return user, secret


def _selected_account(request: Request) -> AccountId | None:
    """The organization that the query or the header names; what is no id names nothing that exists."""
    named = {*request.query_params.getlist(ORGANIZATION_PARAMETER), *request.headers.getlist(ORGANIZATION_HEADER)}
    if len(named) > 1:
        raise TwoOrganizations
    if not named:
        return None
    try:
        return AccountId(UUID(named.pop()))
    except ValueError as error:
        raise AccountNotFound from error


@dataclass(frozen=True, slots=True)
class Needs:
    """A caller whose role in the selected account grants the permission (None: any signed-in caller).

    Raises:
        NotSignedIn, AccountNotFound, Forbidden
    """

    permission: Permission | None

    async def __call__(self, request: Request) -> Caller:
        authenticator: Authenticator = request.app.state.authenticator
        caller = await authenticator.find_caller(request)
        if self.permission is not None and not caller.allows(self.permission):
            raise Forbidden(needs=self.permission, role=caller.membership.role)
        return caller


@dataclass(frozen=True, slots=True)
class Open:
    """Anybody may call; the reason is for the reader."""

    reason: str

    async def __call__(self) -> None:
        return None


SignedIn = Annotated[Caller, Depends(Needs(None))]
ServiceReader = Annotated[Caller, Depends(Needs(Permission.READ_SERVICES))]
ServiceRunner = Annotated[Caller, Depends(Needs(Permission.RUN_SERVICES))]
BillingReader = Annotated[Caller, Depends(Needs(Permission.READ_BILLING))]
MoneyMover = Annotated[Caller, Depends(Needs(Permission.MOVE_MONEY))]
AccountManager = Annotated[Caller, Depends(Needs(Permission.MANAGE_ACCOUNT))]

"""Accounts and API tokens on the wire."""

from typing import Annotated

from pydantic import StringConstraints

from helvetia.accounts.model import ROLE_PERMISSIONS, ApiToken, IssuedToken, Membership
from helvetia.web.api.schemas.wire import WireAnswer, WireInstant, WireRequest

_Name = Annotated[str, StringConstraints(min_length=1, max_length=100)]


class OrganizationRequest(WireRequest):
    name: _Name


class TokenRequest(WireRequest):
    name: _Name


class MembershipAnswer(WireAnswer):
    """One account of the caller; `organizationId` is null for the account that is theirs alone."""

    account_id: str
    organization_id: str | None
    kind: str
    name: str
    role: str
    permissions: list[str]


class AccountAnswer(WireAnswer):
    """Who calls, for which account, and which others there are."""

    user_id: str
    email: str
    selected: MembershipAnswer
    accounts: list[MembershipAnswer]


class TokenAnswer(WireAnswer):
    id: str
    name: str
    created_at: WireInstant
    last_used_at: WireInstant | None


class IssuedTokenAnswer(TokenAnswer):
    """`secret` is told this once."""

    secret: str


class TokenListAnswer(WireAnswer):
    tokens: list[TokenAnswer]
    next_cursor: str | None = None


def to_wire_membership(membership: Membership) -> MembershipAnswer:
    account = membership.account
    account_id = str(account.account_id)
    return MembershipAnswer(
        account_id=account_id,
        organization_id=account_id if account.kind == "organization" else None,
        kind=account.kind.value,
        name=account.name,
        role=membership.role.value,
        permissions=sorted(permission.value for permission in ROLE_PERMISSIONS[membership.role]),
    )


def to_wire_token(token: ApiToken) -> TokenAnswer:
    return TokenAnswer(
        id=str(token.token_id), name=token.name, created_at=token.created_at, last_used_at=token.last_used_at
    )


def to_wire_issued_token(issued: IssuedToken) -> IssuedTokenAnswer:
    token = issued.token
    return IssuedTokenAnswer(
        id=str(token.token_id),
        name=token.name,
        created_at=token.created_at,
        last_used_at=token.last_used_at,
        secret=issued.secret,
    )

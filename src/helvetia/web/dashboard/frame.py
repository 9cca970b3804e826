"""What surrounds every page of an account: who is signed in, for which account, and the way to the others."""

from collections.abc import Sequence
from dataclasses import dataclass

from helvetia.accounts.model import AccountKind, Membership, Role
from helvetia.web.middleware.authenticate import ORGANIZATION_PARAMETER, Caller
from helvetia.web.middleware.csrf import csrf_token

_ROLE_WORDS = {
    Role.OWNER: "Owner",
    Role.BILLING_ADMIN: "Billing admin",
    Role.BILLING_VIEWER: "Billing viewer",
    Role.DEVELOPER: "Developer",
    Role.MEMBER: "Member",
}


@dataclass(frozen=True, slots=True, kw_only=True)
class AccountLink:
    name: str
    role: str
    query: str
    is_selected: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class Frame:
    """`query` keeps the selected organization from page to page."""

    email: str
    selected_name: str
    query: str
    accounts: Sequence[AccountLink]
    csrf_token: str


def to_frame(caller: Caller, memberships: Sequence[Membership]) -> Frame:
    return Frame(
        email=caller.user.email,
        selected_name=caller.account.name,
        query=_query(caller.membership),
        accounts=[_link(membership, caller) for membership in memberships],
        csrf_token=csrf_token(caller.session_secret or ""),
    )


def _link(membership: Membership, caller: Caller) -> AccountLink:
    return AccountLink(
        name=membership.account.name,
        role=_ROLE_WORDS[membership.role],
        query=_query(membership),
        is_selected=membership.account.account_id == caller.account_id,
    )


def _query(membership: Membership) -> str:
    account = membership.account
    return "" if account.kind is AccountKind.USER else f"?{ORGANIZATION_PARAMETER}={account.account_id}"

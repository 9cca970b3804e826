"""What surrounds every page of an account: who is signed in, for which account, and the ways to the others. Pure."""

from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum

from helvetia.accounts.model import AccountKind, Membership, Permission, Role
from helvetia.web.dashboard.suspension.banner import Banner
from helvetia.web.dashboard.voice import Voice
from helvetia.web.middleware.authenticate import ORGANIZATION_PARAMETER, Caller
from helvetia.web.middleware.csrf import csrf_token


class PageName(StrEnum):
    """The pages of the navigation; the words are their addresses below /billing."""

    OVERVIEW = ""
    USAGE = "/usage"
    PLANS = "/plans"
    INVOICES = "/invoices"
    HISTORY = "/history"
    SETTINGS = "/settings"


@dataclass(frozen=True, slots=True, kw_only=True)
class AccountLink:
    name: str
    role: str
    query: str
    is_selected: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class PageLink:
    title: str
    path: str
    is_current: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class Frame:
    """`query` keeps the selected organization from page to page; `and_query` is the same where a query has begun."""

    email: str
    selected_name: str
    role: str
    query: str
    and_query: str
    pages: Sequence[PageLink]
    accounts: Sequence[AccountLink]
    csrf_token: str
    may_move_money: bool
    banner: Banner | None = None


def to_frame(
    caller: Caller,
    memberships: Sequence[Membership],
    voice: Voice,
    *,
    page: PageName | None,
    banner: Banner | None = None,
) -> Frame:
    query = account_query(caller.membership)
    return Frame(
        email=caller.user.email,
        selected_name=caller.account.name,
        role=role_words(caller.membership.role, voice),
        query=query,
        and_query=query.replace("?", "&", 1),
        pages=[_page_link(one, voice, is_current=one is page) for one in PageName],
        accounts=[_account_link(membership, caller, voice) for membership in memberships],
        csrf_token=csrf_token(caller.session_secret or ""),
        may_move_money=caller.allows(Permission.MOVE_MONEY),
        banner=banner,
    )


def role_words(role: Role, voice: Voice) -> str:
    return {
        Role.OWNER: voice.say("Owner"),
        Role.BILLING_ADMIN: voice.say("Billing admin"),
        Role.BILLING_VIEWER: voice.say("Billing viewer"),
        Role.DEVELOPER: voice.say("Developer"),
        Role.MEMBER: voice.say("Member"),
    }[role]


def account_query(membership: Membership) -> str:
    """What an address needs so that it shows this account; one's own account needs nothing."""
    account = membership.account
    return "" if account.kind is AccountKind.USER else f"?{ORGANIZATION_PARAMETER}={account.account_id}"


def _page_link(page: PageName, voice: Voice, *, is_current: bool) -> PageLink:
    title = {
        PageName.OVERVIEW: voice.say("Overview"),
        PageName.USAGE: voice.say("Usage"),
        PageName.PLANS: voice.say("Plans"),
        PageName.INVOICES: voice.say("Invoices"),
        PageName.HISTORY: voice.say("History"),
        PageName.SETTINGS: voice.say("Settings"),
    }[page]
    return PageLink(title=title, path=f"/billing{page}", is_current=is_current)


def _account_link(membership: Membership, caller: Caller, voice: Voice) -> AccountLink:
    return AccountLink(
        name=membership.account.name,
        role=role_words(membership.role, voice),
        query=account_query(membership),
        is_selected=membership.account.account_id == caller.account_id,
    )

"""`helvetia holds`: what passes did, taking it back, and exceptions for one account."""

from datetime import UTC, datetime, timedelta
from typing import Literal, TypeVar
from uuid import UUID

from dishka import AsyncContainer

from helvetia.cli.run import print_json, run_in_house
from helvetia.enforcement.model import OverrideKind
from helvetia.enforcement.service import EnforcementService
from helvetia.kernel.errors import Invalid
from helvetia.kernel.identity import AccountId

ACTOR = "operator:command-line"
_Given = TypeVar("_Given")
Action = Literal["list", "lift", "extend", "exempt", "revoke", "place", "release"]


def holds(
    action: Action = "list",
    *,
    pass_id: UUID | None = None,
    account: UUID | None = None,
    until: datetime | None = None,
    days: int = 1,
    reason: str = "",
    json: bool = False,
) -> int:
    """List passes; lift all holds of one; extend, exempt, revoke for an account; place or release an operator's hold.

    Example: helvetia holds lift --pass-id 0198… --reason "wrong webhook secret"

    Parameters
    ----------
    action
        list, lift, extend, exempt, revoke, place or release.
    pass_id
        With lift: the pass whose holds are lifted.
    account
        With the others: the account.
    until
        With extend and exempt: the end of the exception (UTC unless it says otherwise).
    days
        With lift: how long its accounts are left in peace.
    reason
        Kept in the audit record; needed for everything but list.
    json
        Print JSON for scripts.
    """
    if action != "list" and not reason.strip():
        raise Invalid(f"holds {action} needs a --reason, which is kept.")

    async def work(house: AsyncContainer) -> int:
        enforcement = await house.get(EnforcementService)
        if action == "list":
            await _list(enforcement, json=json)
        elif action == "lift":
            lifted = await enforcement.lift_pass(
                _given(pass_id, "--pass-id"), reason=reason, actor=ACTOR, lasts=timedelta(days=days)
            )
            print(f"lifted for {len(lifted)} accounts, which are left in peace for {days} days")
        else:
            print(await _change(enforcement, action, AccountId(_given(account, "--account")), until, reason))
        return 0

    return run_in_house(work)


async def _list(enforcement: EnforcementService, *, json: bool) -> None:
    passes = await enforcement.last_passes()
    if json:
        print_json(passes)
        return
    for one in passes:
        print(
            f"{one['began_at']:%Y-%m-%d %H:%M:%S}  {one['pass_id']}  {one['mode']:<8} would hold"
            f" {one['would_hold_count']}, held {one['held_count']}, resumed {one['resumed_count']}"
            f" of {one['account_count']}" + (f"  BRAKE: {one['brake']}" if one["brake"] else "")
        )
    print(f"{len(passes)} passes that did or wanted something")


async def _change(
    enforcement: EnforcementService, action: Action, account_id: AccountId, until: datetime | None, reason: str
) -> str:
    if action in {"extend", "exempt"}:
        until_at = _given(until, "--until")
        until_at = until_at if until_at.tzinfo is not None else until_at.replace(tzinfo=UTC)
        kind = OverrideKind(action)
        await enforcement.add_override(account_id, kind, until_at=until_at, reason=reason, actor=ACTOR)
        return f"{kind.value} until {until_at:%Y-%m-%d %H:%M:%S} UTC"
    if action == "revoke":
        return f"{await enforcement.revoke_overrides(account_id, reason=reason, actor=ACTOR)} exceptions ended"
    if action == "place":
        return f"{await enforcement.hold_by_operator(account_id, reason=reason, actor=ACTOR)} services held"
    return f"{await enforcement.release_by_operator(account_id, reason=reason, actor=ACTOR)} services released"


def _given(value: _Given | None, name: str) -> _Given:
    if value is None:
        raise Invalid(f"{name} is missing.")
    return value

"""`helvetia notices`: what accounts are told, and whether it arrived."""

from typing import Annotated
from uuid import UUID

from cyclopts import Parameter
from dishka import AsyncContainer

from helvetia.cli.run import print_json, run_in_house
from helvetia.kernel.identity import AccountId
from helvetia.notifications.model import Notification
from helvetia.notifications.service import NotificationService


def notices(
    *,
    account: UUID | None = None,
    failed: Annotated[bool, Parameter(negative=())] = False,
    limit: int = 50,
    json: bool = False,
) -> int:
    """List notices, the latest due first, each with its delivery: who got it, when, in which attempt, what went wrong.

    Exit code 0, or 1 when --failed finds something.

    Example: helvetia notices --failed

    Parameters
    ----------
    account
        Only those of this account.
    failed
        Only what did not arrive (yet): given up, to be tried again, or refused for one of several addresses.
    limit
        How many at most, up to 1,000.
    json
        Print JSON for scripts.
    """

    async def work(house: AsyncContainer) -> int:
        notifications = await house.get(NotificationService)
        account_id = None if account is None else AccountId(account)
        found = await notifications.list_deliveries(account_id, failed_only=failed, limit=limit)
        if json:
            print_json([_to_json(one) for one in found])
        else:
            for one in found:
                _print(one)
            print(f"{len(found)} notices" + (" that did not arrive" if failed else ""))
        return int(failed and bool(found))

    return run_in_house(work)


def _print(one: Notification) -> None:
    print(f"{one.due_at:%Y-%m-%d %H:%M:%S}  {one.state:<10} {one.kind:<17} account {one.account_id}")
    if one.sent_at is not None:
        print(f"  {one.channel}, {one.sent_at:%Y-%m-%d %H:%M:%S}, to {', '.join(one.recipients)}: {one.subject}")
    if one.last_error is not None:
        print(f"  attempt {one.attempt_count}: {one.last_error}")


def _to_json(one: Notification) -> dict[str, object]:
    return {
        "id": one.notification_id,
        "accountId": one.account_id,
        "kind": one.kind,
        "state": one.state,
        "dueAt": one.due_at,
        "sentAt": one.sent_at,
        "channel": one.channel,
        "recipients": list(one.recipients),
        "subject": one.subject,
        "attempts": one.attempt_count,
        "error": one.last_error,
    }

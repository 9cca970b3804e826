"""`helvetia enforce`: make one pass of enforcement now, or only say what it would do, now or at another time."""

from collections.abc import Sequence
from datetime import UTC, datetime

from dishka import AsyncContainer

from helvetia.cli.run import print_json, run_in_house
from helvetia.enforcement.model import Intent
from helvetia.enforcement.service import EnforcementService
from helvetia.kernel.errors import Invalid


def enforce(
    *,
    dry_run: bool = False,
    at: datetime | None = None,
    despite_brake: bool = False,
    reason: str = "",
    json: bool = False,
) -> int:
    """Hold and resume what is due, as the worker does every few seconds.

    Exit code 0 when it was done, 1 when the brake kept it from holding anybody.

    Example: helvetia enforce --dry-run --at 2026-03-08T12:00:00Z

    Parameters
    ----------
    dry_run
        Change nothing; print every account where something would be done, and why.
    at
        With --dry-run: the time (UTC unless it says otherwise) to rehearse, by what is known now.
    despite_brake
        Hold although the brake says no; needs a reason.
    reason
        Kept in the audit record.
    json
        Print JSON for scripts.
    """
    if at is not None and not dry_run:
        raise Invalid("--at goes with --dry-run: a pass is made now.")
    if despite_brake and not reason.strip():
        raise Invalid("--despite-brake needs a --reason, which is kept.")
    instant = at if at is None or at.tzinfo is not None else at.replace(tzinfo=UTC)

    async def work(house: AsyncContainer) -> int:
        enforcement = await house.get(EnforcementService)
        if dry_run:
            _show(await enforcement.rehearse(instant), json=json)
            return 0
        outcome = await enforcement.run_pass(
            actor="operator:command-line", despite_brake=reason if despite_brake else None
        )
        if json:
            print_json(outcome)
        else:
            print(
                f"mode {outcome.mode.value}: would hold {len(outcome.would_hold)}, held {len(outcome.held)},", end=" "
            )
            print(f"resumed {len(outcome.resumed)} of {outcome.account_count} accounts")
            if outcome.brake is not None:
                print(f"the brake is on: {outcome.brake}")
        return int(outcome.brake is not None)

    return run_in_house(work)


def _show(intents: Sequence[Intent], *, json: bool) -> None:
    if json:
        print_json(
            [
                {
                    "accountId": str(one.facts.account_id),
                    "action": "hold" if one.wants_hold else "resume",
                    "state": one.verdict.state.value,
                    "services": one.facts.service_count,
                    "reason": one.verdict.reason,
                }
                for one in intents
            ]
        )
        return
    for one in intents:
        action = "hold" if one.wants_hold else "resume"
        print(f"{action:<7} {one.facts.account_id}  {one.facts.service_count} services  {one.verdict.reason}")
    print(f"{len(intents)} accounts; nothing was changed")

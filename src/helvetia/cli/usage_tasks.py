"""`helvetia usage-tasks`: usage that no invoice bills, priced; bill or waive it; and ends that something keeps."""

from typing import Literal, TypeVar
from uuid import UUID

from dishka import AsyncContainer

from helvetia.cli.run import print_json, run_in_house
from helvetia.kernel.errors import Invalid
from helvetia.kernel.identity import AccountId
from helvetia.kernel.money import Money
from helvetia.meter_reports.service import MeterReportService
from helvetia.meter_reports.settlement.decide_tasks import Decision
from helvetia.meter_reports.settlement.service import SettlementService

ACTOR = "operator:command-line"
_Given = TypeVar("_Given")
Action = Literal["list", "bill", "waive", "end"]


def usage_tasks(
    action: Action = "list",
    *,
    task: UUID | None = None,
    amount: int | None = None,
    account: UUID | None = None,
    reason: str = "",
    json: bool = False,
) -> int:
    """List what waits; bill a task by an invoice item or waive it; end a subscription that something keeps.

    Exit code 0 when it is done (or nothing waits), 1 when something waits for a decision.

    Example: helvetia usage-tasks waive --task 0198… --amount 200 --reason "goodwill, ticket 17"

    Parameters
    ----------
    action
        list, bill, waive or end.
    task
        With bill and waive: the task.
    amount
        With bill and waive: the amount that was seen, in minor units (cents).
    account
        With end: the account whose cancellation waits.
    reason
        Kept in the audit record; needed for everything but list.
    json
        Print JSON for scripts.
    """

    async def work(house: AsyncContainer) -> int:
        settlement = await house.get(SettlementService)
        if action == "list":
            return await _list(settlement, json=json)
        if action == "end":
            reports = await house.get(MeterReportService)
            await reports.end_anyway(AccountId(_given(account, "--account")), reason=reason, actor=ACTOR)
            print("the worker ends it within seconds; what Stripe does not bill then becomes a task")
            return 0
        done = await settlement.decide(
            Decision(
                task_id=_given(task, "--task"),
                is_billed=action == "bill",
                amount_minor=_given(amount, "--amount"),
                reason=reason,
                actor=ACTOR,
            )
        )
        print(
            f"{done.state.value}: {done.quantity:f} of {done.metric.value}, {done.amount_minor} {done.currency} cents"
        )
        return 0

    return run_in_house(work)


async def _list(settlement: SettlementService, *, json: bool) -> int:
    await settlement.open_all_tasks()
    tasks, stuck = await settlement.undecided(), await settlement.stuck_cancellations()
    if json:
        print_json({"usageTasks": tasks, "stuckCancellations": stuck})
        return int(bool(tasks or stuck))
    for one in tasks:
        amount = Money(amount_minor=one.amount_minor, currency=one.currency).to_decimal()
        print(f"{one.task_id}  {one.state.value:<7} account {one.account_id}")
        print(f"  {one.metric.value} {one.quantity:f}, {one.starts_at:%Y-%m-%d %H:%M} to {one.ends_at:%Y-%m-%d %H:%M}")
        print(f"  {amount} {one.currency} (--amount {one.amount_minor}): {one.detail}")
    for end in stuck:
        print(f"account {end.account_id}: its end waits since {end.requested_at:%Y-%m-%d %H:%M}: {end.last_error}")
    print(f"{len(tasks)} tasks and {len(stuck)} ends wait for a decision")
    return int(bool(tasks or stuck))


def _given(value: _Given | None, name: str) -> _Given:
    if value is None:
        raise Invalid(f"{name} is missing.")
    return value

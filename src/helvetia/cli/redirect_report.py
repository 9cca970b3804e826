"""`helvetia redirect-report`: a report of usage that went to another customer's meter is taken back there."""

from dishka import AsyncContainer

from helvetia.cli.run import run_in_house
from helvetia.meter_reports.redirection.service import RedirectionService

ACTOR = "operator:command-line"


def redirect_report(*, report: str, reason: str = "") -> int:
    """Take a report back from the customer it went to; the worker reports it anew to the right one.

    Possible within 24 hours of sending it, and while no invoice of that customer for it is final. Repeating it after an
    error goes on, or says the same.

    Example: helvetia redirect-report --report hv_2b7e… --reason "linked to the wrong customer, ticket 12"

    Parameters
    ----------
    report
        The identifier of the report, as `helvetia reconcile --usage` tells it.
    reason
        Kept in the audit record; needed.
    """

    async def work(house: AsyncContainer) -> int:
        done = await (await house.get(RedirectionService)).redirect(report, reason=reason, actor=ACTOR)
        print(f"{done.state.value}: {done.value:f} of {done.metric.value} is taken back from {done.wrong_customer_id}")
        print(f"the worker reports it within minutes to {done.right_customer_id}")
        return 0

    return run_in_house(work)

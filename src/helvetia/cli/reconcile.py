"""`helvetia reconcile`: compare every customer with Stripe now, repair what is ours, and say what differs."""

import sys
from functools import partial

from dishka import AsyncContainer

from helvetia.cli.run import print_json, run_in_house
from helvetia.kernel.errors import Unavailable
from helvetia.meter_reports.service import MeterReportService
from helvetia.meter_reports.settlement.service import SettlementService, to_wire
from helvetia.webhooks.model import Comparison
from helvetia.webhooks.service import WebhookService

PERIODS_MAX = 1_000_000
EXIT_NOT_READ = 3


def reconcile(*, usage: bool = False, json: bool = False) -> int:
    """Compare with Stripe now; with --usage, every hop of usage: engine, ledger, outbox, Stripe's meters, invoices.

    Without --usage: compare customers, subscriptions and invoices with Stripe field by field, and reported usage with
    its meters.

    What a fresh read repairs is repaired; the rest is listed. Nothing is changed at Stripe.

    Exit code 0 when everything could be read and no difference is left, 1 otherwise; with --usage, 1 when something
    differs and 3 when not every account could be read, or Stripe does not answer at all.

    Example: helvetia reconcile --usage --json

    Parameters
    ----------
    usage
        Compare usage, hop by hop, and change nothing at all.
    json
        Print JSON for scripts.
    """
    if usage:
        return run_in_house(partial(_compare_usage, json=json))

    async def work(house: AsyncContainer) -> int:
        webhooks = await house.get(WebhookService)
        walk = await webhooks.backfill()
        found = await webhooks.compare_all()
        period_count = await (await house.get(MeterReportService)).confirm_all(PERIODS_MAX)
        if json:
            print_json(
                {
                    "comparedAccounts": found.compared_count,
                    "failedAccounts": found.failed_count,
                    "comparedPeriods": period_count,
                    "backfilledEvents": walk.found_count,
                    "eventsCompleteFrom": walk.complete_from_at,
                    "eventsCompleteUntil": walk.complete_until_at,
                    "differences": _to_wire(found),
                }
            )
        else:
            _print_sentences(found, period_count)
            print(f"events complete from {walk.complete_from_at} until {walk.complete_until_at}")
        return int(not found.is_clean)

    return run_in_house(work)


async def _compare_usage(house: AsyncContainer, *, json: bool) -> int:
    try:
        found = await (await house.get(SettlementService)).compare_all()
    except Unavailable as error:
        print(f"{error.detail} [{error.code}]", file=sys.stderr)
        return EXIT_NOT_READ
    if json:
        print_json(
            {
                "comparedAccounts": found.compared_count,
                "failedAccounts": {str(account_id): why for account_id, why in found.failed.items()},
                "differences": [to_wire(one) for one in found.differences],
            }
        )
    else:
        print(f"accounts compared: {found.compared_count}, not readable: {len(found.failed)}")
        for one in found.differences:
            print(
                f"{one.hop.value}: account {one.account_id} {one.metric.value} {one.starts_at:%Y-%m-%d %H:%M}:"
                f" {one.ours:f} against {one.theirs:f}, {one.amount_minor:f} cents; {one.repair}"
            )
        print("every hop agrees" if not found.differences else f"{len(found.differences)} differences")
    return EXIT_NOT_READ if found.failed else int(bool(found.differences))


def _to_wire(found: Comparison) -> list[dict[str, object]]:
    return [
        {
            "accountId": one.account_id and str(one.account_id),
            "thing": one.thing,
            "thingId": one.thing_id,
            "field": one.field,
            "ours": one.ours,
            "stripes": one.stripes,
            "repaired": one.is_repaired,
        }
        for one in found.differences
    ]


def _print_sentences(found: Comparison, period_count: int) -> None:
    print(f"accounts compared: {found.compared_count}, not readable: {found.failed_count}")
    print(f"billing periods compared with Stripe's meters: {period_count}")
    for one in found.differences:
        verdict = "repaired" if one.is_repaired else "LEFT"
        print(f"{verdict}: {one.thing} {one.thing_id} {one.field}: ours {one.ours}, Stripe's {one.stripes}")
    print("no difference is left" if found.is_clean else "something is left for you to decide")

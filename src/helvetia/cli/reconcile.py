"""`helvetia reconcile`: read every customer from Stripe now, repair what is ours, and say what differs."""

from dishka import AsyncContainer

from helvetia.billing.service import BillingService
from helvetia.cli.run import print_json, run_in_house
from helvetia.meter_reports.service import MeterReportService
from helvetia.subscriptions.service import SubscriptionService

ACCOUNTS_MAX = 1_000_000


def reconcile(*, json: bool = False) -> int:
    """Read subscriptions and invoices of every customer from Stripe, and compare reported usage with Stripe's meters.

    Exit code 0 when everything could be read, 1 otherwise.

    Example: helvetia reconcile --json
    """

    async def work(house: AsyncContainer) -> int:
        subscriptions = await (await house.get(SubscriptionService)).sync_all_due(ACCOUNTS_MAX)
        mirrored_count = await (await house.get(BillingService)).mirror_all(ACCOUNTS_MAX)
        compared_count = await (await house.get(MeterReportService)).confirm_all(ACCOUNTS_MAX)
        if json:
            counts = {"mirroredAccounts": mirrored_count, "comparedPeriods": compared_count}
            print_json({"subscriptions": subscriptions, **counts})
        else:
            print(f"subscriptions read: {subscriptions.synced_count}, failed: {subscriptions.failed_count}")
            print(f"accounts whose invoices were mirrored: {mirrored_count}")
            print(f"billing periods compared with Stripe's meters: {compared_count}")
        return int(subscriptions.failed_count > 0)

    return run_in_house(work)

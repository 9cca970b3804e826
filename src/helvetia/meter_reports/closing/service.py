"""The arrow account → deleted: only when everything has ended and is billed, and so that nothing can begin any more.

In the account's turn with Stripe, in which no checkout is opened, what was used is queued; then one transaction asks
the hooks and deletes. Fails with nothing deleted; every step is safe to repeat.
"""

from helvetia.accounts.service import AccountService
from helvetia.billing.service import BillingService
from helvetia.kernel.identity import AccountId
from helvetia.meter_reports.service import MeterReportService


class AccountClosingService:
    """Deletes accounts that have nothing left to run or to pay."""

    def __init__(self, accounts: AccountService, billing: BillingService, reports: MeterReportService) -> None:
        self._accounts = accounts
        self._billing = billing
        self._reports = reports

    async def close_account(self, account_id: AccountId, *, actor: str) -> None:
        """Delete it; its usage records stay.

        Raises:
            AccountNotFound, OwnsOrganizations, SubscriptionStillLive, ServicesRemain, CancellationUnfinished,
            UsageNotBilled, InvoicesNotSettled, CheckoutBusy, PricesNotVerified, NothingCharged
        """
        async with self._billing.nothing_for_sale(account_id) as is_customer:
            if is_customer:
                await self._reports.queue(account_id)
            await self._accounts.delete_account(account_id, actor=actor)

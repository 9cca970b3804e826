"""What `accounts` asks of the whole house: the rows of a new account, and whether one may be deleted.

Asked inside the deleting transaction, under the account's lock, of our own tables only.
"""

from helvetia.containers import store as containers
from helvetia.database.pool import Transaction
from helvetia.kernel.identity import AccountId
from helvetia.meter_reports.closing import store
from helvetia.meter_reports.closing.errors import (
    CancellationUnfinished,
    InvoicesNotSettled,
    ServicesRemain,
    UsageNotBilled,
)
from helvetia.subscriptions.service import SubscriptionHooks


class ClosingHooks(SubscriptionHooks):
    """`SubscriptionHooks`, and everything above subscriptions that may still run or be owed."""

    async def check_deletable(self, tx: Transaction, account_id: AccountId) -> None:
        """Raises SubscriptionStillLive, ServicesRemain, CancellationUnfinished, UsageNotBilled, InvoicesNotSettled."""
        if await store.has_open_cancellation(tx, account_id):
            raise CancellationUnfinished
        await super().check_deletable(tx, account_id)
        service_count = await containers.count_services(tx, account_id)
        if service_count or await store.has_running_containers(tx, account_id):
            raise ServicesRemain(services=service_count)
        if await store.has_unbilled_usage(tx, account_id):
            raise UsageNotBilled
        if await store.has_unsettled_invoices(tx, account_id):
            raise InvoicesNotSettled

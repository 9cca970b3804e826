"""Nothing can be bought while this holds: the account's turn, with every page on which something was for sale closed.

Stripe is read afresh before and after, so that what was bought at the last moment is seen. Whoever leaves the block
opens the shop again. Fails with nothing changed but pages that are closed, which can be opened anew.
"""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from helvetia.billing.errors import CheckoutBusy
from helvetia.billing.mirror_invoices import mirror_invoices
from helvetia.billing.parts import BillingParts, nothing_charged, one_at_a_time
from helvetia.kernel.identity import AccountId
from helvetia.stripe_gateway.errors import StripeRefused
from helvetia.subscriptions.errors import SubscriptionStillLive


@asynccontextmanager
async def stop_selling(parts: BillingParts, account_id: AccountId) -> AsyncIterator[bool]:
    """Yields whether Stripe knows the account.

    Raises:
        SubscriptionStillLive, CheckoutBusy, NothingCharged
    """
    async with one_at_a_time(parts, account_id):
        known = await parts.subscriptions.get_subscription(account_id)
        if known.stripe_customer_id is not None:
            with nothing_charged():
                await _close_pages(parts, account_id, known.stripe_customer_id)
        yield known.stripe_customer_id is not None


async def _close_pages(parts: BillingParts, account_id: AccountId, customer_id: str) -> None:
    await _check_ended(parts, account_id)
    for session in await parts.gateway.list_open_checkout_sessions(customer_id):
        try:
            await parts.gateway.expire_checkout_session(session.session_id)
        except StripeRefused as error:
            raise CheckoutBusy(retry_after_s=5) from error
    await _check_ended(parts, account_id)
    await mirror_invoices(parts.database, parts.clock, parts.gateway, account_id)


async def _check_ended(parts: BillingParts, account_id: AccountId) -> None:
    if (await parts.subscriptions.sync_subscription(account_id)).record.is_live_at_stripe:
        raise SubscriptionStillLive

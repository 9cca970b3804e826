"""The use cases of billing: become a customer, subscribe, see invoices, report one piece of usage."""

from collections.abc import Sequence

import structlog

from helvetia.billing import store
from helvetia.billing.create_subscription import SubscribeParts, SubscribeWish, create_subscription
from helvetia.billing.errors import AlreadySubscribed, PlanNotSold
from helvetia.billing.get_or_create_customer import get_or_create_customer
from helvetia.billing.mirror_invoices import mirror_invoices
from helvetia.billing.model import (
    PAGE_SIZE_MAX,
    BillingConfig,
    InvoiceCursor,
    InvoiceLineRecord,
    InvoicePage,
    InvoiceRecord,
    check_reportable,
)
from helvetia.catalogue.plans import SubscriptionPlan
from helvetia.database.pool import Database
from helvetia.kernel.clock import Clock
from helvetia.kernel.errors import HelvetiaError
from helvetia.kernel.identity import AccountId
from helvetia.stripe_gateway.errors import StripeNotAuthorized, StripeRateLimited, StripeUnavailable
from helvetia.stripe_gateway.model import MeterEvent, StripeGateway, Subscription
from helvetia.stripe_gateway.price_book_holder import PriceBookHolder
from helvetia.subscriptions.model import SubscriptionRecord
from helvetia.subscriptions.service import SubscriptionService

_log = structlog.get_logger()


class BillingService:
    """What we ask of Stripe for an account, and what we mirror from it."""

    def __init__(
        self,
        database: Database,
        clock: Clock,
        gateway: StripeGateway,
        prices: PriceBookHolder,
        subscriptions: SubscriptionService,
        config: BillingConfig,
    ) -> None:
        self._database = database
        self._clock = clock
        self._gateway = gateway
        self._prices = prices
        self._subscriptions = subscriptions
        self._config = config

    async def get_or_create_customer(self, account_id: AccountId) -> str:
        """The account's customer id at Stripe; many callers at once get the same."""
        return await get_or_create_customer(self._database, self._clock, self._gateway, self._config, account_id)

    async def create_subscription(
        self, account_id: AccountId, plan: SubscriptionPlan, payment_method: str
    ) -> SubscriptionRecord:
        """Subscribe to a paid plan with this payment method, and return what Stripe made of it.

        Raises:
            PlanNotSold, PricesNotVerified, AlreadySubscribed, SubscribingInProgress, CardDeclined, StripeRefused
        """
        if plan is SubscriptionPlan.FREE:
            raise PlanNotSold
        book = self._prices.require()
        if (await self._subscriptions.get_subscription(account_id)).is_live_at_stripe:
            raise AlreadySubscribed
        wish = SubscribeWish(
            account_id=account_id,
            customer_id=await self.get_or_create_customer(account_id),
            plan=plan,
            payment_method=payment_method,
        )
        parts = SubscribeParts(
            database=self._database, clock=self._clock, gateway=self._gateway, subscriptions=self._subscriptions
        )
        return await create_subscription(parts, book, wish)

    async def get_subscription(self, account_id: AccountId) -> Subscription | None:
        """The account's subscription as Stripe has it now; None when it never had one."""
        record = await self._subscriptions.get_subscription(account_id)
        if record.stripe_subscription_id is None:
            return None
        return await self._gateway.retrieve_subscription(record.stripe_subscription_id)

    async def get_invoices(self, account_id: AccountId, *, limit: int = 20, cursor: str | None = None) -> InvoicePage:
        """Mirrored invoices, newest first. Raises InvalidCursor."""
        size = max(1, min(limit, PAGE_SIZE_MAX))
        after = None if cursor is None else InvoiceCursor.from_wire(cursor)
        async with self._database.transaction() as tx:
            found = await store.invoices(tx, account_id, after=after, limit=size + 1)
        shown = found[:size]
        if len(found) <= size:
            return InvoicePage(invoices=shown, next_cursor=None)
        last = InvoiceCursor(issued_at=shown[-1].issued_at, stripe_invoice_id=shown[-1].stripe_invoice_id)
        return InvoicePage(invoices=shown, next_cursor=last.to_wire())

    async def get_invoice(
        self, account_id: AccountId, stripe_invoice_id: str
    ) -> tuple[InvoiceRecord, Sequence[InvoiceLineRecord]]:
        """One mirrored invoice with its lines. Raises InvoiceNotFound."""
        async with self._database.transaction() as tx:
            invoice = await store.find_invoice(tx, account_id, stripe_invoice_id)
            return invoice, await store.invoice_lines(tx, account_id, stripe_invoice_id)

    async def report_usage(self, event: MeterEvent) -> None:
        """Send one meter event: the only place that does. The same identifier may be sent again within 24 h.

        Raises:
            InvalidReport, AlreadyUsedIdentifier, MeterEventOutOfTime, StripeRefused, StripeUnavailable
        """
        check_reportable(event)
        await self._gateway.send_meter_event(event)

    async def mirror_invoices(self, account_id: AccountId) -> int:
        """Copy the account's invoices from Stripe; says how many were new or had changed."""
        return await mirror_invoices(self._database, self._clock, self._gateway, account_id)

    async def mirror_all(self, limit: int = 100) -> int:
        """The poll: mirror the accounts that waited longest; stops when Stripe is away. Says how many succeeded."""
        async with self._database.transaction() as tx:
            due = await store.accounts_to_mirror(tx, limit)
        mirrored_count = 0
        for account_id in due:
            try:
                await self.mirror_invoices(account_id)
                mirrored_count += 1
            except (StripeUnavailable, StripeRateLimited, StripeNotAuthorized):
                raise
            except HelvetiaError as error:
                _log.warning("billing.mirror_failed", account_id=str(account_id), code=error.code)
        return mirrored_count

"""The use cases of billing: become a customer, subscribe, see invoices, report one piece of usage."""

from collections.abc import Sequence
from contextlib import AbstractAsyncContextManager
from uuid import UUID

import structlog

from helvetia.billing import store
from helvetia.billing.adopt_card import adopt_card
from helvetia.billing.create_subscription import SubscribeParts, SubscribeWish, create_subscription
from helvetia.billing.errors import AlreadySubscribed, PlanNotSold
from helvetia.billing.get_or_create_customer import get_or_create_customer, get_usable_customer
from helvetia.billing.mirror_invoices import mirror_invoices
from helvetia.billing.model import (
    PAGE_SIZE_MAX,
    BillingConfig,
    InvoiceFilter,
    InvoiceLineRecord,
    InvoicePage,
    InvoiceRecord,
    PageCursor,
    check_reportable,
)
from helvetia.billing.open_checkout import open_checkout
from helvetia.billing.open_portal import PortalPage, PortalReturn, open_portal
from helvetia.billing.parts import BillingParts, nothing_charged
from helvetia.billing.payments.read_payments import refresh_old_payments, refresh_payments
from helvetia.billing.plan_change import store as plan_changes
from helvetia.billing.plan_change.change_plan import change_plan
from helvetia.billing.plan_change.end_subscription import cancel_at_period_end, cancel_now, resume
from helvetia.billing.plan_change.measure_use import measure_use
from helvetia.billing.plan_change.model import ChangeOutcome, PlanChangeRecord, PlanOffer, PlanPreview, offers
from helvetia.billing.plan_change.preview_change import preview_change
from helvetia.billing.plan_change.stop_selling import stop_selling
from helvetia.billing.settlement.model import PaymentOffer
from helvetia.billing.settlement.offer_payment import offer_payment
from helvetia.billing.settlement.store import find_offer
from helvetia.catalogue.plans import SubscriptionPlan
from helvetia.catalogue.prices import CURRENCY
from helvetia.database.job_queue import JobQueue
from helvetia.database.pool import Database
from helvetia.kernel.clock import Clock
from helvetia.kernel.errors import HelvetiaError
from helvetia.kernel.identity import AccountId
from helvetia.kernel.status import SubscriptionStatus
from helvetia.stripe_gateway.actions import CheckoutSession, StripeActions
from helvetia.stripe_gateway.errors import StripeNotAuthorized, StripeRateLimited, StripeUnavailable
from helvetia.stripe_gateway.model import MeterEvent, Subscription
from helvetia.stripe_gateway.price_book_holder import PriceBookHolder
from helvetia.stripe_gateway.time_limit import within
from helvetia.subscriptions import store as subscriptions_store
from helvetia.subscriptions.model import SubscriptionRecord
from helvetia.subscriptions.service import SubscriptionService

ANY_INVOICE = InvoiceFilter()

_log = structlog.get_logger()


class BillingService:
    """What we ask of Stripe for an account, and what we mirror from it."""

    def __init__(
        self,
        database: Database,
        clock: Clock,
        gateway: StripeActions,
        prices: PriceBookHolder,
        subscriptions: SubscriptionService,
        queue: JobQueue,
        config: BillingConfig,
    ) -> None:
        self._database = database
        self._clock = clock
        self._gateway = gateway
        self._prices = prices
        self._subscriptions = subscriptions
        self._config = config
        self._parts = BillingParts(
            database=database,
            clock=clock,
            gateway=gateway,
            prices=prices,
            subscriptions=subscriptions,
            queue=queue,
            config=config,
        )

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
        if await self._is_live(account_id):
            raise AlreadySubscribed
        wish = SubscribeWish(
            account_id=account_id,
            customer_id=await get_usable_customer(
                self._database, self._clock, self._gateway, self._config, self._subscriptions, account_id
            ),
            plan=plan,
            payment_method=payment_method,
        )
        parts = SubscribeParts(
            database=self._database, clock=self._clock, gateway=self._gateway, subscriptions=self._subscriptions
        )
        return await create_subscription(parts, book, wish)

    async def _is_live(self, account_id: AccountId) -> bool:
        """Whether Stripe bills the account; what we remember of it is asked again before anybody is refused for it."""
        if not (await self._subscriptions.get_subscription(account_id)).is_live_at_stripe:
            return False
        return (await self._subscriptions.sync_subscription(account_id)).record.is_live_at_stripe

    async def create_checkout_session(
        self, account_id: AccountId, plan: SubscriptionPlan, *, actor: str
    ) -> CheckoutSession:
        """The page on which this plan is bought; the same one while it is open.

        Raises:
            PlanNotSold, PricesNotVerified, AlreadySubscribed, CheckoutBusy, UntrustedAddress, NothingCharged
        """
        return await open_checkout(self._parts, account_id, plan, actor=actor)

    async def create_portal_session(
        self,
        account_id: AccountId,
        page: PortalPage | None = None,
        *,
        actor: str,
        back_to: PortalReturn = PortalReturn.OVERVIEW,
    ) -> str:
        """The address of a visit to the portal, which leads back to that page of ours.

        Raises:
            NotSubscribed, CancellationScheduled, DowngradeScheduled, UntrustedAddress, NothingCharged
        """
        return await open_portal(self._parts, account_id, page, actor=actor, back_to=back_to)

    async def list_plans(self, account_id: AccountId) -> tuple[PlanOffer, ...]:
        """Every plan with its fee (Stripe's, where verified), its limits, and what of the account would not fit."""
        book = self._prices.book
        record = await self._subscriptions.get_subscription(account_id)
        current = record.plan if record.status is not SubscriptionStatus.CANCELED else SubscriptionPlan.FREE
        return offers(
            current,
            await measure_use(self._parts, account_id),
            {} if book is None else {plan: price.fee_minor for plan, price in book.plans.items()},
            CURRENCY if book is None else book.currency,
            is_sold=book is not None,
        )

    async def preview_update(self, account_id: AccountId, plan: SubscriptionPlan, *, actor: str) -> PlanPreview:
        """What changing to this plan would do and charge now; its token confirms it.

        Raises:
            PricesNotVerified, NotSubscribed, PlanUnchanged, PlanUnclear, UnpaidInvoices, CancellationScheduled,
            CancellationUnderWay, PeriodTurning, NothingCharged
        """
        with nothing_charged(), within():
            return await preview_change(self._parts, account_id, plan, actor=actor)

    async def update_subscription(
        self, account_id: AccountId, plan: SubscriptionPlan, token: UUID, *, actor: str
    ) -> ChangeOutcome:
        """Do what the preview of this token showed, or nothing.

        Raises:
            PreviewOutdated, CardDeclined, PaymentInDoubt, NothingCharged, CheckoutBusy, and as `preview_update`
        """
        return await change_plan(self._parts, account_id, plan, token, actor=actor)

    async def pending_change(self, account_id: AccountId) -> PlanChangeRecord | None:
        """The confirmed change that has not come about yet: scheduled, waiting for its payment, or in doubt."""
        async with self._database.transaction() as tx:
            change = await plan_changes.newest_confirmed(tx, account_id)
            record = await subscriptions_store.find(tx, account_id)
        if change is None or change.stripe_subscription_id != record.stripe_subscription_id:
            return None
        return change if change.is_awaited(record.plan, self._clock.now()) else None

    async def cancel_subscription(self, account_id: AccountId, *, now: bool = False, actor: str) -> SubscriptionRecord:
        """End it with the period, or now: then its open usage is billed first, by a job.

        Raises:
            NotSubscribed, CancellationUnderWay, CheckoutBusy, NothingCharged
        """
        if now:
            return await cancel_now(self._parts, account_id, actor=actor)
        return await cancel_at_period_end(self._parts, account_id, actor=actor)

    async def resume_subscription(self, account_id: AccountId, *, actor: str) -> SubscriptionRecord:
        """Take back a planned end or a scheduled smaller plan.

        Raises:
            NotSubscribed, NothingToResume, CancellationUnderWay, CheckoutBusy, NothingCharged
        """
        return await resume(self._parts, account_id, actor=actor)

    def nothing_for_sale(self, account_id: AccountId) -> AbstractAsyncContextManager[bool]:
        """While this holds nothing can be bought for the account; yields whether Stripe knows it.

        Raises:
            SubscriptionStillLive, CheckoutBusy, NothingCharged
        """
        return stop_selling(self._parts, account_id)

    async def get_subscription(self, account_id: AccountId) -> Subscription | None:
        """The account's subscription as Stripe has it now; None when it never had one."""
        record = await self._subscriptions.get_subscription(account_id)
        if record.stripe_subscription_id is None:
            return None
        return await self._gateway.retrieve_subscription(record.stripe_subscription_id)

    async def get_invoices(
        self,
        account_id: AccountId,
        *,
        limit: int = 20,
        cursor: str | None = None,
        wanted: InvoiceFilter = ANY_INVOICE,
    ) -> InvoicePage:
        """Mirrored invoices, newest first. Raises InvalidCursor."""
        size = max(1, min(limit, PAGE_SIZE_MAX))
        after = None if cursor is None else PageCursor.from_wire(cursor)
        async with self._database.transaction() as tx:
            found = await store.invoices(tx, account_id, wanted, after=after, limit=size + 1)
            as_of = await store.invoices_complete_at(tx, account_id)
        shown = found[:size]
        if len(found) <= size:
            return InvoicePage(invoices=shown, next_cursor=None, as_of=as_of)
        last = PageCursor(happened_at=shown[-1].issued_at, thing_id=shown[-1].stripe_invoice_id)
        return InvoicePage(invoices=shown, next_cursor=last.to_wire(), as_of=as_of)

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

    async def adopt_card(self, account_id: AccountId) -> bool:
        """Make a card that is found on the subscription the customer's; says whether there was one."""
        return await adopt_card(self._parts, account_id)

    async def mirror_invoices(self, account_id: AccountId) -> int:
        """Copy the account's invoices from Stripe; says how many were new or had changed."""
        return await mirror_invoices(self._database, self._clock, self._gateway, account_id)

    async def refresh_payments(self, account_id: AccountId) -> None:
        """Read the account's payments and refunds again."""
        await refresh_payments(self._parts, account_id)

    async def offer_payment(self, account_id: AccountId) -> PaymentOffer | None:
        """Look whether a new card waits to be used for what is open, and remember it."""
        return await offer_payment(self._parts, account_id)

    async def payment_offer(self, account_id: AccountId) -> PaymentOffer | None:
        """A new card that nothing open was tried with yet, as last seen."""
        async with self._database.transaction() as tx:
            return await find_offer(tx, account_id)

    async def mirror_all(self, limit: int = 100) -> int:
        """The poll: mirror the accounts that waited longest; stops when Stripe is away. Says how many succeeded."""
        async with self._database.transaction() as tx:
            due = await store.accounts_to_mirror(tx, limit)
        mirrored_count = 0
        for account_id in due:
            try:
                changed_count = await self.mirror_invoices(account_id)
                await refresh_old_payments(self._parts, account_id, has_news=changed_count > 0)
                await self.offer_payment(account_id)
                mirrored_count += 1
            except (StripeUnavailable, StripeRateLimited, StripeNotAuthorized):
                raise
            except HelvetiaError as error:
                _log.warning("billing.mirror_failed", account_id=str(account_id), code=error.code)
        return mirrored_count

"""The use cases of the pages about plans that only read: prices for all, use beside limits, what became of what."""

from datetime import datetime
from uuid import UUID

from helvetia.billing.model import BillingConfig
from helvetia.billing.parts import BillingParts, nothing_charged
from helvetia.billing.payments.read_checkout import CheckoutOutcome, read_checkout
from helvetia.billing.plan_change import store
from helvetia.billing.plan_change.measure_use import measure_use
from helvetia.billing.plan_change.model import AccountUse, PlanOffer, PlanPreview, offers
from helvetia.billing.plan_change.show_change import show_change
from helvetia.catalogue.plans import SubscriptionPlan
from helvetia.catalogue.prices import CURRENCY
from helvetia.database.job_queue import JobQueue
from helvetia.database.pool import Database
from helvetia.kernel.clock import Clock
from helvetia.kernel.identity import AccountId
from helvetia.stripe_gateway.actions import StripeActions
from helvetia.stripe_gateway.price_book_holder import PriceBookHolder
from helvetia.stripe_gateway.time_limit import within
from helvetia.subscriptions.service import SubscriptionService


class PlanFactsService:
    """What the pages about plans show."""

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
        self._parts = BillingParts(
            database=database,
            clock=clock,
            gateway=gateway,
            prices=prices,
            subscriptions=subscriptions,
            queue=queue,
            config=config,
        )

    def price_list(self) -> tuple[PlanOffer, ...]:
        """Every plan with its fee (Stripe's, where verified) and its limits, for who has no account yet."""
        book = self._parts.prices.book
        nothing = AccountUse.nothing()
        fees = {} if book is None else {plan: price.fee_minor for plan, price in book.plans.items()}
        currency = CURRENCY if book is None else book.currency
        return offers(SubscriptionPlan.FREE, nothing, fees, currency, is_sold=book is not None)

    async def account_use(self, account_id: AccountId) -> AccountUse:
        """What the account holds of what plans limit. Raises SubscriptionNotFound."""
        return await measure_use(self._parts, account_id)

    async def show_change(self, account_id: AccountId, change_id: UUID) -> tuple[PlanPreview, bool]:
        """The change of this token, and whether it can still be confirmed. Raises PreviewNotFound, NothingCharged."""
        with nothing_charged(), within():
            return await show_change(self._parts, account_id, change_id)

    async def ending_since(self, account_id: AccountId) -> datetime | None:
        """When an end was asked for that is being carried out right now."""
        async with self._parts.database.transaction() as tx:
            found = await store.open_cancellation(tx, account_id)
        return None if found is None else found.requested_at

    async def read_checkout(self, account_id: AccountId, session_id: str) -> CheckoutOutcome:
        """What came of a checkout of this account. Raises CheckoutNotFound."""
        return await read_checkout(self._parts, account_id, session_id)

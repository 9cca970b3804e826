"""The use cases of webhooks: take an event in, handle what waits, walk Stripe's list, compare accounts."""

from collections.abc import Sequence
from datetime import datetime, timedelta

from helvetia.billing.service import BillingService
from helvetia.database.job_queue import JobQueue
from helvetia.database.pool import Database
from helvetia.kernel.clock import Clock
from helvetia.kernel.errors import HelvetiaError
from helvetia.kernel.window_counter import WindowCounter
from helvetia.meter_reports.service import MeterReportService
from helvetia.observability.metrics import WEBHOOK_EVENTS
from helvetia.stripe_gateway.model import StripeGateway
from helvetia.subscriptions.service import SubscriptionService
from helvetia.webhooks import store, store_walk
from helvetia.webhooks.backfill_events import STRIPE_KEEPS, BackfillParts, backfill_events
from helvetia.webhooks.errors import SignatureRefused, TooManyBadSignatures
from helvetia.webhooks.handle_event import HandleParts, dispatch_events, handle_events
from helvetia.webhooks.model import Comparison, Difference, Receipt, WalkRound, WebhookConfig
from helvetia.webhooks.receive_event import SignatureWatch, read_event, receive_event
from helvetia.webhooks.reconcile_stripe import ReconcileParts, compare_accounts, unknown_customers

COMPARE_EVERY = timedelta(hours=24)
ACCOUNTS_PER_TURN = 50
ACCOUNTS_PER_PAGE = 200
PAGES_MAX = 5000
EVENTS_KEPT_FOR = STRIPE_KEEPS + timedelta(days=5)
DELETED_PER_TURN = 10_000
BAD_SIGNATURES_PER_ADDRESS = 20
REFUSALS_WINDOW_S = 300.0


class WebhookService:
    """Stripe → event → sync."""

    def __init__(
        self,
        config: WebhookConfig,
        database: Database,
        clock: Clock,
        gateway: StripeGateway,
        subscriptions: SubscriptionService,
        billing: BillingService,
        reports: MeterReportService,
        queue: JobQueue,
    ) -> None:
        self._config = config
        self._database = database
        self._clock = clock
        self._watch = SignatureWatch()
        self._refusals = WindowCounter(clock, window_s=REFUSALS_WINDOW_S)
        self._backfill = BackfillParts(database=database, clock=clock, gateway=gateway, is_live=config.is_live)
        self._handle = HandleParts(
            database=database,
            clock=clock,
            gateway=gateway,
            subscriptions=subscriptions,
            billing=billing,
            reports=reports,
            queue=queue,
        )
        self._reconcile = ReconcileParts(
            database=database, clock=clock, gateway=gateway, subscriptions=subscriptions, billing=billing
        )

    async def receive(self, body: bytes, signatures: Sequence[str], *, address: str | None = None) -> Receipt:
        """Verify a request and keep its event; when this returns, the event is on disk.

        Bad signatures are counted by the caller's address; what is well signed is taken whatever was counted.

        Raises:
            SignatureRefused (and its kinds), TooManyBadSignatures, EventMalformed, WrongMode, DatabaseUnavailable
        """
        try:
            event = read_event(body, signatures, self._config, self._clock.wall())
            receipt = await receive_event(self._database, self._clock, event)
        except HelvetiaError as error:
            WEBHOOK_EVENTS.labels(error.code).inc()
            if isinstance(error, SignatureRefused):
                self._watch.note_refusal(self._clock.wall())
                self._count_refusal(address, error)
            raise
        WEBHOOK_EVENTS.labels(receipt).inc()
        return receipt

    def _count_refusal(self, address: str | None, refusal: SignatureRefused) -> None:
        """Raises TooManyBadSignatures once it is more than one address may send."""
        wait_s = None if address is None else self._refusals.count(address, BAD_SIGNATURES_PER_ADDRESS)
        if wait_s is not None:
            raise TooManyBadSignatures(retry_after_s=wait_s) from refusal

    async def dispatch(self) -> int:
        """Ask for one job per customer with due events; says for how many."""
        return await dispatch_events(self._handle)

    async def sync_customer_job(self, customer_id: str) -> None:
        """The job of this name: read one customer's facts again and stamp its events."""
        await handle_events(self._handle, customer_id)

    async def backfill(self) -> WalkRound:
        """Find the events that were never delivered. Raises as the gateway does."""
        return await backfill_events(self._backfill)

    async def compare_due(self) -> Comparison:
        """The nightly comparison, spread over the day: accounts not compared for 24 h; old events are forgotten."""
        wall = self._clock.wall()
        async with self._database.transaction() as tx:
            await store.delete_old(tx, wall - EVENTS_KEPT_FOR, DELETED_PER_TURN)
            due = await store_walk.accounts_to_compare(tx, before=wall - COMPARE_EVERY, limit=ACCOUNTS_PER_TURN)
        return await compare_accounts(self._reconcile, due)

    async def compare_all(self) -> Comparison:
        """Compare every account now. Raises StripeUnavailable, StripeRateLimited, StripeNotAuthorized."""
        began_at = self._clock.wall()
        compared_count = failed_count = 0
        differences: list[Difference] = []
        for _ in range(PAGES_MAX):
            page = await self._compare_page(began_at)
            compared_count += page.compared_count
            failed_count += page.failed_count
            differences += page.differences
            if page.compared_count < ACCOUNTS_PER_PAGE:
                break
        differences += await unknown_customers(self._reconcile)
        return Comparison(compared_count=compared_count, failed_count=failed_count, differences=tuple(differences))

    async def _compare_page(self, before: datetime) -> Comparison:
        async with self._database.transaction() as tx:
            due = await store_walk.accounts_to_compare(tx, before=before, limit=ACCOUNTS_PER_PAGE)
        return await compare_accounts(self._reconcile, due)

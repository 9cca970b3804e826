"""The real application on a real database, with users in every role; no network is needed to answer it."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any

import httpx2
from fastapi import FastAPI
from prometheus_client import CollectorRegistry

from helvetia.accounts.model import Account, Role, User
from helvetia.accounts.reader_settings_service import ReaderSettingsService
from helvetia.accounts.service import AccountService
from helvetia.audit.service import AuditService
from helvetia.billing.model import BillingConfig
from helvetia.billing.payments.invoice_facts_service import InvoiceFactsService
from helvetia.billing.payments.service import PaymentService
from helvetia.billing.plan_change.plan_facts_service import PlanFactsService
from helvetia.billing.service import BillingService
from helvetia.containers.service import ContainerService
from helvetia.containers.simulated_host import SimulatedHost
from helvetia.costs.estimate.service import EstimateService
from helvetia.costs.forecasts.service import ForecastService
from helvetia.costs.service import CostService
from helvetia.costs.usage_history_service import UsageHistoryService
from helvetia.database.job_queue import JobQueue
from helvetia.database.pool import Database
from helvetia.enforcement.admit_service import PlanAdmission
from helvetia.enforcement.model import EnforcementConfig
from helvetia.enforcement.service import EnforcementService
from helvetia.kernel.clock import Clock
from helvetia.kernel.identity import AccountId
from helvetia.meter_reports.closing.account_hooks import ClosingHooks
from helvetia.meter_reports.closing.service import AccountClosingService
from helvetia.meter_reports.model import ReportsConfig
from helvetia.meter_reports.redirection.service import RedirectionService
from helvetia.meter_reports.service import MeterReportService
from helvetia.meter_reports.settlement.service import SettlementService
from helvetia.metering.model import MeteringConfig
from helvetia.metering.nodes.service import NodeService
from helvetia.metering.readers.host_reader import HostReader
from helvetia.metering.service import MeteringService
from helvetia.notifications.model import MailConfig
from helvetia.notifications.send_mail import SmtpChannel
from helvetia.notifications.service import NotificationService
from helvetia.operations.service import OperationsService
from helvetia.stripe_gateway.client import StripeClientGateway
from helvetia.stripe_gateway.client_events import API_VERSION
from helvetia.stripe_gateway.price_book_holder import PriceBookHolder
from helvetia.subscriptions.service import SubscriptionService
from helvetia.web.api.account_controller import AccountController
from helvetia.web.api.billing_controller import BillingController
from helvetia.web.api.enforcement_controller import EnforcementController, NotificationController
from helvetia.web.api.house_controller import HouseController
from helvetia.web.api.operator_controller import OperatorController
from helvetia.web.api.payment_controller import PaymentController
from helvetia.web.api.plan_controller import PlanController
from helvetia.web.api.readings_controller import ReadingsController
from helvetia.web.api.service_controller import ServiceController
from helvetia.web.api.stripe_webhook_controller import StripeWebhookController
from helvetia.web.api.usage_controller import UsageController
from helvetia.web.app import create_app
from helvetia.web.config import WebConfig
from helvetia.web.dashboard.admin.controller import AdminPageController
from helvetia.web.dashboard.checkout.controller import CheckoutPageController
from helvetia.web.dashboard.history.controller import HistoryPageController
from helvetia.web.dashboard.invoices.controller import InvoicePageController
from helvetia.web.dashboard.notices.controller import NoticePageController
from helvetia.web.dashboard.overview.controller import OverviewController
from helvetia.web.dashboard.overview.read_overview import OverviewParts
from helvetia.web.dashboard.pages import Pages
from helvetia.web.dashboard.pay.controller import PayPageController
from helvetia.web.dashboard.payment_methods.controller import PaymentMethodsPageController
from helvetia.web.dashboard.plan_change.controller import PlanChangePageController
from helvetia.web.dashboard.plan_change.end_controller import PlanEndPageController
from helvetia.web.dashboard.plans.controller import PlansPageController
from helvetia.web.dashboard.plans.pricing_controller import PricingPageController
from helvetia.web.dashboard.render import Renderer
from helvetia.web.dashboard.settings.controller import SettingsPageController
from helvetia.web.dashboard.sign_in_controller import SignInController
from helvetia.web.dashboard.suspension.controller import SuspensionPageController
from helvetia.web.dashboard.usage.controller import UsagePageController
from helvetia.web.dashboard.usage.read_facts import UsageReader
from helvetia.web.dashboard.usage.service_controller import ServiceUsagePageController
from helvetia.web.dashboard.usage_live.feed import UsageFeed
from helvetia.web.dashboard.usage_live.live_controller import UsageLiveController
from helvetia.web.middleware.idempotency import IdempotentAnswers
from helvetia.web.readiness import Readiness
from helvetia.webhooks.model import WebhookConfig
from helvetia.webhooks.service import WebhookService

NOWHERE = "http://127.0.0.1:1"
WEBHOOK_SECRETS = ("whsec_new", "whsec_old")
PASSWORD = "correct horse battery"
SERVICE = {"name": "web", "image": "nginx:1.29", "memoryMb": 256, "cpuCores": "0.25"}


@dataclass(kw_only=True)
class WebWorld:
    """The application and what a test needs to reach it."""

    app: FastAPI
    config: WebConfig
    database: Database
    accounts: AccountService
    containers: ContainerService
    billing: BillingService
    payments: PaymentService
    subscriptions: SubscriptionService
    prices: PriceBookHolder
    feed: UsageFeed
    tokens: dict[AccountId, str] = field(default_factory=dict)

    def client(self, token: str | None = None, *, peer: str = "203.0.113.7", **headers: str) -> httpx2.AsyncClient:
        """A client from a machine elsewhere; with a token it is somebody."""
        if token is not None:
            headers["Authorization"] = f"Bearer {token}"
        transport = httpx2.ASGITransport(self.app, client=(peer, 5000))
        return httpx2.AsyncClient(transport=transport, base_url=self.config.public_base_url, headers=headers)

    async def user(self, name: str, password: str | None = None) -> User:
        user = await self.accounts.create_user(f"{name}@example.ch", password)
        self.tokens[user.account_id] = await self.accounts.create_token(user.account_id, "test")
        return user

    def as_user(self, user: User, organization: Account | None = None) -> httpx2.AsyncClient:
        headers = {} if organization is None else {"X-Organization-Id": str(organization.account_id)}
        return self.client(self.tokens[user.account_id], **headers)

    async def member(self, organization: Account, role: Role) -> User:
        user = await self.user(f"{role.value.lower()}-of-{str(organization.account_id)[-6:]}")
        await self.accounts.set_role(organization.account_id, user.account_id, role, actor="test")
        return user

    async def browser(self, user: User) -> httpx2.AsyncClient:
        """A client with a session cookie that says, as browsers do, where its requests come from."""
        client = self.client(Origin=self.config.public_base_url)
        session = await self.accounts.sign_in(user.email, PASSWORD, address="test")
        client.cookies.set(self.config.session_cookie, session.secret)
        return client


@asynccontextmanager
async def web_world(
    database: Database,
    clock: Clock,
    config: WebConfig,
    *,
    gateway: StripeClientGateway | None = None,
    prices: PriceBookHolder | None = None,
    billing_config: BillingConfig | None = None,
    enforcement_config: EnforcementConfig = EnforcementConfig(),  # noqa: B008 - frozen
    **app_options: Any,
) -> AsyncIterator[WebWorld]:
    """With no gateway given, Stripe does not answer."""
    gateway = gateway or StripeClientGateway("sk_test_nobody", api_base=NOWHERE)
    prices = prices or PriceBookHolder()
    subscriptions = SubscriptionService(database, clock, gateway, prices)
    accounts = AccountService(database, clock, ClosingHooks(clock))
    admission = PlanAdmission(clock, enforcement_config)
    enforcement = EnforcementService(database, clock, enforcement_config, gateway, subscriptions, admission)
    notifications = NotificationService(database, clock, MailConfig(), SmtpChannel(MailConfig()))
    containers = ContainerService(database, clock, admission)
    queue, billing_config = JobQueue(database.url), billing_config or BillingConfig()
    billing = BillingService(database, clock, gateway, prices, subscriptions, queue, billing_config)
    payments = PaymentService(database, clock, gateway, prices, subscriptions, queue, billing_config)
    plan_facts = PlanFactsService(database, clock, gateway, prices, subscriptions, queue, billing_config)
    costs = CostService(database, clock, prices)
    estimates = EstimateService(database, clock, gateway, prices)
    invoice_facts = InvoiceFactsService(database, prices)
    host = SimulatedHost("web", clock)
    metering = MeteringService(database, clock, host, HostReader(host), MeteringConfig())
    reports = MeterReportService(database, clock, gateway, prices, subscriptions, billing, metering, ReportsConfig())
    closing = AccountClosingService(accounts, billing, reports)
    settlement = SettlementService(database, clock, gateway, prices, reports)
    redirection = RedirectionService(database, clock, gateway, prices)
    webhook_config = WebhookConfig(secrets=WEBHOOK_SECRETS, is_live=False, api_version=API_VERSION)
    queue = JobQueue(database.url)
    webhooks = WebhookService(webhook_config, database, clock, gateway, subscriptions, billing, reports, queue)
    renderer = Renderer(config, clock)
    pages = Pages(renderer, accounts, enforcement)
    readiness = Readiness(checks={"database": accounts.check_database})
    history, forecasts = UsageHistoryService(database, clock, prices), ForecastService(database, clock, prices)
    usage_reader, feed = UsageReader(subscriptions, history), UsageFeed(history)
    controllers = (
        HouseController(config, readiness, CollectorRegistry()),
        AccountController(accounts, closing),
        BillingController(config, clock, subscriptions, costs, billing, payments, estimates, invoice_facts),
        UsageController(clock, subscriptions, history, forecasts),
        PlanController(clock, billing),
        PaymentController(payments, billing),
        ServiceController(containers, accounts),
        ReadingsController(NodeService(database, clock)),
        StripeWebhookController(config, webhooks),
        EnforcementController(enforcement),
        NotificationController(notifications, renderer),
        OperatorController(config, settlement, reports, enforcement, redirection),
        SignInController(accounts, config, renderer),
        OverviewController(
            config,
            pages,
            OverviewParts(
                subscriptions=subscriptions,
                costs=costs,
                billing=billing,
                payments=payments,
                containers=containers,
                estimates=estimates,
                forecasts=forecasts,
                history=history,
                enforcement=enforcement,
                notifications=notifications,
                audit=AuditService(database),
            ),
        ),
        PayPageController(pages, payments),
        AdminPageController(config, clock, renderer, OperationsService(database, clock, enforcement, settlement)),
        UsagePageController(pages, usage_reader),
        SuspensionPageController(pages, subscriptions, enforcement, billing, payments),
        PlansPageController(pages, billing, plan_facts, subscriptions, enforcement),
        PlanChangePageController(pages, billing, plan_facts, subscriptions, costs, payments),
        PlanEndPageController(pages, billing, plan_facts, subscriptions, costs),
        PricingPageController(renderer, plan_facts),
        CheckoutPageController(pages, plan_facts, subscriptions),
        PaymentMethodsPageController(pages, payments, billing),
        SettingsPageController(config, pages, accounts, ReaderSettingsService(database, clock), notifications),
        UsageLiveController(clock, pages, usage_reader, feed),
        ServiceUsagePageController(pages, usage_reader, history),
        HistoryPageController(pages, usage_reader, forecasts),
        InvoicePageController(pages, billing, payments, invoice_facts, costs, estimates),
        NoticePageController(pages, notifications),
    )
    answers = IdempotentAnswers(database, clock)
    app = create_app(config, accounts, renderer, controllers, answers, enforcement=enforcement, **app_options)
    yield WebWorld(
        app=app,
        config=config,
        database=database,
        accounts=accounts,
        containers=containers,
        billing=billing,
        payments=payments,
        subscriptions=subscriptions,
        prices=prices,
        feed=feed,
    )
    await gateway.close()

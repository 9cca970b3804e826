"""The HTTP border's parts: controllers, the renderer and the application. Only the API process builds them."""

from dataclasses import dataclass

from dishka import Provider, Scope, provide
from fastapi import FastAPI
from prometheus_client import REGISTRY, CollectorRegistry

from helvetia.accounts.service import AccountService
from helvetia.database.pool import Database
from helvetia.enforcement.service import EnforcementService
from helvetia.kernel.clock import Clock
from helvetia.settings import Settings
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
from helvetia.web.app import Controller, create_app
from helvetia.web.config import STRIPE_PAGES, WebConfig
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


@dataclass(frozen=True, slots=True, kw_only=True)
class Controllers:
    """Every controller of the border."""

    house: HouseController
    account: AccountController
    billing: BillingController
    usage: UsageController
    plan: PlanController
    payment: PaymentController
    service: ServiceController
    readings: ReadingsController
    stripe_webhook: StripeWebhookController
    enforcement: EnforcementController
    notification: NotificationController
    operator: OperatorController
    sign_in: SignInController
    page: OverviewController
    pay_page: PayPageController
    admin_page: AdminPageController
    usage_page: UsagePageController
    suspension_page: SuspensionPageController
    plans_page: PlansPageController
    plan_change_page: PlanChangePageController
    plan_end_page: PlanEndPageController
    pricing_page: PricingPageController
    checkout_page: CheckoutPageController
    payment_methods_page: PaymentMethodsPageController
    settings_page: SettingsPageController
    usage_live: UsageLiveController
    service_usage_page: ServiceUsagePageController
    history_page: HistoryPageController
    invoice_page: InvoicePageController
    notice_page: NoticePageController

    @property
    def in_order(self) -> tuple[Controller, ...]:
        # Routes are tried in this order: first the one that is called most.
        return (
            self.stripe_webhook,
            self.house,
            self.account,
            self.billing,
            self.usage,
            self.plan,
            self.payment,
            self.service,
            self.readings,
            self.enforcement,
            self.notification,
            self.operator,
            self.sign_in,
            self.page,
            self.pay_page,
            self.admin_page,
            self.usage_page,
            self.suspension_page,
            self.plans_page,
            self.plan_change_page,
            self.plan_end_page,
            self.pricing_page,
            self.checkout_page,
            self.payment_methods_page,
            self.settings_page,
            self.usage_live,
            self.service_usage_page,
            self.history_page,
            self.invoice_page,
            self.notice_page,
        )


class WebProvider(Provider):
    """Controllers are singletons like services."""

    scope = Scope.APP

    renderer = provide(Renderer)
    pages = provide(Pages)
    house = provide(HouseController)
    account = provide(AccountController)
    billing = provide(BillingController)
    usage = provide(UsageController)
    plan = provide(PlanController)
    payment = provide(PaymentController)
    service = provide(ServiceController)
    readings = provide(ReadingsController)
    stripe_webhook = provide(StripeWebhookController)
    enforcement = provide(EnforcementController)
    notification = provide(NotificationController)
    operator = provide(OperatorController)
    sign_in = provide(SignInController)
    overview_parts = provide(OverviewParts)
    page = provide(OverviewController)
    pay_page = provide(PayPageController)
    admin_page = provide(AdminPageController)
    usage_reader = provide(UsageReader)
    usage_page = provide(UsagePageController)
    suspension_page = provide(SuspensionPageController)
    plans_page = provide(PlansPageController)
    plan_change_page = provide(PlanChangePageController)
    plan_end_page = provide(PlanEndPageController)
    pricing_page = provide(PricingPageController)
    checkout_page = provide(CheckoutPageController)
    payment_methods_page = provide(PaymentMethodsPageController)
    settings_page = provide(SettingsPageController)
    usage_feed = provide(UsageFeed)
    usage_live = provide(UsageLiveController)
    service_usage_page = provide(ServiceUsagePageController)
    history_page = provide(HistoryPageController)
    invoice_page = provide(InvoicePageController)
    notice_page = provide(NoticePageController)

    @provide
    def config(self, settings: Settings) -> WebConfig:
        token, operator = settings.metrics_token, settings.operator_token
        return WebConfig(
            public_base_url=settings.public_base_url,
            stripe_publishable_key=settings.publishable_key,
            is_sandbox=settings.is_sandbox,
            redirect_origins=(settings.api_base,) if settings.is_sandbox and settings.api_base else STRIPE_PAGES,
            metrics_token=None if token is None else token.get_secret_value(),
            operator_token=None if operator is None else operator.get_secret_value(),
            trusted_proxies=settings.proxy_networks,
        )

    @provide
    def readiness(self, accounts: AccountService) -> Readiness:
        return Readiness(checks={"database": accounts.check_database})

    @provide
    def registry(self) -> CollectorRegistry:
        return REGISTRY

    controllers = provide(Controllers)

    @provide
    def answers(self, database: Database, clock: Clock) -> IdempotentAnswers:
        return IdempotentAnswers(database, clock)

    @provide
    def app(
        self,
        config: WebConfig,
        accounts: AccountService,
        renderer: Renderer,
        controllers: Controllers,
        answers: IdempotentAnswers,
        enforcement: EnforcementService,
    ) -> FastAPI:
        return create_app(config, accounts, renderer, controllers.in_order, answers, enforcement=enforcement)

"""The services and controllers: each a singleton, built from the adapters."""

from dishka import AnyOf, Provider, Scope, provide

from helvetia.accounts.model import AccountHooks
from helvetia.accounts.reader_settings_service import ReaderSettingsService
from helvetia.accounts.service import AccountService
from helvetia.audit.service import AuditService
from helvetia.billing.model import BillingConfig, UnpaidDrafts
from helvetia.billing.payments.invoice_facts_service import InvoiceFactsService
from helvetia.billing.payments.service import PaymentService
from helvetia.billing.plan_change.plan_facts_service import PlanFactsService
from helvetia.billing.service import BillingService
from helvetia.containers.model import Admission, ContainerHost
from helvetia.containers.reconcile_services import ServiceReconciler
from helvetia.containers.service import ContainerService
from helvetia.costs.estimate.service import EstimateService
from helvetia.costs.forecasts.service import ForecastService
from helvetia.costs.service import CostService
from helvetia.costs.usage_history_service import UsageHistoryService
from helvetia.database.pool import Database
from helvetia.enforcement.admit_service import PlanAdmission
from helvetia.enforcement.model import EnforcementConfig, EnforcementMode
from helvetia.enforcement.service import EnforcementService
from helvetia.kernel.clock import Clock
from helvetia.meter_reports.closing.account_hooks import ClosingHooks
from helvetia.meter_reports.closing.service import AccountClosingService
from helvetia.meter_reports.model import ReportsConfig
from helvetia.meter_reports.redirection.service import RedirectionService
from helvetia.meter_reports.service import MeterReportService
from helvetia.meter_reports.settlement.service import SettlementService
from helvetia.metering.corrections.adjust_usage import AdjustmentService
from helvetia.metering.find_leaks import LeakService
from helvetia.metering.model import MeteringConfig
from helvetia.metering.nodes.lose_nodes import LostNodeService
from helvetia.metering.nodes.service import NodeService
from helvetia.metering.retention.service import RetentionService
from helvetia.metering.service import MeteringService, UsageTrackingService
from helvetia.notifications.model import MailChannel, MailConfig
from helvetia.notifications.send_mail import SmtpChannel
from helvetia.notifications.service import NotificationService
from helvetia.operations.service import OperationsService
from helvetia.settings import Settings
from helvetia.stripe_gateway.client_events import API_VERSION
from helvetia.subscriptions.service import SubscriptionService
from helvetia.webhooks.model import WebhookConfig
from helvetia.webhooks.service import WebhookService
from helvetia.worker.main import Worker
from helvetia.worker.schedule import Rhythm, Schedule


class ServiceProvider(Provider):
    """Everything above the adapters; `Scope.APP` makes each a singleton."""

    scope = Scope.APP

    accounts = provide(AccountService)
    hooks = provide(ClosingHooks, provides=AccountHooks)
    closing = provide(AccountClosingService)
    audit = provide(AuditService)
    subscriptions = provide(SubscriptionService)
    billing = provide(BillingService)
    payments = provide(PaymentService)
    invoice_facts = provide(InvoiceFactsService)
    plan_facts = provide(PlanFactsService)
    reader_settings = provide(ReaderSettingsService)
    admission = provide(PlanAdmission, provides=AnyOf[PlanAdmission, Admission])
    containers = provide(ContainerService)
    usage_tracking = provide(UsageTrackingService)
    nodes = provide(NodeService)
    leaks = provide(LeakService)
    adjustments = provide(AdjustmentService)
    lost_nodes = provide(LostNodeService)
    retention = provide(RetentionService)
    metering = provide(MeteringService)
    meter_reports = provide(MeterReportService)
    settlement = provide(SettlementService)
    redirection = provide(RedirectionService)
    operations = provide(OperationsService)
    costs = provide(CostService)
    estimates = provide(EstimateService)
    usage_history = provide(UsageHistoryService)
    forecasts = provide(ForecastService)
    enforcement = provide(EnforcementService)
    notifications = provide(NotificationService)
    mail_channel = provide(SmtpChannel, provides=MailChannel)
    webhooks = provide(WebhookService)
    schedule = provide(Schedule)
    worker = provide(Worker)

    @provide
    def reconciler(self, database: Database, clock: Clock, host: ContainerHost) -> ServiceReconciler:
        return ServiceReconciler(database, clock, host)

    @provide
    def metering_config(self, settings: Settings) -> MeteringConfig:
        return MeteringConfig(
            sample_interval_s=settings.metering_interval_s,
            settle_s=settings.metering_settle_s,
            keep_stopped_s=settings.container_keep_s,
            storage_interval_s=settings.metering_storage_interval_s,
        )

    @provide
    def billing_config(self, settings: Settings) -> BillingConfig:
        return BillingConfig(
            public_base_url=settings.public_base_url.rstrip("/"),
            sandbox_origin=settings.api_base if settings.is_sandbox else None,
            collects_tax=settings.stripe_automatic_tax,
            test_clock=settings.stripe_test_clock,
            unpaid_drafts=UnpaidDrafts(settings.unpaid_drafts),
        )

    @provide
    def reports_config(self, settings: Settings) -> ReportsConfig:
        return ReportsConfig.of_rate(settings.meter_calls_per_second_in_force)

    @provide
    def webhook_config(self, settings: Settings) -> WebhookConfig:
        return WebhookConfig(secrets=settings.webhook_secrets, is_live=settings.is_live, api_version=API_VERSION)

    @provide
    def enforcement_config(self, settings: Settings) -> EnforcementConfig:
        return EnforcementConfig(
            mode=EnforcementMode(settings.enforcement_mode_in_force),
            is_mode_chosen=settings.enforcement_mode is not None or not settings.is_live,
        )

    @provide
    def mail_config(self, settings: Settings) -> MailConfig:
        smtp_url = settings.smtp_url
        return MailConfig(
            smtp_url=None if smtp_url is None else smtp_url.get_secret_value(),
            sender=settings.mail_from,
            language=settings.notification_language,
            base_url=settings.public_base_url,
        )

    @provide
    def rhythm(self, settings: Settings) -> Rhythm:
        return Rhythm(
            sample_s=settings.metering_interval_s,
            sweep_s=settings.metering_sweep_s,
            storage_s=settings.metering_storage_interval_s,
            sync_s=settings.stripe_poll_s,
            enforce_s=settings.enforcement_interval_s,
        )

"""The schedule: one table of what runs when, and the names that jobs are deferred by."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from helvetia.billing.service import BillingService
from helvetia.containers.reconcile_services import ServiceReconciler
from helvetia.costs.estimate.service import EstimateService
from helvetia.costs.forecasts.service import ForecastService
from helvetia.database.job_queue import JobFunction
from helvetia.enforcement.service import EnforcementService
from helvetia.meter_reports.redirection.service import RedirectionService
from helvetia.meter_reports.service import MeterReportService
from helvetia.meter_reports.settlement.service import SettlementService
from helvetia.metering.nodes.lose_nodes import LostNodeService
from helvetia.metering.retention.service import RetentionService
from helvetia.metering.service import MeteringService
from helvetia.notifications.service import NotificationService
from helvetia.subscriptions.service import SubscriptionService
from helvetia.webhooks.service import WebhookService
from helvetia.worker.ticks import Tick


@dataclass(frozen=True, slots=True, kw_only=True)
class Rhythm:
    """How often the ticks run, in seconds."""

    sample_s: float
    sweep_s: float
    storage_s: float
    sync_s: float
    reconcile_s: float = 1.0
    roll_up_s: float = 5.0
    close_s: float = 15.0
    remove_s: float = 5.0
    queue_s: float = 30.0
    send_s: float = 10.0
    confirm_s: float = 60.0
    close_periods_s: float = 30.0
    settle_s: float = 60.0
    cancel_s: float = 5.0
    dispatch_s: float = 0.5
    backfill_s: float = 300.0
    compare_s: float = 900.0
    enforce_s: float = 15.0
    quota_s: float = 15.0
    news_s: float = 60.0
    cards_s: float = 300.0
    upcoming_s: float = 30.0
    notify_s: float = 5.0
    partitions_s: float = 3600.0
    lost_nodes_s: float = 600.0
    retention_s: float = 6 * 3600.0
    forecast_s: float = 300.0


class Schedule:
    """What the worker runs: ticks by the clock, jobs by name."""

    def __init__(
        self,
        rhythm: Rhythm,
        reconciler: ServiceReconciler,
        metering: MeteringService,
        subscriptions: SubscriptionService,
        billing: BillingService,
        reports: MeterReportService,
        webhooks: WebhookService,
        *,
        settlement: SettlementService,
        redirection: RedirectionService,
        estimates: EstimateService,
        enforcement: EnforcementService,
        notifications: NotificationService,
        retention: RetentionService,
        lost_nodes: LostNodeService,
        forecasts: ForecastService,
    ) -> None:
        def tick(name: str, every_s: float, run: JobFunction, *, deadline_s: float = 60.0) -> Tick:
            return Tick(name=name, every_s=every_s, deadline_s=deadline_s, run=run)

        self.ticks: Sequence[Tick] = (
            tick("metering.keep_partitions", rhythm.partitions_s, retention.keep_partitions, deadline_s=600),
            tick("metering.drop_readings", rhythm.retention_s, retention.drop_readings, deadline_s=600),
            tick("metering.lose_silent_nodes", rhythm.lost_nodes_s, lost_nodes.lose_silent_nodes),
            tick("containers.reconcile", rhythm.reconcile_s, reconciler.reconcile_if_changed, deadline_s=120),
            tick("metering.sweep", rhythm.sweep_s, metering.sweep),
            tick("metering.sample", rhythm.sample_s, metering.sample, deadline_s=max(5.0, rhythm.sample_s)),
            tick("metering.sample_storage", rhythm.storage_s, metering.sample_storage),
            tick("metering.roll_up", rhythm.roll_up_s, metering.roll_up),
            tick("metering.close_due", rhythm.close_s, metering.close_due),
            tick("metering.remove_closed", rhythm.remove_s, metering.remove_closed),
            tick("costs.keep_forecasts", rhythm.forecast_s, forecasts.keep_record, deadline_s=240),
            tick("subscriptions.sync", rhythm.sync_s, subscriptions.sync_all_due),
            tick("billing.mirror_invoices", rhythm.sync_s, billing.mirror_all),
            tick("costs.read_upcoming", rhythm.upcoming_s, estimates.read_all_due, deadline_s=240),
            tick("meter_reports.queue", rhythm.queue_s, reports.queue_all),
            tick("meter_reports.send", rhythm.send_s, reports.drain),
            tick("meter_reports.confirm", rhythm.confirm_s, reports.confirm_due, deadline_s=240),
            tick("meter_reports.close_periods", rhythm.close_periods_s, reports.close_periods, deadline_s=240),
            tick("meter_reports.cancellations", rhythm.cancel_s, reports.finish_cancellations, deadline_s=240),
            tick("settlement.open_tasks", rhythm.settle_s, settlement.open_all_tasks, deadline_s=240),
            tick("settlement.resume_billing", rhythm.settle_s, settlement.resume_billing, deadline_s=240),
            tick("redirection.resume", rhythm.settle_s, redirection.resume, deadline_s=240),
            tick("settlement.compare_usage", rhythm.compare_s, settlement.compare_due, deadline_s=600),
            tick("webhooks.dispatch", rhythm.dispatch_s, webhooks.dispatch, deadline_s=10),
            tick("webhooks.backfill", rhythm.backfill_s, webhooks.backfill, deadline_s=240),
            tick("webhooks.compare", rhythm.compare_s, webhooks.compare_due, deadline_s=600),
            tick("enforcement.run_pass", rhythm.enforce_s, enforcement.run_pass, deadline_s=120),
            tick("enforcement.check_quotas", rhythm.quota_s, enforcement.check_quotas),
            tick("enforcement.tell_news", rhythm.news_s, enforcement.tell_news),
            tick("enforcement.tell_cards", rhythm.cards_s, enforcement.tell_cards, deadline_s=240),
            tick("notifications.send_due", rhythm.notify_s, notifications.send_due, deadline_s=600),
        )
        self.jobs: Mapping[str, JobFunction] = {
            "subscriptions.sync_account": subscriptions.sync_account_job,
            "webhooks.sync_customer": webhooks.sync_customer_job,
            "meter_reports.finish_cancellation": reports.finish_cancellation_job,
        }

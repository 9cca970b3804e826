"""Reads what the overview shows. The subscription and this period's usage must be there; the rest are blocks."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import timedelta
from typing import Any

from helvetia.audit.service import AuditService
from helvetia.billing.payments.service import PaymentService
from helvetia.billing.plan_change.model import ChangeState, Misfit, PlanChangeRecord, misfits_then
from helvetia.billing.service import BillingService
from helvetia.containers.model import Service
from helvetia.containers.service import ContainerService
from helvetia.costs.estimate.service import EstimateService
from helvetia.costs.forecasts.model import MICRO, AccountForecast
from helvetia.costs.forecasts.service import ForecastService
from helvetia.costs.history import UsageHistory
from helvetia.costs.model import CurrentUsage
from helvetia.costs.service import CostService
from helvetia.costs.usage_history_service import UsageHistoryService
from helvetia.enforcement.service import EnforcementService
from helvetia.kernel.identity import AccountId
from helvetia.metering.history.model import Grain, UsageFilter
from helvetia.notifications.service import NotificationService
from helvetia.subscriptions.model import limits_of
from helvetia.subscriptions.service import SubscriptionService
from helvetia.web.dashboard.blocks import read_block
from helvetia.web.dashboard.overview.facts import NextCharge, OverviewFacts
from helvetia.web.dashboard.overview.timeline import ACTIONS, EVENTS_SHOWN

_INVOICES_SHOWN = 6
_SERVICE_PAGE = 100
_SERVICE_PAGES_MAX = 10
_CARD_AGE_MAX = timedelta(minutes=10)
_CARD_WAIT_S = 1.5


@dataclass(frozen=True, slots=True, kw_only=True)
class OverviewParts:
    """The services that the overview asks."""

    subscriptions: SubscriptionService
    costs: CostService
    billing: BillingService
    payments: PaymentService
    containers: ContainerService
    estimates: EstimateService
    forecasts: ForecastService
    history: UsageHistoryService
    enforcement: EnforcementService
    notifications: NotificationService
    audit: AuditService


async def read_overview(
    parts: OverviewParts, account_id: AccountId, *, may_read_services: bool, **known: Any
) -> OverviewFacts:
    """`known` are the facts of the request itself. Raises SubscriptionNotFound."""
    subscription = await parts.subscriptions.get_subscription(account_id)
    usage = await parts.costs.current_usage(account_id)
    forecast = await read_block("forecast", parts.forecasts.forecast(account_id))
    days, by_service = await _read_history(parts, account_id, usage)
    pending = await read_block("pending_change", parts.billing.pending_change(account_id))
    invoices = await read_block("invoices", parts.billing.get_invoices(account_id, limit=_INVOICES_SHOWN))
    return OverviewFacts(
        subscription=subscription,
        limits=limits_of(subscription),
        usage=usage,
        invoices=None if invoices is None else invoices.invoices,
        services=await read_block("services", _read_services(parts, account_id)) if may_read_services else None,
        offer=await read_block("offer", parts.billing.payment_offer(account_id)),
        next_charge=await read_block("next_charge", _read_next_charge(parts, account_id, usage, forecast)),
        forecast=forecast,
        methods=await read_block("methods", parts.payments.recent_methods(account_id, _CARD_AGE_MAX, _CARD_WAIT_S)),
        days=days,
        by_service=by_service,
        names=await read_block("names", parts.history.names(account_id)) or {},
        standing=await read_block("standing", parts.enforcement.explain(account_id)),
        pending=pending,
        misfits=await _read_misfits(parts, account_id, pending),
        notices=await read_block("notices", parts.notifications.list_notifications(account_id, limit=EVENTS_SHOWN)),
        entries=await read_block("entries", parts.audit.newest(account_id, ACTIONS, limit=EVENTS_SHOWN)),
        **known,
    )


async def _read_next_charge(
    parts: OverviewParts, account_id: AccountId, usage: CurrentUsage, forecast: AccountForecast | None
) -> NextCharge:
    """The range is the forecast's; usage that is there already is never taken back."""
    found = None if forecast is None else forecast.cost.forecast
    totals = [] if found is None else [found.p50, found.p10, found.p90]
    wanted = [None if total is None else max(usage.usage_minor, total // MICRO) for total in totals]
    estimate, dues = await parts.estimates.expected_due(account_id, [one for one in wanted if one is not None])
    left = iter(dues)
    expected, low, high = [None if one is None else next(left) for one in wanted] or [None] * 3
    return NextCharge(estimate=estimate, due_minor=expected, low_minor=low, high_minor=high)


async def _read_history(
    parts: OverviewParts, account_id: AccountId, usage: CurrentUsage
) -> tuple[UsageHistory | None, UsageHistory | None]:
    """The period by UTC day, and by service."""
    by_day = UsageFilter(period=usage.period, grain=Grain.DAY, by_service=False)
    by_service = UsageFilter(period=usage.period, grain=Grain.MONTH)
    return (
        await read_block("days", parts.history.history(account_id, by_day)),
        await read_block("by_service", parts.history.history(account_id, by_service)),
    )


async def _read_services(parts: OverviewParts, account_id: AccountId) -> list[Service]:
    """All services, at most 1,000: what they reserve together is shown beside the limits."""
    services: list[Service] = []
    for _ in range(_SERVICE_PAGES_MAX):
        after = services[-1].service_id if services else None
        page = await parts.containers.list_services(account_id, after, _SERVICE_PAGE)
        services += page
        if len(page) < _SERVICE_PAGE:
            break
    return services


async def _read_misfits(
    parts: OverviewParts, account_id: AccountId, pending: PlanChangeRecord | None
) -> Sequence[Misfit]:
    """What of the account does not fit the smaller plan that is planned for the next period."""
    if pending is None or pending.state is not ChangeState.SCHEDULED:
        return ()
    offers = await read_block("misfits", parts.billing.list_plans(account_id)) or ()
    return misfits_then(next((offer.will_not_fit for offer in offers if offer.plan is pending.plan), ()))

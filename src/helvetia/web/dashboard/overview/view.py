"""The overview, ready for its template: what stands in the ledger, in the order in which a reader asks. Pure."""

from collections.abc import Sequence
from dataclasses import dataclass

from helvetia.costs.model import LATE_AFTER
from helvetia.web.dashboard.charts.stacked_bars import StackedBars
from helvetia.web.dashboard.overview.alerts import alerts
from helvetia.web.dashboard.overview.chart import cost_chart
from helvetia.web.dashboard.overview.facts import OverviewFacts
from helvetia.web.dashboard.overview.limit_alerts import Alert
from helvetia.web.dashboard.overview.readings import Reading, readings
from helvetia.web.dashboard.overview.rows import InvoiceRow, ServiceTable, invoice_row, service_table
from helvetia.web.dashboard.overview.sentences import (
    Fact,
    amounts,
    as_of,
    free_limits,
    no_invoices,
    sentence,
    stripe_as_of,
)
from helvetia.web.dashboard.overview.timeline import EventRow, timeline


@dataclass(frozen=True, slots=True, kw_only=True)
class OverviewView:
    """The page, ready for its template; `is_…_read` False: that block could not be read and says so."""

    alerts: Sequence[Alert]
    sentence: str
    as_of: str
    is_late: bool
    stripe_as_of: str | None
    amounts: Sequence[Fact]
    readings: Sequence[Reading]
    chart: StackedBars | None
    is_chart_read: bool
    services: ServiceTable | None
    is_services_read: bool
    may_read_services: bool
    events: Sequence[EventRow]
    is_events_read: bool
    invoices: Sequence[InvoiceRow]
    is_invoices_read: bool
    no_invoices: str
    export_path: str
    base_url: str
    organization_option: str
    here: str
    free_limits: str | None


def to_view(facts: OverviewFacts) -> OverviewView:
    """Everything that the page says."""
    organization = facts.organization_id
    return OverviewView(
        alerts=alerts(facts),
        sentence=sentence(facts),
        as_of=as_of(facts),
        is_late=facts.now - facts.usage.as_of > LATE_AFTER,
        stripe_as_of=stripe_as_of(facts),
        amounts=amounts(facts),
        readings=readings(facts),
        chart=cost_chart(facts),
        is_chart_read=facts.days is not None,
        services=service_table(facts),
        is_services_read=facts.by_service is not None,
        may_read_services=facts.services is not None,
        events=timeline(facts),
        is_events_read=facts.notices is not None and facts.entries is not None,
        invoices=[invoice_row(invoice, facts) for invoice in facts.invoices or ()],
        is_invoices_read=facts.invoices is not None,
        no_invoices=no_invoices(facts),
        export_path=facts.address("/api/v1/billing/usage/export?format=csv"),
        base_url=facts.base_url,
        organization_option="" if organization is None else f' -H "X-Organization-Id: {organization}"',
        here=facts.address("/billing"),
        free_limits=free_limits(facts),
    )

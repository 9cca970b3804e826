"""The overview, ready for its template: what stands in the ledger, in the order in which a reader asks. Pure."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import timedelta

from helvetia.web.dashboard.overview.facts import OverviewFacts
from helvetia.web.dashboard.overview.readings import Reading, reserved_readings, usage_reading
from helvetia.web.dashboard.overview.rows import InvoiceRow, ServiceRow, invoice_row, service_row
from helvetia.web.dashboard.overview.sentences import Alert, Fact, alert, amounts, as_of, no_invoices, sentence

# Two of the default sampling intervals, and room for a slow sweep.
LATE_AFTER = timedelta(minutes=5)
SERVICES_SHOWN_MAX = 50


@dataclass(frozen=True, slots=True, kw_only=True)
class OverviewView:
    """The page, ready for its template."""

    alert: Alert | None
    sentence: str
    as_of: str
    is_late: bool
    amounts: Sequence[Fact]
    usage: Sequence[Reading]
    reserved: Sequence[Reading]
    services: Sequence[ServiceRow] | None
    has_more_services: bool
    invoices: Sequence[InvoiceRow]
    no_invoices: str
    base_url: str
    organization_option: str


def to_view(facts: OverviewFacts) -> OverviewView:
    """Everything that the page says."""
    services = None if facts.services is None else [service_row(service, facts.voice) for service in facts.services]
    organization = facts.organization_id
    return OverviewView(
        alert=alert(facts),
        sentence=sentence(facts),
        as_of=as_of(facts),
        is_late=facts.now - facts.usage.as_of > LATE_AFTER,
        amounts=amounts(facts),
        usage=[usage_reading(line, facts.usage.currency, facts.voice) for line in facts.usage.lines],
        reserved=reserved_readings(facts.services or (), facts.limits, facts.voice),
        services=None if services is None else services[:SERVICES_SHOWN_MAX],
        has_more_services=len(services or ()) > SERVICES_SHOWN_MAX,
        invoices=[invoice_row(invoice, facts.voice) for invoice in facts.invoices],
        no_invoices=no_invoices(facts),
        base_url=facts.base_url,
        organization_option="" if organization is None else f' -H "X-Organization-Id: {organization}"',
    )

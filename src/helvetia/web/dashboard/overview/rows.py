"""Services and invoices as rows of a table. Pure."""

from collections.abc import Sequence
from dataclasses import dataclass
from decimal import Decimal

from helvetia.billing.model import InvoiceRecord
from helvetia.containers.model import Service, ServiceStatus
from helvetia.kernel.identity import ServiceId
from helvetia.kernel.quantity import UsageMetric
from helvetia.web.dashboard.overview.chart import small_money
from helvetia.web.dashboard.overview.facts import OverviewFacts
from helvetia.web.dashboard.voice import Voice
from helvetia.web.dashboard.words import hold_words, invoice_status, metric_head

SERVICES_SHOWN_MAX = 50
_ZERO = Decimal(0)


@dataclass(frozen=True, slots=True, kw_only=True)
class Cell:
    """A quantity under its head, which a narrow page puts before it."""

    head: str
    text: str


@dataclass(frozen=True, slots=True, kw_only=True)
class ServiceRow:
    """What a service used in the period; `status` only where it does not simply run."""

    name: str
    link: str
    status: str | None
    tone: str
    why: str | None
    cells: Sequence[Cell]
    cost: str
    share: str
    fill: str


@dataclass(frozen=True, slots=True, kw_only=True)
class ServiceTable:
    """The dearest first; `more_count` are left out; the sums are the period's own figures."""

    heads: Sequence[str]
    rows: Sequence[ServiceRow]
    sums: Sequence[Cell]
    cost: str
    more_count: int


@dataclass(frozen=True, slots=True, kw_only=True)
class InvoiceRow:
    issued: str
    number: str
    link: str
    pdf: str | None
    status: str
    tone: str
    amount: str


def service_table(facts: OverviewFacts) -> ServiceTable | None:
    """None where neither a service is there nor anything was used, or it could not be read."""
    if facts.by_service is None:
        return None
    used: dict[ServiceId, dict[UsageMetric, tuple[Decimal, Decimal]]] = {}
    for row in facts.by_service.rows:
        if row.service_id is not None:
            quantity, cost = used.setdefault(row.service_id, {}).get(row.metric, (_ZERO, _ZERO))
            used[row.service_id][row.metric] = (quantity + row.quantity, cost + row.cost_minor)
    known = {service.service_id: service for service in facts.services or ()}
    costs = {one: sum((cost for _, cost in used.get(one, {}).values()), _ZERO) for one in {*used, *known}}
    if not costs:
        return None
    names = {**facts.names, **{one: service.definition.name for one, service in known.items()}}
    order = sorted(costs, key=lambda one: (-costs[one], names.get(one, "")))
    whole = sum(costs.values(), _ZERO)
    shown = order[:SERVICES_SHOWN_MAX]
    return ServiceTable(
        heads=[metric_head(metric, facts.voice) for metric in UsageMetric],
        rows=[_row(one, names.get(one, ""), known.get(one), used.get(one, {}), whole, facts) for one in shown],
        sums=[_cell(line.metric, line.quantity, facts.voice) for line in facts.usage.lines],
        cost=facts.money(facts.usage.usage_minor),
        more_count=len(order) - len(shown),
    )


def _row(
    service_id: ServiceId,
    name: str,
    service: Service | None,
    used: dict[UsageMetric, tuple[Decimal, Decimal]],
    whole: Decimal,
    facts: OverviewFacts,
) -> ServiceRow:
    voice = facts.voice
    cost = sum((cost for _, cost in used.values()), _ZERO)
    status, tone = _status(service, is_known=facts.services is not None, voice=voice)
    return ServiceRow(
        name=name or voice.say("Service without a name"),
        link=facts.address(f"/billing/usage/services/{service_id}"),
        status=status,
        tone=tone,
        why=_why(service, voice),
        cells=[_cell(metric, used.get(metric, (_ZERO, _ZERO))[0], voice) for metric in UsageMetric],
        cost=small_money(cost, facts.usage.currency, voice),
        share=voice.percent(cost, whole) if whole else "0 %",
        fill=f"{round(cost * 100 / whole, 2):f}" if whole else "0",
    )


def _cell(metric: UsageMetric, quantity: Decimal, voice: Voice) -> Cell:
    return Cell(head=metric_head(metric, voice), text=voice.quantity(quantity))


def _status(service: Service | None, *, is_known: bool, voice: Voice) -> tuple[str | None, str]:
    """What is not running, and not yet, is worth a word."""
    if service is None:
        return (voice.say("deleted"), "") if is_known else (None, "")
    return {
        ServiceStatus.PENDING: (voice.say("starting"), ""),
        ServiceStatus.STOPPED: (voice.say("stopped by you"), ""),
        ServiceStatus.HELD: (voice.say("held"), "warn"),
        ServiceStatus.FAILED: (voice.say("failed"), "bad"),
        ServiceStatus.UNKNOWN: (voice.say("unknown"), "warn"),
    }.get(ServiceStatus(service.status), (None, ""))


def _why(service: Service | None, voice: Voice) -> str | None:
    if service is None:
        return None
    if service.holds:
        return " ".join(hold_words(cause, voice) for cause in sorted(service.holds))
    return service.status_message


def invoice_row(invoice: InvoiceRecord, facts: OverviewFacts) -> InvoiceRow:
    voice = facts.voice
    status, tone = invoice_status(invoice.status, voice)
    link = f"/billing/invoices/{invoice.stripe_invoice_id}"
    return InvoiceRow(
        issued=voice.short_day(invoice.issued_at),
        number=invoice.number or voice.say("not yet numbered"),
        link=facts.address(link),
        pdf=None if invoice.finalized_at is None else facts.address(f"{link}/pdf"),
        status=status,
        tone=tone,
        amount=voice.money(invoice.total_minor, invoice.currency),
    )

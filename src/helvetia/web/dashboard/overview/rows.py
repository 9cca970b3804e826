"""Services and invoices as rows of a table. Pure."""

from dataclasses import dataclass

from helvetia.billing.model import InvoiceRecord
from helvetia.containers.model import HoldCause, Service, ServiceStatus
from helvetia.web.dashboard.voice import Voice

_INVOICE_STATUS = {
    "draft": ("Draft", ""),
    "open": ("Open", "warn"),
    "paid": ("Paid", "good"),
    "void": ("Void", ""),
    "uncollectible": ("Not collected", "bad"),
}
_SERVICE_TONE = {ServiceStatus.RUNNING: "good", ServiceStatus.HELD: "warn", ServiceStatus.FAILED: "bad"}
_HOLD_WORDS = {
    HoldCause.PAYMENT: "a payment is due",
    HoldCause.QUOTA: "it exceeds the plan",
    HoldCause.BUDGET: "your budget is used up",
    HoldCause.OPERATOR: "an operator held it",
}


@dataclass(frozen=True, slots=True, kw_only=True)
class ServiceRow:
    name: str
    status: str
    tone: str
    why: str | None
    image: str
    replicas: str
    memory: str
    cores: str


@dataclass(frozen=True, slots=True, kw_only=True)
class InvoiceRow:
    issued: str
    number: str
    period: str
    status: str
    tone: str
    amount: str


def service_row(service: Service, voice: Voice) -> ServiceRow:
    definition = service.definition
    causes = " and ".join(_HOLD_WORDS[cause] for cause in sorted(service.holds))
    tone = _SERVICE_TONE.get(ServiceStatus(service.status), "")
    return ServiceRow(
        name=definition.name,
        status=service.status.capitalize(),
        tone=tone,
        why=f"Stopped because {causes}." if causes else service.status_message,
        image=definition.image,
        replicas=str(definition.replicas),
        memory=voice.megabytes(definition.memory_mb),
        cores=voice.plain(definition.cpu_cores),
    )


def invoice_row(invoice: InvoiceRecord, voice: Voice) -> InvoiceRow:
    status, tone = _INVOICE_STATUS.get(invoice.status, (invoice.status.capitalize(), ""))
    return InvoiceRow(
        issued=voice.short_day(invoice.issued_at),
        number=invoice.number or "not yet numbered",
        period=voice.span(invoice.period_start, invoice.period_end),
        status=status,
        tone=tone,
        amount=voice.money(invoice.total_minor, invoice.currency),
    )

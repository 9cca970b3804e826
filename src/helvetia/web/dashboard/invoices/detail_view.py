"""One invoice: its lines, those of usage with the way to that usage, its sums, and what was tried to pay it. Pure."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from decimal import Decimal

from helvetia.billing.credit_notes.model import CreditNoteRecord, GivenBack, given_back
from helvetia.billing.model import InvoiceLineRecord, InvoiceRecord
from helvetia.billing.payments.model import PaymentEntry, of_invoice
from helvetia.costs.estimate.check_invoice import CheckedLine, InvoiceCheck
from helvetia.kernel.period import Period
from helvetia.kernel.quantity import UsageMetric
from helvetia.web.dashboard.invoices.check_view import CheckView, to_check_view
from helvetia.web.dashboard.invoices.money_view import NoteRow, note_row, standing
from helvetia.web.dashboard.invoices.payment_rows import PaymentRow, payment_row
from helvetia.web.dashboard.invoices.query import PATH, InvoiceQuery
from helvetia.web.dashboard.usage.query import PeriodKind, instant_text
from helvetia.web.dashboard.usage.view import EXPLORER
from helvetia.web.dashboard.usage.words import metric_title, metric_unit
from helvetia.web.dashboard.voice import Voice
from helvetia.web.dashboard.words import invoice_status


@dataclass(frozen=True, slots=True, kw_only=True)
class LineRow:
    """`link`: the usage of exactly this line's period."""

    text: str
    link: str | None
    period: str
    quantity: str
    price: str
    amount: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Sum:
    label: str
    amount: str
    is_total: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class InvoiceDetailView:
    """`attempts` None: neither Stripe nor a copy could be read."""

    number: str
    sentence: str
    status: str
    tone: str
    note: str
    standing: Sequence[str]
    pdf: str | None
    pay_link: str | None
    pay_label: str
    lines: Sequence[LineRow]
    sums: Sequence[Sum]
    check: CheckView | None
    notes: Sequence[NoteRow]
    attempts: Sequence[PaymentRow] | None
    back: str


@dataclass(frozen=True, slots=True, kw_only=True)
class InvoiceFacts:
    invoice: InvoiceRecord
    lines: Sequence[InvoiceLineRecord]
    notes: Sequence[CreditNoteRecord]
    check: InvoiceCheck
    payments: Sequence[PaymentEntry] | None
    metrics: Mapping[str, UsageMetric]
    query: InvoiceQuery
    may_pay: bool
    voice: Voice

    @property
    def own_payments(self) -> Sequence[PaymentEntry] | None:
        return of_invoice(self.payments, self.invoice.stripe_invoice_id)

    @property
    def back(self) -> GivenBack:
        return given_back(self.notes, self.own_payments)

    def money(self, amount_minor: int) -> str:
        return self.voice.money(amount_minor, self.invoice.currency)


def to_detail_view(facts: InvoiceFacts) -> InvoiceDetailView:
    """Everything that the page says."""
    invoice, voice = facts.invoice, facts.voice
    status, tone = invoice_status(invoice.status, voice)
    own = f"{PATH}/{invoice.stripe_invoice_id}"
    is_payable = facts.may_pay and invoice.status == "open" and invoice.amount_remaining_minor > 0
    attempts = facts.own_payments
    return InvoiceDetailView(
        number=invoice.number or voice.say("not yet numbered"),
        sentence=_sentence(facts),
        status=status,
        tone=tone,
        note=_note(facts),
        standing=standing(invoice, facts.back, voice),
        pdf=None if invoice.finalized_at is None else facts.query.address(f"{own}/pdf"),
        pay_link=facts.query.address("/billing/pay") if is_payable else None,
        pay_label=voice.say("Pay what is open"),
        lines=[_line(line, facts) for line in facts.lines],
        sums=_sums(facts),
        check=_check(facts),
        notes=[note_row(note, facts.query, voice) for note in facts.notes],
        attempts=None if attempts is None else [payment_row(one, facts.query, voice) for one in attempts],
        back=facts.query.address(PATH),
    )


def _sentence(facts: InvoiceFacts) -> str:
    invoice, voice = facts.invoice, facts.voice
    amount = facts.money(invoice.total_minor)
    if invoice.status == "paid" and invoice.credited_before_minor == invoice.total_minor > 0:
        return voice.say("{amount}, taken back by a credit note. Nothing is owed on it.", amount=amount)
    if invoice.status == "paid" and invoice.paid_at is not None:
        return voice.say("{amount}, paid on {day}.", amount=amount, day=voice.day(invoice.paid_at))
    if invoice.status == "open":
        return voice.say(
            "{amount} is open since {day}.",
            amount=facts.money(invoice.amount_remaining_minor),
            day=voice.day(invoice.issued_at),
        )
    if invoice.status == "draft":
        return voice.say("{amount} so far. This invoice is not final yet.", amount=amount)
    if invoice.status == "void":
        return voice.say("{amount}, cancelled. Nothing is owed on it.", amount=amount)
    return amount


def _note(facts: InvoiceFacts) -> str:
    invoice, voice = facts.invoice, facts.voice
    words = {"number": invoice.number or voice.say("not yet numbered"), "day": voice.short_day(invoice.issued_at)}
    note = voice.say("Invoice {number}, issued {day}.", **words)
    again = invoice.next_payment_attempt_at
    if invoice.status != "open" or not invoice.attempt_count:
        return note
    tried = voice.many("Tried once.", "Tried {count} times.", invoice.attempt_count)
    if again is None or again <= voice.now:
        return f"{note} {tried}"
    return f"{note} {tried} {voice.say('The next try is on {day}.', day=voice.day(again))}"


def _line(line: InvoiceLineRecord, facts: InvoiceFacts) -> LineRow:
    voice, metric = facts.voice, facts.metrics.get(line.stripe_price_id or "")
    quantity, price = line.quantity, line.unit_price_minor
    return LineRow(
        text=line.description or voice.say("Other") if metric is None else metric_title(metric, voice),
        link=None
        if metric is None or line.period_start >= line.period_end
        else usage_link(Period(starts_at=line.period_start, ends_at=line.period_end), metric, facts.query),
        period=voice.span(line.period_start, line.period_end),
        quantity=_quantity(quantity, metric, voice),
        price="" if metric is None or price is None else voice.unit_price(price, facts.invoice.currency),
        amount=facts.money(line.amount_minor),
    )


def _quantity(quantity: Decimal | None, metric: UsageMetric | None, voice: Voice) -> str:
    if quantity is None or metric is None:
        return ""
    return f"{voice.plain(quantity)} {metric_unit(metric, voice)}"


def usage_link(period: Period, metric: UsageMetric, query: InvoiceQuery) -> str:
    """The usage of exactly this period: what it shows is what the line bills."""
    ends = {"from": instant_text(period.starts_at), "to": instant_text(period.ends_at)}
    return query.address(EXPLORER, period=PeriodKind.CUSTOM.value, **ends, metric=metric.value)


def _check(facts: InvoiceFacts) -> CheckView | None:
    invoice = facts.invoice

    def link_to(line: CheckedLine) -> str:
        return usage_link(line.period, line.metric, facts.query)

    has_terms = not invoice.subtotal_minor == invoice.total_minor == invoice.amount_due_minor
    return to_check_view(facts.check, invoice.currency, facts.voice, has_terms=has_terms, link_to=link_to)


def _sums(facts: InvoiceFacts) -> list[Sum]:
    """Subtotal, what was taken off or added, total, and what was paid or is open."""
    invoice, voice = facts.invoice, facts.voice
    terms_minor = invoice.total_minor - invoice.subtotal_minor
    balance_minor = invoice.from_balance_minor
    rows = [Sum(label=voice.say("Total"), amount=facts.money(invoice.total_minor), is_total=True)]
    if terms_minor:
        rows = [
            Sum(label=voice.say("Subtotal"), amount=facts.money(invoice.subtotal_minor)),
            Sum(label=voice.say("Discounts and tax"), amount=facts.money(terms_minor)),
            *rows,
        ]
    if balance_minor and invoice.status != "void":
        rows.append(Sum(label=voice.say("From the balance"), amount=facts.money(balance_minor)))
    if invoice.credited_before_minor:
        rows.append(Sum(label=voice.say("Credit notes"), amount=facts.money(-invoice.credited_before_minor)))
    if invoice.amount_paid_minor:
        rows.append(Sum(label=voice.say("Paid"), amount=facts.money(-invoice.amount_paid_minor)))
    if invoice.status == "open":
        rows.append(Sum(label=voice.say("Open"), amount=facts.money(invoice.amount_remaining_minor), is_total=True))
    if facts.back.total_minor:
        rows.append(Sum(label=voice.say("Given back"), amount=facts.money(facts.back.total_minor)))
    return rows

"""The list of invoices and the history of payments as rows, and the list as a file. Pure."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC

from helvetia.billing.credit_notes.model import GivenBack
from helvetia.billing.model import InvoiceFilter, InvoicePage, InvoiceRecord
from helvetia.billing.payments.model import Payments
from helvetia.costs.estimate.model import Estimate
from helvetia.kernel.money import Money
from helvetia.web.dashboard.invoices.next_view import NEXT_PATH, next_sentence
from helvetia.web.dashboard.invoices.payment_rows import PaymentRow, payment_row
from helvetia.web.dashboard.invoices.query import PATH, STATUSES, InvoiceQuery
from helvetia.web.dashboard.voice import Voice
from helvetia.web.dashboard.words import invoice_status

NOTHING = GivenBack()
COLUMNS = (
    "number",
    "status",
    "issued",
    "periodStart",
    "periodEnd",
    "subtotal",
    "total",
    "paid",
    "open",
    "currency",
    "credited",
    "givenBack",
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Choice:
    value: str
    words: str
    is_chosen: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class InvoiceLine:
    number: str
    link: str
    pdf: str | None
    issued: str
    period: str
    status: str
    tone: str
    attempts: str
    total: str
    open: str | None
    credited: str | None
    given_back: str | None


@dataclass(frozen=True, slots=True, kw_only=True)
class InvoiceListView:
    sentence: str
    upcoming: str | None
    upcoming_link: str
    pay_label: str | None
    years: Sequence[Choice]
    statuses: Sequence[Choice]
    organization: str | None
    rows: Sequence[InvoiceLine]
    empty: str
    next_link: str | None
    first_link: str | None
    csv_link: str


@dataclass(frozen=True, slots=True, kw_only=True)
class PaymentListView:
    """`rows` None: neither Stripe nor a copy could be read."""

    as_of: str | None
    is_late: bool
    rows: Sequence[PaymentRow] | None
    next_link: str | None


@dataclass(frozen=True, slots=True, kw_only=True)
class ListFacts:
    """`owed` are all that are open, whatever the filter; `back`: what came back of an invoice, by its id.

    `estimate`: the next invoice; None where it cannot be read.
    """

    page: InvoicePage
    owed: Sequence[InvoiceRecord]
    years: Sequence[int]
    back: Mapping[str, GivenBack]
    estimate: Estimate | None = None


def to_list_view(
    facts: ListFacts, query: InvoiceQuery, *, may_pay: bool, is_later_page: bool, voice: Voice
) -> InvoiceListView:
    """Everything that the page says."""
    page, owed, years = facts.page, facts.owed, facts.years
    open_minor = sum(invoice.amount_remaining_minor for invoice in owed)
    sentence = voice.say("Nothing is open.")
    if open_minor:
        amount = voice.money(open_minor, owed[0].currency)
        sentence = voice.many(
            "{amount} is open on one invoice.", "{amount} is open on {count} invoices.", len(owed), amount=amount
        )
    is_filtered = query.wanted.year is not None or query.wanted.status is not None
    return InvoiceListView(
        sentence=sentence,
        upcoming=None if facts.estimate is None else next_sentence(facts.estimate, voice),
        upcoming_link=plain(query).address(NEXT_PATH),
        pay_label=voice.say("Pay what is open") if open_minor and may_pay else None,
        years=[Choice(value=str(year), words=str(year), is_chosen=year == query.wanted.year) for year in years],
        statuses=[
            Choice(value=one, words=invoice_status(one, voice)[0], is_chosen=one == query.wanted.status)
            for one in STATUSES
        ],
        organization=query.organization,
        rows=[_line(one, facts.back.get(one.stripe_invoice_id, NOTHING), query, voice) for one in page.invoices],
        empty=voice.say("No invoice is like that.") if is_filtered else voice.say("There are no invoices yet."),
        next_link=None if page.next_cursor is None else query.address(PATH, cursor=page.next_cursor),
        first_link=query.address(PATH) if is_later_page else None,
        csv_link=query.address(f"{PATH}/export"),
    )


def plain(query: InvoiceQuery) -> InvoiceQuery:
    """The same account, without the list's filters."""
    return InvoiceQuery(wanted=InvoiceFilter(), organization=query.organization)


def _line(invoice: InvoiceRecord, back: GivenBack, query: InvoiceQuery, voice: Voice) -> InvoiceLine:
    status, tone = invoice_status(invoice.status, voice)
    own = f"{PATH}/{invoice.stripe_invoice_id}"
    tried = voice.many("tried once", "tried {count} times", invoice.attempt_count) if invoice.attempt_count else ""
    is_open = invoice.status == "open" and invoice.amount_remaining_minor != invoice.total_minor
    return InvoiceLine(
        number=invoice.number or voice.say("not yet numbered"),
        link=plain(query).address(own),
        pdf=None if invoice.finalized_at is None else plain(query).address(f"{own}/pdf"),
        issued=voice.short_day(invoice.issued_at),
        period=voice.span(invoice.period_start, invoice.period_end),
        status=status,
        tone=tone,
        attempts=tried if invoice.status != "paid" or invoice.attempt_count > 1 else "",
        total=voice.money(invoice.total_minor, invoice.currency),
        open=voice.money(invoice.amount_remaining_minor, invoice.currency) if is_open else None,
        credited=_money(invoice.credited_before_minor, invoice, voice),
        given_back=_money(back.total_minor, invoice, voice),
    )


def _money(amount_minor: int, invoice: InvoiceRecord, voice: Voice) -> str | None:
    return voice.money(amount_minor, invoice.currency) if amount_minor else None


def to_file_row(invoice: InvoiceRecord, back: GivenBack = NOTHING) -> tuple[str, ...]:
    """Plain decimals and instants in UTC; never in the forms of a language."""

    def amount(amount_minor: int) -> str:
        return f"{Money(amount_minor=amount_minor, currency=invoice.currency).to_decimal():f}"

    instants = (invoice.issued_at, invoice.period_start, invoice.period_end)
    return (
        invoice.number or "",
        invoice.status,
        *(f"{instant.astimezone(UTC):%Y-%m-%dT%H:%M:%SZ}" for instant in instants),
        amount(invoice.subtotal_minor),
        amount(invoice.total_minor),
        amount(invoice.amount_paid_minor),
        amount(invoice.amount_remaining_minor if invoice.status == "open" else 0),
        invoice.currency.upper(),
        amount(invoice.credited_before_minor),
        amount(back.total_minor),
    )


def to_payment_view(found: Payments | None, query: InvoiceQuery, late_after_s: int, voice: Voice) -> PaymentListView:
    """The history of payments; as old as the copy is while Stripe is away."""
    if found is None:
        return PaymentListView(as_of=None, is_late=False, rows=None, next_link=None)
    as_of = None if found.as_of is None else voice.say("As of {instant}.", instant=voice.instant(found.as_of))
    is_late = found.as_of is not None and (voice.now - found.as_of).total_seconds() > late_after_s
    following = None if found.next_cursor is None else query.address("/billing/payments", cursor=found.next_cursor)
    rows = [payment_row(one, query, voice) for one in found.entries]
    return PaymentListView(as_of=as_of, is_late=is_late, rows=rows, next_link=following)

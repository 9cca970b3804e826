"""Invoices on the wire: as mirrored from Stripe, and beside our own count."""

from collections.abc import Mapping, Sequence
from decimal import Decimal

from helvetia.billing.credit_notes.model import CreditNoteRecord, GivenBack
from helvetia.billing.model import InvoiceLineRecord, InvoicePage, InvoiceRecord
from helvetia.billing.payments.model import given_back_words
from helvetia.costs.estimate.check_invoice import CheckedLine, InvoiceCheck
from helvetia.kernel.money import Money
from helvetia.web.api.schemas.wire import WireAnswer, WireDecimal, WireInstant


class InvoiceAnswer(WireAnswer):
    """An invoice as mirrored from Stripe; amounts in `currency`.

    `amountCredited`: what credit notes took off what was left to pay. `amountGivenBack`: what came back of what was
    paid, by refunds (those under way too), on the balance, or by other means.
    """

    id: str
    number: str | None
    status: str
    currency: str
    total: WireDecimal
    amount_due: WireDecimal
    amount_paid: WireDecimal
    amount_remaining: WireDecimal
    amount_credited: WireDecimal
    amount_given_back: WireDecimal
    attempt_count: int
    next_payment_attempt: WireInstant | None
    period_start: WireInstant
    period_end: WireInstant
    issued_at: WireInstant
    paid_at: WireInstant | None


class InvoiceLineAnswer(WireAnswer):
    """One line: `quantity` in the sold unit, `unitPrice` per unit, `amount` as invoiced."""

    description: str | None
    quantity: WireDecimal | None
    unit_price: WireDecimal | None
    amount: WireDecimal
    is_proration: bool
    period_start: WireInstant
    period_end: WireInstant


class CheckedLineAnswer(WireAnswer):
    """A line of usage beside our own count of its period; `difference` is what we count more.

    `verdict`: equal; of a draft: not_at_stripe_yet, not_counted_yet; refused (Stripe refused a report of just this
    much); billed_separately or waived (the operator decided); known_after_invoice; or unexplained.
    """

    metric: str
    period_start: WireInstant
    period_end: WireInstant
    quantity: WireDecimal
    amount: WireDecimal
    own_quantity: WireDecimal
    own_amount: WireDecimal
    difference: WireDecimal
    verdict: str


class InvoiceCheckAnswer(WireAnswer):
    """Every line of usage, recomputed from our own ledger, before discounts, taxes and credits; `difference` in all."""

    equal: bool
    difference: WireDecimal
    lines: list[CheckedLineAnswer]


class CreditNoteAnswer(WireAnswer):
    """A credit note; `status`: issued, or void (the invoice is owed as before). Of `total`, `takenOff` lowered what was
    left to pay; `refunded`, `toBalance` and `outside` (by other means) came back of what was paid.
    """

    id: str
    number: str
    status: str
    total: WireDecimal
    taken_off: WireDecimal
    refunded: WireDecimal
    to_balance: WireDecimal
    outside: WireDecimal
    currency: str
    reason_code: str | None
    reason: str | None
    memo: str | None
    issued_at: WireInstant
    voided_at: WireInstant | None


class InvoiceDetailAnswer(InvoiceAnswer):
    """An invoice with its lines and credit notes, oldest first; `check`: its lines of usage beside our own count, null
    while prices are not verified.
    """

    subtotal: WireDecimal
    lines: list[InvoiceLineAnswer]
    check: InvoiceCheckAnswer | None
    credit_notes: list[CreditNoteAnswer]


class InvoiceListAnswer(WireAnswer):
    """Newest first. `asOf` is when Stripe was read: older while Stripe is away; null for no customer."""

    invoices: list[InvoiceAnswer]
    next_cursor: str | None
    as_of: WireInstant | None


def to_wire_invoices(page: InvoicePage, back: Mapping[str, GivenBack]) -> InvoiceListAnswer:
    return InvoiceListAnswer(
        invoices=[_to_wire_invoice(invoice, back.get(invoice.stripe_invoice_id)) for invoice in page.invoices],
        next_cursor=page.next_cursor,
        as_of=page.as_of,
    )


def to_wire_invoice_detail(
    invoice: InvoiceRecord,
    lines: Sequence[InvoiceLineRecord],
    check: InvoiceCheck,
    notes: Sequence[CreditNoteRecord],
    back: GivenBack | None,
) -> InvoiceDetailAnswer:
    return InvoiceDetailAnswer(
        **dict(_to_wire_invoice(invoice, back)),
        subtotal=_amount(invoice.subtotal_minor, invoice.currency),
        lines=[_to_wire_line(line, invoice.currency) for line in lines],
        check=_to_wire_check(check, invoice.currency) if check.is_possible else None,
        credit_notes=[_to_wire_note(note) for note in notes],
    )


def _to_wire_note(note: CreditNoteRecord) -> CreditNoteAnswer:
    return CreditNoteAnswer(
        id=note.stripe_credit_note_id,
        number=note.number,
        status=note.status.value,
        total=_amount(note.total_minor, note.currency),
        taken_off=_amount(note.before_payment_minor, note.currency),
        refunded=_amount(note.refunded_minor, note.currency),
        to_balance=_amount(note.to_balance_minor, note.currency),
        outside=_amount(note.outside_minor, note.currency),
        currency=note.currency,
        reason_code=note.reason,
        reason=given_back_words(note.reason),
        memo=note.memo,
        issued_at=note.issued_at,
        voided_at=note.voided_at,
    )


def _to_wire_line(line: InvoiceLineRecord, currency: str) -> InvoiceLineAnswer:
    return InvoiceLineAnswer(
        description=line.description,
        quantity=None if line.quantity is None else line.quantity.normalize(),
        unit_price=None if line.unit_price_minor is None else line.unit_price_minor.scaleb(-2).normalize(),
        amount=_amount(line.amount_minor, currency),
        is_proration=line.is_proration,
        period_start=line.period_start,
        period_end=line.period_end,
    )


def _to_wire_check(check: InvoiceCheck, currency: str) -> InvoiceCheckAnswer:
    return InvoiceCheckAnswer(
        equal=check.is_equal,
        difference=_amount(check.difference_minor, currency),
        lines=[_to_wire_checked(line, currency) for line in check.lines],
    )


def _to_wire_checked(line: CheckedLine, currency: str) -> CheckedLineAnswer:
    return CheckedLineAnswer(
        metric=line.metric.value,
        period_start=line.period.starts_at,
        period_end=line.period.ends_at,
        quantity=line.quantity,
        amount=_amount(line.amount_minor, currency),
        own_quantity=line.own_quantity,
        own_amount=_amount(line.own_amount_minor, currency),
        difference=_amount(line.difference_minor, currency),
        verdict=line.verdict.value,
    )


def _to_wire_invoice(invoice: InvoiceRecord, back: GivenBack | None) -> InvoiceAnswer:
    currency = invoice.currency
    return InvoiceAnswer(
        id=invoice.stripe_invoice_id,
        number=invoice.number,
        status=invoice.status,
        currency=currency,
        total=_amount(invoice.total_minor, currency),
        amount_due=_amount(invoice.amount_due_minor, currency),
        amount_paid=_amount(invoice.amount_paid_minor, currency),
        amount_remaining=_amount(invoice.amount_remaining_minor, currency),
        amount_credited=_amount(invoice.credited_before_minor, currency),
        amount_given_back=_amount(0 if back is None else back.total_minor, currency),
        attempt_count=invoice.attempt_count,
        next_payment_attempt=invoice.next_payment_attempt_at,
        period_start=invoice.period_start,
        period_end=invoice.period_end,
        issued_at=invoice.issued_at,
        paid_at=invoice.paid_at,
    )


def _amount(amount_minor: int, currency: str) -> Decimal:
    return Money(amount_minor=amount_minor, currency=currency).to_decimal()

"""Payments and payment methods on the wire."""

from decimal import Decimal

from helvetia.billing.payments.model import MethodEntry, Methods, PaymentEntry, Payments
from helvetia.kernel.money import Money
from helvetia.stripe_gateway.model import Invoice
from helvetia.web.api.schemas.wire import WireAnswer, WireDecimal, WireInstant


class PaymentAnswer(WireAnswer):
    """`kind`: payment, failed_attempt or refund; and of a credit note what no refund says: taken_off (of what was left
    to pay), to_balance, outside (given back by other means), its `id` followed by a colon and the kind, its `status`
    issued or void. `reason` says in plain words why something failed or went back.
    """

    id: str
    kind: str
    status: str
    time: WireInstant
    amount: WireDecimal
    currency: str
    method: str | None
    invoice_id: str | None
    invoice_number: str | None
    reason_code: str | None
    reason: str | None


class PaymentListAnswer(WireAnswer):
    """Newest first. `asOf` is when Stripe was read: older while Stripe is away; null for no customer."""

    payments: list[PaymentAnswer]
    next_cursor: str | None
    as_of: WireInstant | None


class PaymentMethodAnswer(WireAnswer):
    """`isDefault`: what invoices are charged to."""

    id: str
    kind: str
    label: str
    expires_month: int | None
    expires_year: int | None
    is_default: bool


class PaymentMethodListAnswer(WireAnswer):
    """The default first. `asOf` is when Stripe was read: older while Stripe is away; null for no customer."""

    payment_methods: list[PaymentMethodAnswer]
    as_of: WireInstant | None


class PaidInvoiceAnswer(WireAnswer):
    """The invoice after it was paid."""

    id: str
    number: str | None
    status: str
    amount_paid: WireDecimal
    currency: str
    paid_at: WireInstant | None


def to_wire_payments(payments: Payments) -> PaymentListAnswer:
    return PaymentListAnswer(
        payments=[_payment(entry) for entry in payments.entries],
        next_cursor=payments.next_cursor,
        as_of=payments.as_of,
    )


def to_wire_methods(methods: Methods) -> PaymentMethodListAnswer:
    return PaymentMethodListAnswer(payment_methods=[_method(entry) for entry in methods.entries], as_of=methods.as_of)


def to_wire_paid(invoice: Invoice) -> PaidInvoiceAnswer:
    return PaidInvoiceAnswer(
        id=invoice.invoice_id,
        number=invoice.number,
        status=invoice.status,
        amount_paid=_amount(invoice.amount_paid_minor, invoice.currency),
        currency=invoice.currency,
        paid_at=invoice.paid_at,
    )


def _payment(entry: PaymentEntry) -> PaymentAnswer:
    return PaymentAnswer(
        id=entry.payment_id,
        kind=entry.kind.value,
        status=entry.status,
        time=entry.happened_at,
        amount=_amount(entry.amount_minor, entry.currency),
        currency=entry.currency,
        method=entry.method,
        invoice_id=entry.invoice_id,
        invoice_number=entry.invoice_number,
        reason_code=entry.reason_code,
        reason=entry.reason,
    )


def _method(entry: MethodEntry) -> PaymentMethodAnswer:
    return PaymentMethodAnswer(
        id=entry.payment_method_id,
        kind=entry.kind,
        label=entry.label,
        expires_month=entry.expires_month,
        expires_year=entry.expires_year,
        is_default=entry.is_default,
    )


def _amount(amount_minor: int, currency: str) -> Decimal:
    return Money(amount_minor=amount_minor, currency=currency).to_decimal()

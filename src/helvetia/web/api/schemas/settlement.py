"""Paying everything that is open, on the wire."""

from decimal import Decimal
from typing import Annotated

from pydantic import Field

from helvetia.billing.settlement.model import Agreement, OpenInvoices, PaidInvoices, PaymentOffer, to_pay_minor
from helvetia.kernel.money import Money
from helvetia.stripe_gateway.model import Invoice
from helvetia.web.api.schemas.wire import WireAnswer, WireDecimal, WireInstant, WireRequest

_ID = Annotated[str, Field(pattern="^[A-Za-z0-9_]{1,100}$")]


class OpenInvoiceAnswer(WireAnswer):
    """`amount` is what paying it charges, before any balance of yours."""

    id: str
    number: str | None
    status: str
    amount: WireDecimal
    issued_at: WireInstant


class OpenInvoicesAnswer(WireAnswer):
    """In the order of payment. `dropped` are voided first. `newCardAt`: since when a card waits that was not tried."""

    invoices: list[OpenInvoiceAnswer]
    amount_due: WireDecimal
    currency: str
    dropped: list[OpenInvoiceAnswer]
    new_card_at: WireInstant | None


class PayOpenRequest(WireRequest):
    """What was shown: the ids of the invoices, and their sum."""

    invoices: Annotated[list[_ID], Field(max_length=100)]
    amount_due: Annotated[str, Field(pattern=r"^\d{1,9}(\.\d{1,2})?$")]


class PaidOneAnswer(WireAnswer):
    id: str
    number: str | None
    amount_paid: WireDecimal


class PaidInvoicesAnswer(WireAnswer):
    """What was paid, in that order; empty where nothing was open any more."""

    invoices: list[PaidOneAnswer]
    amount_paid: WireDecimal
    currency: str


def to_agreement(agreed: PayOpenRequest) -> Agreement:
    return Agreement(invoice_ids=frozenset(agreed.invoices), amount_minor=int(Decimal(agreed.amount_due).scaleb(2)))


def to_wire_open(found: OpenInvoices, offer: PaymentOffer | None) -> OpenInvoicesAnswer:
    return OpenInvoicesAnswer(
        invoices=[_open(invoice) for invoice in found.invoices],
        amount_due=_amount(found.amount_minor, found.currency),
        currency=found.currency,
        dropped=[_open(invoice) for invoice in found.dropped],
        new_card_at=None if offer is None else offer.offered_at,
    )


def to_wire_paid_invoices(paid: PaidInvoices) -> PaidInvoicesAnswer:
    return PaidInvoicesAnswer(
        invoices=[
            PaidOneAnswer(
                id=invoice.invoice_id,
                number=invoice.number,
                amount_paid=_amount(invoice.amount_paid_minor, invoice.currency),
            )
            for invoice in paid.invoices
        ],
        amount_paid=_amount(paid.amount_minor, paid.currency),
        currency=paid.currency,
    )


def _open(invoice: Invoice) -> OpenInvoiceAnswer:
    return OpenInvoiceAnswer(
        id=invoice.invoice_id,
        number=invoice.number,
        status=invoice.status,
        amount=_amount(to_pay_minor(invoice), invoice.currency),
        issued_at=invoice.issued_at,
    )


def _amount(amount_minor: int, currency: str) -> Decimal:
    return Money(amount_minor=amount_minor, currency=currency).to_decimal()

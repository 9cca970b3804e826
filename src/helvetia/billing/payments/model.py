"""Payments as a customer reads them, and Stripe's reasons in plain words. Pure."""

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from datetime import datetime
from enum import StrEnum
from typing import Any

from helvetia.billing.model import PageCursor
from helvetia.stripe_gateway.actions import Charge, PaymentMethod, Refund
from helvetia.stripe_gateway.credit_notes import CreditNote
from helvetia.stripe_gateway.model import Invoice

PAYMENTS_MAX = 1000
REFUNDED_MAX = 20


class PaymentKind(StrEnum):
    """Money taken, an attempt that failed, money given back; the rest is what credit notes did besides refunds."""

    PAYMENT = "payment"
    FAILED_ATTEMPT = "failed_attempt"
    REFUND = "refund"
    TAKEN_OFF = "taken_off"
    """Of what was left to pay."""
    TO_BALANCE = "to_balance"
    """Given back as a credit for the next invoice."""
    OUTSIDE = "outside"
    """Given back outside of Stripe."""


@dataclass(frozen=True, slots=True, kw_only=True)
class PaymentEntry:
    """One thing that happened with money; `reason` in plain words where something failed or was given back."""

    payment_id: str
    kind: PaymentKind
    status: str
    happened_at: datetime
    amount_minor: int
    currency: str
    method: str | None
    invoice_id: str | None
    invoice_number: str | None
    reason_code: str | None
    reason: str | None


@dataclass(frozen=True, slots=True, kw_only=True)
class MethodEntry:
    """How the account may pay; the default is what invoices are charged to."""

    payment_method_id: str
    kind: str
    label: str
    expires_month: int | None
    expires_year: int | None
    is_default: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class Payments:
    """A page, newest first; `next_cursor` is None on the last one. `as_of` is when Stripe was read."""

    entries: Sequence[PaymentEntry]
    next_cursor: str | None
    as_of: datetime | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Methods:
    """`as_of` is when Stripe was read."""

    entries: Sequence[MethodEntry]
    as_of: datetime | None


_OTHER_REASON = "The bank declined the payment without saying why. Try another card, or ask your bank."
REASONS: Mapping[str, str] = {
    "insufficient_funds": "There was not enough money on the account of the card.",
    "expired_card": "The card has expired.",
    "incorrect_cvc": "The security code of the card was wrong.",
    "incorrect_number": "The number of the card is wrong.",
    "lost_card": "The bank does not accept this card any more. Use another one.",
    "stolen_card": "The bank does not accept this card any more. Use another one.",
    "pickup_card": "The bank does not accept this card any more. Use another one.",
    "card_velocity_exceeded": "The card was used too often or for too much. Try later, or use another one.",
    "processing_error": "The bank had a technical problem. Try again in a few minutes.",
    "authentication_required": "The bank wants you to confirm the payment.",
    "generic_decline": _OTHER_REASON,
    "card_declined": _OTHER_REASON,
    "do_not_honor": _OTHER_REASON,
    "fraudulent": _OTHER_REASON,
    "invalid_cvc": "The security code of the card was wrong.",
    "invalid_number": "The number of the card is wrong.",
    "invalid_account": "The bank does not accept this card any more. Use another one.",
    "restricted_card": "The bank does not accept this card any more. Use another one.",
    "withdrawal_count_limit_exceeded": "The card was used too often or for too much. Try later, or use another one.",
    "issuer_not_available": "The bank had a technical problem. Try again in a few minutes.",
    "try_again_later": "The bank had a technical problem. Try again in a few minutes.",
}
GIVEN_BACK: Mapping[str, str] = {
    "duplicate": "It had been charged twice.",
    "fraudulent": "The payment was not made by the owner of the card.",
    "requested_by_customer": "Given back as you asked.",
    "order_change": "What was ordered has changed.",
    "product_unsatisfactory": "Something was not as it should have been.",
}
_KINDS = {"card": "Card", "link": "Link", "sepa_debit": "SEPA direct debit"}


def in_plain_words(code: str | None) -> str | None:
    """Why, for the customer; nothing where nothing went wrong."""
    return None if code is None else REASONS.get(code, _OTHER_REASON)


def given_back_words(code: str | None) -> str | None:
    """Why money went back, for the customer; nothing where nobody said why."""
    return GIVEN_BACK.get(code or "")


def method_label(kind: str | None, brand: str | None, last4: str | None) -> str | None:
    """Such as `Visa •••• 4242`."""
    if kind is None:
        return None
    name = (brand or "").replace("_", " ").title() or _KINDS.get(kind, kind.replace("_", " ").capitalize())
    return name if last4 is None else f"{name} •••• {last4}"


def to_entries(
    charges: Sequence[Charge], refunds: Sequence[Refund], invoices: Sequence[Invoice], notes: Sequence[CreditNote] = ()
) -> tuple[PaymentEntry, ...]:
    """Every attempt, refund and part of a credit note, newest first, with the invoice that it was for."""
    by_intent = {intent: invoice for invoice in invoices for intent in invoice.payment_intent_ids}
    by_charge = {charge.charge_id: charge for charge in charges}
    entries = [_charged(charge, by_intent.get(charge.payment_intent_id or "")) for charge in charges]
    for refund in refunds:
        charge = by_charge.get(refund.charge_id or "")
        entries.append(
            _refunded(refund, charge, None if charge is None else by_intent.get(charge.payment_intent_id or ""))
        )
    numbers = {invoice.invoice_id: invoice.number for invoice in invoices}
    entries += [entry for note in notes for entry in _credited(note, numbers.get(note.invoice_id))]
    entries.sort(key=_place, reverse=True)
    return tuple(entries[:PAYMENTS_MAX])


def of_invoice(entries: Sequence[PaymentEntry] | None, invoice_id: str) -> Sequence[PaymentEntry] | None:
    """Those that were for an invoice; None where none were ever read."""
    return None if entries is None else [one for one in entries if one.invoice_id == invoice_id]


def to_page(
    entries: Sequence[PaymentEntry], *, after: PageCursor | None, limit: int, as_of: datetime | None
) -> Payments:
    """The page behind the cursor: it holds its place when newer entries come, or its own entry is gone."""
    left = [one for one in entries if after is None or _place(one) < (after.happened_at, after.thing_id)]
    shown = left[:limit]
    if len(left) <= limit:
        return Payments(entries=shown, next_cursor=None, as_of=as_of)
    happened_at, payment_id = _place(shown[-1])
    last = PageCursor(happened_at=happened_at, thing_id=payment_id)
    return Payments(entries=shown, next_cursor=last.to_wire(), as_of=as_of)


def _place(entry: PaymentEntry) -> tuple[datetime, str]:
    return entry.happened_at, entry.payment_id


def _charged(charge: Charge, invoice: Invoice | None) -> PaymentEntry:
    return PaymentEntry(
        payment_id=charge.charge_id,
        kind=PaymentKind.FAILED_ATTEMPT if charge.status == "failed" else PaymentKind.PAYMENT,
        status=charge.status,
        happened_at=charge.created_at,
        amount_minor=charge.amount_minor,
        currency=charge.currency,
        method=method_label(charge.method_kind, charge.brand, charge.last4),
        invoice_id=None if invoice is None else invoice.invoice_id,
        invoice_number=None if invoice is None else invoice.number,
        reason_code=charge.failure_code,
        reason=in_plain_words(charge.failure_code),
    )


def _refunded(refund: Refund, charge: Charge | None, invoice: Invoice | None) -> PaymentEntry:
    return PaymentEntry(
        payment_id=refund.refund_id,
        kind=PaymentKind.REFUND,
        status=refund.status,
        happened_at=refund.created_at,
        amount_minor=refund.amount_minor,
        currency=refund.currency,
        method=None if charge is None else method_label(charge.method_kind, charge.brand, charge.last4),
        invoice_id=None if invoice is None else invoice.invoice_id,
        invoice_number=None if invoice is None else invoice.number,
        reason_code=refund.reason,
        reason=given_back_words(refund.reason),
    )


def _credited(note: CreditNote, invoice_number: str | None) -> list[PaymentEntry]:
    """What a note did, a part an entry; what it refunded stands among the refunds."""
    parts = {
        PaymentKind.TAKEN_OFF: note.before_payment_minor,
        PaymentKind.TO_BALANCE: note.to_balance_minor,
        PaymentKind.OUTSIDE: note.outside_minor,
    }
    return [
        PaymentEntry(
            payment_id=f"{note.credit_note_id}:{kind.value}",
            kind=kind,
            status=note.status,
            happened_at=note.issued_at,
            amount_minor=amount_minor,
            currency=note.currency,
            method=None,
            invoice_id=note.invoice_id,
            invoice_number=invoice_number,
            reason_code=note.reason,
            reason=given_back_words(note.reason),
        )
        for kind, amount_minor in parts.items()
        if amount_minor
    ]


def to_methods(found: Sequence[PaymentMethod], default_id: str | None) -> tuple[MethodEntry, ...]:
    """The default first."""
    entries = [
        MethodEntry(
            payment_method_id=method.payment_method_id,
            kind=method.kind,
            label=method_label(method.kind, method.brand, method.last4) or method.kind,
            expires_month=method.expires_month,
            expires_year=method.expires_year,
            is_default=method.payment_method_id == default_id,
        )
        for method in found
    ]
    return tuple(sorted(entries, key=lambda entry: not entry.is_default))


def to_stored(entries: Sequence[PaymentEntry] | Sequence[MethodEntry]) -> list[dict[str, Any]]:
    """As JSON for our copy."""
    return [
        {name: value.isoformat() if isinstance(value, datetime) else value for name, value in asdict(entry).items()}
        for entry in entries
    ]


def payment_from_stored(row: Mapping[str, Any]) -> PaymentEntry:
    return PaymentEntry(
        **{
            **row,
            "kind": PaymentKind(row["kind"]),
            "happened_at": datetime.fromisoformat(row["happened_at"]),
        }
    )

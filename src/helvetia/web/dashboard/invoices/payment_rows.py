"""Payments as rows: money taken, declined with the bank's reason, or given back, and what credit notes did. Pure."""

from dataclasses import dataclass

from helvetia.billing.credit_notes.model import CreditNoteStatus
from helvetia.billing.payments.model import PaymentEntry, PaymentKind
from helvetia.web.dashboard.invoices.query import PATH, InvoiceQuery
from helvetia.web.dashboard.reasons import given_back_reason, reason_words
from helvetia.web.dashboard.voice import Voice

_REFUSED = frozenset({"failed", "canceled"})


@dataclass(frozen=True, slots=True, kw_only=True)
class PaymentRow:
    at: str
    what: str
    tone: str
    method: str
    reason: str
    number: str | None
    link: str | None
    amount: str


def payment_row(entry: PaymentEntry, query: InvoiceQuery, voice: Voice) -> PaymentRow:
    what, tone = _what(entry, voice)
    is_taken = entry.kind in {PaymentKind.PAYMENT, PaymentKind.FAILED_ATTEMPT}
    reason = reason_words(entry.reason_code, voice) if is_taken else given_back_reason(entry.reason_code, voice)
    is_effective = entry.status not in {*_REFUSED, CreditNoteStatus.VOID}
    signed = entry.amount_minor if is_taken or not is_effective else -entry.amount_minor
    return PaymentRow(
        at=voice.full_instant(entry.happened_at),
        what=what,
        tone=tone,
        method=entry.method or "",
        reason=reason or "",
        number=entry.invoice_number,
        link=None if entry.invoice_id is None else query.address(f"{PATH}/{entry.invoice_id}"),
        amount=voice.money(signed, entry.currency),
    )


def _what(entry: PaymentEntry, voice: Voice) -> tuple[str, str]:
    """In words, and its tone."""
    if entry.kind is PaymentKind.FAILED_ATTEMPT:
        return voice.say("Declined"), "bad"
    if entry.kind is PaymentKind.PAYMENT:
        return (voice.say("Under way"), "") if entry.status == "pending" else (voice.say("Paid"), "good")
    if entry.kind is PaymentKind.REFUND:
        return _refund(entry, voice)
    if entry.status == CreditNoteStatus.VOID:
        return voice.say("Credit note, withdrawn"), ""
    return {
        PaymentKind.TAKEN_OFF: voice.say("Credit note: taken off the invoice"),
        PaymentKind.TO_BALANCE: voice.say("Credit note: put on your balance"),
        PaymentKind.OUTSIDE: voice.say("Credit note: given back by other means"),
    }[entry.kind], ""


def _refund(entry: PaymentEntry, voice: Voice) -> tuple[str, str]:
    if entry.status == "failed":
        return voice.say("Not given back: your bank did not take it"), "bad"
    if entry.status == "canceled":
        return voice.say("Not given back: withdrawn"), ""
    return (voice.say("Given back") if entry.status == "succeeded" else voice.say("On its way back to you")), ""

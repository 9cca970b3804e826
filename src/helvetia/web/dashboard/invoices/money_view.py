"""What became of an invoice's amount, in sentences: paid, taken off, left to pay, given back; and its credit notes.

Pure.
"""

from collections.abc import Sequence
from dataclasses import dataclass

from helvetia.billing.credit_notes.model import CreditNoteRecord, CreditNoteStatus, GivenBack
from helvetia.billing.model import InvoiceRecord
from helvetia.web.dashboard.invoices.query import PATH, InvoiceQuery
from helvetia.web.dashboard.reasons import given_back_reason
from helvetia.web.dashboard.voice import Voice


@dataclass(frozen=True, slots=True, kw_only=True)
class NoteRow:
    number: str
    at: str
    what: str
    reason: str
    is_void: bool
    amount: str
    pdf: str


def standing(invoice: InvoiceRecord, back: GivenBack, voice: Voice) -> Sequence[str]:
    """One sentence a fact, in the order in which they happen; nothing of a draft or of what was cancelled."""
    if invoice.finalized_at is None or invoice.status == "void":
        return []

    def money(amount_minor: int) -> str:
        return voice.money(amount_minor, invoice.currency)

    found: list[str] = []
    if invoice.from_balance_minor < 0:
        found.append(voice.say("{amount} came from your balance.", amount=money(-invoice.from_balance_minor)))
    if invoice.from_balance_minor > 0:
        found.append(voice.say("{amount} owed on your balance was added.", amount=money(invoice.from_balance_minor)))
    if invoice.credited_before_minor:
        found.append(voice.say("A credit note took off {amount}.", amount=money(invoice.credited_before_minor)))
    if invoice.amount_paid_minor and invoice.amount_paid_minor != invoice.total_minor:
        found.append(voice.say("{amount} was paid.", amount=money(invoice.amount_paid_minor)))
    return [*found, _left(invoice, voice), *_back_sentences(invoice, back, voice)]


def _left(invoice: InvoiceRecord, voice: Voice) -> str:
    if invoice.status == "open" and invoice.amount_remaining_minor:
        amount = voice.money(invoice.amount_remaining_minor, invoice.currency)
        return voice.say("{amount} is left to pay.", amount=amount)
    if invoice.status == "uncollectible":
        amount = voice.money(invoice.amount_remaining_minor, invoice.currency)
        return voice.say("{amount} was never paid.", amount=amount)
    return voice.say("Nothing is left to pay.")


def _back_sentences(invoice: InvoiceRecord, back: GivenBack, voice: Voice) -> list[str]:
    found: list[str] = []
    if back.refunded_minor:
        amount = voice.money(back.refunded_minor, invoice.currency)
        found.append(voice.say("{amount} was given back to you.", amount=amount))
    if back.under_way_minor:
        amount = voice.money(back.under_way_minor, invoice.currency)
        found.append(voice.say("{amount} is on its way back to you.", amount=amount))
    if back.to_balance_minor:
        amount = voice.money(back.to_balance_minor, invoice.currency)
        found.append(voice.say("{amount} was put on your balance, for your next invoice.", amount=amount))
    if back.outside_minor:
        amount = voice.money(back.outside_minor, invoice.currency)
        found.append(voice.say("{amount} was given back by other means.", amount=amount))
    return found


def note_row(note: CreditNoteRecord, query: InvoiceQuery, voice: Voice) -> NoteRow:
    is_void = note.status is CreditNoteStatus.VOID
    said = [given_back_reason(note.reason, voice) or "", f"“{note.memo}”" if note.memo else ""]
    own = f"{PATH}/{note.stripe_invoice_id}/credit-notes/{note.stripe_credit_note_id}/pdf"
    amount = voice.money(note.total_minor if is_void else -note.total_minor, note.currency)
    return NoteRow(
        number=note.number,
        at=voice.short_day(note.issued_at),
        what=_withdrawn(note, voice) if is_void else " ".join(_parts(note, voice)),
        reason=" ".join(one for one in said if one),
        is_void=is_void,
        amount=amount,
        pdf=query.address(own),
    )


def _withdrawn(note: CreditNoteRecord, voice: Voice) -> str:
    if note.voided_at is None:
        return voice.say("Withdrawn: the invoice is owed as before.")
    return voice.say("Withdrawn on {day}: the invoice is owed as before.", day=voice.day(note.voided_at))


def _parts(note: CreditNoteRecord, voice: Voice) -> list[str]:
    def money(amount_minor: int) -> str:
        return voice.money(amount_minor, note.currency)

    found: list[str] = []
    if note.before_payment_minor:
        found.append(voice.say("{amount} taken off what was left to pay.", amount=money(note.before_payment_minor)))
    if note.refunded_minor:
        found.append(voice.say("{amount} given back to you.", amount=money(note.refunded_minor)))
    if note.to_balance_minor:
        found.append(voice.say("{amount} put on your balance.", amount=money(note.to_balance_minor)))
    if note.outside_minor:
        found.append(voice.say("{amount} given back by other means.", amount=money(note.outside_minor)))
    return found

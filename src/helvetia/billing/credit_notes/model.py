"""Credit notes as mirrored, and what came back of an invoice. Pure; amounts in minor units."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum

from helvetia.billing.payments.model import PaymentEntry, PaymentKind
from helvetia.kernel.identity import AccountId


class CreditNoteStatus(StrEnum):
    """Stripe's words."""

    ISSUED = "issued"
    VOID = "void"


@dataclass(frozen=True, slots=True, kw_only=True)
class CreditNoteRecord:
    """A mirrored credit note: of `total_minor`, one part lowered what was left to pay, the other came back after it
    was paid.
    """

    account_id: AccountId
    stripe_credit_note_id: str
    stripe_invoice_id: str
    number: str
    status: CreditNoteStatus
    currency: str
    total_minor: int
    before_payment_minor: int
    after_payment_minor: int
    refunded_minor: int
    outside_minor: int
    reason: str | None
    memo: str | None
    issued_at: datetime
    voided_at: datetime | None

    @property
    def to_balance_minor(self) -> int:
        """What was put on the customer's balance, for the next invoice."""
        return self.after_payment_minor - self.refunded_minor - self.outside_minor


@dataclass(frozen=True, slots=True, kw_only=True)
class GivenBack:
    """What came back of an invoice that was paid: `under_way_minor` is a refund that the bank has not done yet."""

    refunded_minor: int = 0
    under_way_minor: int = 0
    to_balance_minor: int = 0
    outside_minor: int = 0

    @property
    def total_minor(self) -> int:
        return self.refunded_minor + self.under_way_minor + self.to_balance_minor + self.outside_minor


_DONE, _UNDER_WAY = frozenset({"succeeded"}), frozenset({"pending", "requires_action"})


def given_back(notes: Iterable[CreditNoteRecord], payments: Sequence[PaymentEntry] | None) -> GivenBack:
    """Of one invoice, by its notes and its payments; a refund that failed gave nothing back.

    `payments` None: they were never read, so refunds are those that notes name.
    """
    issued = [note for note in notes if note.status is CreditNoteStatus.ISSUED]
    refunds = [one for one in payments or () if one.kind is PaymentKind.REFUND]
    named_minor = sum(note.refunded_minor for note in issued)
    return GivenBack(
        refunded_minor=named_minor if payments is None else _sum(refunds, _DONE),
        under_way_minor=_sum(refunds, _UNDER_WAY),
        to_balance_minor=sum(note.to_balance_minor for note in issued),
        outside_minor=sum(note.outside_minor for note in issued),
    )


def _sum(refunds: Sequence[PaymentEntry], statuses: frozenset[str]) -> int:
    return sum(one.amount_minor for one in refunds if one.status in statuses)

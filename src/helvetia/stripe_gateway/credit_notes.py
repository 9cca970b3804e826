"""Credit notes as Stripe tells them, and the part of the gateway that reads them. Pure data, amounts in minor units."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Protocol


@dataclass(frozen=True, slots=True, kw_only=True)
class CreditNote:
    """What was taken back of a finalized invoice; `status` is issued or void.

    `before_payment_minor` lowered what was left to pay. What was paid already came back: `refunded_minor` by refunds,
    `outside_minor` outside of Stripe, the rest as a credit on the customer's balance.
    """

    credit_note_id: str
    invoice_id: str
    customer_id: str | None
    number: str
    status: str
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
    pdf_url: str | None = None

    @property
    def to_balance_minor(self) -> int:
        """What was put on the customer's balance, for the next invoice."""
        return self.after_payment_minor - self.refunded_minor - self.outside_minor


class StripeCreditNotes(Protocol):
    """The part of the gateway that reads credit notes."""

    async def list_credit_notes(self, customer_id: str) -> Sequence[CreditNote]:
        """Every note of the customer, void ones too, newest first."""
        ...

    async def retrieve_credit_note(self, credit_note_id: str) -> CreditNote:
        """Raises StripeObjectMissing."""
        ...

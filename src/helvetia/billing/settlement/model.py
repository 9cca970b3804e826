"""What is open of a subscription and in which order it is paid. Pure."""

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from datetime import datetime

from helvetia.billing.model import UnpaidDrafts
from helvetia.stripe_gateway.model import Invoice, Subscription

UNPAID = "unpaid"
CYCLE = "subscription_cycle"


@dataclass(frozen=True, slots=True, kw_only=True)
class PaymentOffer:
    """A default payment method that nothing open was tried with yet."""

    payment_method_id: str
    offered_at: datetime


@dataclass(frozen=True, slots=True, kw_only=True)
class OpenInvoices:
    """`invoices` in the order of payment: oldest first, the latest of the subscription last; `dropped` are voided."""

    invoices: Sequence[Invoice]
    dropped: Sequence[Invoice]
    currency: str

    @property
    def amount_minor(self) -> int:
        return sum(to_pay_minor(invoice) for invoice in self.invoices)


@dataclass(frozen=True, slots=True, kw_only=True)
class Agreement:
    """What the payer was shown: these invoices, and no more money than this."""

    invoice_ids: frozenset[str]
    amount_minor: int

    def covers(self, found: OpenInvoices) -> bool:
        is_named = all(invoice.invoice_id in self.invoice_ids for invoice in found.invoices)
        return is_named and found.amount_minor <= self.amount_minor


@dataclass(frozen=True, slots=True, kw_only=True)
class PaidInvoices:
    """What was paid in one go, in that order; nothing where nothing was open any more."""

    invoices: Sequence[Invoice]
    currency: str

    @property
    def amount_minor(self) -> int:
        return sum(invoice.amount_paid_minor for invoice in self.invoices)


def to_pay_minor(invoice: Invoice) -> int:
    """A draft has nothing remaining yet; what is due on it is its total, before any balance."""
    return invoice.amount_due_minor if invoice.status == "draft" else invoice.amount_remaining_minor


def find_open(
    live: Subscription, listed: Sequence[Invoice], *, given_up: Collection[str], policy: UnpaidDrafts
) -> OpenInvoices:
    """What of these invoices is to be paid, and what is to be voided.

    Only drafts that Stripe keeps back are touched (an unpaid subscription's); that of the running period, the latest,
    is always paid: paying the latest invoice is what makes the subscription active again. The invoice of a change that
    waits for its payment is not owed.
    """
    waiting_id = None if live.pending_update is None else live.latest_invoice_id
    own = [one for one in listed if one.subscription_id == live.subscription_id and one.invoice_id != waiting_id]
    dropped = [one for one in own if one.invoice_id in given_up and one.status in {"draft", "open"}]
    kept = [one for one in own if one.invoice_id not in given_up]
    drafts = [one for one in kept if one.status == "draft" and _is_held_back(live, one)]
    if policy is UnpaidDrafts.VOID:
        dropped += [one for one in drafts if one.invoice_id != live.latest_invoice_id]
        drafts = [one for one in drafts if one.invoice_id == live.latest_invoice_id]
    to_pay = drafts + [one for one in kept if one.status == "open" and one.amount_remaining_minor > 0]
    to_pay.sort(key=lambda one: (one.invoice_id == live.latest_invoice_id, one.issued_at, one.invoice_id))
    return OpenInvoices(invoices=tuple(to_pay), dropped=tuple(dropped), currency=live.currency)


def _is_held_back(live: Subscription, draft: Invoice) -> bool:
    return live.status == UNPAID and draft.billing_reason == CYCLE and not draft.advances_itself

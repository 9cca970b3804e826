"""When did the failure that counts begin? Read from Stripe's objects, never from the times of events. Pure.

It is the earliest failed charge (else the finalization) of the oldest subscription invoice that is open or
uncollectible, is not a pending update's, and is newer than the last paid invoice of a creation or a cycle. A declined
upgrade and an incomplete first invoice therefore start nothing, and a later failure never restarts what runs already.
"""

from collections.abc import Iterable, Sequence
from datetime import datetime

from helvetia.enforcement.model import PaymentFacts
from helvetia.stripe_gateway.actions import Charge
from helvetia.stripe_gateway.model import Invoice, Subscription

PAYMENT_FAILED = "payment_failed"
_UNPAID = frozenset({"open", "uncollectible"})
_REGULAR = frozenset({"subscription_create", "subscription_cycle"})
_HAS_FAILED = frozenset({"past_due", "unpaid", "canceled", "paused"})


def find_failure(
    subscription: Subscription, invoices: Sequence[Invoice], charges: Iterable[Charge], *, read_at: datetime
) -> PaymentFacts:
    """What these objects, read from `read_at` on, say of the subscription's payments."""
    invoice = failed_invoice(subscription, invoices)
    return PaymentFacts(
        stripe_subscription_id=subscription.subscription_id,
        failed_invoice_id=None if invoice is None else invoice.invoice_id,
        first_failed_at=None if invoice is None else _first_failed_at(invoice, charges),
        ended_by_failure=subscription.ended_reason == PAYMENT_FAILED,
        read_at=read_at,
    )


def failed_invoice(subscription: Subscription, invoices: Sequence[Invoice]) -> Invoice | None:
    """The invoice whose failure counts; None while the subscription is in order."""
    if subscription.status not in _HAS_FAILED:
        return None
    own = [one for one in invoices if one.subscription_id == subscription.subscription_id]
    paid = [one.issued_at for one in own if one.status == "paid" and one.billing_reason in _REGULAR]
    last_paid_at = max(paid, default=None)
    pending_id = subscription.latest_invoice_id if subscription.pending_update is not None else None
    failed = [
        one
        for one in own
        if one.status in _UNPAID
        and one.invoice_id != pending_id
        and (last_paid_at is None or one.issued_at > last_paid_at)
    ]
    return min(failed, key=lambda one: (one.issued_at, one.invoice_id), default=None)


def _first_failed_at(invoice: Invoice, charges: Iterable[Charge]) -> datetime | None:
    intents = set(invoice.payment_intent_ids)
    failed = [one.created_at for one in charges if one.status == "failed" and one.payment_intent_id in intents]
    return min(failed, default=invoice.finalized_at)

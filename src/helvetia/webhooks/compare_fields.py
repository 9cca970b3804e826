"""Comparing what we have with what Stripe has, field by field. Pure."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime

from helvetia.billing.model import InvoiceRecord
from helvetia.kernel.identity import AccountId
from helvetia.stripe_gateway.model import Customer, Invoice
from helvetia.subscriptions.model import SubscriptionRecord
from helvetia.webhooks.model import Difference

SUBSCRIPTION_FIELDS = (
    *("stripe_subscription_id", "stripe_status", "plan", "status", "started_at", "cancel_at", "ended_at"),
    *("fee_minor", "currency"),
)
# our field → Stripe's, as the gateway names it
INVOICE_FIELDS: Mapping[str, str] = {
    "stripe_subscription_id": "subscription_id",
    "number": "number",
    "status": "status",
    "billing_reason": "billing_reason",
    "currency": "currency",
    "subtotal_minor": "subtotal_minor",
    "total_minor": "total_minor",
    "amount_due_minor": "amount_due_minor",
    "amount_paid_minor": "amount_paid_minor",
    "amount_remaining_minor": "amount_remaining_minor",
    "credited_before_minor": "credited_before_minor",
    "credited_after_minor": "credited_after_minor",
    "attempt_count": "attempt_count",
    "next_payment_attempt_at": "next_payment_attempt_at",
    "period_start": "starts_at",
    "period_end": "ends_at",
    "issued_at": "issued_at",
    "finalized_at": "finalized_at",
    "paid_at": "paid_at",
}


@dataclass(frozen=True, slots=True, kw_only=True)
class FieldPair:
    """One field of one thing, ours and Stripe's."""

    thing: str
    thing_id: str
    field: str
    ours: object
    stripes: object

    @property
    def place(self) -> tuple[str, str, str]:
        return self.thing, self.thing_id, self.field


def subscription_pairs(ours: SubscriptionRecord, stripes: SubscriptionRecord, now: datetime) -> list[FieldPair]:
    """Our row as it was against the row that a fresh read makes; only fields that differ."""
    shown_id = stripes.stripe_subscription_id or ours.stripe_subscription_id or ""
    values = [(name, getattr(ours, name), getattr(stripes, name)) for name in SUBSCRIPTION_FIELDS]
    before, after = ours.period_at(now), stripes.period_at(now)
    values.append(("current_period_start", before.starts_at, after.starts_at))
    values.append(("current_period_end", before.ends_at, after.ends_at))
    return [
        FieldPair(thing="subscription", thing_id=shown_id, field=name, ours=mine, stripes=theirs)
        for name, mine, theirs in values
        if mine != theirs
    ]


def invoice_pairs(ours: Sequence[InvoiceRecord], stripes: Sequence[Invoice]) -> list[FieldPair]:
    """Every field that differs; an invoice that only one side has differs in `exists`."""
    mine = {one.stripe_invoice_id: one for one in ours}
    theirs = {one.invoice_id: one for one in stripes}
    pairs = [
        FieldPair(
            thing="invoice", thing_id=invoice_id, field="exists", ours=invoice_id in mine, stripes=invoice_id in theirs
        )
        for invoice_id in sorted(mine.keys() ^ theirs.keys())
    ]
    for invoice_id in sorted(mine.keys() & theirs.keys()):
        for our_name, their_name in INVOICE_FIELDS.items():
            our_value, their_value = getattr(mine[invoice_id], our_name), getattr(theirs[invoice_id], their_name)
            if our_value != their_value:
                pairs.append(
                    FieldPair(thing="invoice", thing_id=invoice_id, field=our_name, ours=our_value, stripes=their_value)
                )
    return pairs


def customer_pairs(account_id: AccountId, customer: Customer) -> list[FieldPair]:
    """A customer that is deleted, or says it belongs to somebody else."""
    pairs = []
    if customer.is_deleted:
        pairs.append(
            FieldPair(thing="customer", thing_id=customer.customer_id, field="deleted", ours=False, stripes=True)
        )
    elif customer.account_id != str(account_id):
        pairs.append(
            FieldPair(
                thing="customer",
                thing_id=customer.customer_id,
                field="account_id",
                ours=str(account_id),
                stripes=customer.account_id,
            )
        )
    return pairs


def to_differences(
    account_id: AccountId, pairs: Iterable[FieldPair], still_open: frozenset[tuple[str, str, str]]
) -> list[Difference]:
    """Each pair once, repaired unless it is still open."""
    return [
        Difference(
            account_id=account_id,
            thing=pair.thing,
            thing_id=pair.thing_id,
            field=pair.field,
            ours=_shown(pair.ours),
            stripes=_shown(pair.stripes),
            is_repaired=pair.place not in still_open,
        )
        for pair in pairs
    ]


def _shown(value: object) -> str | None:
    if isinstance(value, datetime):
        return value.astimezone(UTC).isoformat().replace("+00:00", "Z")
    return None if value is None else str(value)

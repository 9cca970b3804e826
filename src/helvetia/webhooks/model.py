"""What each of Stripe's event types does here, and why some do nothing; the walk over Stripe's list; differences. Pure.

No event carries state: SYNC reads the customer's subscriptions, payments and invoices again, whatever the event said.
That makes every order, repetition and loss of events harmless. NOTE adds a record for the operator, once per event.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum

from helvetia.kernel.identity import AccountId

TOLERANCE_S = 300
SECRET_PREFIX = "whsec_"  # noqa: S105 - the word that every secret begins with


class Effect(StrEnum):
    """What an event makes happen."""

    SYNC = "sync"
    SYNC_AND_NOTE = "sync_and_note"
    NOTE = "note"
    METER_ERRORS = "meter_errors"
    IGNORE = "ignore"


@dataclass(frozen=True, slots=True, kw_only=True)
class Handling:
    """The effect of an event type, and what follows from it or why nothing does."""

    effect: Effect
    why: str


def _sync(why: str) -> Handling:
    return Handling(effect=Effect.SYNC, why=why)


def _noted(why: str) -> Handling:
    return Handling(effect=Effect.SYNC_AND_NOTE, why=why)


def _note(why: str) -> Handling:
    return Handling(effect=Effect.NOTE, why=why)


def _ignored(why: str) -> Handling:
    return Handling(effect=Effect.IGNORE, why=why)


_METER_ERRORS = Handling(
    effect=Effect.METER_ERRORS, why="the named reports are rejected and their usage is reported again"
)
_SAID_BY_INVOICE = "the invoice's own events say what came of it"

EVENT_TABLE: Mapping[str, Handling] = {
    # the mission's five: with these alone every state and bill is right
    "customer.subscription.created": _sync("plan, status and period are read"),
    "customer.subscription.updated": _sync("plan, status, period and cancellation are read"),
    "customer.subscription.deleted": _sync("the subscription has ended: CANCELED, and usage is cut there"),
    "invoice.paid": _sync("a paid invoice may end PAST_DUE"),
    "invoice.payment_failed": _sync("whether it makes PAST_DUE is the subscription's word, not this event's"),
    # the rest only makes it faster
    "customer.subscription.paused": _sync("paused is UNPAID until it is resumed"),
    "customer.subscription.resumed": _sync("it is billed again"),
    "customer.subscription.pending_update_applied": _sync("an upgrade that waited for its payment is in force"),
    "customer.subscription.pending_update_expired": _sync("an upgrade was not paid in time; the former plan stays"),
    "customer.subscription.trial_will_end": _ignored("no trial is sold; a trial given by hand ends by its own events"),
    "checkout.session.completed": _sync("the subscription that Checkout made is read"),
    "checkout.session.expired": _ignored("nothing was bought"),
    "invoice.created": _sync("the draft appears among the invoices"),
    "invoice.finalized": _sync("amounts and number are final"),
    "invoice.finalization_failed": _noted("the invoice cannot be sent; the operator has to look"),
    "invoice.payment_action_required": _sync("the customer has to confirm the payment; limits stay as they were"),
    "invoice.updated": _sync("amounts or attempts have changed"),
    "invoice.voided": _sync("nothing is owed for it any more"),
    "invoice.marked_uncollectible": _sync("it is written off; the subscription's own status decides"),
    "invoice.deleted": _sync("a draft is gone, here too"),
    "invoice.upcoming": _ignored("it names no invoice yet; usage is closed by our own clock"),
    "customer.created": _ignored("we make the customers; one made elsewhere belongs to no account"),
    "customer.updated": _sync("balance, card or standing may have changed; a new card is offered for what is open"),
    "customer.deleted": _noted("its subscriptions have ended: CANCELED; the next checkout makes a new customer"),
    "payment_method.attached": _sync("with a new card open invoices may get paid"),
    "payment_method.detached": _sync("the next payment may fail; its own events follow"),
    "payment_method.automatically_updated": _sync("the bank renewed the card"),
    "charge.refunded": _noted("money went back; the invoice stays paid and the plan stays as it is"),
    "charge.dispute.created": _noted("the customer's bank asks the money back; the plan stays until somebody decides"),
    "charge.dispute.closed": _noted("the dispute is decided; the plan stays as it is"),
    "credit_note.created": _sync("the invoice's amounts have changed"),
    "credit_note.updated": _sync("its reason or note has changed"),
    "credit_note.voided": _sync("it is taken back: the invoice is owed again"),
    "refund.failed": _note("the bank did not take the money back; it is the operator's to find another way"),
    "subscription_schedule.released": _sync("a planned change was taken back, or is done"),
    "subscription_schedule.canceled": _sync("the subscription ended with its schedule"),
    "subscription_schedule.completed": _sync("the planned change is in force"),
    "subscription_schedule.aborted": _sync("the planned change will not come"),
    "charge.succeeded": _ignored(_SAID_BY_INVOICE),
    "charge.failed": _ignored(_SAID_BY_INVOICE),
    "payment_intent.succeeded": _ignored(_SAID_BY_INVOICE),
    "payment_intent.payment_failed": _ignored(_SAID_BY_INVOICE),
    "billing.alert.triggered": _ignored("budgets are watched on our own ledger"),
    "entitlements.active_entitlement_summary.updated": _ignored("limits come from the catalogue"),
    "v1.billing.meter.error_report_triggered": _METER_ERRORS,
    "v1.billing.meter.no_meter_found": _METER_ERRORS,
}
MONEY_BACK = frozenset({"charge.refunded", "credit_note.created", "credit_note.updated", "credit_note.voided"})
"""After these the payments are read again at once; without them the poll reads them within an hour or so."""
_NOT_IN_TABLE = _ignored("no rule of ours depends on this type")
OF_CONNECTED_ACCOUNT = _ignored("it is of a connected account; none is ours")


def handling_of(event_type: str) -> Handling:
    """What an event of this type does; a type that Stripe adds tomorrow is ignored."""
    return EVENT_TABLE.get(event_type, _NOT_IN_TABLE)


@dataclass(frozen=True, slots=True, kw_only=True)
class WebhookConfig:
    """The secrets that are valid now (two while one is rolled), the mode, and the version we read objects in."""

    secrets: Sequence[str]
    is_live: bool
    api_version: str
    tolerance_s: int = TOLERANCE_S

    def __post_init__(self) -> None:
        if not self.secrets or not all(is_webhook_secret(secret) for secret in self.secrets):
            raise ValueError("a webhook secret is whsec_ and more; an empty one would let everybody in")


def is_webhook_secret(secret: str) -> bool:
    return secret.startswith(SECRET_PREFIX) and len(secret) > len(SECRET_PREFIX) and secret.isprintable()


class Receipt(StrEnum):
    """What became of a webhook request that was accepted."""

    STORED = "stored"
    DUPLICATE = "duplicate"
    IGNORED = "ignored"


@dataclass(frozen=True, slots=True, kw_only=True)
class WaitingEvent:
    """An event that nobody has handled yet."""

    event_id: str
    event_type: str
    customer_id: str
    object_id: str | None
    created_at: datetime


@dataclass(frozen=True, slots=True, kw_only=True)
class Walk:
    """How far Stripe's list was read: complete from … until …, and where a walk that is not finished goes on.

    `newest_event_at` and `running_floor_at` are Stripe's clock; `running_since_at` is business time.
    """

    complete_from_at: datetime | None
    complete_until_at: datetime | None
    newest_event_at: datetime | None
    running_since_at: datetime | None
    running_since_wall_at: datetime | None
    running_floor_at: datetime | None
    running_newest_at: datetime | None
    running_after_event: str | None


@dataclass(frozen=True, slots=True, kw_only=True)
class WalkRound:
    """What one turn of the walk did."""

    found_count: int
    is_complete: bool
    complete_from_at: datetime | None
    complete_until_at: datetime | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Difference:
    """One field that stood differently here and at Stripe; `is_repaired` when ours is now Stripe's."""

    account_id: AccountId | None
    thing: str
    thing_id: str
    field: str
    ours: str | None
    stripes: str | None
    is_repaired: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class Comparison:
    """What a comparison found: accounts read, those that could not be read, and every difference."""

    compared_count: int
    failed_count: int
    differences: Sequence[Difference]

    @property
    def is_clean(self) -> bool:
        """Whether everything was read and nothing is left to somebody's judgement."""
        return self.failed_count == 0 and all(one.is_repaired for one in self.differences)

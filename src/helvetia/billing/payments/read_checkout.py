"""The arrow finished checkout → what came of it: told from our own records, after Stripe was read once more.

A session that is not of the account's customer is as missing. Whether the plan is bought is never taken from the
address a browser comes with, nor from the session: only from the subscription as we have stored it.
"""

import re
from dataclasses import dataclass
from enum import StrEnum

from helvetia.billing.errors import CheckoutNotFound
from helvetia.billing.parts import BillingParts
from helvetia.kernel.errors import Unavailable
from helvetia.kernel.identity import AccountId
from helvetia.stripe_gateway.actions import CheckoutSession
from helvetia.stripe_gateway.errors import StripeObjectMissing
from helvetia.stripe_gateway.time_limit import within
from helvetia.subscriptions.model import SubscriptionRecord

_SESSION_ID = re.compile(r"cs_[A-Za-z0-9_]{1,200}")
_COMPLETE = "complete"


class CheckoutState(StrEnum):
    """CONFIRMED: our records hold the subscription. WAITING: paid, not yet in our records, or Stripe is away."""

    CONFIRMED = "confirmed"
    WAITING = "waiting"
    OPEN = "open"
    EXPIRED = "expired"


@dataclass(frozen=True, slots=True, kw_only=True)
class CheckoutOutcome:
    """What came of a checkout, and the account's subscription as we have it."""

    state: CheckoutState
    record: SubscriptionRecord


async def read_checkout(parts: BillingParts, account_id: AccountId, session_id: str) -> CheckoutOutcome:
    """Raises CheckoutNotFound; while Stripe is away, one that may be the account's is waited for."""
    record = await parts.subscriptions.get_subscription(account_id)
    if record.stripe_customer_id is None or not _SESSION_ID.fullmatch(session_id):
        raise CheckoutNotFound
    try:
        with within():
            session = await _own_session(parts, record, session_id)
            if session.status == _COMPLETE and not _is_stored(record, session):
                record = (await parts.subscriptions.sync_subscription(account_id)).record
    except Unavailable:
        return CheckoutOutcome(state=CheckoutState.WAITING, record=record)
    return CheckoutOutcome(state=_state(record, session), record=record)


async def _own_session(parts: BillingParts, record: SubscriptionRecord, session_id: str) -> CheckoutSession:
    try:
        session = await parts.gateway.retrieve_checkout_session(session_id)
    except StripeObjectMissing as error:
        raise CheckoutNotFound from error
    if session.customer_id != record.stripe_customer_id:
        raise CheckoutNotFound
    return session


def _is_stored(record: SubscriptionRecord, session: CheckoutSession) -> bool:
    return session.subscription_id is not None and record.stripe_subscription_id == session.subscription_id


def _state(record: SubscriptionRecord, session: CheckoutSession) -> CheckoutState:
    if session.status == _COMPLETE:
        return CheckoutState.CONFIRMED if _is_stored(record, session) else CheckoutState.WAITING
    return CheckoutState.OPEN if session.url is not None else CheckoutState.EXPIRED

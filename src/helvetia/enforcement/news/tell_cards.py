"""Cards at Stripe that expire soon → a notice, once per card and expiry.

The card that invoices are charged to is read once a day for each account with a live subscription. A card is good to
the end of its month; it is told thirty days before. Fails account by account: what was not read is read at the next
tick, and nothing is marked.
"""

from datetime import UTC, datetime, timedelta

from helvetia.enforcement import store
from helvetia.enforcement.read_failures import ReadParts
from helvetia.enforcement.run_pass import each
from helvetia.kernel.identity import AccountId
from helvetia.notifications import store as notifications
from helvetia.notifications.model import Notice, NoticeKind
from helvetia.stripe_gateway.actions import PaymentMethod
from helvetia.subscriptions import store as subscriptions

LOOK_EVERY = timedelta(days=1)
TOLD_BEFORE = timedelta(days=30)
BATCH_MAX = 50
_DECEMBER = 12


async def tell_cards(parts: ReadParts) -> int:
    """One batch of the accounts whose card was looked at longest ago; says how many."""
    now = parts.clock.now()
    async with parts.database.transaction() as tx:
        due = await store.accounts_with_cards(tx, checked_before=now - LOOK_EVERY, limit=BATCH_MAX)
    await each(due, lambda account_id: _look(parts, account_id, now), "enforcement.card_not_read")
    return len(due)


async def _look(parts: ReadParts, account_id: AccountId, now: datetime) -> None:
    async with parts.database.transaction() as tx:
        record = await subscriptions.find(tx, account_id)
    if record.stripe_customer_id is None:
        return
    customer = await parts.gateway.retrieve_customer(record.stripe_customer_id)
    cards = await parts.gateway.list_payment_methods(record.stripe_customer_id)
    used = next((card for card in cards if card.payment_method_id == customer.default_payment_method_id), None)
    notice = None if used is None else card_notice(account_id, used, now)
    async with parts.database.transaction() as tx:
        await store.mark_card_checked(tx, account_id, now)
        if notice is not None:
            await notifications.queue(tx, notice, at=now)


def card_notice(account_id: AccountId, card: PaymentMethod, now: datetime) -> Notice | None:
    """What is told of this card now; None while it is good for long, and when it is no card. Pure."""
    if card.expires_month is None or card.expires_year is None:
        return None
    ends_at = month_end(card.expires_year, card.expires_month)
    if now < ends_at - TOLD_BEFORE:
        return None
    expires = f"{card.expires_month:02}/{card.expires_year}"
    key = f"card:{card.payment_method_id}:{expires}"
    figures = {"card": f"{(card.brand or 'card').title()} ···· {card.last4 or '????'}", "expires": expires}
    return Notice(
        account_id=account_id, key=key, series=key, kind=NoticeKind.CARD_EXPIRING, due_at=now, figures=figures
    )


def month_end(year: int, month: int) -> datetime:
    """The first instant after that month, UTC."""
    return datetime(year + month // _DECEMBER, month % _DECEMBER + 1, 1, tzinfo=UTC)

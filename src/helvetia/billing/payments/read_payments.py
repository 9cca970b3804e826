"""The arrow Stripe → payments: read afresh, and kept; while Stripe is away, our copy answers with its age."""

from collections.abc import Awaitable, Callable, Sequence
from datetime import timedelta
from typing import Any

from helvetia.billing.credit_notes.read_notes import read_notes
from helvetia.billing.model import PageCursor
from helvetia.billing.parts import BillingParts
from helvetia.billing.payments import store
from helvetia.billing.payments.model import (
    REFUNDED_MAX,
    MethodEntry,
    Methods,
    Payments,
    payment_from_stored,
    to_entries,
    to_methods,
    to_page,
    to_stored,
)
from helvetia.billing.store import has_paid
from helvetia.kernel.errors import Unavailable
from helvetia.kernel.identity import AccountId
from helvetia.stripe_gateway.actions import Refund
from helvetia.stripe_gateway.time_limit import within
from helvetia.subscriptions import store as subscriptions

Reader = Callable[[str], Awaitable[Sequence[dict[str, Any]]]]
# A refund is told by no event that must be subscribed: this late it is seen anyhow.
READ_AGAIN_AFTER = timedelta(hours=1)


def _reader_of_payments(parts: BillingParts, account_id: AccountId) -> Reader:
    async def read(customer_id: str) -> Sequence[dict[str, Any]]:
        charges = await parts.gateway.list_charges(customer_id)
        refunds: list[Refund] = []
        for charge in [charge for charge in charges if charge.refunded_minor > 0][:REFUNDED_MAX]:
            refunds += await parts.gateway.list_refunds(charge.charge_id)
        invoices = await parts.gateway.list_invoices(customer_id=customer_id)
        notes = await read_notes(parts.database, parts.gateway, account_id, customer_id, invoices)
        return to_stored(to_entries(charges, refunds, invoices, notes))

    return read


async def refresh_payments(parts: BillingParts, account_id: AccountId) -> None:
    """Read them again, for what is told from our copy. Raises as the gateway does."""
    await _read_again(parts, account_id, "payments", _reader_of_payments(parts, account_id))


async def refresh_old_payments(parts: BillingParts, account_id: AccountId, *, has_news: bool) -> None:
    """The poll's: only where something was ever charged; when invoices have changed, or it was read a while ago."""
    async with parts.database.transaction() as tx:
        known = await store.find_reading(tx, account_id, "payments")
        is_paying = known is not None or await has_paid(tx, account_id)
    if is_paying and (has_news or known is None or parts.clock.now() - known.read_at >= READ_AGAIN_AFTER):
        await refresh_payments(parts, account_id)


async def read_payments(
    parts: BillingParts, account_id: AccountId, *, after: PageCursor | None, limit: int
) -> Payments:
    """Attempts, payments and refunds, a page of them. Raises Unavailable only when there is no copy either."""
    found = await _fresh_or_stored(parts, account_id, "payments", _reader_of_payments(parts, account_id))
    if found is None:
        return to_page((), after=None, limit=limit, as_of=None)
    return to_page([payment_from_stored(row) for row in found.body], after=after, limit=limit, as_of=found.read_at)


async def read_methods(parts: BillingParts, account_id: AccountId) -> Methods:
    """Cards and other methods, the default first. Raises Unavailable only when there is no copy either."""

    async def read(customer_id: str) -> Sequence[dict[str, Any]]:
        customer = await parts.gateway.retrieve_customer(customer_id)
        found = await parts.gateway.list_payment_methods(customer_id)
        return to_stored(to_methods(found, customer.default_payment_method_id))

    found = await _fresh_or_stored(parts, account_id, "payment_methods", read)
    if found is None:
        return Methods(entries=(), as_of=None)
    return Methods(entries=tuple(MethodEntry(**row) for row in found.body), as_of=found.read_at)


async def known_payments(parts: BillingParts, account_id: AccountId) -> Payments | None:
    """Our copy, with its age; None where Stripe was never read."""
    async with parts.database.transaction() as tx:
        found = await store.find_reading(tx, account_id, "payments")
    if found is None:
        return None
    entries = [payment_from_stored(row) for row in found.body]
    return Payments(entries=entries, next_cursor=None, as_of=found.read_at)


async def known_methods(parts: BillingParts, account_id: AccountId) -> Methods | None:
    """Our copy, with its age; None where Stripe was never read."""
    async with parts.database.transaction() as tx:
        found = await store.find_reading(tx, account_id, "payment_methods")
    if found is None:
        return None
    return Methods(entries=tuple(MethodEntry(**row) for row in found.body), as_of=found.read_at)


async def _fresh_or_stored(
    parts: BillingParts, account_id: AccountId, kind: str, read: Reader
) -> store.StoredReading | None:
    """None for an account that Stripe does not know."""
    try:
        return await _read_again(parts, account_id, kind, read)
    except Unavailable:
        async with parts.database.transaction() as tx:
            stored = await store.find_reading(tx, account_id, kind)
        if stored is None:
            raise
        return stored


async def _read_again(
    parts: BillingParts, account_id: AccountId, kind: str, read: Reader
) -> store.StoredReading | None:
    """None for an account that Stripe does not know."""
    async with parts.database.transaction() as tx:
        customer_id = (await subscriptions.find(tx, account_id)).stripe_customer_id
        fetch_seq = await subscriptions.next_fetch_seq(tx)
    if customer_id is None:
        return None
    at = parts.clock.now()
    with within():
        body = await read(customer_id)
    async with parts.database.transaction() as tx:
        await store.save_reading(tx, account_id, kind, body, fetch_seq=fetch_seq, at=at)
    return store.StoredReading(read_at=at, body=body)

"""The arrow ledger → the current period: everything it is told by, read in the caller's one transaction."""

from dataclasses import replace
from datetime import datetime

from helvetia.costs.current import Facts, current_usage
from helvetia.costs.model import LATE_AFTER, CurrentUsage
from helvetia.database.pool import Transaction
from helvetia.kernel.identity import AccountId
from helvetia.meter_reports.store import value_at_stripe
from helvetia.metering.store import totals
from helvetia.metering.store_storage import storage_held_bytes
from helvetia.metering.store_usage import late_hosts
from helvetia.stripe_gateway.price_book_holder import PriceBookHolder
from helvetia.subscriptions import store as subscriptions
from helvetia.subscriptions.model import SubscriptionRecord


async def read_current(
    tx: Transaction, account_id: AccountId, prices: PriceBookHolder, *, now: datetime
) -> tuple[SubscriptionRecord, CurrentUsage]:
    """The account's subscription and its period so far. Raises SubscriptionNotFound."""
    record = await subscriptions.find(tx, account_id)
    period = record.period_at(now)
    facts = Facts(
        record=record,
        period=period,
        totals=await totals(tx, account_id, period),
        at_stripe=await value_at_stripe(tx, account_id, period.starts_at),
        storage_held_bytes=await storage_held_bytes(tx, account_id),
    )
    usage = current_usage(facts, prices.unit_prices_minor(), are_prices_verified=prices.book is not None, now=now)
    if now - usage.as_of > LATE_AFTER:
        usage = replace(usage, late_hosts=await late_hosts(tx, account_id, now - LATE_AFTER))
    return record, usage

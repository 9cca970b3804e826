"""The arrow audit record, ledger → the changes of a range with what each did, read in the caller's one transaction."""

from collections.abc import Mapping
from datetime import UTC, datetime, time, timedelta
from decimal import Decimal

from helvetia.costs.changes import store
from helvetia.costs.changes.attribute_cost import DAYS_MAX, Evidence, attribute_cost, day_of
from helvetia.costs.changes.model import NO_CHANGES, Changes
from helvetia.database.pool import Transaction
from helvetia.kernel.identity import AccountId, ServiceId
from helvetia.kernel.period import Period
from helvetia.kernel.quantity import UsageMetric
from helvetia.metering.store_usage import usage_by_day

CHANGES_MAX = 200
READ_MAX = 1_000
_AROUND = timedelta(days=DAYS_MAX + 1)


async def read_changes(
    tx: Transaction,
    account_id: AccountId,
    period: Period,
    service_id: ServiceId | None,
    prices: Mapping[UsageMetric, Decimal],
    *,
    now: datetime,
) -> Changes:
    """At most CHANGES_MAX, the newest; neighbours outside of the range cut the days that are compared."""
    around = Period(starts_at=period.starts_at - _AROUND, ends_at=period.ends_at + _AROUND)
    read = await store.changes(tx, account_id, around, service_id, limit=READ_MAX)
    inside = [one for one in read if one.at in period]
    if not inside:
        return NO_CHANGES
    told = inside[:CHANGES_MAX]
    services = sorted({one.service_id for one in told})
    first, last = day_of(told[-1].at - _AROUND), day_of(told[0].at + _AROUND)
    days = Period(starts_at=datetime.combine(first, time(), UTC), ends_at=datetime.combine(last, time(), UTC))
    evidence = Evidence(
        usage=await usage_by_day(tx, account_id, first, last, services),
        gap_days=await store.gap_days(tx, account_id, services, days),
        unit_prices_minor=prices,
        today=day_of(now),
    )
    found = [one for one in attribute_cost(read, evidence) if one.change.at in period]
    # What lies before the oldest change that was read is not known: neither is who is its neighbour.
    return Changes(found=tuple(found[:CHANGES_MAX]), has_more=len(inside) > CHANGES_MAX or len(read) == READ_MAX)

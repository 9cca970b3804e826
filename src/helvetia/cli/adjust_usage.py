"""`helvetia adjust-usage`: an operator's difference to usage that is known to be wrong."""

from datetime import UTC, datetime
from decimal import Decimal
from uuid import UUID

from dishka import AsyncContainer

from helvetia.cli.run import run_in_house
from helvetia.kernel.errors import Invalid
from helvetia.kernel.identity import AccountId, ServiceId
from helvetia.kernel.period import Period
from helvetia.kernel.quantity import SOLD_UNITS, UsageMetric
from helvetia.metering.corrections.adjust_usage import AdjustmentService

ACTOR = "operator:command-line"


def adjust_usage(
    *,
    account: UUID,
    service: UUID,
    metric: UsageMetric,
    difference: Decimal,
    start: datetime,
    end: datetime,
    key: str,
    reason: str,
) -> int:
    """Add a difference, which may be negative, to what a service used. Nothing is edited; it is a record of its own.

    Example: helvetia adjust-usage --account 0198… --service 0198… --metric BANDWIDTH_GB --difference -1.5
    --start 2026-03-10T10:00:00 --end 2026-03-10T11:00:00 --key ticket-17 --reason "our own backup, not the customer's"

    Parameters
    ----------
    account
        The account.
    service
        Its service, deleted or not.
    metric
        COMPUTE_HOURS, MEMORY_GB_HOURS, BANDWIDTH_GB or STORAGE_GB.
    difference
        In the unit that is sold.
    start
        The start of the usage (UTC unless it says otherwise); it counts in the billing period that holds it.
    end
        The end of the usage.
    key
        Names the adjustment: repeating the command with the same key changes nothing more.
    reason
        Kept on the record and in the audit record.
    """
    base = difference * SOLD_UNITS[metric].base_per_unit
    if base != base.to_integral_value():
        raise Invalid("The difference is finer than what is counted.")
    period = Period(starts_at=_aware(start), ends_at=_aware(end))

    async def adjust(house: AsyncContainer) -> int:
        record = await (await house.get(AdjustmentService)).adjust_usage(
            AccountId(account),
            ServiceId(service),
            metric,
            int(base),
            period,
            idempotency_key=key,
            reason=reason,
            actor=ACTOR,
        )
        print(f"{record.id}: {record.quantity} base units of {record.metric.value}")
        return 0

    return run_in_house(adjust)


def _aware(instant: datetime) -> datetime:
    return instant if instant.tzinfo is not None else instant.replace(tzinfo=UTC)

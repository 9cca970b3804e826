"""The arrow operator's decision → record: a difference to usage that is known to be wrong. Nothing is ever edited.

Promises: one closed row a key, with reason and actor, and its entry in the audit record, or neither; a difference takes
no more away than was used. It is rated and reported like any other usage of the period that its start lies in.
"""

from helvetia.audit.store import record as record_decision
from helvetia.database.pool import Database
from helvetia.kernel.clock import Clock
from helvetia.kernel.identity import AccountId, ServiceId, new_id
from helvetia.kernel.period import Period
from helvetia.kernel.quantity import UsageMetric
from helvetia.metering.errors import InvalidUsage
from helvetia.metering.model import RECORD_PREFIX, UsageRecord
from helvetia.metering.service import append_record, check_belief, check_period


class AdjustmentService:
    """An operator's differences."""

    def __init__(self, database: Database, clock: Clock) -> None:
        self._database = database
        self._clock = clock

    async def adjust_usage(
        self,
        account_id: AccountId,
        service_id: ServiceId,
        metric: UsageMetric,
        difference: int,
        period: Period,
        *,
        idempotency_key: str,
        reason: str,
        actor: str,
    ) -> UsageRecord:
        """Add to or take from what a service used; `difference` in base units. Repeating a key changes nothing more.

        Raises:
            MeteredServiceNotFound, UsageKeyTaken: as record_usage does.
            InvalidUsage: nothing to change, more than was used, beyond belief, the future, or across a boundary.
        """
        now = self._clock.now()
        check_period(period)
        check_belief(metric, difference, (idempotency_key, reason, actor))
        if difference == 0:
            raise InvalidUsage("an adjustment of nothing changes nothing")
        record = UsageRecord(
            id=new_id(),
            account_id=account_id,
            service_id=service_id,
            metric=metric,
            incarnation=RECORD_PREFIX + idempotency_key,
            revision=0,
            quantity=difference,
            timestamp=now,
            period_start=period.starts_at,
            period_end=period.ends_at,
            closed_at=now,
            bound="adjusted by an operator",
            reason=reason,
            actor=actor,
        )
        async with self._database.transaction() as tx:
            written = await append_record(tx, record, period)
            if written.id == record.id:
                detail = {"service_id": str(service_id), "metric": metric.value, "difference": str(difference)}
                await record_decision(
                    tx,
                    account_id=account_id,
                    actor=actor,
                    action="metering.usage_adjusted",
                    reason=reason,
                    detail={**detail, "key": idempotency_key},
                    at=now,
                )
        return written

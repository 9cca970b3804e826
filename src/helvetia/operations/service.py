"""The operator's overview and its lists, read from our own records only: it answers while Stripe does not."""

from collections import Counter
from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta

from helvetia.costs.model import LATE_AFTER
from helvetia.database.pool import Database, Transaction
from helvetia.enforcement import store as enforcement_store
from helvetia.enforcement.model import PaymentState
from helvetia.enforcement.policy import decide
from helvetia.enforcement.service import EnforcementService
from helvetia.kernel.clock import Clock, from_ns, to_ns
from helvetia.meter_reports.settlement.service import SettlementService
from helvetia.operations import store
from helvetia.operations.columns import COLUMNS
from helvetia.operations.model import (
    GRACE_DAYS,
    ROWS_SHOWN_MAX,
    ListName,
    Metering,
    OperatorList,
    OperatorOverview,
    Webhooks,
)

GAPS_WITHIN = timedelta(days=1)
NODE_SILENT_MAX = timedelta(minutes=5)
_GRACE_STATES = frozenset({PaymentState.GRACE, PaymentState.LOCKED})


class OperationsService:
    def __init__(
        self, database: Database, clock: Clock, enforcement: EnforcementService, settlement: SettlementService
    ) -> None:
        self._database = database
        self._clock = clock
        self._enforcement = enforcement
        self._settlement = settlement

    async def overview(self) -> OperatorOverview:
        """Every figure of the page, at one moment."""
        now = self._clock.now()
        compared_from, differences = await self._settlement.last_comparison()
        stuck = await self._settlement.stuck_cancellations()
        passes = await self._enforcement.last_passes()
        async with self._database.transaction() as tx:
            found = await store.figures(tx, self._bounds())
            grace = await self._grace(tx, now)
            return OperatorOverview(
                at=now,
                fees=await store.sums(tx, store.FEES),
                past_due=await store.sums(tx, store.PAST_DUE),
                past_due_count=found["past_due_count"],
                in_grace=_by_days_left(grace),
                held_services=await store.counts(tx, store.HELD_BY_CAUSE),
                held_account_count=found["held_account_count"],
                tasks=await store.sums(tx, store.TASKS),
                stuck_cancellation_count=len(stuck),
                webhooks=_webhooks(found),
                outbox=await store.counts(tx, store.OUTBOX_BY_STATE),
                oldest_due_at=found["oldest_due_at"],
                metering=_metering(found),
                difference_count=len(differences),
                compared_from=compared_from,
                mode=self._enforcement.mode,
                mode_warning=self._enforcement.mode_warning,
                brake=passes[0]["brake"] if passes else None,
            )

    async def list_rows(self, name: ListName) -> OperatorList:
        """The list behind a figure."""
        async with self._database.transaction() as tx:
            if name is ListName.GRACE:
                rows = await self._grace(tx, self._clock.now())
                rows, count = rows[:ROWS_SHOWN_MAX], len(rows)
            elif name is not ListName.DIFFERENCES:
                rows, count = await store.rows_of(tx, name, self._bounds())
        if name is ListName.DIFFERENCES:
            _, found = await self._settlement.last_comparison()
            rows, count = found[:ROWS_SHOWN_MAX], len(found)
        return OperatorList(name=name, columns=COLUMNS[name], rows=rows, count=count)

    async def _grace(self, tx: Transaction, now: datetime) -> Sequence[Mapping[str, object]]:
        """Accounts whose services run in a grace, the soonest end first; the policy says which and until when."""
        verdicts = [(facts, decide(facts, now)) for facts in await enforcement_store.facts_of_interest(tx)]
        found = [
            (facts, verdict.hold_due_at)
            for facts, verdict in verdicts
            if verdict.state in _GRACE_STATES and verdict.hold_due_at is not None
        ]
        names = await store.names_of(tx, [facts.account_id for facts, _ in found])
        return [
            {
                "account": names.get(facts.account_id, ""),
                "account_id": facts.account_id,
                "plan": facts.plan.value,
                "status": facts.status.value,
                "first_failed_at": facts.first_failed_at,
                "hold_due_at": due_at,
                "days_left": max(0, (due_at - now).days),
                "services": facts.service_count,
            }
            for facts, due_at in sorted(found, key=lambda one: one[1])
        ]

    def _bounds(self) -> Mapping[str, object]:
        return {
            "gaps_since": self._clock.now() - GAPS_WITHIN,
            "heard_since": self._clock.wall() - NODE_SILENT_MAX,
            "read_since_ns": to_ns(self._clock.now() - LATE_AFTER),
        }


def _by_days_left(grace: Sequence[Mapping[str, object]]) -> Mapping[int, int]:
    """Whole days left → accounts; every day of the grace is named, an extension counts as the last of them."""
    counted = Counter(min(GRACE_DAYS, int(str(row["days_left"]))) for row in grace)
    return {day: counted[day] for day in range(GRACE_DAYS + 1)}


def _webhooks(found: Mapping[str, object]) -> Webhooks:
    names = ("waiting_count", "parked_count", "oldest_waiting_at", "complete_until_at")
    return Webhooks(**{name: found[name] for name in names})  # type: ignore[arg-type] # columns of one query


def _metering(found: Mapping[str, object]) -> Metering:
    read_until_ns = found["read_until_ns"]
    return Metering(
        open_gap_count=int(str(found["open_gap_count"])),
        late_host_count=int(str(found["late_host_count"])),
        running_count=int(str(found["running_count"])),
        read_until_at=None if read_until_ns is None else from_ns(int(str(read_until_ns))),
    )

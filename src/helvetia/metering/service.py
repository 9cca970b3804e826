"""The use cases of metering: the ticks that the worker calls, and usage as web, billing and costs read it.

Every tick is safe to call at any time, twice, or from two processes at once, and may be killed between any two
statements. A tick raises HostUnavailable or DatabaseUnavailable to its caller, who logs and calls again later; nothing
is lost by that, for time comes from the engine, bytes from cumulative counters, and a hole in memory becomes a gap.
"""

import asyncio
from collections.abc import Awaitable, Callable, Iterable, Mapping, Sequence
from datetime import date, datetime
from decimal import Decimal
from typing import TypeVar

from helvetia.catalogue.prices import METERED_PRICES
from helvetia.containers.model import ContainerHost
from helvetia.database.pool import Database, DatabaseUnavailable, Transaction
from helvetia.kernel.clock import Clock
from helvetia.kernel.identity import AccountId, ServiceId, new_id
from helvetia.kernel.period import Period
from helvetia.kernel.quantity import SOLD_UNITS, UsageMetric
from helvetia.kernel.turns import Turns
from helvetia.metering import store, store_pieces, store_usage
from helvetia.metering.errors import (
    BoundaryInFuture,
    InvalidPeriod,
    InvalidUsage,
    MeteredServiceNotFound,
    UsageKeyTaken,
)
from helvetia.metering.lifecycle.record_runs import RunRecorder
from helvetia.metering.lifecycle.remove_closed import remove_closed
from helvetia.metering.lifecycle.watch_events import watch_events
from helvetia.metering.model import RECORD_PREFIX, MeteringConfig, RolledUsage, UsageRecord, UsageTotals
from helvetia.metering.readers.model import CounterReader
from helvetia.metering.windows.close_pieces import close_account, settled_at
from helvetia.metering.windows.roll_up import roll_up_account
from helvetia.rating.rate_usage import RatedLine, rate_usage

__all__ = ["MeteringConfig", "MeteringService", "UsageTrackingService"]

SOLD_UNITS_MAX = 1_000_000
"""An external record of more than this many sold units is taken for a mistake."""

TEXT_MAX = 200
RECORDS_MAX = 1_000

_T = TypeVar("_T")


class MeteringService:
    """Container → sample → usage, for one host."""

    def __init__(
        self, database: Database, clock: Clock, host: ContainerHost, reader: CounterReader, config: MeteringConfig
    ) -> None:
        self._database = database
        self._clock = clock
        self._host = host
        self._config = config
        self._recorder = RunRecorder(database, clock, host, reader, config)
        self._counted, self._closed = Turns(), Turns()

    async def sample(self) -> int:
        """Tick, every sample interval: counters of everything that runs. Returns how many readings were taken."""
        return await self._recorder.sample()

    async def sweep(self) -> int:
        """Tick, at start and every minute: every start and finish the engine knows. Returns how many containers."""
        return len(await self._recorder.sweep())

    async def sample_storage(self) -> int:
        """Tick, every few minutes: sizes of layers and volumes. Returns how many were read."""
        return await self._recorder.sample_storage()

    async def watch_events(self, stop: asyncio.Event) -> None:
        """Runs until `stop` is set: looks at each container that starts or dies, at once."""
        wait_max_s = self._config.reconnect_wait_max_s
        await watch_events(self._host, self._recorder, stop, reconnect_wait_max_s=wait_max_s)

    async def roll_up(self) -> int:
        """Tick, every minute: count what is not counted for good. Returns how many accounts were counted."""
        async with self._database.transaction() as tx:
            account_ids = await store_pieces.accounts_with_open_lives(tx)
        await _each(self._counted.rotate(account_ids), self._count)
        return len(account_ids)

    async def close_due(self) -> int:
        """Tick, every minute: close pieces that ended, settled, and (at Stripe) have no unknown boundary."""
        async with self._database.transaction() as tx:
            due = await store_pieces.accounts_with_due_rows(tx, settled_at(self._clock.now(), self._config))
        return sum(await _each(self._closed.rotate(due), self._close))

    async def close_through(self, account_id: AccountId, through: datetime) -> None:
        """Cut at `through`, then count and close at once every piece that ends at or before it. Idempotent.

        Call `sample()`, `sample_storage()` and `sweep()` just before, so that everything is known until there; what
        becomes known later is a difference.

        Raises:
            BoundaryInFuture: `through` has not passed yet.
        """
        now = self._clock.now()
        if through > now:
            raise BoundaryInFuture
        async with self._database.transaction() as tx:
            await store.write_cuts(tx, account_id, [through], reason="close_through", recorded_at=now)
        await self._count(account_id, through)
        async with self._database.transaction() as tx:
            await store.lock_account(tx, account_id)
            await store_pieces.close_rows_through(tx, account_id, through=through, now=now)

    async def remove_closed(self) -> int:
        """Tick: remove stopped containers whose record is in the ledger. Returns how many were removed."""
        records = list(await self._recorder.sweep())
        await self.roll_up()
        return await remove_closed(self._database, self._clock, self._host, records, self._config)

    async def _close(self, account_id: AccountId) -> int:
        async with self._database.transaction() as tx:
            return await close_account(tx, account_id, now=self._clock.now(), config=self._config)

    async def _count(self, account_id: AccountId, through: datetime | None = None) -> None:
        for _ in range(self._config.passes_max):
            async with self._database.transaction() as tx:
                more = await roll_up_account(
                    tx, account_id, now=self._clock.now(), config=self._config, through=through
                )
            if not more:
                return


async def _each(account_ids: Iterable[AccountId], work: Callable[[AccountId], Awaitable[_T]]) -> list[_T]:
    """Do the work for each account; one that fails does not keep the others waiting, and is told at the end.

    Raises:
        DatabaseUnavailable: at once.
        ExceptionGroup: the failures, after every account had its turn.
    """
    done: list[_T] = []
    failures: list[Exception] = []
    for account_id in account_ids:
        try:
            done.append(await work(account_id))
        except DatabaseUnavailable:
            raise
        except Exception as error:  # noqa: BLE001 - raised below, when the other accounts are done
            error.add_note(f"account {account_id}")
            failures.append(error)
    if failures:
        raise ExceptionGroup("some accounts could not be metered", failures)
    return done


class UsageTrackingService:
    """Usage as customers and billing see it: exact integers in base units, with their gaps."""

    def __init__(self, database: Database, clock: Clock) -> None:
        self._database = database
        self._clock = clock

    async def record_usage(
        self,
        account_id: AccountId,
        service_id: ServiceId,
        metric: UsageMetric,
        quantity: int,
        period: Period,
        *,
        idempotency_key: str,
        reason: str,
        actor: str,
    ) -> UsageRecord:
        """Append an external or corrective record, closed at once; `quantity` in base units of the metric.

        It counts wholly in the billing period that its start lies in. Repeating a key with the same content returns
        the record that it names.

        Raises:
            MeteredServiceNotFound: also for another account's service; a deleted one of this account is fine.
            InvalidUsage: negative or absurd quantity, empty texts, a future period or one across a boundary.
            UsageKeyTaken: the key names a record with other content.
        """
        check_period(period)
        _check_record(metric, quantity, (idempotency_key, reason, actor))
        now = self._clock.now()
        check_past(period, now)
        record = UsageRecord(
            id=new_id(),
            account_id=account_id,
            service_id=service_id,
            metric=metric,
            incarnation=RECORD_PREFIX + idempotency_key,
            revision=0,
            quantity=quantity,
            timestamp=now,
            period_start=period.starts_at,
            period_end=period.ends_at,
            closed_at=now,
            bound="recorded from outside",
            reason=reason,
            actor=actor,
        )
        async with self._database.transaction() as tx:
            return await append_record(tx, record, period)

    async def get_service_usage(self, account_id: AccountId, service_id: ServiceId, period: Period) -> UsageTotals:
        """What one service used: pieces that start in the period, deleted services included.

        Raises:
            MeteredServiceNotFound: also for another account's service.
            InvalidPeriod
        """
        check_period(period)
        async with self._database.transaction() as tx:
            if not await store_usage.owns_service(tx, account_id, service_id):
                raise MeteredServiceNotFound
            return await store_usage.totals(tx, account_id, period, service_id)

    async def get_service_records(
        self, account_id: AccountId, service_id: ServiceId, period: Period
    ) -> Sequence[UsageRecord]:
        """The rows behind it, newest first, at most RECORDS_MAX. Raises as get_service_usage does."""
        check_period(period)
        async with self._database.transaction() as tx:
            if not await store_usage.owns_service(tx, account_id, service_id):
                raise MeteredServiceNotFound
            return await store_usage.records_of_service(tx, account_id, service_id, period, limit=RECORDS_MAX)

    async def get_aggregated_usage(self, account_id: AccountId, period: Period) -> UsageTotals:
        """What an account used, all services together, deleted ones included. Raises InvalidPeriod."""
        check_period(period)
        async with self._database.transaction() as tx:
            return await store_usage.totals(tx, account_id, period)

    async def get_usage_by_day(
        self, account_id: AccountId, first: date, last: date, service_id: ServiceId | None = None
    ) -> Sequence[RolledUsage]:
        """What each service used in each UTC day of [first, last), from the roll-up; days without any are left out."""
        async with self._database.transaction() as tx:
            return await store_usage.usage_by_day(tx, account_id, first, last, _only(service_id))

    async def get_usage_by_month(
        self, account_id: AccountId, first: date, last: date, service_id: ServiceId | None = None
    ) -> Sequence[RolledUsage]:
        """The same by UTC month, each under its first day."""
        async with self._database.transaction() as tx:
            return await store_usage.usage_by_month(tx, account_id, first, last, _only(service_id))

    def calculate_cost(
        self,
        quantities: Mapping[UsageMetric, int],
        unit_prices_minor: Mapping[UsageMetric, Decimal] | None = None,
    ) -> tuple[RatedLine, ...]:
        """One rated line per metric, at the catalogue's prices unless others are in force.

        Raises:
            InvalidUsage: a negative quantity.
        """
        if any(quantity < 0 for quantity in quantities.values()):
            raise InvalidUsage("a quantity must not be negative")
        prices = {metric: price.unit_price_minor for metric, price in METERED_PRICES.items()}
        return rate_usage(quantities, {**prices, **(unit_prices_minor or {})})


def check_period(period: Period) -> None:
    """A reversed period cannot be made; one without a time zone is refused here."""
    if period.starts_at.utcoffset() is None or period.ends_at.utcoffset() is None:
        raise InvalidPeriod


def _check_record(metric: UsageMetric, quantity: int, texts: Sequence[str]) -> None:
    if quantity < 0:
        raise InvalidUsage("a quantity must not be negative")
    check_belief(metric, quantity, texts)


def check_belief(metric: UsageMetric, quantity: int, texts: Sequence[str]) -> None:
    """Refuse a record that is surely a mistake. Raises InvalidUsage."""
    quantity_max = SOLD_UNITS_MAX * SOLD_UNITS[metric].base_per_unit
    if abs(quantity) > quantity_max:
        raise InvalidUsage("the quantity is beyond belief", quantity=quantity, quantity_max=quantity_max)
    if not all(text.strip() and len(text) <= TEXT_MAX for text in texts):
        raise InvalidUsage(f"key, reason and actor must have 1 to {TEXT_MAX} characters")


def check_past(period: Period, now: datetime) -> None:
    """Refuse what has not been used yet. Raises InvalidUsage."""
    if period.ends_at > now:
        raise InvalidUsage("usage of the future cannot be recorded")


async def append_record(tx: Transaction, record: UsageRecord, period: Period) -> UsageRecord:
    """Write a record once under the account's lock; a repeated key returns the first. Raises as record_usage does."""
    check_past(period, record.timestamp)
    await store.lock_account(tx, record.account_id)
    if not await store_usage.owns_service(tx, record.account_id, record.service_id):
        raise MeteredServiceNotFound
    former = await store_usage.find_record(tx, record.account_id, record.incarnation)
    if former is not None:
        if _content(former) != _content(record):
            raise UsageKeyTaken
        return former
    if await store_usage.has_cut_inside(tx, record.account_id, period):
        raise InvalidUsage("the period crosses a billing boundary; record each part by itself")
    if record.quantity < 0:
        used = await store_usage.totals(tx, record.account_id, period, record.service_id)
        if used.quantities[record.metric] + record.quantity < 0:
            raise InvalidUsage("no more can be taken away than was used", used=used.quantities[record.metric])
    await store_usage.insert_record(tx, record)
    return record


def _only(service_id: ServiceId | None) -> Sequence[ServiceId] | None:
    return None if service_id is None else [service_id]


def _content(record: UsageRecord) -> tuple[object, ...]:
    return (
        record.service_id,
        record.metric,
        record.quantity,
        record.period_start,
        record.period_end,
        record.reason,
        record.actor,
    )

"""The use cases of usage over time: history, one service, the export, and why a figure is what it is. Read only."""

import asyncio
from collections.abc import AsyncIterator, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from uuid import UUID

from helvetia.catalogue.prices import CURRENCY
from helvetia.containers.store import service_names
from helvetia.costs.changes.model import Changes
from helvetia.costs.changes.read_changes import read_changes
from helvetia.costs.compare import Comparison, compare, stretch_before
from helvetia.costs.errors import TooManyRows, UsageRecordNotFound
from helvetia.costs.explain import READINGS_MAX, Explanation, PieceCursor, PieceEvidence, page_of
from helvetia.costs.export import COLUMNS, ExportFormat, csv_lines, json_lines, slices, to_file_rows
from helvetia.costs.history import (
    ROWS_MAX,
    RunningQuantities,
    UsageHistory,
    check_range,
    check_streamed_range,
    make_history,
    price_blocks,
)
from helvetia.costs.model import LATE_AFTER
from helvetia.database.pool import Database, Transaction
from helvetia.kernel.clock import Clock
from helvetia.kernel.identity import AccountId, ServiceId
from helvetia.kernel.period import Period
from helvetia.kernel.quantity import UsageMetric
from helvetia.metering import store_usage
from helvetia.metering.errors import MeteredServiceNotFound
from helvetia.metering.history import store, store_shown
from helvetia.metering.history.model import Grain, ServiceRun, ShownFigures, UsageFilter
from helvetia.metering.model import LateHost, UsageTotals
from helvetia.rating.rate_usage import rate_usage
from helvetia.stripe_gateway.price_book_holder import PriceBookHolder

RUNS_SHOWN_MAX = 200
MARKED = timedelta(days=2)


@dataclass(frozen=True, slots=True, kw_only=True)
class ServiceUsage:
    """One service in a range: what it used, its newest runs, and what is shown and never billed."""

    service_id: ServiceId
    name: str
    totals: UsageTotals
    history: UsageHistory
    runs: Sequence[ServiceRun]
    shown: ShownFigures
    late_hosts: Sequence[LateHost] = ()


class UsageHistoryService:
    """Usage of the past, in figures that add up to the present ones."""

    def __init__(self, database: Database, clock: Clock, prices: PriceBookHolder) -> None:
        self._database = database
        self._clock = clock
        self._prices = prices

    async def history(self, account_id: AccountId, wanted: UsageFilter) -> UsageHistory:
        """Usage by hour, day or month, with what it costs at the present prices.

        Raises:
            RangeInFuture, RangeTooLong, TooManyRows
            MeteredServiceNotFound: the service is not, and was never, this account's.
        """
        check_range(wanted, now=self._clock.now())
        async with self._database.transaction() as tx:
            await _require_service(tx, account_id, wanted.service_id)
            blocks = await store.usage_blocks(tx, account_id, wanted, cells_max=ROWS_MAX + 1)
        if sum(len(block.quantities) for block in blocks) > ROWS_MAX:
            raise TooManyRows(rows_max=ROWS_MAX)
        return await asyncio.to_thread(make_history, blocks, wanted, self._prices.unit_prices_minor())

    async def compare(
        self, account_id: AccountId, wanted: UsageFilter, after: UsageHistory | None = None
    ) -> Comparison:
        """A range beside the equally long one right before it; `after`: the history of `wanted`, where it is known.

        Raises as `history` does.
        """
        after = await self.history(account_id, wanted) if after is None else after
        earlier = replace(wanted, period=stretch_before(wanted.period, self._clock.now()))
        before = await self.history(account_id, earlier)
        totals = await self.totals(account_id, earlier)
        return compare(after, before, is_complete_before=totals.is_complete)

    async def service_usage(self, account_id: AccountId, wanted: UsageFilter) -> ServiceUsage:
        """One service: `wanted.service_id` names it. Raises as `history` does."""
        service_id = wanted.service_id
        if service_id is None:
            raise MeteredServiceNotFound
        history = await self.history(account_id, wanted)
        async with self._database.transaction() as tx:
            names = await service_names(tx, account_id)
            totals = await store_usage.totals(tx, account_id, wanted.period, service_id)
            runs = await store.runs(tx, account_id, service_id, wanted.period, limit=RUNS_SHOWN_MAX)
            shown = await store_shown.shown_figures(tx, account_id, service_id, wanted.period)
            late_before = min(self._clock.now(), wanted.period.ends_at) - LATE_AFTER
            late_hosts: Sequence[LateHost] = ()
            if totals.as_of is not None and totals.as_of < late_before:
                late_hosts = await store_usage.late_hosts(tx, account_id, late_before, service_id)
        name = names.get(service_id, "")
        return ServiceUsage(
            service_id=service_id,
            name=name,
            totals=totals,
            history=history,
            runs=runs,
            shown=shown,
            late_hosts=late_hosts,
        )

    async def totals(self, account_id: AccountId, wanted: UsageFilter) -> UsageTotals:
        """How fresh and complete the range is, with its gaps, and its base units of every metric."""
        async with self._database.transaction() as tx:
            return await store_usage.totals(tx, account_id, wanted.period, wanted.service_id)

    async def changes(self, account_id: AccountId, period: Period, service_id: ServiceId | None = None) -> Changes:
        """Deploys and other changes of services in a range, newest first, with what each did to the cost of a day.

        Raises:
            RangeInFuture, RangeTooLong, MeteredServiceNotFound
        """
        now = self._clock.now()
        check_streamed_range(UsageFilter(period=period, grain=Grain.DAY), now=now)
        async with self._database.transaction() as tx:
            await _require_service(tx, account_id, service_id)
            return await read_changes(tx, account_id, period, service_id, self._prices.unit_prices_minor(), now=now)

    async def late_hosts(
        self, account_id: AccountId, seen_before: datetime, service_id: ServiceId | None = None
    ) -> Sequence[LateHost]:
        """Hosts of the account (or of one of its services) that told nothing since."""
        async with self._database.transaction() as tx:
            return await store_usage.late_hosts(tx, account_id, seen_before, service_id)

    async def mark(self, account_id: AccountId) -> str:
        """A word that changes whenever a reading of the account was taken in: what waits for news compares it."""
        since = self._clock.now().astimezone(UTC).date() - MARKED
        async with self._database.transaction() as tx:
            return await store.usage_mark(tx, account_id, since)

    async def runs(self, account_id: AccountId, wanted: UsageFilter) -> Sequence[ServiceRun]:
        """The starts of `wanted.service_id` that lived in the range, the newest first, at most RUNS_SHOWN_MAX."""
        service_id = wanted.service_id
        if service_id is None:
            raise MeteredServiceNotFound
        async with self._database.transaction() as tx:
            return await store.runs(tx, account_id, service_id, wanted.period, limit=RUNS_SHOWN_MAX)

    async def names(self, account_id: AccountId) -> Mapping[ServiceId, str]:
        """The names of the account's services, deleted ones too."""
        async with self._database.transaction() as tx:
            return await service_names(tx, account_id)

    async def export(
        self, account_id: AccountId, wanted: UsageFilter, export_format: ExportFormat
    ) -> AsyncIterator[str]:
        """The rows of `history` as a file in parts, of any range up to 24 months; nothing is read before the first.

        Raises, before the first part:
            RangeInFuture, RangeTooLong, MeteredServiceNotFound
        """
        check_streamed_range(wanted, now=self._clock.now())
        async with self._database.transaction() as tx:
            await _require_service(tx, account_id, wanted.service_id)
            names = await service_names(tx, account_id)
        return self._parts(account_id, wanted, export_format, names)

    async def _parts(
        self, account_id: AccountId, wanted: UsageFilter, export_format: ExportFormat, names: Mapping[ServiceId, str]
    ) -> AsyncIterator[str]:
        prices, running = self._prices.unit_prices_minor(), RunningQuantities()
        if export_format is ExportFormat.CSV:
            yield csv_lines([COLUMNS])
        to_lines = csv_lines if export_format is ExportFormat.CSV else json_lines
        for part in slices(wanted):
            of_part = replace(wanted, period=part)
            async with self._database.transaction() as tx:
                blocks = await store.usage_blocks(tx, account_id, of_part, cells_max=None)
            priced = price_blocks(blocks, of_part, prices, running)
            rows = (row for block in priced for row in to_file_rows(block, names, CURRENCY))
            yield await asyncio.to_thread(to_lines, rows)

    async def explain(
        self,
        account_id: AccountId,
        metric: UsageMetric,
        period: Period,
        *,
        service_id: ServiceId | None = None,
        cursor: str | None = None,
        limit: int = 100,
    ) -> Explanation:
        """What a metric's figure of a range is made of.

        Raises:
            RangeInFuture, RangeTooLong, InvalidUsageCursor, MeteredServiceNotFound
        """
        after = None if cursor is None else PieceCursor.from_wire(cursor).position
        check_range(UsageFilter(period=period, grain=Grain.MONTH), now=self._clock.now())
        async with self._database.transaction() as tx:
            await _require_service(tx, account_id, service_id)
            totals = await store_usage.totals(tx, account_id, period, service_id)
            found = await store.pieces(
                tx, account_id, metric, period, service_id=service_id, after=after, limit=limit + 1
            )
        pieces, next_cursor = page_of(found, limit)
        book = self._prices.book
        lines = rate_usage(totals.quantities, self._prices.unit_prices_minor())
        return Explanation(
            service_id=service_id,
            period=period,
            line=next(line for line in lines if line.metric is metric),
            price_id=None if book is None else book.meters[metric].price_id,
            currency=CURRENCY,
            pieces=pieces,
            next_cursor=next_cursor,
        )

    async def evidence(self, account_id: AccountId, record_id: UUID) -> PieceEvidence:
        """One piece down to its readings.

        Raises:
            UsageRecordNotFound: there is none, or it is another account's.
        """
        async with self._database.transaction() as tx:
            piece = await store.find_piece(tx, account_id, record_id)
            if piece is None:
                raise UsageRecordNotFound
            readings = await store.readings_of(tx, account_id, piece, limit=READINGS_MAX)
        are_kept = piece.reading_count == 0 or bool(readings)
        return PieceEvidence(piece=piece, readings=readings, are_readings_kept=are_kept)


async def _require_service(tx: Transaction, account_id: AccountId, service_id: ServiceId | None) -> None:
    if service_id is not None and not await store_usage.owns_service(tx, account_id, service_id):
        raise MeteredServiceNotFound

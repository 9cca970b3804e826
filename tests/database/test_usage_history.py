"""Rows, totals, the file and the pieces behind them are one set of integers, whichever way they are asked for."""

import csv
import io
import json
import random
from collections import defaultdict
from dataclasses import replace
from datetime import UTC, date, datetime, time, timedelta
from decimal import Decimal
from itertools import pairwise
from uuid import UUID
from zoneinfo import ZoneInfo

import pytest

from helvetia.costs import usage_history_service
from helvetia.costs.errors import RangeInFuture, RangeTooLong, TooManyRows, UsageRecordNotFound
from helvetia.costs.explain import PieceCursor
from helvetia.costs.export import ExportFormat
from helvetia.costs.usage_history_service import UsageHistoryService
from helvetia.database.partitions import keep_partitions
from helvetia.database.pool import Database
from helvetia.kernel.clock import ManualClock
from helvetia.kernel.identity import AccountId, ServiceId, new_id
from helvetia.kernel.period import Period, floor_hour
from helvetia.kernel.quantity import UsageMetric, to_sold_quantity
from helvetia.metering.errors import MeteredServiceNotFound
from helvetia.metering.history.local_days import first_instant
from helvetia.metering.history.model import Grain, UsageFilter
from helvetia.metering.history.store import _PIECES
from helvetia.metering.retention.store import LEDGER
from helvetia.metering.store import totals
from helvetia.stripe_gateway.price_book_holder import PriceBookHolder
from support import trials
from support.metered_house import MeteredHouse
from support.usage_world import LedgerRow, open_account, random_rows, write_rows

SEED = 20260310
NOW = datetime(2026, 3, 10, 10, 17, 23, tzinfo=UTC)


class Past:
    """An account with sixty days of usage, beside another one with as many."""

    def __init__(self, database: Database, clock: ManualClock) -> None:
        self.database = database
        self.usage = UsageHistoryService(database, clock, PriceBookHolder())
        self.rows: list[LedgerRow] = []

    async def move_in(self) -> None:
        self.account_id, self.services = await open_account(self.database, NOW, services=3)
        self.other_id, others = await open_account(self.database, NOW)
        luck = random.Random(SEED)
        self.rows = random_rows(luck, self.account_id, self.services, NOW, days=60, count=400)
        strangers = random_rows(luck, self.other_id, others, NOW, days=60, count=100)
        await write_rows(self.database, [*self.rows, *strangers])

    def sums(self, wanted: UsageFilter) -> dict[UsageMetric, int]:
        """What the range holds, from the rows that were written."""
        found = dict.fromkeys(wanted.metrics, 0)
        for row in self.rows:
            is_wanted = row.metric in found and wanted.service_id in {None, row.service_id}
            if is_wanted and row.starts_at in wanted.period:
                found[row.metric] += row.quantity
        return found

    async def file(self, wanted: UsageFilter, kind: ExportFormat) -> list[dict[str, str]]:
        text = "".join([part async for part in await self.usage.export(self.account_id, wanted, kind)])
        if kind is ExportFormat.JSON:
            return [json.loads(line) for line in text.splitlines()]
        return list(csv.DictReader(io.StringIO(text)))


@pytest.fixture
async def past(database: Database, clock: ManualClock) -> Past:
    past = Past(database, clock)
    await past.move_in()
    return past


def random_filter(luck: random.Random, services: list[ServiceId]) -> UsageFilter:
    grain = luck.choice(list(Grain))
    zone = ZoneInfo(luck.choice(["UTC", "UTC", "Europe/Zurich", "Asia/Kathmandu"]))
    start = NOW - timedelta(seconds=luck.randrange(86_400, 60 * 86_400))
    length = timedelta(seconds=luck.randrange(1, (31 if grain is Grain.HOUR else 90) * 86_400))
    return UsageFilter(
        period=Period(starts_at=start, ends_at=start + length),
        grain=grain,
        zone=zone,
        metrics=tuple(metric for metric in UsageMetric if luck.random() < 0.8) or tuple(UsageMetric),
        service_id=luck.choice([None, None, *services]),
        by_service=luck.random() < 0.5,
    )


async def test_any_view_adds_up_to_the_ledger_exactly(past: Past) -> None:
    luck, count = random.Random(SEED), trials.choose(small=40, full=2_000)
    for _ in range(count):
        wanted = random_filter(luck, past.services)
        history = await past.usage.history(past.account_id, wanted)
        expected = past.sums(wanted)
        assert {total.metric: total.base_quantity for total in history.totals} == expected
        for total in history.totals:
            of_metric = [row for row in history.rows if row.metric is total.metric]
            assert total.quantity == to_sold_quantity(total.metric, expected[total.metric])
            assert sum(row.quantity for row in of_metric) == total.quantity
            assert sum(row.cost_minor for row in of_metric) == total.cost_minor
        for row in history.rows:
            assert wanted.period.starts_at <= row.starts_at < row.ends_at <= wanted.period.ends_at
    trials.record("views of the history add up to the ledger", count=count, seed=SEED)


@pytest.mark.parametrize("kind", list(ExportFormat))
async def test_file_is_the_view_row_by_row(past: Past, kind: ExportFormat) -> None:
    luck, count = random.Random(SEED), trials.choose(small=15, full=500)
    for _ in range(count):
        wanted = replace(random_filter(luck, past.services), by_service=True)
        history = await past.usage.history(past.account_id, wanted)
        lines = await past.file(wanted, kind)
        assert [(line["service_id"], line["metric"], line["base_quantity"]) for line in lines] == [
            (str(row.service_id), row.metric.value, str(row.base_quantity)) for row in history.rows
        ]
        assert [Decimal(line["cost"]) * 100 for line in lines] == [row.cost_minor for row in history.rows]
        assert [Decimal(line["quantity"]) for line in lines] == [row.quantity for row in history.rows]
        assert [datetime.fromisoformat(line["starts_at"]) for line in lines] == [row.starts_at for row in history.rows]
    trials.record("rows of the history and of the file (CSV, JSON) differ by 0", count=count, seed=SEED)


async def test_view_of_a_period_equals_the_totals_that_are_billed(past: Past) -> None:
    period = Period(starts_at=NOW - timedelta(days=30), ends_at=NOW)
    async with past.database.transaction() as tx:
        billed = await totals(tx, past.account_id, period)
    history = await past.usage.history(past.account_id, UsageFilter(period=period, grain=Grain.DAY))
    assert {total.metric: total.base_quantity for total in history.totals} == billed.quantities


async def test_pages_of_pieces_add_up_to_the_figure_they_explain(past: Past) -> None:
    period = Period(starts_at=NOW - timedelta(days=45), ends_at=NOW - timedelta(days=3, seconds=17))
    for metric in UsageMetric:
        cursor: str | None = None
        found: dict[object, int] = {}
        while True:
            page = await past.usage.explain(past.account_id, metric, period, cursor=cursor, limit=17)
            found |= {piece.id: piece.quantity for piece in page.pieces}
            cursor = page.next_cursor
            if cursor is None:
                break
        assert sum(found.values()) == page.line.base_quantity
        assert len(found) == sum(row.metric is metric and row.starts_at in period for row in past.rows)
        assert page.line.quantity == to_sold_quantity(metric, page.line.base_quantity)
        assert abs(page.cost_minor - page.line.amount_minor) <= Decimal("0.5") or page.cost_minor < 0


async def test_evidence_of_another_account_answers_as_missing(past: Past) -> None:
    period = Period(starts_at=NOW - timedelta(days=60), ends_at=NOW)
    page = await past.usage.explain(past.account_id, UsageMetric.COMPUTE_HOURS, period)
    piece = page.pieces[0]
    assert (await past.usage.evidence(past.account_id, piece.id)).piece == piece
    with pytest.raises(UsageRecordNotFound):
        await past.usage.evidence(past.other_id, piece.id)
    with pytest.raises(MeteredServiceNotFound):
        await past.usage.explain(past.other_id, UsageMetric.COMPUTE_HOURS, period, service_id=past.services[0])


async def test_readings_that_an_answer_leaves_out_are_counted(
    database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    house = MeteredHouse(database, floor_hour(NOW))
    await house.move_in()
    await house.start()
    await house.live(timedelta(minutes=30))
    usage = UsageHistoryService(database, house.clock, PriceBookHolder())
    period = Period(starts_at=floor_hour(NOW), ends_at=floor_hour(NOW) + timedelta(hours=1))
    [piece] = (await usage.explain(house.account_id, UsageMetric.MEMORY_GB_HOURS, period)).pieces
    whole = await usage.evidence(house.account_id, piece.id)
    assert (len(whole.readings), whole.readings_left_out_count) == (piece.reading_count, 0)
    monkeypatch.setattr(usage_history_service, "READINGS_MAX", 4)
    cut = await usage.evidence(house.account_id, piece.id)
    assert (len(cut.readings), cut.readings_left_out_count) == (4, piece.reading_count - 4)


@pytest.mark.parametrize(
    ("zone", "changes_on", "hours"),
    [
        ("Europe/Zurich", date(2026, 3, 29), 23),
        ("Europe/Zurich", date(2026, 10, 25), 25),
        ("America/Santiago", date(2026, 9, 6), 23),  # midnight is left out
        ("America/Santiago", date(2026, 4, 4), 25),
        ("Asia/Beirut", date(2026, 3, 29), 23),
        ("America/Havana", date(2026, 3, 8), 23),
        ("America/Havana", date(2026, 11, 1), 25),  # midnight comes twice, at the start of a month
        ("Atlantic/Azores", date(2026, 10, 25), 25),
    ],
)
async def test_summer_time_gives_days_of_23_and_25_hours(
    database: Database, clock: ManualClock, zone: str, changes_on: date, hours: int
) -> None:
    account_id, services = await open_account(database, NOW)
    first = datetime.combine(changes_on - timedelta(days=3), time(), UTC)
    async with database.transaction() as tx:
        await keep_partitions(tx, LEDGER, first)
    await write_rows(database, _each_hour(account_id, services[0], first, hours=7 * 24))
    clock.advance(timedelta(days=300))
    days = [first_instant(changes_on + timedelta(days=number), ZoneInfo(zone)) for number in (-1, 0, 1, 2)]
    period = Period(starts_at=days[0], ends_at=days[3])
    usage = UsageHistoryService(database, clock, PriceBookHolder())
    wanted = UsageFilter(period=period, grain=Grain.DAY, zone=ZoneInfo(zone))
    rows = (await usage.history(account_id, wanted)).rows
    assert [(row.starts_at, row.ends_at) for row in rows] == list(pairwise(days))
    assert [row.base_quantity for row in rows] == [24, hours, 24]
    of_hours = (await usage.history(account_id, replace(wanted, grain=Grain.HOUR))).rows
    assert [row.starts_at for row in of_hours] == [days[0] + timedelta(hours=one) for one in range(48 + hours)]
    assert {row.base_quantity for row in of_hours} == {1}
    by_month = (await usage.history(account_id, replace(wanted, grain=Grain.MONTH))).rows
    assert sum(row.base_quantity for row in by_month) == 48 + hours
    assert [row.ends_at for row in by_month[:-1]] == [row.starts_at for row in by_month[1:]]


async def test_range_beyond_its_bounds_is_refused_with_the_bound(past: Past) -> None:
    day = timedelta(days=1)
    for grain, zone, days, bound in (
        (Grain.HOUR, "UTC", 32, 31),
        (Grain.DAY, "Europe/Zurich", 94, 93),
        (Grain.MONTH, "UTC", 732, 731),
    ):
        period = Period(starts_at=NOW - days * day, ends_at=NOW)
        with pytest.raises(RangeTooLong) as refused:
            await past.usage.history(past.account_id, UsageFilter(period=period, grain=grain, zone=ZoneInfo(zone)))
        assert refused.value.figures == {"days_max": bound}
    ahead = Period(starts_at=NOW + day, ends_at=NOW + 2 * day)
    with pytest.raises(RangeInFuture):
        await past.usage.history(past.account_id, UsageFilter(period=ahead, grain=Grain.DAY))


@pytest.mark.parametrize("grain", list(Grain))
async def test_file_of_two_years_in_another_zone_adds_up_by_its_own_buckets(past: Past, grain: Grain) -> None:
    zone = ZoneInfo("America/St_Johns")
    period = Period(starts_at=NOW - timedelta(days=731), ends_at=NOW)
    wanted = UsageFilter(period=period, grain=grain, zone=zone)
    sums: dict[tuple[str, str], int] = defaultdict(int)
    for line in await past.file(wanted, ExportFormat.CSV):
        key = (line["starts_at"], line["metric"])
        sums[key] += int(line["base_quantity"])
    expected: dict[tuple[str, str], int] = defaultdict(int)
    for row in past.rows:
        if row.starts_at in period:
            local = row.starts_at.astimezone(UTC).replace(minute=0, second=0)  # hours are those of UTC
            if grain is not Grain.HOUR:
                local = row.starts_at.astimezone(zone).replace(minute=0, second=0)
                local = local.replace(hour=0, day=1 if grain is Grain.MONTH else local.day, fold=0)
            start = max(local.astimezone(UTC), period.starts_at)
            expected[(start.isoformat().replace("+00:00", "Z"), row.metric.value)] += row.quantity
    assert {key: found for key, found in sums.items() if found} == {key: one for key, one in expected.items() if one}
    if grain is Grain.MONTH:
        shown = {
            (row.starts_at, row.metric, row.service_id): row
            for row in (await past.usage.history(past.account_id, wanted)).rows
        }
        assert sum(row.base_quantity for row in shown.values()) == sum(sums.values())
        assert len(shown) == len(await past.file(wanted, ExportFormat.CSV))
    longer = Period(starts_at=NOW - timedelta(days=732), ends_at=NOW)
    with pytest.raises(RangeTooLong) as refused:
        await past.file(replace(wanted, period=longer), ExportFormat.CSV)
    assert refused.value.figures == {"days_max": 731}


async def test_too_many_rows_are_refused_but_exported(past: Past, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("helvetia.costs.usage_history_service.ROWS_MAX", 10)
    wanted = UsageFilter(period=Period(starts_at=NOW - timedelta(days=60), ends_at=NOW), grain=Grain.DAY)
    with pytest.raises(TooManyRows):
        await past.usage.history(past.account_id, wanted)
    sums: dict[str, int] = defaultdict(int)
    for line in await past.file(wanted, ExportFormat.CSV):
        sums[line["metric"]] += int(line["base_quantity"])
    assert sums == {metric.value: quantity for metric, quantity in past.sums(wanted).items()}


def test_cursor_comes_back_as_it_was() -> None:
    cursor = PieceCursor(period_start=NOW, record_id=UUID(int=7))
    assert PieceCursor.from_wire(cursor.to_wire()) == cursor


def _each_hour(account_id: AccountId, service_id: ServiceId, start: datetime, *, hours: int) -> list[LedgerRow]:
    hour = timedelta(hours=1)
    return [
        LedgerRow(
            account_id=account_id,
            service_id=service_id,
            metric=UsageMetric.BANDWIDTH_GB,
            quantity=1,
            starts_at=start + number * hour,
            ends_at=start + (number + 1) * hour,
            incarnation=f"run-{number}",
        )
        for number in range(hours)
    ]


_MANY = """
INSERT INTO usage_records (id, account_id, service_id, metric, incarnation, quantity, "timestamp", period_start,
    period_end)
SELECT gen_random_uuid(), %(account_id)s, %(account_id)s, 'BANDWIDTH_GB', 'c:' || n, 1, %(at)s, %(at)s,
    %(at)s + interval '1 second'
FROM generate_series(1, 5000) AS n
"""


async def test_a_piece_is_found_by_its_id_without_walking_the_ledger(database: Database, clock: ManualClock) -> None:
    account_id, _ = await open_account(database, clock.now())
    async with database.transaction() as tx:
        await tx.execute(_MANY, {"account_id": account_id, "at": clock.now()})
        await tx.execute("ANALYZE usage_records")
        values = {"account_id": account_id, "id": new_id()}
        statement = f"EXPLAIN (ANALYZE) {_PIECES} WHERE u.account_id = %(account_id)s AND u.id = %(id)s"
        plan = [line for (line,) in await (await tx.execute(statement, values)).fetchall()]
    assert any(f"id = '{values['id']}'::uuid" in line for line in plan if "Index Cond" in line), plan
    assert not any("Rows Removed" in line for line in plan), plan

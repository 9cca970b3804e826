"""Forecasts from the ledger: honest without history, written once a day, compared once the period is over."""

from datetime import UTC, date, datetime, timedelta
from decimal import Decimal

import pytest

from helvetia.costs.forecasts.model import LimitOutlook, SeriesForecast
from helvetia.costs.forecasts.service import ForecastService
from helvetia.database.pool import Database
from helvetia.kernel.clock import ManualClock
from helvetia.kernel.identity import AccountId, ServiceId
from helvetia.kernel.quantity import BYTES_PER_GB, UsageMetric
from helvetia.rating.forecast import ForecastMethod
from helvetia.stripe_gateway.price_book_holder import PriceBookHolder
from support.usage_world import LedgerRow, open_account, write_rows

NOW = datetime(2026, 3, 10, 10, 17, 23, tzinfo=UTC)
DAY = timedelta(days=1)
BANDWIDTH = UsageMetric.BANDWIDTH_GB


@pytest.fixture
def forecasts(database: Database, clock: ManualClock) -> ForecastService:
    return ForecastService(database, clock, PriceBookHolder())


async def use_each_day(
    database: Database,
    account: tuple[AccountId, list[ServiceId]],
    first: date,
    days: int,
    *,
    quantity: int = BYTES_PER_GB // 10,
) -> None:
    """So many bytes of bandwidth (a tenth of a GB) at noon of each day."""
    account_id, services = account
    noon = datetime(first.year, first.month, first.day, 12, tzinfo=UTC)
    rows = [
        LedgerRow(
            account_id=account_id,
            service_id=services[0],
            metric=BANDWIDTH,
            quantity=quantity,
            starts_at=noon + number * DAY,
            ends_at=noon + number * DAY + timedelta(hours=1),
            incarnation=f"day-{first}-{number}",
        )
        for number in range(days)
    ]
    await write_rows(database, rows)


async def of_bandwidth(forecasts: ForecastService, account_id: AccountId) -> SeriesForecast:
    return (await forecasts.forecast(account_id)).metrics[BANDWIDTH]


async def test_account_without_usage_gets_no_figures_but_an_answer(
    database: Database, forecasts: ForecastService
) -> None:
    account_id, _ = await open_account(database, NOW)
    found = await forecasts.forecast(account_id)
    assert found.cost.forecast.method is ForecastMethod.NONE
    assert found.cost.forecast.p50 is None
    assert found.cost.record.count == 0


async def test_one_day_of_usage_gives_a_line_without_a_range(database: Database, forecasts: ForecastService) -> None:
    account = await open_account(database, NOW)
    await use_each_day(database, account, date(2026, 3, 9), 1)
    found = await of_bandwidth(forecasts, account[0])
    assert (found.forecast.method, found.forecast.p10) == (ForecastMethod.STRAIGHT_LINE, None)


async def test_steady_days_reach_the_free_limit_never_and_the_total_exactly(
    database: Database, forecasts: ForecastService
) -> None:
    account = await open_account(database, NOW)
    await use_each_day(database, account, date(2026, 1, 20), 49)
    found = await of_bandwidth(forecasts, account[0])
    per_day = BYTES_PER_GB // 10
    left_s = (datetime(2026, 3, 11, tzinfo=UTC) - NOW) // timedelta(seconds=1)
    assert found.forecast.p50 == 9 * per_day + per_day * left_s // 86_400 + 21 * per_day
    assert found.limit is not None
    assert found.limit.outlook is LimitOutlook.UNLIKELY


async def test_heavy_days_tell_the_day_of_the_limit(database: Database, forecasts: ForecastService) -> None:
    account = await open_account(database, NOW)
    await use_each_day(database, account, date(2026, 2, 1), 37, quantity=BYTES_PER_GB // 2)
    found = await of_bandwidth(forecasts, account[0])
    assert found.limit is not None
    assert found.limit.outlook is LimitOutlook.EXPECTED
    assert found.limit.about == date(2026, 3, 21)


async def test_record_is_kept_once_a_day_and_compared_when_the_period_is_over(
    database: Database, forecasts: ForecastService, clock: ManualClock
) -> None:
    account = await open_account(database, NOW)
    idle, _ = await open_account(database, NOW)
    await use_each_day(database, account, date(2026, 1, 20), 49)
    assert await forecasts.keep_record() == 1
    assert await forecasts.keep_record() == 0
    await use_each_day(database, account, date(2026, 3, 10), 22)
    clock.advance(30 * DAY)
    assert await forecasts.keep_record() == 2
    record = (await of_bandwidth(forecasts, account[0])).record
    assert record.count == 1
    assert record.median_error_ppm is not None
    assert record.median_error_ppm < 25_000
    assert (await forecasts.forecast(idle)).cost.record.count == 0


async def test_cost_is_that_of_the_metrics(database: Database, forecasts: ForecastService) -> None:
    account = await open_account(database, NOW)
    await use_each_day(database, account, date(2026, 3, 1), 9)
    found = await forecasts.forecast(account[0])
    gb = Decimal(9) / 10
    assert abs(Decimal(found.cost.forecast.used) / 10**6 - gb * 12) < Decimal("0.0001")

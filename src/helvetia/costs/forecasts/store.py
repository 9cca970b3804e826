"""All SQL of costs: forecasts as they were made, and what came of them."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import date, datetime

from psycopg.rows import class_row

from helvetia.costs.forecasts.model import PastRecord
from helvetia.database.pool import Transaction
from helvetia.kernel.identity import AccountId
from helvetia.kernel.period import Period
from helvetia.rating.forecast import Forecast


@dataclass(frozen=True, slots=True, kw_only=True)
class EndedPeriod:
    """A period over which forecasts were made, and which has ended."""

    account_id: AccountId
    period_start: datetime
    period_end: datetime


_INSERT = """
INSERT INTO usage_forecasts (account_id, period_start, series, made_on, period_end, method, p10, p50, p90)
VALUES (%s, %s, %s, %s, %s, %s, %s, %s, %s) ON CONFLICT DO NOTHING
"""

# Accounts that used anything since a day and have no forecast of today yet.
_TO_FORECAST = """
SELECT account_id FROM accounts a
WHERE deleted_at IS NULL
  AND EXISTS (SELECT FROM usage_days d WHERE d.account_id = a.account_id AND d.day >= %(since)s)
  AND NOT EXISTS (SELECT FROM usage_forecasts f WHERE f.account_id = a.account_id AND f.made_on = %(today)s)
ORDER BY account_id LIMIT %(limit)s
"""

_RECORDS = """
SELECT series, count(*),
    percentile_disc(0.5) WITHIN GROUP (ORDER BY abs(came - p50) * 1000000 / came) FILTER (WHERE came > 0),
    count(*) FILTER (WHERE came BETWEEN p10 AND p90) * 1000000 / nullif(count(p10), 0)
FROM usage_forecasts WHERE account_id = %s AND came IS NOT NULL AND made_on >= %s
GROUP BY series
"""


async def save_forecasts(
    tx: Transaction, account_id: AccountId, period: Period, made_on: date, series: Mapping[str, Forecast]
) -> None:
    """The forecasts of a day; the first of a day stands."""
    for name, forecast in series.items():
        if forecast.p50 is not None:
            await tx.execute(
                _INSERT,
                (
                    *(account_id, period.starts_at, name, made_on, period.ends_at),
                    *(forecast.method.value, forecast.p10, forecast.p50, forecast.p90),
                ),
            )


async def accounts_to_forecast(tx: Transaction, today: date, *, since: date, limit: int) -> Sequence[AccountId]:
    """Accounts that use anything and were not forecast today."""
    cursor = await tx.execute(_TO_FORECAST, {"today": today, "since": since, "limit": limit})
    return [AccountId(account_id) for (account_id,) in await cursor.fetchall()]


async def ended_periods(tx: Transaction, before: datetime, *, limit: int) -> Sequence[EndedPeriod]:
    """Periods that ended before an instant and whose forecasts were not compared yet."""
    async with tx.cursor(row_factory=class_row(EndedPeriod)) as cursor:
        await cursor.execute(
            """SELECT DISTINCT account_id, period_start, period_end FROM usage_forecasts
               WHERE came IS NULL AND period_end < %s ORDER BY period_end, account_id LIMIT %s""",
            (before, limit),
        )
        return await cursor.fetchall()


async def save_came(tx: Transaction, ended: EndedPeriod, came: Mapping[str, int]) -> None:
    """What each series of an ended period came to."""
    for series, quantity in came.items():
        await tx.execute(
            "UPDATE usage_forecasts SET came = %s WHERE account_id = %s AND period_start = %s AND series = %s",
            (quantity, ended.account_id, ended.period_start, series),
        )


async def past_records(tx: Transaction, account_id: AccountId, since: date) -> Mapping[str, PastRecord]:
    """How the forecasts made since a day turned out, by series."""
    cursor = await tx.execute(_RECORDS, (account_id, since))
    return {
        series: PastRecord(
            count=count,
            median_error_ppm=None if error is None else int(error),
            coverage_ppm=None if coverage is None else int(coverage),
        )
        for series, count, error, coverage in await cursor.fetchall()
    }

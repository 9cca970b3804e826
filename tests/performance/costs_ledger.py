"""A ledger of many millions of rows for bench_costs, made in minutes: rows first, indexes and triggers after them.

Rows come day by day, those of all accounts mixed, as metering writes them: the rows of one account lie scattered. The
indexes are made from the definitions that the migrations gave them; roll-ups are added up from the rows themselves.
"""

import asyncio
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import datetime, timedelta

import psycopg
from psycopg import sql

from helvetia.accounts.service import AccountService
from helvetia.database.enums import DATABASE_ENUMS
from helvetia.database.partitions import keep_partitions
from helvetia.database.pool import Database
from helvetia.kernel.clock import SystemClock
from helvetia.kernel.identity import AccountId
from helvetia.kernel.period import floor_hour
from helvetia.metering.retention.store import LEDGER, SIZES
from helvetia.subscriptions.service import SubscriptionHooks

METRICS, HOURS = 4, 24
DAYS, EXPORT_DAYS = 90, 31
LIVE_SERVICES, HISTORY_SERVICES, OTHER_SERVICES = 50, 100, 50
EXPORTED_ROWS_MAX = 1_000_000
PERIOD_BEGAN = timedelta(days=25, minutes=17)
SIZES_KEPT_DAYS = 66
CLOCK = SystemClock()


@dataclass(frozen=True, slots=True, kw_only=True)
class Ledger:
    """`tokens` by the account's part in the measurement; `until`: where its pieces end."""

    url: str
    live_account_id: AccountId
    rows: int
    tokens: dict[str, str]
    until: datetime


# Hour pieces, but of the account of the history: one a day, which make the same rows by day.
_DAY = """
WITH piece AS (
    INSERT INTO usage_records (id, account_id, service_id, metric, incarnation, revision, quantity, "timestamp",
        period_start, period_end, closed_at, reading_count)
    SELECT gen_random_uuid(), f.account_id, f.service_id, metric, f.service_id || ':1', 0, 1000000007 + f.number, at,
        at, at + interval '1 hour', CASE WHEN at < %(until)s - interval '1 hour' THEN at + interval '1 hour' END, 60
    FROM generate_series(%(day)s, least(%(day)s + interval '23 hours', %(until)s - interval '1 hour'),
            interval '1 hour') AS at
        CROSS JOIN bench_services f CROSS JOIN unnest(enum_range(NULL::usage_metric)) AS metric
    WHERE f.is_hourly OR at = %(day)s
    RETURNING account_id, (period_start AT TIME ZONE 'UTC')::date AS day, service_id, metric, quantity
), rolled AS (
    INSERT INTO usage_days (account_id, day, service_id, metric, quantity)
    SELECT account_id, day, service_id, metric, sum(quantity) FROM piece GROUP BY 1, 2, 3, 4 ORDER BY 1, 2, 3, 4
)
SELECT count(*) FROM piece
"""

_MONTHS = """
INSERT INTO usage_months (account_id, month, service_id, metric, quantity)
SELECT account_id, date_trunc('month', day)::date, service_id, metric, sum(quantity) FROM usage_days GROUP BY 1, 2, 3, 4
"""

_INDEXES = """
SELECT c.relname, pg_get_indexdef(i.indexrelid), pg_get_constraintdef(k.oid)
FROM pg_index i JOIN pg_class c ON c.oid = i.indexrelid LEFT JOIN pg_constraint k ON k.conindid = i.indexrelid
WHERE i.indrelid = 'usage_records'::regclass ORDER BY k.oid IS NULL, c.relname
"""

# The living account: a subscriber whose containers run, whose layers are measured, whose usage is at Stripe.
_ALIVE = (
    """UPDATE subscriptions SET plan = 'PRO', status = 'ACTIVE', stripe_status = 'active', fee_minor = 2900,
       stripe_customer_id = 'cus_bench', stripe_subscription_id = 'sub_bench',
       current_period_start = %(began)s, current_period_end = %(began)s + interval '30 days'
       WHERE account_id = %(account_id)s""",
    """INSERT INTO container_runs (account_id, service_id, incarnation, container_id, node, started_ns, seen_ns)
       SELECT account_id, service_id, service_id || ':1', service_id::text, 'bench', %(from_ns)s, %(now_ns)s
       FROM bench_services WHERE account_id = %(account_id)s""",
    """INSERT INTO storage_holders (account_id, service_id, holder, kind, node, first_ns, seen_ns)
       SELECT account_id, service_id, service_id || ':1', 'layer', 'bench', %(from_ns)s, %(now_ns)s
       FROM bench_services WHERE account_id = %(account_id)s""",
    """INSERT INTO storage_readings (account_id, service_id, holder, sampled_ns, size_bytes, recorded_at)
       SELECT account_id, service_id, service_id || ':1', %(now_ns)s - back * 300000000000, 4096, %(now)s
       FROM bench_services CROSS JOIN generate_series(0, 864) AS back WHERE account_id = %(account_id)s""",
    """INSERT INTO meter_reports (account_id, metric, piece_start, revision, billing_period_start, billing_period_end,
           stripe_customer_id, event_name, identifier, value, state, created_at)
       SELECT %(account_id)s, metric, at, 0, %(began)s, %(began)s + interval '30 days', 'cus_bench', 'bench',
           gen_random_uuid()::text, 0.123456, 'confirmed', at
       FROM generate_series(%(began)s, %(now)s, interval '1 hour') AS at, unnest(enum_range(NULL::usage_metric)) metric
    """,
)


async def make_ledger(database_url: str, rows: int) -> Ledger:
    """About so many rows; at least those of the accounts that are measured."""
    until = floor_hour(CLOCK.now())
    first_day = (until - timedelta(days=DAYS)).replace(hour=0)
    database = Database(database_url, enums=DATABASE_ENUMS)
    await database.open()
    async with database.transaction() as tx:
        for table, days in ((LEDGER, DAYS), (SIZES, SIZES_KEPT_DAYS)):
            for back in range(0, days + 1, 1 if table is SIZES else 28):
                await keep_partitions(tx, table, until - timedelta(days=back))
    tokens = await _make_accounts(database, rows)
    await database.close()
    async with _connected(database_url) as connection, _connected(database_url) as second:
        async with _without_indexes(connection):
            days = [first_day + timedelta(days=number) for number in range((until - first_day).days + 1)]
            halves = await asyncio.gather(
                *(_fill(one, days[at::2], until) for at, one in enumerate((connection, second)))
            )
            await connection.execute(_MONTHS)
        live_account_id = await _enliven(connection, until)
        await connection.execute("ANALYZE")
        await connection.execute("CHECKPOINT")
    return Ledger(url=database_url, live_account_id=live_account_id, rows=sum(halves), tokens=tokens, until=until)


async def _make_accounts(database: Database, rows: int) -> dict[str, str]:
    accounts, tokens = AccountService(database, CLOCK, SubscriptionHooks(CLOCK)), {}
    of_service = METRICS * HOURS * DAYS
    exported = max(1, min(EXPORTED_ROWS_MAX, rows // 4) // (METRICS * HOURS * EXPORT_DAYS) + 1)
    left = rows - (LIVE_SERVICES + exported) * of_service - HISTORY_SERVICES * METRICS * DAYS
    parts: list[tuple[str, int]] = [("live", LIVE_SERVICES), ("history", HISTORY_SERVICES), ("export", exported)]
    parts += [(f"other-{number}", OTHER_SERVICES) for number in range(max(0, left // of_service // OTHER_SERVICES + 1))]
    async with database.transaction() as tx:
        await tx.execute("CREATE TABLE bench_services (account_id uuid, service_id uuid, number int, is_hourly bool)")
    for name, services in parts:
        user = await accounts.create_user(f"{name}@example.com")
        tokens[name] = await accounts.create_token(user.account_id, "bench")
        async with database.transaction() as tx:
            await _add_services(tx, user.account_id, services, is_hourly=name != "history")
    return tokens


async def _add_services(
    tx: psycopg.AsyncConnection[object], account_id: AccountId, count: int, *, is_hourly: bool
) -> None:
    await tx.execute(
        "INSERT INTO bench_services SELECT %s, gen_random_uuid(), number, %s FROM generate_series(1, %s) AS number",
        (account_id, is_hourly, count),
    )


@asynccontextmanager
async def _connected(database_url: str) -> AsyncIterator[psycopg.AsyncConnection[object]]:
    async with await psycopg.AsyncConnection.connect(database_url, autocommit=True) as connection:
        await connection.execute("SET synchronous_commit = off")
        await connection.execute("SET maintenance_work_mem = '512MB'")
        yield connection  # type: ignore[misc]


@asynccontextmanager
async def _without_indexes(connection: psycopg.AsyncConnection[object]) -> AsyncIterator[None]:
    """Drop the ledger's indexes and silence its triggers; make them again at the end, as they were."""
    indexes: Sequence[tuple[str, str, str | None]] = await (await connection.execute(_INDEXES)).fetchall()  # type: ignore[assignment]
    for name, _, constraint in indexes:
        drop = "ALTER TABLE usage_records DROP CONSTRAINT {}" if constraint else "DROP INDEX {}"
        await connection.execute(sql.SQL(drop).format(sql.Identifier(name)))
    await connection.execute("ALTER TABLE usage_records DISABLE TRIGGER ALL")
    yield
    await connection.execute("ALTER TABLE usage_records ENABLE TRIGGER ALL")
    for name, definition, constraint in indexes:
        add = f'ALTER TABLE usage_records ADD CONSTRAINT "{name}" {constraint}'
        statement = add if constraint else definition.replace(" ON ONLY ", " ON ")
        await connection.execute(statement.encode())


async def _fill(connection: psycopg.AsyncConnection[object], days: Sequence[datetime], until: datetime) -> int:
    count = 0
    for day in days:
        row = await (await connection.execute(_DAY, {"day": day, "until": until})).fetchone()
        assert isinstance(row, tuple)
        count += row[0]
    return count


async def _enliven(connection: psycopg.AsyncConnection[object], until: datetime) -> AccountId:
    """Whose account it is."""
    cursor = await connection.execute("SELECT account_id FROM users WHERE email = 'live@example.com'")
    row = await cursor.fetchone()
    assert isinstance(row, tuple)
    now, began = CLOCK.now(), until - PERIOD_BEGAN
    values = {
        "account_id": row[0],
        "began": began,
        "now": now,
        "from_ns": int((until - timedelta(days=DAYS)).timestamp()) * 10**9,
        "now_ns": int(now.timestamp()) * 10**9,
    }
    for statement in _ALIVE:
        await connection.execute(statement, values)
    return AccountId(row[0])

"""A ledger from before the partitions: brought up to date with its rows, twice without harm, and open to older code."""

from collections.abc import Iterator
from datetime import UTC, datetime
from uuid import UUID, uuid4

import psycopg
import pytest
from alembic import command
from alembic.config import Config
from sqlalchemy import NullPool, create_engine, make_url

from helvetia.database.migrate import migrate, migrations_directory

BEFORE = "0011"
MARCH, APRIL = datetime(2026, 3, 31, 23, tzinfo=UTC), datetime(2026, 4, 1, tzinfo=UTC)
ACCOUNT, SERVICE = UUID(int=1), UUID(int=2)
SAVE_AS_BEFORE = """
INSERT INTO usage_records (id, account_id, "timestamp", service_id, incarnation, metric, revision, quantity,
    period_start, period_end, closed_at)
VALUES (%(id)s, %(account)s, %(at)s, %(service)s, %(incarnation)s, 'BANDWIDTH_GB', 0, %(quantity)s, %(at)s,
    %(at)s + interval '1 hour', %(closed_at)s)
ON CONFLICT (account_id, service_id, incarnation, metric, period_start, revision) DO UPDATE SET
    quantity = EXCLUDED.quantity
"""


def _upgrade(url: str, revision: str) -> None:
    engine = create_engine(make_url(url).set(drivername="postgresql+psycopg"), poolclass=NullPool)
    config = Config()
    config.set_main_option("script_location", str(migrations_directory()))
    with engine.connect() as connection:
        config.attributes["connection"] = connection
        command.upgrade(config, revision)
        connection.commit()


@pytest.fixture
def old_url(server_url: str) -> Iterator[str]:
    name = f"old_{uuid4().hex}"
    with psycopg.connect(server_url, autocommit=True) as connection:
        connection.execute(f"CREATE DATABASE {name}")
        url = make_url(server_url).set(database=name).render_as_string(hide_password=False)
        _upgrade(url, BEFORE)
        yield url
        connection.execute(f"DROP DATABASE {name} WITH (FORCE)")


def _save(connection: psycopg.Connection, incarnation: str, quantity: int, at: datetime, *, is_open: bool) -> None:
    values = {"id": uuid4(), "account": ACCOUNT, "service": SERVICE, "at": at, "quantity": quantity}
    closed_at = None if is_open else APRIL
    connection.execute(SAVE_AS_BEFORE, {**values, "incarnation": incarnation, "closed_at": closed_at})


def _fill(url: str) -> None:
    with psycopg.connect(url) as connection:
        connection.execute("INSERT INTO accounts VALUES (%s, 'user', 'a', %s)", (ACCOUNT, MARCH))
        for incarnation, quantity, at, is_open in (
            ("c1", 5, MARCH, False),
            ("c1", 7, APRIL, True),
            ("record:k", 11, MARCH, False),
        ):
            _save(connection, incarnation, quantity, at, is_open=is_open)
        connection.execute(
            """INSERT INTO container_readings (account_id, service_id, incarnation, sampled_ns, interval_ms,
                   recorded_at)
               VALUES (%s, %s, 'c1', 1774998000000000000, 10000, %s)""",
            (ACCOUNT, SERVICE, MARCH),
        )
        connection.execute(
            "INSERT INTO storage_holders (account_id, service_id, holder, kind, node, first_ns, seen_ns)"
            " VALUES (%s, %s, 'v', 'volume', 'n', 1774990000000000000, 1774998000000000000)",
            (ACCOUNT, SERVICE),
        )
        for at_ns, size_bytes in ((1774998000000000000, 50), (1774990000000000000, 70)):
            connection.execute(
                "INSERT INTO storage_readings VALUES (%s, %s, 'v', %s, %s, %s)",
                (ACCOUNT, SERVICE, at_ns, size_bytes, MARCH),
            )


def _all(url: str, sql: str) -> list[tuple[object, ...]]:
    with psycopg.connect(url, options="-c TimeZone=UTC") as connection:
        return connection.execute(sql).fetchall()


def _state(url: str) -> list[object]:
    return [
        _all(url, "SELECT incarnation, quantity, period_start FROM usage_records ORDER BY 1, 2"),
        _all(url, "SELECT incarnation, sampled_ns FROM container_readings"),
        _all(url, "SELECT holder, size_bytes FROM storage_readings ORDER BY sampled_ns"),
        _all(url, "SELECT day::text, quantity FROM usage_days ORDER BY day"),
        _all(url, "SELECT month::text, quantity FROM usage_months ORDER BY month"),
        _all(url, "SELECT incarnation FROM usage_record_keys"),
    ]


def test_rows_from_before_stay_and_are_rolled_up(old_url: str) -> None:
    _fill(old_url)
    migrate(old_url)
    before = _state(old_url)
    assert before[0] == [("c1", 5, MARCH), ("c1", 7, APRIL), ("record:k", 11, MARCH)]
    assert before[3] == [("2026-03-31", 16), ("2026-04-01", 7)]
    assert before[4] == [("2026-03-01", 16), ("2026-04-01", 7)]
    assert before[5] == [("record:k",)]
    assert _all(old_url, "SELECT sized_ns, size_bytes FROM storage_holders") == [(1774998000000000000, 50)]
    with psycopg.connect(old_url) as connection:
        connection.execute("UPDATE alembic_version SET version_num = %s", (BEFORE,))
    migrate(old_url)
    assert _state(old_url) == before


def test_an_empty_ledger_is_brought_up_to_date_too(old_url: str) -> None:
    migrate(old_url)
    assert _state(old_url) == [[], [], [], [], [], []]


@pytest.mark.parametrize("is_filled", [True, False])
def test_older_code_writes_on_into_the_new_tables(old_url: str, *, is_filled: bool) -> None:
    if is_filled:
        _fill(old_url)
    migrate(old_url)
    with psycopg.connect(old_url) as connection:
        connection.execute("INSERT INTO accounts VALUES (%s, 'user', 'a', %s) ON CONFLICT DO NOTHING", (ACCOUNT, MARCH))
        for quantity in (7, 8, 9):
            _save(connection, "c1", quantity, APRIL, is_open=True)
            _save(connection, "c2", quantity, datetime(2031, 1, 1, tzinfo=UTC), is_open=True)
        _save(connection, "record:new", 1, APRIL, is_open=False)
    assert ("c1", 9, APRIL) in _all(old_url, "SELECT incarnation, quantity, period_start FROM usage_records")
    assert _all(old_url, "SELECT quantity FROM usage_days WHERE day >= '2026-04-01' ORDER BY day") == [(10,), (9,)]
    with psycopg.connect(old_url) as connection, pytest.raises(psycopg.errors.UniqueViolation):
        _save(connection, "record:new", 1, MARCH, is_open=False)
    with psycopg.connect(old_url) as connection, pytest.raises(psycopg.errors.RaiseException):
        connection.execute("DELETE FROM usage_records WHERE closed_at IS NOT NULL")
    with psycopg.connect(old_url) as connection:
        connection.execute("DELETE FROM usage_records WHERE incarnation = 'c2'")
    assert _all(old_url, "SELECT quantity FROM usage_days WHERE day >= '2031-01-01'") == [(0,)]

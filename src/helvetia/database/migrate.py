"""Bring the schema up to date. Safe to run twice and from several processes at once.

Most processes find it so: one question tells, and then neither the scripts nor what runs them are loaded.
"""

import secrets
from pathlib import Path
from typing import Final

import psycopg

from helvetia.database.pool import DatabaseUnavailable

_HOUSE_LOCK: Final = 7_415_020_011  # an arbitrary, fixed advisory lock key: one migration at a time
_CONNECT_MAX_S: Final = 30
_SCRIPT: Final = "[0-9][0-9][0-9][0-9]_*.py"
_PRESENT: Final = "SELECT to_regclass('alembic_version') IS NOT NULL AND to_regclass('installation') IS NOT NULL"
_VERSION: Final = "SELECT array_agg(version_num) FROM alembic_version WHERE EXISTS (SELECT FROM installation)"


def migrations_directory() -> Path:
    """The scripts: beside the code in a wheel, at the root of a checkout."""
    packaged = Path(__file__).resolve().parents[1] / "migrations"
    return packaged if packaged.is_dir() else Path(__file__).resolve().parents[3] / "migrations"


def newest_revision() -> str:
    """The revision that the scripts lead to: they are numbered in order, and named by their number."""
    return max(path.name for path in (migrations_directory() / "versions").glob(_SCRIPT))[:4]


def migrate(url: str) -> None:
    """Apply every migration that the database lacks, under a lock, and name the installation once.

    Raises:
        DatabaseUnavailable: nothing answers there, or it refuses the login.
    """
    try:
        if not _is_up_to_date(url):
            _migrate(url)
    except psycopg.OperationalError:
        raise DatabaseUnavailable from None  # the driver's words may hold the password


def _is_up_to_date(url: str) -> bool:
    with psycopg.connect(url, autocommit=True, connect_timeout=_CONNECT_MAX_S) as connection:
        if connection.execute(_PRESENT).fetchone() != (True,):
            return False
        return connection.execute(_VERSION).fetchone() == ([newest_revision()],)


def _migrate(url: str) -> None:
    from alembic import command
    from alembic.config import Config
    from sqlalchemy import NullPool, create_engine, make_url, text
    from sqlalchemy.exc import OperationalError

    engine = create_engine(make_url(url).set(drivername="postgresql+psycopg"), poolclass=NullPool)
    try:
        with engine.connect() as connection:
            connection.execute(text("SELECT pg_advisory_lock(:key)"), {"key": _HOUSE_LOCK})
            connection.commit()
            config = Config()
            config.set_main_option("script_location", str(migrations_directory()))
            config.attributes["connection"] = connection
            command.upgrade(config, "head")
            connection.execute(
                text("INSERT INTO installation (installation_id) VALUES (:id) ON CONFLICT DO NOTHING"),
                {"id": secrets.token_hex(8)},
            )
            connection.commit()
    except OperationalError:
        raise DatabaseUnavailable from None

"""Bring the schema up to date. Safe to run twice and from several processes at once."""

import secrets
from pathlib import Path

from alembic import command
from alembic.config import Config
from sqlalchemy import Engine, NullPool, create_engine, make_url, text
from sqlalchemy.exc import OperationalError

from helvetia.database.pool import DatabaseUnavailable

_HOUSE_LOCK = 7_415_020_011  # an arbitrary, fixed advisory lock key: one migration at a time


def migrations_directory() -> Path:
    """The scripts: beside the code in a wheel, at the root of a checkout."""
    packaged = Path(__file__).resolve().parents[1] / "migrations"
    return packaged if packaged.is_dir() else Path(__file__).resolve().parents[3] / "migrations"


def migrate(url: str) -> None:
    """Apply every migration that the database lacks, under a lock, and name the installation once.

    Raises:
        DatabaseUnavailable: nothing answers there, or it refuses the login.
    """
    engine = create_engine(make_url(url).set(drivername="postgresql+psycopg"), poolclass=NullPool)
    try:
        _migrate(engine)
    except OperationalError:
        raise DatabaseUnavailable from None  # the driver's words may hold the password


def _migrate(engine: Engine) -> None:
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

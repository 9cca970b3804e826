"""One embedded server and one migrated template per run; a fresh clone of it for each test."""

import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from uuid import uuid4

import psycopg
from sqlalchemy import make_url

from helvetia.database.embedded import start_embedded
from helvetia.database.migrate import migrate

TEMPLATE = "helvetia_template"
IN_MEMORY = Path("/dev/shm")  # noqa: S108 - a clone takes a tenth of the time there
FREE_BYTES_MIN = 2 * 2**30


def _with_database(url: str, name: str) -> str:
    return make_url(url).set(database=name).render_as_string(hide_password=False)


def _place(*, is_durable: bool) -> Path:
    """Memory where there is enough of it, else the disk."""
    if not is_durable and IN_MEMORY.is_dir() and shutil.disk_usage(IN_MEMORY).free >= FREE_BYTES_MIN:
        return IN_MEMORY
    return Path("/tmp")  # noqa: S108 - not below a private folder: the server runs as a user of its own


@contextmanager
def running_server(*, is_durable: bool = False) -> Iterator[str]:
    """An embedded server with the template in it; yields the URL of its maintenance database.

    `is_durable`: on the disk and flushed to it at each commit, as figures need it; tests do not.
    """
    directory = Path(tempfile.mkdtemp(prefix="hv", dir=_place(is_durable=is_durable)))
    directory.chmod(0o755)
    server = start_embedded(directory / "pg")
    try:
        with psycopg.connect(server.url, autocommit=True) as connection:
            connection.execute(f"ALTER SYSTEM SET fsync = {'on' if is_durable else 'off'}")
            connection.execute("SELECT pg_reload_conf()")
            connection.execute(f"CREATE DATABASE {TEMPLATE}")
        migrate(_with_database(server.url, TEMPLATE))
        yield server.url
    finally:
        server.stop()
        shutil.rmtree(directory, ignore_errors=True)


@contextmanager
def cloned_database(server_url: str, template: str = TEMPLATE) -> Iterator[str]:
    """A database of one test's own, dropped afterwards; nobody may be connected to the template."""
    name = f"test_{uuid4().hex}"
    with psycopg.connect(server_url, autocommit=True) as connection:
        connection.execute(f"CREATE DATABASE {name} TEMPLATE {template} STRATEGY FILE_COPY")
    url = _with_database(server_url, name)
    with psycopg.connect(url, autocommit=True) as connection:
        connection.execute("UPDATE installation SET installation_id = %s", (f"test-{uuid4().hex}",))
    try:
        yield url
    finally:
        with psycopg.connect(server_url, autocommit=True) as connection:
            connection.execute(f"DROP DATABASE {name} WITH (FORCE)")

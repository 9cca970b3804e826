import subprocess
import sys
from pathlib import Path

import psycopg
import pytest
from alembic.config import Config
from alembic.script import ScriptDirectory

from helvetia.database.migrate import migrate, migrations_directory, newest_revision
from helvetia.database.pool import DatabaseUnavailable


def test_migrating_twice_changes_nothing(database_url: str) -> None:
    migrate(database_url)
    with psycopg.connect(database_url) as connection:
        row = connection.execute("SELECT count(*) FROM installation").fetchone()
    assert row == (1,)


def test_the_scripts_number_is_the_head_of_their_chain() -> None:
    config = Config()
    config.set_main_option("script_location", str(migrations_directory()))
    assert ScriptDirectory.from_config(config).get_current_head() == newest_revision()


def test_a_database_that_is_up_to_date_is_found_so_without_loading_what_migrates(database_url: str) -> None:
    code = (
        "import sys; from helvetia.database.migrate import migrate; migrate(sys.argv[1]);"
        "print([name for name in ('alembic', 'sqlalchemy') if name in sys.modules])"
    )
    told = subprocess.run(
        [sys.executable, "-c", code, database_url],
        check=True,
        capture_output=True,
        text=True,
        env={"PYTHONPATH": str(Path(__file__).parents[2] / "src")},
    )
    assert told.stdout.strip() == "[]"


@pytest.mark.parametrize(
    "damage",
    [
        "UPDATE alembic_version SET version_num = '0022'; DROP TABLE metering_clocks",
        "DELETE FROM installation",
    ],
)
def test_what_the_database_lacks_is_made_up_for(database_url: str, damage: str) -> None:
    with psycopg.connect(database_url, autocommit=True) as connection:
        connection.execute(damage)
    migrate(database_url)
    with psycopg.connect(database_url) as connection:
        assert connection.execute("SELECT version_num FROM alembic_version").fetchall() == [(newest_revision(),)]
        assert connection.execute("SELECT count(*) FROM installation").fetchone() == (1,)
        connection.execute("SELECT FROM metering_clocks")


def test_no_database_is_said_so_without_its_password() -> None:
    with pytest.raises(DatabaseUnavailable) as told:
        migrate("postgresql://me:secret@127.0.0.1:1/house")
    assert "secret" not in f"{told.value!r} {told.value.__cause__!r}"

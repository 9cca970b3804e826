import psycopg

from helvetia.database.migrate import migrate


def test_migrating_twice_changes_nothing(database_url: str) -> None:
    migrate(database_url)
    with psycopg.connect(database_url) as connection:
        row = connection.execute("SELECT count(*) FROM installation").fetchone()
    assert row == (1,)

"""A transaction of one statement: it commits itself, and leaves its connection as it found it."""

import pytest
from psycopg.errors import UniqueViolation

from helvetia.database.pool import Database, DatabaseUnavailable, NetworkInsideTransaction, assert_no_transaction


@pytest.fixture
async def single(database_url: str) -> Database:
    """One connection, so that every transaction gets the same."""
    return Database(database_url, connections_max=1, wait_s=0.2)


async def change_mind(single: Database) -> None:
    async with single.transaction() as tx:
        await tx.execute("INSERT INTO words VALUES ('rolled back')")
        raise ValueError("changed its mind")


async def test_single_statement_is_committed_and_the_next_transaction_is_whole_again(single: Database) -> None:
    await single.open()
    async with single.transaction() as tx:
        await tx.execute("CREATE TABLE words (word text PRIMARY KEY)")
    async with single.single_statement() as tx:
        await tx.execute("INSERT INTO words VALUES ('kept')")
        with pytest.raises(NetworkInsideTransaction):
            assert_no_transaction()
    with pytest.raises(ValueError, match="changed its mind"):
        await change_mind(single)
    async with single.transaction() as tx:
        assert await (await tx.execute("SELECT word FROM words")).fetchall() == [("kept",)]
    await single.close()


async def test_failed_single_statement_leaves_the_connection_usable(single: Database) -> None:
    await single.open()
    async with single.transaction() as tx:
        await tx.execute("CREATE TABLE words (word text PRIMARY KEY)")
        await tx.execute("INSERT INTO words VALUES ('once')")
    with pytest.raises(UniqueViolation):
        async with single.single_statement() as tx:
            await tx.execute("INSERT INTO words VALUES ('once')")
    async with single.transaction() as tx:
        assert not tx.autocommit
        assert (await (await tx.execute("SELECT count(*) FROM words")).fetchone()) == (1,)
    await single.close()


async def test_connection_broken_under_a_single_statement_is_unavailable(single: Database) -> None:
    await single.open()
    with pytest.raises(DatabaseUnavailable):
        async with single.single_statement() as tx:
            await tx.execute("SELECT pg_terminate_backend(pg_backend_pid())")
    async with single.single_statement() as tx:
        await tx.execute("SELECT 1")
    await single.close()

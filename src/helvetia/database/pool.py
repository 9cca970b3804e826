"""One pool of connections, and transactions that commit in exactly one place.

A store's functions take the transaction as their first argument, so none can be called outside one. Network calls
refuse to run inside one (`assert_no_transaction`), because a slow peer would then hold our locks.
"""

from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from contextvars import ContextVar
from enum import Enum
from typing import Any

from psycopg import AsyncConnection, OperationalError
from psycopg.types.enum import EnumInfo, register_enum
from psycopg_pool import AsyncConnectionPool, PoolTimeout

from helvetia.kernel.errors import Unavailable

Transaction = AsyncConnection[Any]

_in_transaction: ContextVar[bool] = ContextVar("in_transaction", default=False)


class DatabaseUnavailable(Unavailable):
    """The database does not answer; nothing was changed. Try again in a moment."""

    code = "database_unavailable"


class NetworkInsideTransaction(AssertionError):
    """A network call was made inside a transaction; make it before or after."""


def assert_no_transaction() -> None:
    """Called first by every gateway, host and mail call.

    Raises:
        NetworkInsideTransaction: a transaction is open in this task.
    """
    if _in_transaction.get():
        raise NetworkInsideTransaction


class Database:
    """The pool; `transaction()` (or, of one statement, `single_statement()`) is the only way to a connection and the
    only place that commits.
    """

    def __init__(
        self, url: str, *, enums: Sequence[tuple[str, type[Enum]]] = (), connections_max: int = 10, wait_s: float = 5.0
    ) -> None:
        self.url = url
        self._enums = enums
        self._wait_s = wait_s
        self._pool: AsyncConnectionPool[AsyncConnection[Any]] = AsyncConnectionPool(
            url,
            min_size=1,
            max_size=connections_max,
            open=False,
            configure=self._configure,
            kwargs={"connect_timeout": 5},
            timeout=wait_s,
        )

    async def open(self) -> None:
        await self._pool.open()

    async def close(self) -> None:
        await self._pool.close()

    async def _configure(self, connection: AsyncConnection[Any]) -> None:
        # Statements here take milliseconds: starting helpers for them, or compiling them, takes longer.
        await connection.execute("SET max_parallel_workers_per_gather = 0")
        await connection.execute("SET jit = off")
        for name, enum in self._enums:
            info = await EnumInfo.fetch(connection, name)
            if info is not None:
                register_enum(info, connection, enum)
        await connection.commit()

    @asynccontextmanager
    async def transaction(self) -> AsyncIterator[Transaction]:
        """One transaction: committed when the block ends, rolled back when it raises.

        Raises:
            DatabaseUnavailable: no connection could be had, or it broke.
        """
        async with self._connection() as connection, connection.transaction():
            yield connection

    @asynccontextmanager
    async def single_statement(self) -> AsyncIterator[Transaction]:
        """A transaction of one statement, in one round trip instead of three: the statement commits itself.

        The block must be one call that executes one statement (the tests look); durable when the block ends.

        Raises:
            DatabaseUnavailable: no connection could be had, or it broke; whether it took effect is then open.
        """
        async with self._connection() as connection:
            await connection.set_autocommit(True)
            try:
                yield connection
            finally:
                if not connection.closed:
                    await connection.set_autocommit(False)

    @asynccontextmanager
    async def _connection(self) -> AsyncIterator[Transaction]:
        token = _in_transaction.set(True)
        try:
            async with self._pool.connection() as connection:
                yield connection
        except (PoolTimeout, OperationalError) as error:
            raise DatabaseUnavailable from error
        finally:
            _in_transaction.reset(token)

"""A process that dies at a chosen moment: between two statements, or around a call to Stripe."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

from helvetia.database.pool import Database, Transaction


class Died(BaseException):
    """The end of a process: nothing catches it, nothing is tidied up after it but what the database rolls back."""


class Fuse:
    """Burns at each moment it is asked; dies at the one it was set to. Unset, it never does."""

    def __init__(self) -> None:
        self._left: int | None = None

    @property
    def left(self) -> int | None:
        """How many moments it would still live through."""
        return self._left

    def set_to(self, moments: int | None) -> None:
        self._left = moments

    def burn(self) -> None:
        if self._left is None:
            return
        self._left -= 1
        if self._left < 0:
            raise Died


class MortalDatabase(Database):
    """Dies before a transaction, before its commit, or right after it."""

    def __init__(self, database: Database, fuse: Fuse) -> None:
        self.url = database.url
        self._database, self._fuse = database, fuse

    @asynccontextmanager
    async def transaction(self) -> AsyncIterator[Transaction]:
        self._fuse.burn()
        async with self._database.transaction() as tx:
            yield tx
            self._fuse.burn()
        self._fuse.burn()

    @asynccontextmanager
    async def single_statement(self) -> AsyncIterator[Transaction]:
        self._fuse.burn()
        async with self._database.single_statement() as tx:
            yield tx
        self._fuse.burn()


class MortalGateway:
    """Dies before a call to Stripe, or after Stripe did it and before anybody here knows."""

    def __init__(self, gateway: Any, fuse: Fuse) -> None:
        self._gateway, self._fuse = gateway, fuse

    def __getattr__(self, name: str) -> Any:
        found = getattr(self._gateway, name)

        async def call(*arguments: Any, **named: Any) -> Any:
            self._fuse.burn()
            answer = await found(*arguments, **named)
            self._fuse.burn()
            return answer

        return call

"""Where lives made by Hypothesis are lived: no fixture of a function, because one test lives many."""

import asyncio
import contextlib
import itertools
from collections.abc import Coroutine
from typing import Any
from uuid import uuid4

from helvetia.database.enums import DATABASE_ENUMS
from helvetia.database.pool import Database
from helvetia.stripe_gateway.catalog import set_up_catalog, verify_prices
from helvetia.stripe_gateway.client import StripeClientGateway
from helvetia.stripe_gateway.price_book_holder import PriceBookHolder
from support.databases import cloned_database

LIVES_PER_STRIPE_ACCOUNT = 10


class Stage:
    """One loop for all lives, and a database and a Stripe account for some: each walk sees all events of an account."""

    def __init__(self, server_url: str, sandbox_url: str) -> None:
        self.server_url, self.sandbox_url = server_url, sandbox_url
        self.runner, self.things, self.lives = asyncio.Runner(), contextlib.ExitStack(), itertools.count()

    def run(self, doing: Coroutine[Any, Any, Any]) -> Any:
        return self.runner.run(doing)

    def begin_life(self) -> None:
        if next(self.lives) % LIVES_PER_STRIPE_ACCOUNT == 0:
            self.things.close()
            self.key, self.holder = f"sk_test_{uuid4().hex}", PriceBookHolder()
            self.run(self._open(self.things.enter_context(cloned_database(self.server_url))))
            self.things.callback(lambda: self.run(self._close()))

    async def _open(self, database_url: str) -> None:
        self.database = Database(database_url, enums=DATABASE_ENUMS)
        await self.database.open()
        self.gateway = StripeClientGateway(self.key, api_base=self.sandbox_url)
        self.holder.fill(await verify_prices(self.gateway, await set_up_catalog(self.gateway)))

    async def _close(self) -> None:
        await self.gateway.close()
        await self.database.close()

"""Jobs in our own transaction: a job exists if and only if the change that asked for it was committed.

A job is named, so that a lower package can wake a higher one without importing it; `worker/schedule.py` binds names.
"""

import asyncio
from collections.abc import Awaitable, Callable, Mapping
from typing import Any

from procrastinate import App, PsycopgConnector
from procrastinate.exceptions import AlreadyEnqueued

from helvetia.database.pool import Transaction

JobFunction = Callable[..., Awaitable[object]]
STOP_WITHIN_S = 5.0


class JobQueue:
    """The queue in the product's database."""

    def __init__(self, url: str) -> None:
        self._app = App(connector=PsycopgConnector(conninfo=url, min_size=1, max_size=3))

    async def defer(self, tx: Transaction, name: str, *, key: str | None = None, **arguments: str) -> None:
        """Ask for a job when `tx` commits. Of jobs with the same key only one waits at a time; asking again is fine."""
        deferrer = self._app.configure_task(name, queueing_lock=key and f"{name}:{key}", lock=key, connection=tx)
        try:
            async with tx.transaction():
                await deferrer.defer_async(**arguments)
        except AlreadyEnqueued:
            return

    async def run(self, functions: Mapping[str, JobFunction], *, concurrency: int = 4) -> None:
        """Work jobs until cancelled; a running one is given a few seconds to finish."""
        for name, function in functions.items():
            self._bind(name, function)
        async with self._app.open_async():
            await self._app.run_worker_async(
                concurrency=concurrency, install_signal_handlers=False, shutdown_graceful_timeout=STOP_WITHIN_S
            )

    def _bind(self, name: str, function: JobFunction) -> None:
        async def work(**arguments: Any) -> None:
            await function(**arguments)

        self._app.task(name=name, pass_context=False)(work)


async def run_until(stop: asyncio.Event, running: Awaitable[None]) -> None:
    """Run something until `stop` is set, then cancel it."""
    task = asyncio.ensure_future(running)
    waiting = asyncio.ensure_future(stop.wait())
    await asyncio.wait({task, waiting}, return_when=asyncio.FIRST_COMPLETED)
    for one in (task, waiting):
        one.cancel()
    await asyncio.gather(task, waiting, return_exceptions=True)

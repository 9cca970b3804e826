import asyncio

import pytest

from helvetia.database.job_queue import JobQueue, run_until
from helvetia.database.pool import Database


async def test_job_deferred_in_rolled_back_transaction_is_never_run(database: Database, database_url: str) -> None:
    queue = JobQueue(database_url)

    async def defer_and_fail() -> None:
        async with database.transaction() as tx:
            await queue.defer(tx, "try.job", key="one", word="lost")
            raise LookupError

    with pytest.raises(LookupError):
        await defer_and_fail()
    async with database.transaction() as tx:
        row = await (await tx.execute("SELECT count(*) FROM procrastinate_jobs")).fetchone()
    assert row == (0,)


async def test_job_deferred_twice_with_one_key_waits_once_and_runs(database: Database, database_url: str) -> None:
    queue = JobQueue(database_url)
    async with database.transaction() as tx:
        await queue.defer(tx, "try.job", key="one", word="kept")
        await queue.defer(tx, "try.job", key="one", word="dropped")
    heard: list[str] = []
    stop = asyncio.Event()

    async def listen(word: str) -> None:
        heard.append(word)
        stop.set()

    await asyncio.wait_for(run_until(stop, JobQueue(database_url).run({"try.job": listen})), 10)
    assert heard == ["kept"]

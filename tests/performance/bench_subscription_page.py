"""How fast the API answers `GET /billing/subscription`: open-loop 50/s among many accounts, in the real API process.

Callers are drawn from all accounts that hold a token; the load generator shares the cores.
"""

import asyncio
import json
import os
import random
import tempfile
from pathlib import Path
from statistics import median, quantiles
from uuid import uuid4

import aiohttp
from loads import CLOCK, open_loop

from helvetia.accounts.service import AccountService
from helvetia.database.enums import DATABASE_ENUMS
from helvetia.database.pool import Database
from helvetia.subscriptions.service import SubscriptionHooks
from support.databases import cloned_database, running_server
from support.processes import running_command
from support.sandbox_process import answers, free_port, running_sandbox
from support.whole_house import sandbox_variables

ACCOUNTS = 2_000
CALLERS = 300
AT_ONCE = 8
RATE_PER_S = 50
LASTS_S = 4.0
ROUNDS = 5
SEED = 20260310
START_WITHIN_S = 60


async def run() -> dict[str, object]:
    with (
        running_sandbox() as sandbox_url,
        running_server(is_durable=True) as server_url,
        cloned_database(server_url) as database_url,
    ):
        tokens = await make_accounts(database_url)
        port = free_port()
        with tempfile.TemporaryDirectory() as directory:
            environment = {
                **await sandbox_variables(sandbox_url, f"sk_test_{uuid4().hex}"),
                "DATABASE_URL": database_url,
                "CONTAINER_HOST": "process",
                "PORT": str(port),
                "DATA_DIRECTORY": str(Path(directory) / "data"),
            }
            async with running_command("api", environment):
                await until_ready(port)
                return await measure(f"http://127.0.0.1:{port}/api/v1/billing/subscription", tokens)


async def make_accounts(database_url: str) -> list[str]:
    """Accounts with their FREE rows; the tokens of some."""
    database = Database(database_url, enums=DATABASE_ENUMS)
    await database.open()
    accounts, room, tokens = AccountService(database, CLOCK, SubscriptionHooks(CLOCK)), asyncio.Semaphore(AT_ONCE), []

    async def make(number: int) -> None:
        async with room:
            user = await accounts.create_user(f"user{number}@example.com")
            if number < CALLERS:
                tokens.append(await accounts.create_token(user.account_id, "bench"))

    await asyncio.gather(*(make(number) for number in range(ACCOUNTS)))
    await database.close()
    return tokens


async def until_ready(port: int) -> None:
    deadline_s = CLOCK.monotonic() + START_WITHIN_S
    while not await asyncio.to_thread(answers, f"http://127.0.0.1:{port}/readyz"):
        assert CLOCK.monotonic() < deadline_s, "the API did not become ready"
        await asyncio.sleep(0.05)


async def measure(url: str, tokens: list[str]) -> dict[str, object]:
    luck = random.Random(SEED)
    async with aiohttp.ClientSession(connector=aiohttp.TCPConnector(limit=64)) as session:

        async def send(_: int) -> None:
            async with session.get(url, headers={"Authorization": f"Bearer {luck.choice(tokens)}"}) as answer:
                assert answer.status == 200, await answer.text()
                assert (await answer.json())["plan"] == "FREE"

        await open_loop(send, rate_per_s=RATE_PER_S, lasts_s=1)
        cuts = [quantiles(await open_loop(send, rate_per_s=RATE_PER_S, lasts_s=LASTS_S), n=100) for _ in range(ROUNDS)]
    return {
        "accounts": ACCOUNTS,
        "callers": CALLERS,
        "open_loop_rate_per_s": RATE_PER_S,
        "p50_ms": round(median(one[49] for one in cuts), 2),
        "p99_ms": round(median(one[98] for one in cuts), 2),
        "p99_ms_bound": 20,
        "runs": ROUNDS,
        "cores": os.cpu_count(),
        "load_at_end": round(os.getloadavg()[0], 1),
    }


if __name__ == "__main__":
    print(json.dumps(asyncio.run(run()), indent=2))

"""How long a backlog of some 10,000 events of 500 customers, shuffled, 30 % also twice, takes to become right.

Lives of real subscriptions at the sandbox over HTTP; their events arrive shuffled at the real API process while no
worker runs; then the real worker process starts, and the time until no event waits is measured from its start. A second
house with the same accounts gets each event once and in order, with its worker running. Both must hold the same rows.
"""

import asyncio
import json
import os
import random
import tempfile
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any
from uuid import uuid4

import aiohttp
import psycopg
from bench_subscription_page import until_ready
from loads import CLOCK
from psycopg.rows import dict_row

from helvetia.accounts.service import AccountService
from helvetia.database.enums import DATABASE_ENUMS
from helvetia.database.pool import Database
from helvetia.kernel.clock import ManualClock
from helvetia.metering import store as metering
from helvetia.settings import PRICE_VARIABLES
from helvetia.subscriptions import store as subscription_store
from helvetia.subscriptions.service import SubscriptionHooks
from helvetia.webhooks.verify_signature import sign
from support.databases import cloned_database, running_server
from support.processes import running_command
from support.sandbox_process import free_port, running_sandbox
from support.stripe_world import StripeWorld
from support.webhook_house import all_events
from support.whole_house import sandbox_variables

CUSTOMERS = int(os.environ.get("HELVETIA_BENCH_CUSTOMERS", "500"))
DUPLICATES_PERCENT = 30
CONNECTIONS = 16
MAKERS = 8
SEED = 20260310
WITHIN_S = 1800
# What says when or in which turn we wrote a row, and not what it means.
OWN_MARKS = {
    *("id", "fetch_seq", "synced_at", "sync_attempt_at", "sync_attempted_at", "mirrored_at", "compared_at"),
    *("created_at", "updated_at", "recorded_at", "known_until", "invoices_read_at"),
    *("invoices_complete_at", "invoices_mirrored_at"),
}
TABLES = ("subscriptions", "billing_periods", "invoices", "invoice_lines", "metering_cuts")
PLANS = PRICE_VARIABLES[:3]


async def run() -> dict[str, object]:
    with (
        running_sandbox() as sandbox_url,
        running_server(is_durable=True) as server_url,
        cloned_database(server_url) as shuffled_url,
    ):
        key = f"sk_test_{uuid4().hex}"
        variables = await sandbox_variables(sandbox_url, key)
        world = StripeWorld(sandbox_url, key, ManualClock(CLOCK.now()))
        try:
            customers = await make_customers(shuffled_url, world)
            with cloned_database(server_url, template=shuffled_url.rpartition("/")[2].partition("?")[0]) as ordered_url:
                events = await live(world, customers, [variables[name] for name in PLANS])
                return await compare(variables, events, shuffled_url, ordered_url)
        finally:
            await world.close()


async def make_customers(database_url: str, world: StripeWorld) -> list[str]:
    """Accounts that Stripe knows already."""
    database, room, customers = Database(database_url, enums=DATABASE_ENUMS), asyncio.Semaphore(MAKERS), []
    await database.open()
    accounts = AccountService(database, CLOCK, SubscriptionHooks(CLOCK))

    async def make(number: int) -> None:
        async with room:
            account_id = (await accounts.create_user(f"user{number}@example.com")).account_id
            made = await world.v1.customers.create_async({"metadata": {"account_id": str(account_id)}})
            async with database.transaction() as tx:
                await subscription_store.save_customer(tx, account_id, made.id, CLOCK.now())
                await metering.set_known_until(tx, account_id, None, waits_for_stripe=True)
            customers.append(made.id)

    await asyncio.gather(*(make(number) for number in range(CUSTOMERS)))
    await database.close()
    return customers


async def live(world: StripeWorld, customers: Sequence[str], prices: Sequence[str]) -> list[dict[str, Any]]:
    """Subscribe everybody; some change plan, some are to end, some end; some 20 events each, and all of them."""
    room = asyncio.Semaphore(MAKERS)

    async def one(number: int, customer_id: str) -> None:
        async with room:
            method = await world.v1.payment_methods.attach_async("pm_card_visa", {"customer": customer_id})
            default: Any = {"invoice_settings": {"default_payment_method": method.id}}
            await world.v1.customers.update_async(customer_id, default)
            made = await world.v1.subscriptions.create_async(
                {"customer": customer_id, "items": [{"price": prices[number % 3]}]}
            )
            if number % 4 == 1:
                item = {"id": made["items"]["data"][0]["id"], "price": prices[(number + 1) % 3]}
                await world.v1.subscriptions.update_async(
                    made.id,
                    {"items": [item], "proration_behavior": "always_invoice"},  # type: ignore[typeddict-item,list-item]
                )
            if number % 4 == 2:
                await world.v1.subscriptions.update_async(made.id, {"cancel_at_period_end": True})
            if number % 4 == 3:
                await world.v1.subscriptions.cancel_async(made.id)
            for note in range(3):
                await world.v1.customers.update_async(customer_id, {"metadata": {"note": str(note)}})

    await asyncio.gather(*(one(number, customer_id) for number, customer_id in enumerate(customers)))
    return await all_events(world)


async def compare(
    variables: Mapping[str, str], events: Sequence[dict[str, Any]], shuffled_url: str, ordered_url: str
) -> dict[str, object]:
    luck = random.Random(SEED)
    shuffled = [*events, *luck.choices(events, k=len(events) * DUPLICATES_PERCENT // 100)]
    luck.shuffle(shuffled)
    secret = variables["STRIPE_WEBHOOK_SECRET"]
    async with house(variables, shuffled_url) as (url, environment):
        began_s = CLOCK.monotonic()
        await deliver(url, shuffled, secret, CONNECTIONS)
        accepted_s = CLOCK.monotonic() - began_s
        began_s = CLOCK.monotonic()
        async with running_command("worker", environment):
            await until_none_waits(shuffled_url)
            converged_s = CLOCK.monotonic() - began_s
    async with house(variables, ordered_url) as (url, environment), running_command("worker", environment):
        await deliver(url, events, secret, 1)
        await until_none_waits(ordered_url)
    ours, ordered = rows(shuffled_url), rows(ordered_url)
    differing = [key for key in ours.keys() | ordered.keys() if ours.get(key) != ordered.get(key)]
    assert differing == [], [(key, ours.get(key), ordered.get(key)) for key in differing[:3]]
    return {
        "customers": CUSTOMERS,
        "deliveries": len(shuffled),
        "of_them_duplicates": len(shuffled) - len(events),
        "accepted_s": round(accepted_s, 1),
        "converged_s_from_the_start_of_the_worker": round(converged_s, 1),
        "converged_s_bound": 60,
        "rows_compared_with_the_ordered_run": sum(len(found) for found in ours.values()),
        "rows_that_differ": len(differing),
        "cores": os.cpu_count(),
        "load_at_end": round(os.getloadavg()[0], 1),
    }


@asynccontextmanager
async def house(variables: Mapping[str, str], database_url: str) -> AsyncIterator[tuple[str, dict[str, str]]]:
    """The API process; the address of Stripe's door, and the environment for a worker beside it."""
    port = free_port()
    with tempfile.TemporaryDirectory() as directory:
        environment = {
            **variables,
            "DATABASE_URL": database_url,
            "CONTAINER_HOST": "process",
            "PORT": str(port),
            "DATA_DIRECTORY": str(Path(directory) / "data"),
        }
        async with running_command("api", environment):
            await until_ready(port)
            yield f"http://127.0.0.1:{port}/api/v1/webhooks/stripe", environment


async def deliver(url: str, events: Sequence[dict[str, Any]], secret: str, connections: int) -> None:
    waiting = iter(events)

    async def client(session: aiohttp.ClientSession) -> None:
        for event in waiting:
            body = json.dumps(event).encode()
            headers = {"Stripe-Signature": sign(body, secret, CLOCK.wall())}
            async with session.post(url, data=body, headers=headers) as answer:
                assert answer.status == 200, await answer.text()

    async with aiohttp.ClientSession() as session, asyncio.TaskGroup() as group:
        for _ in range(connections):
            group.create_task(client(session))


async def until_none_waits(database_url: str) -> None:
    deadline_s = CLOCK.monotonic() + WITHIN_S
    async with await psycopg.AsyncConnection.connect(database_url, autocommit=True) as connection:
        while True:
            found = await (
                await connection.execute("SELECT count(*) FROM stripe_events WHERE handled_at IS NULL")
            ).fetchone()
            if found == (0,):
                return
            assert CLOCK.monotonic() < deadline_s, f"{found} events still wait"
            await asyncio.sleep(0.1)


def rows(database_url: str) -> dict[tuple[str, str], list[str]]:
    """What each account has in each table, without our own marks."""
    found: dict[tuple[str, str], list[str]] = {}
    with psycopg.connect(database_url, row_factory=dict_row) as connection:
        for table in TABLES:
            for row in connection.execute(f"SELECT * FROM {table}"):  # type: ignore[arg-type]
                meaning = {name: value for name, value in row.items() if name not in OWN_MARKS}
                found.setdefault((table, str(row["account_id"])), []).append(repr(sorted(meaning.items())))
    return {key: sorted(values) for key, values in found.items()}


if __name__ == "__main__":
    print(json.dumps(asyncio.run(run()), indent=2, default=str))

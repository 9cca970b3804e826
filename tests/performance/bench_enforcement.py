"""Admission, suspension and resumption of real containers, and a pass over many accounts, each beside its bare form.

Bare admission locks the account, counts its services, and inserts one with its revision. Bare suspension is the same
stop, create and start calls made at the engine, as many at once. The database flushes every commit to disk.
"""

import asyncio
import json
import random
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from statistics import median, quantiles

from helvetia.accounts.store import lock_account
from helvetia.containers import store
from helvetia.containers.docker.create_body import create_body
from helvetia.containers.model import ContainerRecord, ContainerSpec, ContainerState
from helvetia.containers.plan_actions import plan_actions
from helvetia.containers.reconcile_services import PARALLEL_MAX, STOPS_MAX, ServiceReconciler
from helvetia.database.enums import DATABASE_ENUMS
from helvetia.database.pool import Database
from helvetia.enforcement.model import EnforcementConfig
from helvetia.kernel.clock import ManualClock, SystemClock
from helvetia.kernel.identity import AccountId, new_service_id
from support.databases import cloned_database, running_server
from support.docker_engine import Engine, own_installation, why_no_engine
from support.enforcement_world import WEB, EnforcementWorld

WHAT = "admission, suspension and passes"
RUNS, ENGINE_RUNS = 5, 3
OPEN_RATE_PER_S, OPEN_S, ACCOUNTS = 50, 6.0, 32
HOT_AT_ONCE, HOT_CREATES = 8, 16
CONTAINERS = 50
PASS_ACCOUNTS = 10_000
START = datetime(2026, 3, 10, 9, tzinfo=UTC)
CLOCK = SystemClock()
# A piece an hour of bandwidth of each service since the month began, as metering leaves them.
_USED = """
INSERT INTO usage_records (id, account_id, service_id, metric, incarnation, quantity, "timestamp", period_start,
    period_end, closed_at)
SELECT gen_random_uuid(), %(account_id)s, service_id, 'BANDWIDTH_GB', service_id || ':1', 1000, at, at,
    at + interval '1 hour', at + interval '1 hour'
FROM (SELECT gen_random_uuid() AS service_id FROM generate_series(1, %(services)s)) AS service
CROSS JOIN generate_series(%(since)s, %(until)s - interval '1 hour', interval '1 hour') AS at
"""
USED_SERVICES = 50
TINY = replace(WEB, memory_mb=16, cpu_cores=WEB.cpu_cores / 5)
WORKLOAD = ("sh", "-c", "trap 'exit 0' TERM; sleep 1000000 & wait")


async def run() -> dict[str, object]:
    """All figures of this file."""
    with running_server(is_durable=True) as server_url, cloned_database(server_url) as database_url:
        database = Database(database_url, enums=DATABASE_ENUMS, connections_max=10, wait_s=30)
        await database.open()
        try:
            world = EnforcementWorld(database, ManualClock(START), EnforcementConfig())
            found = {**await admission_open_loop(world), **await admission_hot(world)}
            found |= await suspension(world)
            return found | await wide_pass(world)
        finally:
            await database.close()


async def took(work: Awaitable[object]) -> float:
    """Seconds."""
    began_s = CLOCK.monotonic()
    await work
    return CLOCK.monotonic() - began_s


async def admission_open_loop(world: EnforcementWorld) -> dict[str, object]:
    """Milliseconds from the instant a create was due until it was committed."""
    accounts = [await world.account(f"open-{number}", services=0) for number in range(ACCOUNTS)]
    pieces = [await use_up(world, account_id) for account_id in accounts]
    p99s, p50s = [], []
    for attempt in range(RUNS):
        took_ms: list[float] = []
        began_s = CLOCK.monotonic() + 0.05

        async def create(number: int, began_s: float, took_ms: list[float], attempt: int) -> None:
            due_s = began_s + number / OPEN_RATE_PER_S
            await asyncio.sleep(due_s - CLOCK.monotonic())
            await world.containers.create_service(
                accounts[number % ACCOUNTS], replace(TINY, name=f"open-{attempt}-{number}")
            )
            took_ms.append((CLOCK.monotonic() - due_s) * 1000)

        async with asyncio.TaskGroup() as group:
            for number in range(int(OPEN_RATE_PER_S * OPEN_S)):
                group.create_task(create(number, began_s, took_ms, attempt))
        await forget_services(world)
        cuts = quantiles(took_ms, n=100)
        p50s.append(cuts[49])
        p99s.append(cuts[98])
    return {
        "admission_open_loop_rate_per_s": OPEN_RATE_PER_S,
        "admission_accounts": ACCOUNTS,
        "admission_pieces_of_an_account": max(pieces),
        "admission_p50_ms": round(median(p50s), 2),
        "admission_p99_ms": round(median(p99s), 2),
    }


async def use_up(world: EnforcementWorld, account_id: AccountId) -> int:
    """Some bandwidth used in each hour of the month so far; how many pieces that makes."""
    values = {"account_id": account_id, "services": USED_SERVICES, "since": START.replace(day=1, hour=0)}
    async with world.database.transaction() as tx:
        cursor = await tx.execute(_USED, {**values, "until": START})
        await tx.execute("ANALYZE usage_records, usage_days")
    return cursor.rowcount


async def forget_services(world: EnforcementWorld) -> None:
    await world.execute("DELETE FROM payment_hold_stretches")
    await world.execute("DELETE FROM service_revisions")
    await world.execute("DELETE FROM services")


async def admission_hot(world: EnforcementWorld) -> dict[str, object]:
    """Creates a second on one account, several at once, ours and bare in turn."""
    account_id = await world.account("hot", services=0)

    async def bare(number: int) -> None:
        service_id = new_service_id()
        async with world.database.transaction() as tx:
            await lock_account(tx, account_id)
            assert await store.count_services(tx, account_id) < HOT_CREATES
            definition = replace(TINY, name=f"bare-{number}")
            await store.insert_service(tx, account_id, service_id, definition, world.clock.now())

    async def ours(number: int) -> None:
        await world.containers.create_service(account_id, replace(TINY, name=f"ours-{number}"))

    rates: dict[str, list[float]] = {"bare": [], "ours": []}
    await at_once(ours)  # warm
    for _ in range(RUNS * 4):
        for name, one in (("bare", bare), ("ours", ours)):
            await forget_services(world)
            rates[name].append(HOT_CREATES / await took(at_once(one)))
    await forget_services(world)
    return {
        "hot_account_per_s": round(median(rates["ours"])),
        "hot_account_bare_per_s": round(median(rates["bare"])),
        "hot_account_ratio": round(median(rates["ours"]) / median(rates["bare"]), 2),
    }


async def at_once(work: Callable[[int], Awaitable[None]]) -> None:
    limit = asyncio.Semaphore(HOT_AT_ONCE)

    async def one(number: int) -> None:
        async with limit:
            await work(number)

    await asyncio.gather(*(one(number) for number in range(HOT_CREATES)))


async def suspension(world: EnforcementWorld) -> dict[str, object]:
    """Ours: the pass and the reconciler. Bare: the same calls at the engine. The workload ends when it is asked to."""
    reason = await why_no_engine()
    if reason is not None:
        return {"suspension": f"not measured: {reason}"}
    account_id = await world.account("many", plan="ENTERPRISE", services=0)
    for number in range(CONTAINERS):
        await world.containers.create_service(account_id, replace(TINY, name=f"run-{number}", command=WORKLOAD))
    suspended, resumed, bare_stops, bare_starts, last_stops = [], [], [], [], []
    async with own_installation() as engine:
        for attempt in range(ENGINE_RUNS):
            reconciler = ServiceReconciler(world.database, world.clock, engine.host)
            if attempt == 0:
                await reconciler.reconcile_services()
            stops: list[float] = []
            watch_stops(engine, stops)
            await world.fail(account_id, world.clock.now() - timedelta(days=7))
            began_s = CLOCK.monotonic()
            await suspend(world, reconciler)
            suspended.append(CLOCK.monotonic() - began_s)
            last_stops.append(max(stops) - began_s)
            assert len(stops) == CONTAINERS
            await clear(engine)
            await world.pay(account_id)
            resumed.append(await took(suspend(world, ServiceReconciler(world.database, world.clock, engine.host))))
            specs = await wanted_specs(world)
            bare_stops.append(await took(stop_bare(engine, await running(engine))))
            await clear(engine)
            bare_starts.append(await took(start_bare(engine, specs)))
        assert len(await running(engine)) == CONTAINERS
    await forget_services(world)
    return {
        "suspended_containers": CONTAINERS,
        "suspend_s": round(median(suspended), 2),
        "suspend_bare_s": round(median(bare_stops), 2),
        "suspend_ratio": round(median(suspended) / median(bare_stops), 2),
        "all_stop_calls_out_s": round(median(last_stops), 2),
        "resume_s": round(median(resumed), 2),
        "resume_bare_s": round(median(bare_starts), 2),
        "resume_ratio": round(median(resumed) / median(bare_starts), 2),
    }


async def suspend(world: EnforcementWorld, reconciler: ServiceReconciler) -> None:
    """What the worker does after something changed: also the way back."""
    await world.enforcement.run_pass()
    await reconciler.reconcile_services()


def watch_stops(engine: Engine, stops: list[float]) -> None:
    """Note when each stop call goes out."""
    post = type(engine.host.engine).post

    async def noted(path: str, *arguments: object, **named: object) -> object:
        if path.endswith("/stop"):
            stops.append(CLOCK.monotonic())
        return await post(engine.host.engine, path, *arguments, **named)  # type: ignore[arg-type]

    engine.host.engine.post = noted  # type: ignore[method-assign, assignment]


async def running(engine: Engine) -> Sequence[ContainerRecord]:
    return [one for one in await engine.host.list_containers() if one.state is ContainerState.RUNNING]


async def clear(engine: Engine) -> None:
    """Stopped containers, which metering removes."""
    for one in await engine.host.list_containers():
        if one.state is ContainerState.EXITED:
            await engine.host.remove(one.container_id)


async def wanted_specs(world: EnforcementWorld) -> Sequence[ContainerSpec]:
    async with world.database.transaction() as tx:
        services = await store.services_to_drive(tx)
    return [spec for plan in plan_actions(services, []) for spec in plan.start]


async def stop_bare(engine: Engine, containers: Sequence[ContainerRecord]) -> None:
    limit = asyncio.Semaphore(STOPS_MAX)

    async def stop(container_id: str) -> None:
        async with limit:
            await engine.host.engine.post(f"containers/{container_id}/stop", params={"t": "10"}, timeout_s=60)

    await asyncio.gather(*(stop(one.container_id) for one in containers))


async def start_bare(engine: Engine, specs: Sequence[ContainerSpec]) -> None:
    limit = asyncio.Semaphore(PARALLEL_MAX)
    name = random.Random().randbytes(4).hex()

    async def start(number: int, spec: ContainerSpec) -> None:
        async with limit:
            body = create_body(spec, engine.installation_id, number)
            made = await engine.host.engine.post("containers/create", body, params={"name": f"bare-{name}-{number}"})
            await engine.host.engine.post(f"containers/{made['Id']}/start")

    await asyncio.gather(*(start(number, spec) for number, spec in enumerate(specs)))


async def wide_pass(world: EnforcementWorld) -> dict[str, object]:
    """Every account is past due, in its grace, and told of it: each must be looked at, none is held."""
    await world.past_due_accounts(PASS_ACCOUNTS, failed_at=world.clock.now() - timedelta(days=1))
    runs = [await took(world.enforcement.run_pass()) for _ in range(RUNS)]
    return {"pass_accounts": PASS_ACCOUNTS, "pass_s": round(median(runs), 2)}


if __name__ == "__main__":
    print(json.dumps(asyncio.run(run()), indent=2))

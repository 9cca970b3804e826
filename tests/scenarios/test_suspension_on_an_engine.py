"""Suspension and resumption of real containers: stopped, kept stopped against every way to start, and back as before.

given services on a real engine, some of them stopped by their owner, with data in volumes
when  the account is held and resumed again and again, and the worker is killed while it does so
then  nothing runs while held, whoever starts it, and what comes back is what was there, with its data
"""

import asyncio
import hashlib
import random
from collections.abc import AsyncIterator, Mapping
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest

from conftest import missing
from helvetia.containers.model import (
    REPLICA_LABEL,
    SERVICE_LABEL,
    ContainerState,
    HoldCause,
    ServiceChange,
    ServiceDefinition,
    ServiceStatus,
    Volume,
    Wish,
)
from helvetia.containers.reconcile_services import ServiceReconciler
from helvetia.database.pool import Database
from helvetia.enforcement.errors import PaymentOverdue
from helvetia.enforcement.model import EnforcementConfig
from helvetia.kernel.clock import ManualClock
from helvetia.kernel.identity import AccountId
from support import trials
from support.docker_engine import HINT, Engine, own_installation, why_no_engine
from support.enforcement_process import EnforcementChild
from support.enforcement_world import EnforcementWorld

pytestmark = [pytest.mark.docker, pytest.mark.slow]

ROUNDS, SEED = trials.choose(small=2, full=50), 50_2026
DAY = timedelta(days=1)
SCRIPT = """[ -e /data/keep ] || head -c 65536 /dev/urandom > /data/keep
echo run >> /data/runs; trap 'exit 0' TERM; sleep 1000000 & wait"""
WEB = ServiceDefinition(
    name="web",
    image="helvetia/demo:latest",
    command=("sh", "-c", SCRIPT),
    env={"COLOUR": "blue", "LEVEL": "7"},
    memory_mb=48,
    cpu_cores=Decimal("0.25"),
    replicas=2,
    volumes=(Volume(name="data", path="/data"),),
)
DEFINITIONS = (WEB, replace(WEB, name="jobs", replicas=1, memory_mb=32), replace(WEB, name="mail", env={}, replicas=1))


@dataclass(kw_only=True)
class Place:
    """One paying account on one engine, and the worker's parts that matter here."""

    engine: Engine
    world: EnforcementWorld
    reconciler: ServiceReconciler
    child: EnforcementChild
    account_id: AccountId

    async def running(self) -> list[str]:
        listed = await self.engine.host.list_containers()
        return sorted(one.container_id for one in listed if one.state is ContainerState.RUNNING)

    async def fingerprint(self) -> Mapping[tuple[str, str], Mapping[str, Any]]:
        """Each running replica as the engine tells it, without what names the single run."""
        bodies = [await self.engine.inspect_raw(one) for one in await self.running()]
        found = {}
        for body in bodies:
            labels = {name: value for name, value in body["Config"]["Labels"].items() if name != "helvetia.start"}
            host = body["HostConfig"]
            found[labels[SERVICE_LABEL], labels[REPLICA_LABEL]] = {
                "image": body["Image"],
                "command": body["Config"]["Cmd"],
                "env": sorted(body["Config"]["Env"]),
                "labels": labels,
                "limits": (host["Memory"], host["MemorySwap"], host["NanoCpus"], host["PidsLimit"]),
                "restart": host["RestartPolicy"],
                "networks": (host["NetworkMode"], sorted(body["NetworkSettings"]["Networks"]), host["PortBindings"]),
                "volumes": sorted((one["Name"], one["Destination"]) for one in body["Mounts"]),
                "data": sorted(hashlib.sha256(read(one)).hexdigest() for one in body["Mounts"]),
            }
        assert len(found) == len(bodies), "two containers of one replica"
        return found

    async def wishes(self) -> Mapping[str, Wish]:
        services = await self.world.containers.list_services(self.account_id)
        return {service.definition.name: service.wish for service in services}

    async def fails(self) -> None:
        await self.world.fail(self.account_id, self.world.clock.now() - 7 * DAY)

    async def pays(self) -> None:
        await self.world.pay(self.account_id)
        await self.world.read_stripe()

    async def settle(self, dice: random.Random) -> int:
        """The worker's turns until nothing is left to do, killed now and then; says how often."""
        kills = 0
        for _ in range(dice.randrange(3)):
            kills += await self.child.killed_turn(self.world.clock.now(), dice.uniform(0.01, 0.8))
        await self.child.kill()
        await self.child.turn(self.world.clock.now())
        return kills

    async def clear(self) -> None:
        """What metering does with stopped containers that it has recorded."""
        for one in await self.engine.host.list_containers():
            if one.state is ContainerState.EXITED:
                await self.engine.host.remove(one.container_id)


def read(mount: Mapping[str, Any]) -> bytes:
    return (Path(mount["Source"]) / "keep").read_bytes()


@pytest.fixture
async def place(database: Database, database_url: str) -> AsyncIterator[Place]:
    reason = await why_no_engine()
    if reason is not None:
        missing("Docker", f"{reason} ({HINT})")
    clock = ManualClock(datetime(2026, 3, 10, 9, tzinfo=UTC))
    world = EnforcementWorld(database, clock, EnforcementConfig())
    async with own_installation() as engine:
        child = EnforcementChild(database_url, engine.installation_id)
        place = Place(
            engine=engine,
            world=world,
            reconciler=ServiceReconciler(database, clock, engine.host),
            child=child,
            account_id=await world.account("ada", services=0),
        )
        for definition in DEFINITIONS:
            await world.containers.create_service(place.account_id, definition)
        await place.reconciler.reconcile_services()
        assert len(await place.running()) == 4
        await asyncio.sleep(0.5)  # each run writes its data first
        yield place
        await child.kill()


async def test_e02_suspension_stops_the_containers_themselves_and_leaves_volumes(place: Place) -> None:
    before, ids = await place.fingerprint(), await place.running()
    await place.fails()
    assert list((await place.world.enforcement.run_pass()).held) == [place.account_id]
    await place.reconciler.reconcile_services()
    for container_id in ids:
        body = await place.engine.inspect_raw(container_id)
        assert (body["State"]["Running"], body["State"]["Pid"]) == (False, 0)
        assert not body["NetworkSettings"]["IPAddress"]
        assert all(len(read(mount)) == 65_536 for mount in body["Mounts"])
    services = await place.world.containers.list_services(place.account_id)
    assert {service.status for service in services} == {ServiceStatus.HELD}
    assert set((await place.wishes()).values()) == {Wish.RUNNING}
    await place.pays()
    assert list((await place.world.enforcement.run_pass()).resumed) == [place.account_id]
    await place.reconciler.reconcile_services()
    assert await place.fingerprint() == before


async def test_rounds_of_suspension_with_kills_bring_back_exactly_what_was_wished(place: Place) -> None:
    dice, kills = random.Random(SEED), 0
    for _ in range(ROUNDS):
        services = await place.world.containers.list_services(place.account_id)
        for service in services:
            change = dice.choice([place.world.containers.start_service, place.world.containers.stop_service])
            await change(place.account_id, service.service_id)
        await place.settle(random.Random(0))
        before, wishes = await place.fingerprint(), await place.wishes()
        await place.fails()
        kills += await place.settle(dice)
        assert await place.running() == []
        await refuses_every_start(place, dice)
        await place.pays()
        kills += await place.settle(dice)
        assert await place.fingerprint() == before
        assert await place.wishes() == wishes
        assert await place.world.held() == set()
        await place.clear()
    trials.record("suspend and resume on a real engine, worker killed at random", count=ROUNDS, seed=SEED)
    print(f"{ROUNDS} rounds, {kills} kills in the middle of a turn")


async def refuses_every_start(place: Place, dice: random.Random) -> None:
    """By the API's use cases, by the reconciler, and by somebody at the engine itself."""
    containers, account_id = place.world.containers, place.account_id
    for service in await containers.list_services(account_id):
        ways = [
            containers.start_service(account_id, service.service_id),
            containers.restart_service(account_id, service.service_id),
            containers.scale_service(account_id, service.service_id, 3),
            containers.change_service(account_id, service.service_id, ServiceChange(env={"COLOUR": "red"})),
        ]
        for way in ways:
            with pytest.raises(PaymentOverdue):
                await way
    with pytest.raises(PaymentOverdue):
        await containers.create_service(account_id, replace(WEB, name="more"))
    await place.reconciler.reconcile_services()
    assert await place.running() == []
    stopped = [one.container_id for one in await place.engine.host.list_containers()]
    if stopped:
        await place.engine.host.engine.post(f"containers/{dice.choice(stopped)}/start")
        assert len(await place.running()) == 1
        await place.reconciler.reconcile_services()
        assert await place.running() == []


async def test_hold_that_comes_while_services_come_back_wins(place: Place) -> None:
    count, dice = trials.choose(small=2, full=20), random.Random(SEED)
    for _ in range(count):
        await place.fails()
        await place.world.enforcement.run_pass()
        await place.reconciler.reconcile_services()
        await place.pays()
        await place.world.enforcement.run_pass()

        async def fails_again(after_s: float) -> None:
            await asyncio.sleep(after_s)
            await place.fails()
            await place.world.enforcement.run_pass()

        await asyncio.gather(place.reconciler.reconcile_services(), fails_again(dice.uniform(0, 0.8)))
        await place.reconciler.reconcile_services()
        assert await place.running() == []
        services = await place.world.containers.list_services(place.account_id)
        assert {service.holds for service in services} == {frozenset({HoldCause.PAYMENT})}
        await place.clear()
    trials.record("hold placed while the engine resumes: nothing runs one pass later", count=count, seed=SEED)

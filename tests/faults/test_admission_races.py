"""Requests from several processes race for an account's last places: none too many, and no free one refused."""

import random
from dataclasses import dataclass, replace
from typing import Any

import pytest

from helvetia.catalogue.plans import PLANS, SubscriptionPlan
from helvetia.containers.model import HoldCause, Service
from helvetia.containers.store_holds import reserved
from helvetia.database.pool import Database
from helvetia.enforcement.model import EnforcementConfig
from helvetia.kernel.clock import ManualClock
from helvetia.kernel.identity import AccountId
from support import trials
from support.enforcement_world import WEB, EnforcementWorld
from support.racing_process import DONE, Racers, racers

PROCESSES, SEED = 3, 128_2026
STARTER = PLANS[SubscriptionPlan.STARTER].limits
PRO = PLANS[SubscriptionPlan.PRO].limits
UNIT_MB = 256
STOPPED, SCALED, DEPLOYED = 8, 4, 3


@pytest.fixture
def world(database: Database, clock: ManualClock) -> EnforcementWorld:
    return EnforcementWorld(database, clock, EnforcementConfig())


@pytest.mark.parametrize(("requests", "slots"), [(2, 1), (8, 3), (32, 5), (128, 5)])
async def test_e10_parallel_creates_admit_exactly_the_slots(world: EnforcementWorld, requests: int, slots: int) -> None:
    count = trials.choose(small=1, full=200)
    async with racers(world.database.url, count=PROCESSES) as others:
        for trial in range(count):
            await race_creates(world, others, f"race-{requests}-{trial}", requests, slots)
    trials.record(f"limit race: {requests} creates for {slots} places, {PROCESSES} processes", count=count)


async def race_creates(world: EnforcementWorld, others: Racers, name: str, requests: int, slots: int) -> None:
    account_id = await world.account(name, "STARTER", services=STARTER.services_max - slots)
    wanted = [
        {"kind": "create", "account": str(account_id), "name": f"race-{number}", "memory_mb": WEB.memory_mb}
        for number in range(requests)
    ]
    outcomes = await others.race(wanted)
    assert outcomes.count(DONE) == min(requests, slots)
    assert set(outcomes) <= {DONE, "service_limit_reached"}
    async with world.database.transaction() as tx:
        assert (await reserved(tx, account_id))[0] == STARTER.services_max - slots + min(requests, slots)


@dataclass(frozen=True, kw_only=True)
class Targets:
    """Services each of which can take one more unit of memory, in one way."""

    account_id: AccountId
    stopped: list[Service]
    scaled: list[Service]
    deployed: list[Service]


async def make_targets(world: EnforcementWorld, name: str, slots: int) -> Targets:
    """A PRO account with just so many units of memory left, and a hold of an operator on what it keeps."""
    account_id = await world.account(name, services=0)
    services = []
    for number in range(STOPPED + SCALED + DEPLOYED):
        wanted = replace(WEB, name=f"unit-{number}", memory_mb=UNIT_MB)
        services.append(await world.containers.create_service(account_id, wanted))
    for service in services[:STOPPED]:
        await world.containers.stop_service(account_id, service.service_id)
    kept_mb = PRO.memory_mb_max - (SCALED + DEPLOYED + slots) * UNIT_MB
    kept = await world.containers.create_service(account_id, replace(WEB, name="kept", memory_mb=kept_mb))
    await world.containers.place_hold(
        account_id, kept.service_id, HoldCause.OPERATOR, reason="a question", placed_by="operator:eva"
    )
    return Targets(
        account_id=account_id,
        stopped=services[:STOPPED],
        scaled=services[STOPPED : STOPPED + SCALED],
        deployed=services[STOPPED + SCALED :],
    )


def mix(targets: Targets, dice: random.Random, requests: int) -> list[dict[str, Any]]:
    """Creates, starts, scales and deploys of one unit each; a target is asked once."""
    account = {"account": str(targets.account_id)}
    possible = [
        *({**account, "kind": "start", "service": str(one.service_id)} for one in targets.stopped),
        *({**account, "kind": "scale", "service": str(one.service_id), "replicas": 2} for one in targets.scaled),
        *(
            {**account, "kind": "deploy", "service": str(one.service_id), "memory_mb": 2 * UNIT_MB}
            for one in targets.deployed
        ),
    ]
    dice.shuffle(possible)
    possible = possible[: max(1, requests // 2)]
    creates = [
        {**account, "kind": "create", "name": f"new-{number}", "memory_mb": UNIT_MB}
        for number in range(requests - len(possible))
    ]
    wanted = possible + creates
    dice.shuffle(wanted)
    return wanted


@pytest.mark.parametrize(("requests", "slots"), [(2, 1), (8, 3), (32, 3), (128, 3)])
async def test_creates_starts_scales_deploys_and_a_resumption_at_once_admit_exactly_the_slots(
    world: EnforcementWorld, requests: int, slots: int
) -> None:
    count, dice = trials.choose(small=1, full=200), random.Random(SEED)
    async with racers(world.database.url, count=PROCESSES) as others:
        for trial in range(count):
            await race_mixed(world, others, dice, f"mix-{requests}-{trial}", (requests, slots))
    design = f"limit race: {requests} mixed requests and a resumption for {slots} places, {PROCESSES} processes"
    trials.record(design, count=count, seed=SEED)


async def race_mixed(
    world: EnforcementWorld, others: Racers, dice: random.Random, name: str, size: tuple[int, int]
) -> None:
    requests, slots = size
    targets = await make_targets(world, name, slots)
    wanted = mix(targets, dice, requests)
    resume = {"kind": "resume", "account": str(targets.account_id)}
    wanted.insert(dice.randrange(requests), resume)
    outcomes = await others.race(wanted)
    admitted = [one["kind"] for one, outcome in zip(wanted, outcomes, strict=True) if outcome == DONE]
    assert len(admitted) - admitted.count("resume") == min(requests, slots)
    assert admitted.count("resume") == 1
    assert set(outcomes) <= {DONE, "memory_limit_reached"}
    async with world.database.transaction() as tx:
        _, memory_mb, _ = await reserved(tx, targets.account_id)
    assert memory_mb == PRO.memory_mb_max - (slots - min(requests, slots)) * UNIT_MB
    services = await world.containers.list_services(targets.account_id)
    assert [service for service in services if service.holds] == []

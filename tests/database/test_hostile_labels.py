"""Labels that name another tenant: whose a container is, our own table of services says, and nothing else."""

from dataclasses import replace

import pytest

from helvetia.accounts.model import Account, AccountKind
from helvetia.accounts.store import insert_account
from helvetia.database.pool import Database
from helvetia.kernel.clock import from_ns
from helvetia.kernel.identity import AccountId, new_account_id, new_service_id
from helvetia.kernel.quantity import NS_PER_S, UsageMetric
from helvetia.metering.lifecycle.record_looks import LookRecorder
from support.node_world import CLOCK, NodeWorld, move_in

S = NS_PER_S


@pytest.fixture
async def world(database: Database) -> NodeWorld:
    return await move_in(database)


async def _other_tenant(world: NodeWorld) -> AccountId:
    other = new_account_id()
    began_at = from_ns(world.now_ns - 100 * S)
    async with world.database.transaction() as tx:
        await insert_account(tx, Account(account_id=other, kind=AccountKind.USER, name="b", created_at=began_at))
    return other


async def _runs(world: NodeWorld) -> list[tuple[object, str]]:
    async with world.database.transaction() as tx:
        return list(await (await tx.execute("SELECT account_id, container_id FROM container_runs")).fetchall())


async def test_an_account_label_of_another_tenant_bills_the_services_owner_alone(world: NodeWorld) -> None:
    other = await _other_tenant(world)
    looks = LookRecorder(world.database, CLOCK, interval_ms=10_000)
    await looks.record("here", [world.record(account_id=other)], [world.counters()], world.now_ns, told_ns=world.now_ns)
    assert await _runs(world) == [(world.account_id, "c1")]
    assert (await world.totals()).quantities[UsageMetric.BANDWIDTH_GB] == 777


async def test_a_service_label_of_nobody_bills_not_even_the_account_that_it_names(world: NodeWorld) -> None:
    looks = LookRecorder(world.database, CLOCK, interval_ms=10_000)
    stray = world.record(service_id=new_service_id())
    await looks.record("here", [stray], [world.counters()], world.now_ns, told_ns=world.now_ns)
    assert all(account_id != world.account_id for account_id, _ in await _runs(world))
    assert not any((await world.totals()).quantities.values())


async def test_a_run_keeps_its_owner_when_its_labels_name_another_later(world: NodeWorld) -> None:
    other = await _other_tenant(world)
    looks = LookRecorder(world.database, CLOCK, interval_ms=10_000)
    first = world.record()
    for record in (first, replace(first, account_id=other), replace(first, service_id=new_service_id())):
        await looks.record("here", [record], [world.counters()], world.now_ns, told_ns=world.now_ns)
    assert (await _runs(world)).count((world.account_id, "c1")) == 1
    assert all(account_id != other for account_id, _ in await _runs(world))
    assert (await world.totals()).quantities[UsageMetric.BANDWIDTH_GB] == 777

"""What an account was refused is on record: once a code and hour, whatever the flood; and the answer stays the same."""

import asyncio
from dataclasses import replace
from datetime import timedelta
from typing import Any

import psycopg
import pytest

from helvetia.database.pool import Database
from helvetia.enforcement import record_refusals
from helvetia.enforcement.errors import PaymentOverdue, ServiceLimitReached
from helvetia.enforcement.model import EnforcementConfig, EnforcementMode, Resources
from helvetia.kernel.clock import ManualClock
from helvetia.kernel.errors import HelvetiaError
from helvetia.kernel.identity import AccountId
from support.enforcement_world import WEB, EnforcementWorld

HOUR = timedelta(hours=1)
WEEK = timedelta(days=7)
MORE = replace(WEB, name="more")


@pytest.fixture
def world(database: Database, clock: ManualClock) -> EnforcementWorld:
    return EnforcementWorld(database, clock, EnforcementConfig())


async def recorded(world: EnforcementWorld, action: str = "new_work_refused") -> list[dict[str, Any]]:
    rows = await world.execute(
        "SELECT account_id, actor, reason, detail, recorded_at FROM audit_entries WHERE action = %s"
        " ORDER BY recorded_at",
        action,
    )
    return [dict(zip(("account", "actor", "reason", "detail", "at"), row, strict=True)) for row in rows]


async def ask(world: EnforcementWorld, account_id: AccountId) -> str:
    try:
        await world.containers.create_service(account_id, MORE)
    except HelvetiaError as error:
        return error.code
    return "done"


async def test_refusal_for_payment_and_for_a_limit_are_on_record_with_their_figures(world: EnforcementWorld) -> None:
    account_id = await world.account("ada", plan="FREE")
    with pytest.raises(ServiceLimitReached):
        await world.containers.create_service(account_id, MORE)
    failed_at = world.clock.now() - WEEK
    await world.fail(account_id, failed_at)
    with pytest.raises(PaymentOverdue) as refused:
        await world.containers.create_service(account_id, MORE)
    by_code = {one["detail"]["code"]: one for one in await recorded(world)}
    limit, payment = by_code["service_limit_reached"], by_code["payment_overdue"]
    figures = {"status": 403, "limit": "services", "allowed": 1, "used": 1, "requested": 1, "plan": "STARTER"}
    assert limit["detail"] == {"code": "service_limit_reached", **figures}
    assert (payment["account"], payment["actor"], payment["at"]) == (account_id, "enforcement", world.clock.now())
    assert payment["reason"] == refused.value.figures["reason"]
    assert payment["detail"]["first_failed_at"] == failed_at.isoformat()
    assert (payment["detail"]["status"], payment["detail"]["state"]) == (402, "overdue")


async def test_refusal_in_front_of_a_route_is_on_record_too(world: EnforcementWorld) -> None:
    account_id = await world.account("ada", plan="FREE")
    with pytest.raises(ServiceLimitReached):
        await world.enforcement.check_account(account_id, Resources(services=1))
    assert [one["account"] for one in await recorded(world)] == [account_id]


async def test_flood_leaves_one_row_an_hour_and_asks_the_database_once(
    world: EnforcementWorld, monkeypatch: pytest.MonkeyPatch
) -> None:
    writes = []
    write = record_refusals.record_once

    async def counted(*arguments: Any, **named: Any) -> None:
        writes.append(named["key"])
        await write(*arguments, **named)

    monkeypatch.setattr(record_refusals, "record_once", counted)
    account_id = await world.account("ada", plan="FREE")
    for _ in range(50):
        assert await ask(world, account_id) == "service_limit_reached"
    assert (len(writes), len(await recorded(world))) == (1, 1)
    world.clock.advance(HOUR)
    await ask(world, account_id)
    assert (len(writes), len(await recorded(world))) == (2, 2)


async def test_parallel_refusals_of_several_processes_leave_one_row(world: EnforcementWorld) -> None:
    account_id = await world.account("ada", plan="FREE")
    others = [EnforcementWorld(world.database, world.clock, EnforcementConfig()) for _ in range(4)]
    outcomes = await asyncio.gather(*(ask(other, account_id) for other in others for _ in range(8)))
    assert set(outcomes) == {"service_limit_reached"}
    assert len(await recorded(world)) == 1


async def test_memory_of_what_is_written_is_bounded(world: EnforcementWorld, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(record_refusals, "REMEMBERED_MAX", 2)
    accounts = [await world.account(f"user-{number}", plan="FREE") for number in range(5)]
    for account_id in accounts * 2:
        assert await ask(world, account_id) == "service_limit_reached"
    assert {one["account"] for one in await recorded(world)} == set(accounts)
    assert len(await recorded(world)) == len(accounts)


async def test_record_that_cannot_be_written_changes_no_answer_and_is_made_up_for(world: EnforcementWorld) -> None:
    account_id = await world.account("ada", plan="FREE")
    await world.execute("ALTER TABLE audit_entries RENAME TO gone")
    assert await ask(world, account_id) == "service_limit_reached"
    await world.execute("ALTER TABLE gone RENAME TO audit_entries")
    assert await recorded(world) == []
    assert await ask(world, account_id) == "service_limit_reached"
    assert len(await recorded(world)) == 1


async def test_record_that_waits_too_long_is_given_up(world: EnforcementWorld, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(record_refusals, "RECORD_MAX_S", 0.1)
    account_id = await world.account("ada", plan="FREE")
    async with await psycopg.AsyncConnection.connect(world.database.url) as other:
        await other.execute("LOCK TABLE audit_entries IN EXCLUSIVE MODE")
        assert await ask(world, account_id) == "service_limit_reached"
        assert await recorded(world) == []
    monkeypatch.setattr(record_refusals, "RECORD_MAX_S", 5.0)
    assert await ask(world, account_id) == "service_limit_reached"
    assert len(await recorded(world)) == 1


@pytest.mark.parametrize("mode", [EnforcementMode.OBSERVE, EnforcementMode.WARN])
async def test_modes_that_refuse_nobody_put_on_record_what_they_would_refuse(
    database: Database, clock: ManualClock, mode: EnforcementMode
) -> None:
    world = EnforcementWorld(database, clock, EnforcementConfig(mode=mode))
    account_id = await world.account("ada")
    await world.fail(account_id, clock.now() - WEEK)
    for number in range(3):
        await world.containers.create_service(account_id, replace(WEB, name=f"more-{number}"))
        await world.enforcement.check_account(account_id)
    (one,) = await recorded(world, "new_work_would_be_refused")
    assert (one["account"], one["detail"]) == (account_id, {"code": "payment_overdue"})
    assert await recorded(world) == []

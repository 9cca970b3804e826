"""The ledger under hardship: ticks cut short, and every account still has its turn."""

import asyncio
from datetime import UTC, datetime

from helvetia.accounts.model import Account, AccountKind
from helvetia.accounts.store import insert_account
from helvetia.containers.simulated_host import SimulatedHost
from helvetia.database.pool import Database
from helvetia.kernel.clock import ManualClock, to_ns
from helvetia.kernel.identity import AccountId, new_account_id, new_service_id
from helvetia.kernel.turns import Turns
from helvetia.metering.model import MeteringConfig
from helvetia.metering.readers.host_reader import HostReader
from helvetia.metering.service import MeteringService
from helvetia.metering.store import create_metering_account


def at(hour: int) -> datetime:
    return datetime(2026, 3, 10, hour, tzinfo=UTC)


async def _account_with_run(database: Database) -> AccountId:
    account_id = new_account_id()
    async with database.transaction() as tx:
        account = Account(account_id=account_id, kind=AccountKind.USER, name="a", created_at=at(8))
        await insert_account(tx, account)
        await create_metering_account(tx, account_id)
        await tx.execute(
            "INSERT INTO container_runs (account_id, service_id, incarnation, container_id, node, started_ns, seen_ns)"
            " VALUES (%s, %s, %s, %s, 'test', %s, %s)",
            (account_id, new_service_id(), str(account_id), str(account_id), to_ns(at(8)), to_ns(at(10))),
        )
    return account_id


async def test_ticks_cut_at_their_deadline_reach_every_account(database: Database) -> None:
    clock = ManualClock(at(11))
    host = SimulatedHost("test", clock)
    metering = MeteringService(database, clock, host, HostReader(host), MeteringConfig())
    account_ids = [await _account_with_run(database) for _ in range(3)]
    blocked = account_ids[0]
    async with database.transaction() as holding:
        await holding.execute("SELECT FROM accounts WHERE account_id = %s FOR UPDATE", (blocked,))
        for tick in (metering.roll_up, metering.roll_up, metering.close_due, metering.close_due):
            try:
                async with asyncio.timeout(0.4):
                    await tick()
            except TimeoutError:
                continue
        rows = await (
            await holding.execute("SELECT DISTINCT account_id FROM usage_records WHERE closed_at IS NOT NULL")
        ).fetchall()
    assert {row[0] for row in rows} == set(account_ids[1:])


def test_turns_cut_short_go_on_after_the_last_one() -> None:
    account_ids = sorted(new_account_id() for _ in range(4))
    turns = Turns()
    first = turns.rotate(account_ids)
    assert [next(first), next(first)] == account_ids[:2]
    assert list(turns.rotate(account_ids)) == [*account_ids[2:], *account_ids[:2]]

"""The outbox: once with the mailbox whatever dies, retried over SMTP with the same message id, shown with its state."""

import asyncio
from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from datetime import timedelta

import pytest

from helvetia.database.pool import Database
from helvetia.enforcement.model import EnforcementConfig
from helvetia.kernel.clock import ManualClock
from helvetia.kernel.identity import AccountId
from helvetia.notifications import store
from helvetia.notifications.model import MailConfig, Notice, NoticeKind
from support.enforcement_world import EnforcementWorld, killed_after


@dataclass
class MailServer:
    """Just enough of SMTP, on loopback; `refusals` counts down the messages it does not take."""

    port: int = 0
    refusals: int = 0
    messages: list[str] = field(default_factory=list)

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(b"220 test\r\n")
        while line := (await reader.readline()).decode().strip():
            word = line.split(" ", maxsplit=1)[0].upper()
            if word == "DATA":
                writer.write(b"354 go on\r\n")
                text = (await reader.readuntil(b"\r\n.\r\n")).decode()
                self.refusals -= 1
                if self.refusals < 0:
                    self.messages.append(text)
                writer.write(b"451 later\r\n" if self.refusals >= 0 else b"250 taken\r\n")
            else:
                writer.write(b"221 bye\r\n" if word == "QUIT" else b"250 ok\r\n")
            await writer.drain()
            if word == "QUIT":
                break
        writer.close()


@pytest.fixture
async def mail() -> AsyncIterator[MailServer]:
    found = MailServer()
    server = await asyncio.start_server(found.serve, "127.0.0.1", 0)
    found.port = server.sockets[0].getsockname()[1]
    yield found
    server.close()


async def queue(world: EnforcementWorld, account_id: AccountId, key: str = "plan:1") -> None:
    notice = Notice(
        account_id=account_id,
        key=key,
        series=key,
        kind=NoticeKind.PLAN_CHANGED,
        due_at=world.clock.now(),
        figures={"former": "Free", "plan": "Pro"},
    )
    async with world.database.transaction() as tx:
        await store.queue(tx, notice, at=world.clock.now())


async def test_e05_mail_goes_to_the_address_of_the_owner_once(
    database: Database, clock: ManualClock, mail: MailServer
) -> None:
    config = MailConfig(smtp_url=f"smtp://127.0.0.1:{mail.port}")
    world = EnforcementWorld(database, clock, EnforcementConfig(), config)
    account_id = await world.account("ada", services=0)
    for _ in range(3):
        await queue(world, account_id)
        await world.notifications.send_due()
    assert len(mail.messages) == 1
    assert "To: ada@example.com" in mail.messages[0]
    (shown,) = await world.notifications.list_notifications(account_id)
    assert (shown.state, shown.channel, shown.attempt_count) == ("sent", "smtp", 1)


async def test_refused_mail_is_tried_again_later_under_its_id(
    database: Database, clock: ManualClock, mail: MailServer
) -> None:
    mail.refusals = 1
    config = MailConfig(smtp_url=f"smtp://127.0.0.1:{mail.port}")
    world = EnforcementWorld(database, clock, EnforcementConfig(), config)
    account_id = await world.account("ada", services=0)
    await queue(world, account_id)
    await world.notifications.send_due()
    (shown,) = await world.notifications.list_notifications(account_id)
    assert (shown.state, shown.attempt_count, mail.messages) == ("due", 1, [])
    assert "SMTP" in (shown.last_error or "")
    await world.notifications.send_due()
    assert mail.messages == []
    await world.execute("UPDATE notifications SET next_try_at = next_try_at - interval '1 hour'")
    await world.notifications.send_due()
    (message,) = mail.messages
    assert f"<{shown.notification_id}@helvetia.billing>" in message


async def test_mail_that_is_never_taken_is_given_up_and_says_so(database: Database, clock: ManualClock) -> None:
    world = EnforcementWorld(database, clock, EnforcementConfig(), MailConfig(smtp_url="smtp://127.0.0.1:1"))
    account_id = await world.account("ada", services=0)
    await queue(world, account_id)
    for _ in range(10):
        await world.notifications.send_due()
        await world.execute("UPDATE notifications SET next_try_at = next_try_at - interval '1 day'")
    (shown,) = await world.notifications.list_notifications(account_id)
    assert (shown.state, shown.attempt_count) == ("failed", 8)


async def test_claim_of_a_dead_worker_runs_out(database: Database, clock: ManualClock, mail: MailServer) -> None:
    config = MailConfig(smtp_url=f"smtp://127.0.0.1:{mail.port}")
    world = EnforcementWorld(database, clock, EnforcementConfig(), config)
    account_id = await world.account("ada", services=0)
    await queue(world, account_id)
    async with database.transaction() as tx:
        wall = clock.wall()
        await store.claim_due(tx, now=clock.now(), wall=wall, retry_at=wall + timedelta(minutes=5), limit=9)
    await world.notifications.send_due()
    assert mail.messages == []
    await world.execute("UPDATE notifications SET next_try_at = next_try_at - interval '6 minutes'")
    await world.notifications.send_due()
    assert len(mail.messages) == 1


async def test_mailbox_gets_each_notice_once_whatever_dies(database: Database, clock: ManualClock) -> None:
    world = EnforcementWorld(database, clock, EnforcementConfig())
    account_id = await world.account("ada", services=0)
    for number in range(20):
        await queue(world, account_id, f"plan:{number}")
        await killed_after(world.notifications.send_due(), 0.001 * number)
    await world.notifications.send_due()
    shown = await world.notifications.list_notifications(account_id)
    assert [one.state for one in shown] == ["sent"] * 20
    assert len(await world.notifications.read_mailbox()) == 20

"""The outbox: once with the mailbox whatever dies, retried over SMTP with the same message id, shown with its state."""

from collections.abc import AsyncIterator
from datetime import timedelta

import pytest

from helvetia.accounts.model import Role
from helvetia.database.pool import Database
from helvetia.enforcement.model import EnforcementConfig
from helvetia.kernel.clock import ManualClock
from helvetia.kernel.identity import AccountId
from helvetia.notifications import store
from helvetia.notifications.model import MailConfig, Notice, NoticeKind
from support.enforcement_world import EnforcementWorld, killed_after
from support.mail_sink import MailSink, mail_sink


@pytest.fixture
async def mail() -> AsyncIterator[MailSink]:
    async with mail_sink() as sink:
        yield sink


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
    database: Database, clock: ManualClock, mail: MailSink
) -> None:
    config = MailConfig(smtp_url=mail.url())
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
    database: Database, clock: ManualClock, mail: MailSink
) -> None:
    mail.refusals = 1
    config = MailConfig(smtp_url=mail.url())
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


async def test_claim_of_a_dead_worker_runs_out(database: Database, clock: ManualClock, mail: MailSink) -> None:
    config = MailConfig(smtp_url=mail.url())
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


async def test_address_that_is_refused_is_told_and_the_others_are_served_once(
    database: Database, clock: ManualClock, mail: MailSink
) -> None:
    world = EnforcementWorld(database, clock, EnforcementConfig(), MailConfig(smtp_url=mail.url()))
    owner = await world.accounts.create_user("owner@example.com")
    organization = await world.accounts.create_organization("Alpine Labs", owner.account_id)
    helper = await world.accounts.create_user("gone@example.com")
    await world.accounts.set_role(organization.account_id, helper.account_id, Role.BILLING_ADMIN, actor="test")
    mail.unknown.add("gone@example.com")
    await queue(world, organization.account_id)
    for _ in range(2):
        await world.notifications.send_due()
    assert len(mail.messages) == 1
    (shown,) = await world.notifications.list_notifications(organization.account_id)
    assert (shown.state, list(shown.recipients)) == ("sent", ["owner@example.com"])
    assert "gone@example.com" in (shown.last_error or "")


async def test_german_account_is_told_in_german(database: Database, clock: ManualClock, mail: MailSink) -> None:
    world = EnforcementWorld(database, clock, EnforcementConfig(), MailConfig(smtp_url=mail.url()))
    for name, language in (("ada", "de"), ("eva", None)):
        account_id = await world.account(name, services=0)
        if language is not None:
            await world.notifications.set_language(account_id, language, actor="user:ada")
        await queue(world, account_id)
    await world.notifications.send_due()
    german, english = mail.messages
    assert "Subject: Ihr Tarif ist jetzt Pro" in german
    assert "Subject: Your plan is now Pro" in english


async def test_credentials_go_to_this_machine_but_never_in_the_clear_to_another(
    database: Database, clock: ManualClock, mail: MailSink
) -> None:
    async with mail_sink("127.0.0.2") as elsewhere:
        for sink in (mail, elsewhere):
            config = MailConfig(smtp_url=sink.url("helvetia:p%40ss@"))
            world = EnforcementWorld(database, clock, EnforcementConfig(), config)
            await queue(world, await world.account(f"ada-at-{sink.port}", services=0))
            await world.notifications.send_due()
        assert mail.logins == [("helvetia", "p@ss")]
        assert (len(mail.messages), elsewhere.logins, elsewhere.messages) == (1, [], [])

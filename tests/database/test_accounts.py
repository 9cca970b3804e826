import asyncio
from datetime import datetime, timedelta

import pytest

from helvetia.accounts import store
from helvetia.accounts.errors import (
    AccountNotFound,
    EmailTaken,
    InvalidToken,
    LastOwner,
    SessionEnded,
    TokenNotFound,
    TooManyAttempts,
    TooManyTokens,
    WrongCredentials,
)
from helvetia.accounts.model import Account, AccountKind, Role
from helvetia.accounts.service import AccountService
from helvetia.database.pool import Database, Transaction
from helvetia.kernel.clock import ManualClock
from helvetia.kernel.errors import Conflict
from helvetia.kernel.identity import AccountId, new_account_id, new_id

PASSWORD = "correct horse battery"


class RecordingHooks:
    """Sees, inside the same transaction, which accounts were made; refuses when told to."""

    def __init__(self) -> None:
        self.created: list[Account] = []
        self.refuses = False

    async def account_created(self, tx: Transaction, account: Account) -> None:
        assert (await store.find_account(tx, account.account_id)) == account
        if self.refuses:
            raise Conflict
        self.created.append(account)

    async def check_deletable(self, tx: Transaction, account_id: AccountId) -> None:
        raise NotImplementedError


class SteppedClock(ManualClock):
    """Real time, too, moves only when told."""

    def wall(self) -> datetime:
        return self.now()


@pytest.fixture
def hooks() -> RecordingHooks:
    return RecordingHooks()


@pytest.fixture
def accounts(database: Database, clock: ManualClock, hooks: RecordingHooks) -> AccountService:
    return AccountService(database, SteppedClock(clock.now()), hooks)


async def test_new_user_owns_an_account_of_their_own(accounts: AccountService, hooks: RecordingHooks) -> None:
    user = await accounts.create_user("Ada@example.ch")
    assert await accounts.find_user_by_email("aDA@EXAMPLE.CH") == user
    (membership,) = await accounts.memberships(user.account_id)
    assert (membership.account.kind, membership.role) == (AccountKind.USER, Role.OWNER)
    assert [account.account_id for account in hooks.created] == [user.account_id]


async def test_address_in_use_whatever_its_case_is_refused(accounts: AccountService, hooks: RecordingHooks) -> None:
    await accounts.create_user("ada@example.ch")
    with pytest.raises(EmailTaken):
        await accounts.create_user("ADA@example.ch")
    assert len(hooks.created) == 1


async def test_refusing_hook_leaves_no_account(accounts: AccountService, hooks: RecordingHooks) -> None:
    hooks.refuses = True
    with pytest.raises(Conflict):
        await accounts.create_user("ada@example.ch")
    assert await accounts.find_user_by_email("ada@example.ch") is None


async def test_organization_has_its_founder_as_owner(accounts: AccountService) -> None:
    user = await accounts.create_user("ada@example.ch")
    account = await accounts.create_organization(" Alpine Labs ", user.account_id)
    assert account.name == "Alpine Labs"
    membership = await accounts.membership(account.account_id, user.account_id)
    assert membership.role is Role.OWNER


async def test_foreign_and_missing_organization_are_the_same(accounts: AccountService) -> None:
    ada, bob = await accounts.create_user("ada@example.ch"), await accounts.create_user("bob@example.ch")
    organization = await accounts.create_organization("Alpine", ada.account_id)
    details = set()
    for account_id in (organization.account_id, ada.account_id, new_account_id()):
        with pytest.raises(AccountNotFound) as caught:
            await accounts.membership(account_id, bob.account_id)
        details.add(caught.value.detail)
    assert len(details) == 1


async def test_last_owner_stays_owner(accounts: AccountService) -> None:
    ada, bob = await accounts.create_user("ada@example.ch"), await accounts.create_user("bob@example.ch")
    organization = await accounts.create_organization("Alpine", ada.account_id)
    with pytest.raises(LastOwner):
        await accounts.set_role(organization.account_id, ada.account_id, Role.MEMBER, actor="test")
    await accounts.set_role(organization.account_id, bob.account_id, Role.OWNER, actor="test")
    await accounts.remove_member(organization.account_id, ada.account_id, actor="test")
    with pytest.raises(LastOwner):
        await accounts.remove_member(organization.account_id, bob.account_id, actor="test")


async def test_nobody_joins_a_users_own_account(accounts: AccountService) -> None:
    ada, bob = await accounts.create_user("ada@example.ch"), await accounts.create_user("bob@example.ch")
    with pytest.raises(AccountNotFound):
        await accounts.set_role(ada.account_id, bob.account_id, Role.OWNER, actor="test")


async def test_right_password_opens_a_session_until_sign_out(accounts: AccountService) -> None:
    user = await accounts.create_user("ada@example.ch", PASSWORD)
    session = await accounts.sign_in("ADA@example.ch", PASSWORD, address="1")
    assert await accounts.authenticate_session(session.secret) == user
    await accounts.sign_out(session.secret)
    with pytest.raises(SessionEnded):
        await accounts.authenticate_session(session.secret)


@pytest.mark.parametrize(
    ("email", "password"),
    [
        ("ada@example.ch", "wrong"),
        ("bob@example.ch", PASSWORD),
        ("\x00", PASSWORD),
        ("tokens-only@example.ch", PASSWORD),
    ],
)
async def test_wrong_mail_or_password_gets_one_answer(accounts: AccountService, email: str, password: str) -> None:
    await accounts.create_user("ada@example.ch", PASSWORD)
    await accounts.create_user("tokens-only@example.ch")
    with pytest.raises(WrongCredentials) as caught:
        await accounts.sign_in(email, password, address="1")
    assert caught.value.detail == "The e-mail address or the password is wrong."


async def test_guessing_is_stopped_even_with_the_right_password(accounts: AccountService) -> None:
    await accounts.create_user("ada@example.ch", PASSWORD)
    for _ in range(10):
        with pytest.raises(WrongCredentials):
            await accounts.sign_in("ada@example.ch", "wrong", address="1")
    with pytest.raises(TooManyAttempts):
        await accounts.sign_in("ada@example.ch", PASSWORD, address="1")


@pytest.mark.parametrize(("step", "count"), [(timedelta(hours=2), 1), (timedelta(hours=1), 12)])
async def test_idle_or_old_session_ends(
    database: Database, clock: ManualClock, hooks: RecordingHooks, step: timedelta, count: int
) -> None:
    stepped = SteppedClock(clock.now())
    accounts = AccountService(database, stepped, hooks)
    await accounts.create_user("ada@example.ch", PASSWORD)
    session = await accounts.sign_in("ada@example.ch", PASSWORD, address="1")
    for _ in range(count - 1):
        stepped.advance(step)
        await accounts.authenticate_session(session.secret)
    stepped.advance(step)
    with pytest.raises(SessionEnded):
        await accounts.authenticate_session(session.secret)


async def test_database_never_holds_a_secret(accounts: AccountService, database: Database) -> None:
    user = await accounts.create_user("ada@example.ch", PASSWORD)
    session = await accounts.sign_in("ada@example.ch", PASSWORD, address="1")
    token = await accounts.create_token(user.account_id, "laptop")
    async with database.transaction() as tx:
        text = ""
        for table in ("users", "sessions", "api_tokens", "audit_entries"):
            text += str(await (await tx.execute(f"SELECT {table}::text FROM {table}")).fetchall())
    for secret in (PASSWORD, session.secret, token, token.removeprefix("hv_")):
        assert secret not in text
        assert secret.encode().hex() not in text


async def test_token_lets_its_user_in_until_revoked(accounts: AccountService) -> None:
    user = await accounts.create_user("ada@example.ch")
    issued = await accounts.issue_token(user.account_id, "laptop")
    assert issued.secret.startswith("hv_")
    assert await accounts.authenticate_token(issued.secret) == user
    (token,) = await accounts.list_tokens(user.account_id)
    assert token.last_used_at is not None
    await accounts.revoke_token(user.account_id, token.token_id)
    with pytest.raises(InvalidToken):
        await accounts.authenticate_token(issued.secret)
    assert await accounts.list_tokens(user.account_id) == ()


async def test_foreign_token_is_as_missing(accounts: AccountService) -> None:
    ada, bob = await accounts.create_user("ada@example.ch"), await accounts.create_user("bob@example.ch")
    issued = await accounts.issue_token(ada.account_id, "laptop")
    for token_id in (issued.token.token_id, new_id()):
        with pytest.raises(TokenNotFound):
            await accounts.revoke_token(bob.account_id, token_id)
    await accounts.authenticate_token(issued.secret)


async def test_parallel_token_requests_stay_within_the_bound(accounts: AccountService) -> None:
    user = await accounts.create_user("ada@example.ch")
    for _ in range(48):
        await accounts.create_token(user.account_id, "one")
    outcomes = await asyncio.gather(
        *(accounts.create_token(user.account_id, "more") for _ in range(6)), return_exceptions=True
    )
    assert sum(isinstance(outcome, TooManyTokens) for outcome in outcomes) == 4


async def test_sign_out_everywhere_ends_all_sessions(accounts: AccountService) -> None:
    user = await accounts.create_user("ada@example.ch", PASSWORD)
    secrets = [(await accounts.sign_in("ada@example.ch", PASSWORD, address="1")).secret for _ in range(2)]
    assert await accounts.sign_out_everywhere(user.account_id) == 2
    for secret in secrets:
        with pytest.raises(SessionEnded):
            await accounts.authenticate_session(secret)


async def test_deciding_actions_leave_an_audit_entry(accounts: AccountService, database: Database) -> None:
    user = await accounts.create_user("ada@example.ch", PASSWORD)
    await accounts.sign_in("ada@example.ch", PASSWORD, address="1")
    await accounts.create_token(user.account_id, "laptop")
    async with database.transaction() as tx:
        rows = await (await tx.execute("SELECT action FROM audit_entries ORDER BY audit_id")).fetchall()
    assert [row[0] for row in rows] == ["account_created", "signed_in", "token_created"]
